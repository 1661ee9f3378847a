# mypy: allow-untyped-defs
"""Task: the candidates of one batch, verified; sets that are too many for memory are mapped.

The rows of a batch are read twice: first without their shingles, which gives the survivor order,
then group by group, each set being put in its place of that order.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup import drops
from dataprep.dedup.exchange import iterate_partition, read_partition
from dataprep.dedup.near_duplicates import SHINGLE_SCHEMA, greedy_survivors
from dataprep.kernel_cache import kernel
from dataprep.workspace import INDEX_ROW, Layout, Workspace

# Shingles beyond which a batch lies in a file and not in memory: 512 MiB.
_MEMORY_SHINGLES = 1 << 26

Hashes = npt.NDArray[np.uint64]


def verify_batch(
    work: Workspace, layout: Layout, batch: int, num_batches: int, near: NearDuplicates
) -> None:
    """Task: verify the components of one batch."""
    paths = [work.shingles(shard) for shard in layout.shards]
    found = verify(paths, batch, num_batches, near, work.directory / "scratch")
    drops.write_drops(work.verified(batch), found, layout)


def verify(
    paths: Sequence[Path], batch: int, num_batches: int, near: NearDuplicates, scratch: Path
) -> pa.Table:
    """The candidates of a batch that an earlier survivor of their component makes superfluous
    (`drops.DROP_SCHEMA`). `paths` are exchanges of `SHINGLE_SCHEMA` by batch, and all documents of
    a component are in one batch. `scratch` takes what memory should not hold."""
    names = SHINGLE_SCHEMA.names[:-1]
    candidates = read_partition(paths, batch, num_batches, SHINGLE_SCHEMA, names)
    own = candidates["row"].to_numpy() < INDEX_ROW
    keyed = candidates.append_column("own", pa.array(own.astype(np.int8)))
    keys = ("component", "own", "precedence", "id", "row")
    order = pa.compute.sort_indices(keyed, [(name, "ascending") for name in keys]).to_numpy()
    sizes = candidates["num_shingles"].to_numpy()
    offsets = np.concatenate(([0], np.cumsum(sizes[order])))
    places = np.empty(len(order), np.int64)
    places[order] = offsets[:-1]
    component = candidates["component"].to_numpy()[order]
    starts = np.flatnonzero(np.concatenate(([True], component[1:] != component[:-1])))
    with _room(int(offsets[-1]), scratch) as hashes:
        read = 0
        for table in iterate_partition(paths, batch, num_batches, ["shingles"]):
            column = table["shingles"].combine_chunks()
            _place(column.offsets.to_numpy(), column.values.to_numpy(), places[read:], hashes)
            read += len(column)
        found, similarity = greedy_survivors(
            offsets,
            hashes,
            near.jaccard,
            starts=np.append(starts, len(order)) if len(order) else starts,
            fixed=~own[order],
            containment=near.measure == "containment",
        )
    dropped = found >= 0
    gone = candidates["row"].to_numpy()[order[dropped]]
    kept = candidates.select(["row", "id"]).take(pa.array(order[found[dropped]]))
    reasons = pa.array(np.full(len(gone), drops.NEAR, np.int8))
    columns = [pa.array(gone), kept["row"], kept["id"], reasons, pa.array(similarity[dropped])]
    return pa.table(columns, schema=drops.DROP_SCHEMA).combine_chunks()


@contextmanager
def _room(num_shingles: int, scratch: Path) -> Iterator[Hashes]:
    """An array for so many shingles, in memory or, above the limit, in a file that is gone
    afterwards."""
    if num_shingles <= _MEMORY_SHINGLES:
        yield np.empty(num_shingles, np.uint64)
        return
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / f"shingles.{secrets.token_hex(6)}.tmp"
    try:
        mapped = np.memmap(path, np.uint64, "w+", shape=(num_shingles,))
        # Nameless from here on: it goes with its process, whoever ends it.
        path.unlink()
        yield mapped.view(np.ndarray)
    finally:
        path.unlink(missing_ok=True)


@kernel
def _place(offsets, values, places, hashes):
    """Copy list i of a column to `hashes[places[i]:]`."""
    for i in range(len(offsets) - 1):
        size = offsets[i + 1] - offsets[i]
        hashes[places[i] : places[i] + size] = values[offsets[i] : offsets[i + 1]]
