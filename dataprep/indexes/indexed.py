"""A run against indexes: of each segment, the documents that a document of the run may duplicate.

A segment takes part in the exchange as a shard of its own, from `INDEX_SHARD` on, whose documents
survive all others and are never written. It holds only those that share a band value or a text hash
with the run: the run's hashes and the segment's are both in order, partition by partition, so that
one meets the other in a single reading. Its pieces are those of any shard (`stage`), and all that
comes after treats them so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config import Dataprep, Source
from dataprep.dedup import exact, survivors
from dataprep.dedup.exchange import open_exchange, partition_of, read_partition
from dataprep.dedup.links import BAND_SCHEMA
from dataprep.indexes.index import (
    Segment,
    check_settings,
    open_index,
    read_index,
    settings_of,
)
from dataprep.sealed import read_sealed, sealed_writer, write_sealed
from dataprep.tasks import RunTasks
from dataprep.workspace import INDEX_SHARD, ROW_BITS, Layout, Workspace
from launch.errors import UserError
from launch.manifest import Input, Manifest

PREFIX = "index:"
_PAIR_SCHEMA = pa.schema([pa.field("value", pa.uint64()), pa.field("document", pa.int64())])
_COLUMNS = ["id", "content_hash", "source", "text_hash", "num_shingles", "text"]
# A document of an index as a shard of the run has it: no quality, no metadata.
_STAGED_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("meta", pa.map_(pa.string(), pa.string())),
        pa.field(survivors.QUALITY, pa.float32()),
    ]
)

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """An index of the recipe: its path there, the name in ids, and its manifest."""

    path: str
    name: str
    manifest: Manifest


def find_indexes(config: Dataprep, sources: Sequence[Source]) -> list[Found]:
    """The indexes that the recipe names.

    Raises UserError if one is missing or no index, if it was made with other settings, or if ids
    could be mistaken: for equal names of directories, or a source called index.
    """
    where = "dataprep.indexes"
    found: dict[str, Found] = {}
    for path in config.indexes:
        name = Path(path).resolve().name
        if name in found:
            raise UserError(where, f"two directories called '{name}'", "a name for each")
        found[name] = Found(path, name, read_index(Path(path)))
        if config.near_duplicates.enabled:
            own = settings_of(config.near_duplicates)
            check_settings(
                f"dataprep.near_duplicates, for the index {path}", own, found[name].manifest.config
            )
    if found and any(source.name == PREFIX.rstrip(":") for source in sources):
        raise UserError("sources", "the name 'index'", "another one", "ids of indexes begin so")
    return list(found.values())


def inputs(indexes: Sequence[Found]) -> list[Input]:
    """Path and digest of each."""
    return [Input(f"{PREFIX}{index.path}", index.manifest.files_digest) for index in indexes]


def segments_of(indexes: Sequence[Found]) -> list[Segment]:
    """The segments of all, in order; paths are absolute."""
    return [
        segment
        for index in indexes
        for segment in open_index(Path(index.path).resolve(), index.manifest, index.name).segments
    ]


def gather_all(
    work: Workspace,
    layout: Layout,
    config: Dataprep,
    segments: Sequence[Segment],
    run_tasks: RunTasks,
) -> None:
    """Make the pieces of each segment that are not there yet."""
    shards = range(INDEX_SHARD, INDEX_SHARD + len(segments))
    tasks = [
        (work, layout, config, shard, segment)
        for shard, segment in zip(shards, segments, strict=True)
        if not work.texts(shard).exists()
    ]
    run_tasks(gather, tasks, "documents of indexes")


def gather(work: Workspace, layout: Layout, config: Dataprep, shard: int, segment: Segment) -> None:
    """Task: the pieces of one segment's shard; that of the texts comes last, and is its mark.

    Memory: the hashes of one partition of the run, and 100 bytes for each document found.
    """
    partitions = layout.num_partitions
    numbers = [np.zeros(0, np.int64)]
    for partition in range(partitions):
        if config.exact.texts:
            numbers.append(_of_texts(work, layout, partition, segment))
        pairs = _of_bands(work, layout, partition, segment)
        write_sealed(_pairs_path(work, shard, partition), pairs)
        numbers.append(np.unique(pairs["document"].to_numpy()))
    documents = np.unique(np.concatenate(numbers))
    order = np.zeros(len(documents), np.uint64)
    # What is opened first has its name last.
    with (
        open_exchange(work.texts(shard), exact.TEXT_SCHEMA, partitions) as texts,
        sealed_writer(work.staged(shard), _STAGED_SCHEMA) as staged,
    ):
        if config.exact.urls:
            # An index knows no URLs.
            write_sealed(work.urls(shard), exact.KEY_SCHEMA.empty_table())
        first = shard << ROW_BITS
        for places, table in segment.documents(documents, _COLUMNS):
            own = _as_staged(table, segment.index)
            staged.write_table(own, row_group_size=own.num_rows)
            order[places] = exact.hash_halves(own["content_hash"])[:, 0]
            columns = {
                "key_hash": table["text_hash"],
                "precedence": survivors.precedence(own, config.survivors, config.survivors.sources),
                "id": own["id"],
                "row": first + places,
                "num_shingles": table["num_shingles"],
            }
            high = exact.hash_halves(table["text_hash"])[:, 0]
            texts.add(pa.table(columns, schema=exact.TEXT_SCHEMA), partition_of(high, partitions))
        _write_bands(work, shard, partitions, documents, order)


def _write_bands(
    work: Workspace, shard: int, partitions: int, documents: Rows, order: npt.NDArray[np.uint64]
) -> None:
    """The band values that the run has too; documents are now counted as they are staged."""
    with open_exchange(work.bands(shard), BAND_SCHEMA, partitions) as bands:
        for partition in range(partitions):
            pairs = read_sealed(_pairs_path(work, shard, partition))
            at = np.searchsorted(documents, pairs["document"].to_numpy())
            rows = (shard << ROW_BITS) + at
            table = pa.table([pairs["value"].combine_chunks(), order[at], rows], BAND_SCHEMA)
            bands.add(table, np.full(len(at), partition))


def _of_texts(work: Workspace, layout: Layout, partition: int, segment: Segment) -> Rows:
    """Documents of the segment whose text a document of the run has."""
    paths = [work.texts(shard) for shard in range(layout.num_shards)]
    keys = read_partition(paths, partition, layout.num_partitions, exact.TEXT_SCHEMA, ["key_hash"])
    found = segment.find_texts(exact.hash_halves(keys["key_hash"]))
    return np.concatenate([np.zeros(0, np.int64), *(documents for _, documents in found)])


def _of_bands(work: Workspace, layout: Layout, partition: int, segment: Segment) -> pa.Table:
    """Band values of the run, and the documents of the segment that have them."""
    paths = [work.bands(shard) for shard in range(layout.num_shards)]
    names = ["band_value"]
    values = read_partition(paths, partition, layout.num_partitions, BAND_SCHEMA, names)
    keys = np.unique(values["band_value"].to_numpy())
    found = [_PAIR_SCHEMA.empty_table()]
    for places, table in segment.find_bands(keys):
        found.append(pa.table([keys[places], table["document"]], schema=_PAIR_SCHEMA))
    return pa.concat_tables(found).combine_chunks()


def _as_staged(table: pa.Table, index: str) -> pa.Table:
    columns = {name: table[name] for name in ("content_hash", "text", "source")}
    columns["id"] = pc.binary_join_element_wise(f"{PREFIX}{index}", table["id"], "/")
    for name in ("meta", survivors.QUALITY):
        columns[name] = pa.nulls(len(table), _STAGED_SCHEMA.field(name).type)
    return pa.table({name: columns[name] for name in _STAGED_SCHEMA.names}, schema=_STAGED_SCHEMA)


def _pairs_path(work: Workspace, shard: int, partition: int) -> Path:
    return work.directory / "indexed" / f"{shard:05d}-{partition:05d}.parquet"
