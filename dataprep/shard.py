"""One shard: the fused pass over it, and, after deduplication, its last writing.

The pass reads a shard once: every batch goes through the chain of steps, then to the staged file
(all rows, marked), to quarantine, and, as hashes, to the exchange. Memory is that of a batch (about
16 MB of text and what the steps make of it), whatever the shard's size.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep import (
    classifier,
    exact,
    language,
    lsh,
    minhash,
    normalize,
    pii,
    report,
    rules,
    signals,
    write,
)
from dataprep.config import Dataprep, Source
from dataprep.conservation import Counts
from dataprep.deduplicate import BAND_SCHEMA, DECISION_SCHEMA, read_decisions
from dataprep.exchange import ExchangeWriter, open_exchange
from dataprep.read import Shard, read_shard
from dataprep.records import QUARANTINE_SCHEMA, READ_SCHEMA
from dataprep.step import Step, alive, apply_chain, check_chain
from dataprep.workspace import ROW_BITS, Workspace, committed
from launch.manifest import FileEntry


def chain(config: Dataprep, models: Mapping[classifier.Name, Path]) -> list[Step]:
    """The steps, in the order in which every document meets them; `models` are classifiers' files.

    PII is last, so that whatever is written, dropped documents too, has gone through it.
    """
    steps = [
        normalize.make_step(config.normalize),
        language.make_step(config),
        signals.make_step(),
        rules.make_step(config),
    ]
    if config.quality is not None:
        steps.append(classifier.make_step("quality", models["quality"], config.quality))
    if config.toxicity is not None:
        steps.append(classifier.make_step("toxicity", models["toxicity"], config.toxicity))
    steps.append(pii.make_step(config.pii))
    check_chain(steps, READ_SCHEMA.names)
    return steps


def step_names(config: Dataprep) -> list[str]:
    """Names of the steps in order, after a check of the chain that needs no trained classifier.

    Raises UserError for what a step refuses in the recipe.
    """
    untrained = config.model_copy(update={"quality": None, "toxicity": None})
    names = [step.name for step in chain(untrained, {})]
    trained = [name for name in classifier.NAMES if getattr(config, name) is not None]
    return [*names[:-1], *trained, names[-1]]


def process_shard(
    work: Workspace,
    index: int,
    shard: Shard,
    source: Source,
    config: Dataprep,
    models: Mapping[classifier.Name, Path],
) -> None:
    """Task: the pass over one shard. `work.counts(index)` is its last file, and its mark."""
    if work.counts(index).exists():
        return
    steps = chain(config, models)
    added = [field for step in steps for field in step.adds]
    near = config.near_duplicates
    documents = quarantined = bytes_read = 0
    with (
        committed(work.staged(index)) as staged_path,
        committed(work.quarantine(index)) as quarantine_path,
        pq.ParquetWriter(staged_path, pa.schema([*READ_SCHEMA, *added])) as staged,
        pq.ParquetWriter(quarantine_path, QUARANTINE_SCHEMA) as quarantine,
        open_exchange(
            work.identifiers(index), exact.IDENTIFIER_SCHEMA, near.partitions
        ) as identifiers,
        open_exchange(work.texts(index), exact.TEXT_SCHEMA, near.partitions) as texts,
        open_exchange(work.bands(index), BAND_SCHEMA, near.partitions) as bands,
    ):
        for table, refused in read_shard(shard, source, config):
            if refused.num_rows:
                quarantine.write_table(refused)
                quarantined += refused.num_rows
            if not table.num_rows:
                continue
            rows = (index << ROW_BITS) + documents + np.arange(table.num_rows)
            documents += table.num_rows
            bytes_read += pc.sum(table["read_bytes"]).as_py()
            table = apply_chain(steps, table)
            staged.write_table(table, row_group_size=table.num_rows)
            _exchange(table, rows, config, identifiers, texts, bands)
    counted = {
        "records_read": documents + quarantined,
        "documents_in": documents,
        "quarantined": quarantined,
        "bytes_in": bytes_read,
    }
    with committed(work.counts(index)) as path:
        path.write_text(json.dumps(counted))


def _exchange(
    table: pa.Table,
    rows: np.ndarray,
    config: Dataprep,
    identifiers: ExchangeWriter,
    texts: ExchangeWriter,
    bands: ExchangeWriter,
) -> None:
    """What deduplication must know of a batch: ids of all rows, hashes of those alive."""
    near = config.near_duplicates
    id_hashes = exact.identifier_hashes(table["id"])
    known = {"id_hash": id_hashes, "id": table["id"]}
    identifiers.add(
        pa.table(known, schema=exact.IDENTIFIER_SCHEMA), id_hashes % np.uint64(near.partitions)
    )
    living = alive(table)
    table, rows = table.filter(pa.array(living)), rows[living]
    text_hashes = exact.text_hashes(table["text"])
    if near.enabled:
        signatures, counts = minhash.signatures(table["text"], near.bands * near.rows)
    else:
        counts = np.zeros(len(rows), np.int64)
    columns = {
        "text_hash": text_hashes,
        "content_hash": table["content_hash"],
        "id": table["id"],
        "row": rows,
        "num_shingles": counts,
    }
    high = exact.hash_halves(text_hashes)[:, 0]
    texts.add(pa.table(columns, schema=exact.TEXT_SCHEMA), high % np.uint64(near.partitions))
    if not near.enabled:
        return
    comparable = np.flatnonzero(counts)
    values = lsh.band_values(signatures[comparable], near.bands, near.rows).reshape(-1)
    repeated = np.repeat(comparable, near.bands)
    columns = {
        "band_value": values,
        "content_hash": table["content_hash"].take(pa.array(repeated)),
        "row": rows[repeated],
    }
    bands.add(pa.table(columns, schema=BAND_SCHEMA), values % np.uint64(near.partitions))


def write_documents(
    work: Workspace, index: int, directory: Path, seed: int, valid_fraction: float
) -> None:
    """Task: split one shard into kept, dropped and quarantine below `directory`."""
    if work.written(index).exists():
        return
    scratch = work.directory / "scratch"
    written = write.write_shard(
        _decided(work, index),
        directory,
        scratch,
        index,
        seed=seed,
        valid_fraction=valid_fraction,
    )
    refused = write.write_quarantine(_quarantined(work, index), directory, scratch, index)
    document = {
        "files": [asdict(entry) for entry in (*written.files, *refused)],
        "counts": written.counts,
        # From the files as they were written, not from what was in memory.
        "summary": report.merge(
            [report.summarize(directory, entry.path) for entry in written.files]
        ),
    }
    with committed(work.written(index)) as path:
        path.write_text(json.dumps(document))


def read_written(work: Workspace, index: int) -> tuple[list[FileEntry], Counts, report.Summary]:
    """The files that were written of a shard, the counts and the summary of their rows."""
    document = json.loads(work.written(index).read_text())
    entries = [FileEntry(**entry) for entry in document["files"]]
    return entries, document["counts"], document["summary"]


def read_counts(work: Workspace, num_shards: int) -> dict[str, int]:
    """Records read, documents in, quarantined and bytes in, over all shards."""
    counted = [json.loads(work.counts(index).read_text()) for index in range(num_shards)]
    return {key: sum(part[key] for part in counted) for key in counted[0]}


def _quarantined(work: Workspace, index: int) -> Iterator[pa.Table]:
    with pq.ParquetFile(work.quarantine(index)) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def _decided(work: Workspace, index: int) -> Iterator[pa.Table]:
    """The staged rows of a shard with what deduplication decided."""
    decisions = read_decisions(work, index)
    decided_rows = decisions["row"].to_numpy()
    first = 0
    with pq.ParquetFile(work.staged(index)) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            start, stop = np.searchsorted(decided_rows, [first, first + table.num_rows])
            yield _decide(table, decisions.slice(start, stop - start), first)
            first += table.num_rows


def _decide(table: pa.Table, decisions: pa.Table, first: int) -> pa.Table:
    """`table`, whose rows count from `first`, with its decisions' columns filled in."""
    place = np.full(table.num_rows, -1, np.int64)
    place[decisions["row"].to_numpy() - first] = np.arange(decisions.num_rows)
    assert alive(table)[place >= 0].all(), "a decision on a row that a rule had dropped"
    at = pa.array(place, mask=place < 0)
    for field in list(DECISION_SCHEMA)[1:]:
        column = decisions[field.name].combine_chunks().take(at)
        position = table.schema.get_field_index(field.name)
        if position < 0:
            table = table.append_column(field.name, column)
        else:
            merged = pc.coalesce(table[field.name], column)
            table = table.set_column(position, table.schema.field(position), merged)
    return table
