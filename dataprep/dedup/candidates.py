"""Tasks: the components of all links, cut into batches, and the shingle sets of their documents.

A batch holds whole components and about `_BATCH_SHINGLES` shingles, more only where one component
alone has more: then its sets are mapped from a file (`verification`).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.config import Dataprep
from dataprep.dedup import components
from dataprep.dedup.drops import contains
from dataprep.dedup.exchange import open_exchange
from dataprep.dedup.links import read_edges
from dataprep.dedup.near_duplicates import SHINGLE_SCHEMA
from dataprep.dedup.shingles import shingle_sets, shingling_of
from dataprep.dedup.survivors import QUALITY, precedence
from dataprep.sealed import open_sealed, read_sealed, sealed_writer
from dataprep.workspace import ROW_BITS, ROW_MASK, Layout, Workspace

_BATCH_SHINGLES = 1 << 24
_FACTS = ("num_batches", "num_components", "largest_component")
_SCHEMA = pa.schema(
    [pa.field(name, pa.int64(), nullable=False) for name in ("row", "component", "batch")]
)

Rows = npt.NDArray[np.int64]


def find_candidates(work: Workspace, layout: Layout, forests: Sequence[Path]) -> None:
    """Task: every linked document with its component and batch, a row group for each shard."""
    rows, component = components.components(read_edges(forests))
    sizes = _shingle_counts(work, layout, rows)
    order = np.argsort(component, kind="stable")
    # The batch of a component is decided by what lies before its first document.
    before = np.cumsum(sizes[order]) - sizes[order]
    ordered = component[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(rows)])
    members = np.diff(np.append(starts, len(rows)))
    batch = np.empty(len(rows), np.int64)
    # Numbered without gaps: one task for each.
    _, numbers = np.unique(before[starts] // _BATCH_SHINGLES, return_inverse=True)
    batch[order] = np.repeat(numbers, members)
    counted = {
        "num_batches": len(np.unique(numbers)),
        "num_components": len(starts),
        "largest_component": int(members.max(initial=0)),
    }
    metadata = {key: str(value) for key, value in counted.items()}
    table = pa.table([rows, component, batch], schema=_SCHEMA.with_metadata(metadata))
    with sealed_writer(work.candidates, table.schema) as writer:
        for shard in layout.shards:
            start, stop = np.searchsorted(rows, [shard << ROW_BITS, (shard + 1) << ROW_BITS])
            writer.write_table(
                table.slice(start, stop - start), row_group_size=int(stop - start) or 1
            )


def candidate_facts(work: Workspace) -> dict[str, int]:
    """Batches, components, and the documents of the largest component."""
    with open_sealed(work.candidates) as piece:
        return {key: int(piece.metadata[key]) for key in _FACTS}


def _shingle_counts(work: Workspace, layout: Layout, rows: Rows) -> Rows:
    """Number of shingles of each of `rows` (ascending), read shard by shard."""
    counts = np.zeros(len(rows), np.int64)
    for shard in layout.shards:
        table = read_sealed(work.texts(shard), ["row", "num_shingles"])
        theirs = table["row"].to_numpy()
        wanted = contains(rows, theirs)
        counts[np.searchsorted(rows, theirs[wanted])] = table["num_shingles"].to_numpy()[wanted]
    return counts


def write_shingles(
    work: Workspace, layout: Layout, shard: int, num_batches: int, config: Dataprep
) -> None:
    """Task: the shingle sets of one shard's candidates, each in the partition of its batch."""
    with open_sealed(work.candidates) as piece:
        candidates = piece.read([layout.shards.index(shard)])
    candidates = candidates.combine_chunks()
    wanted = candidates["row"].to_numpy() & ROW_MASK
    columns = ["id", "content_hash", "text", "source", "meta"]
    columns += [QUALITY] if "quality" in config.survivors.order else []
    with (
        open_exchange(work.shingles(shard), SHINGLE_SCHEMA, num_batches) as writer,
        open_sealed(work.staged(shard)) as staged,
    ):
        first = 0
        for group in range(staged.num_row_groups):
            num_rows = staged.group_rows(group)
            start, stop = np.searchsorted(wanted, [first, first + num_rows])
            if start < stop:
                table = staged.read([group], columns)
                table = table.take(pa.array(wanted[start:stop] - first)).combine_chunks()
                chosen = candidates.slice(start, stop - start)
                writer.add(_with_shingles(table, chosen, config), chosen["batch"].to_numpy())
            first += num_rows


def _with_shingles(table: pa.Table, chosen: pa.Table, config: Dataprep) -> pa.Table:
    offsets, hashes = shingle_sets(table["text"], shingling_of(config.near_duplicates))
    return pa.table(
        {
            "component": chosen["component"],
            "precedence": precedence(table, config.survivors, config.survivors.sources),
            "id": table["id"],
            "row": chosen["row"],
            "num_shingles": np.diff(offsets),
            "shingles": pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes)),
        },
        schema=SHINGLE_SCHEMA,
    )
