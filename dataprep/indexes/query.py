"""`gristmill dataprep query`: what an index holds of given documents, one JSON line for each.

Documents are read as a source of JSON lines is, and their texts normalized and freed of personal
data as the indexed ones were (what other steps would cut out of them stays). They are compared in
batches of about 64 MB: memory is that of a batch, and a large batch reads the index once, in order,
where a small one reads a megabyte for each band of a document.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.config import Columns, Dataprep, Normalize, Source
from dataprep.config_duplicates import NearDuplicates
from dataprep.config_pii import Pii
from dataprep.dedup import signature
from dataprep.dedup.exact import hash_halves
from dataprep.indexes.index import Index, near_of, open_index, read_index
from dataprep.indexes.match import best_matches
from dataprep.pii import redact
from dataprep.reading.read import number_rows, read_shard, shards
from dataprep.step import Step, alive, apply_chain
from dataprep.text import normalize
from launch.config import parse_model
from launch.log import get_logger

_BATCH_BYTES = 64 << 20


def query(
    directory: Path, paths: Sequence[str], jaccard: float | None = None
) -> Iterator[dict[str, Any]]:
    """For each document of the files its best match: `id`, `match` (exact, near or null) and, of a
    match, `survivor_id`, `source` and `jaccard`.

    `id` is the record's own, else its file and row. `jaccard` is the least similarity, by default
    that of a recipe. Records that cannot be read are warned of, and left out. Raises UserError if
    `directory` is no index, or `paths` name no file.
    """
    manifest = read_index(directory)
    index = open_index(directory, manifest)
    near = near_of(manifest.config, jaccard)
    tables = manifest.config
    steps = [
        normalize.make_step(parse_model(Normalize, tables["normalize"], "normalize")),
        redact.make_step(parse_model(Pii, tables["pii"], "pii")),
        signature.make_step(near),
    ]
    for table in _batches(paths):
        yield from _answers(index, table, steps, near)


def _batches(paths: Sequence[str]) -> Iterator[pa.Table]:
    source = Source(name="query", kind="jsonl", paths=tuple(paths), columns=Columns(meta=("id",)))
    waiting: list[pa.Table] = []
    for shard in number_rows(shards([source], Path.cwd()), [source]):
        for table, refused in read_shard(shard, source, Dataprep()):
            for row in refused.to_pylist():
                get_logger("dataprep").warning(
                    "%s: row %s cannot be read: %s", row["path"], row["row"], row["reason"]
                )
            if table.num_rows:
                waiting.append(table)
            if sum(part.nbytes for part in waiting) >= _BATCH_BYTES:
                yield pa.concat_tables(waiting).combine_chunks()
                waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _answers(
    index: Index, table: pa.Table, steps: Sequence[Step], near: NearDuplicates
) -> Iterator[dict[str, Any]]:
    places = (name.removeprefix("query:") for name in table["id"].to_pylist())
    given = (dict(meta).get("id") for meta in table["meta"].to_pylist())
    names = [own or place for own, place in zip(given, places, strict=True)]
    table = apply_chain(list(steps), table)
    living = np.flatnonzero(alive(table))
    halves = hash_halves(table[signature.TEXT_HASH].take(pa.array(living)))
    rows, values = signature.band_values(table)
    matches = best_matches(
        index,
        table["text"].combine_chunks(),
        index.equal_pairs(halves, living),
        index.near_pairs(values.ravel(), np.repeat(rows, values.shape[1])),
        near,
    )
    found = {row["row"]: row for row in matches.to_pylist()}
    for place, name in enumerate(names):
        match = found.get(place)
        if match is None:
            yield {"id": name, "match": None}
            continue
        yield {
            "id": name,
            "match": "exact" if match["equal"] else "near",
            "survivor_id": match["id"],
            "source": match["source"],
            "jaccard": match["similarity"],
        }
