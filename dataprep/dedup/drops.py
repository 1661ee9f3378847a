"""Drops: who goes, for whom, and why, filed so that both sides can be looked up.

A piece of drops is an exchange with two partitions for each group of shards: group g of the
survivor's shard in partition g, group g of the dropped document's own in partition G + g.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.dedup.exchange import open_exchange, read_partition
from dataprep.sealed import open_sealed
from dataprep.workspace import INDEX_SHARD, ROW_BITS, Layout

DROP_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("survivor_row", pa.int64(), nullable=False),
        pa.field("survivor_id", pa.string(), nullable=False),
        pa.field("reason", pa.int8(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
    ]
)
URL, TEXT, NEAR = range(3)
"""Values of `reason`, in the order in which they are decided."""


def as_drops(duplicates: pa.Table, reason: int) -> pa.Table:
    """What `exact.duplicates` found (`DUPLICATE_SCHEMA`) as drops of this reason."""
    reasons = pa.array(np.full(len(duplicates), reason, np.int8))
    similarities = pa.array(np.ones(len(duplicates)))
    columns = [*duplicates.columns, reasons, similarities]
    return pa.table(columns, schema=DROP_SCHEMA)


def groups_of(rows: npt.NDArray[np.int64], layout: Layout) -> npt.NDArray[np.int64]:
    """The group of shards of each row reference; documents of indexes are dealt out."""
    shards = rows >> ROW_BITS
    own = shards * layout.num_groups // layout.num_shards
    return np.where(shards >= INDEX_SHARD, shards % layout.num_groups, own)


def write_drops(path: Path, drops: pa.Table, layout: Layout) -> None:
    with open_exchange(path, DROP_SCHEMA, 2 * layout.num_groups) as writer:
        writer.add(drops, groups_of(drops["survivor_row"].to_numpy(), layout))
        writer.add(drops, layout.num_groups + groups_of(drops["row"].to_numpy(), layout))


def read_for(paths: Iterable[Path], group: int, layout: Layout) -> pa.Table:
    """Drops for survivors of this group."""
    return read_partition(paths, group, 2 * layout.num_groups, DROP_SCHEMA)


def read_of(paths: Iterable[Path], group: int, layout: Layout) -> pa.Table:
    """Drops of documents of this group."""
    number = layout.num_groups + group
    return read_partition(paths, number, 2 * layout.num_groups, DROP_SCHEMA)


def all_rows(paths: Iterable[Path], layout: Layout) -> npt.NDArray[np.int64]:
    """Row references of all drops, ascending."""
    found = [np.zeros(0, np.int64)]
    for path in paths:
        with open_sealed(path) as piece:
            numbers = range(piece.num_row_groups)
            own = [n for n in numbers if n % (2 * layout.num_groups) >= layout.num_groups]
            found.append(piece.read(own, ["row"])["row"].to_numpy())
    return np.sort(np.concatenate(found))


def contains(
    ascending: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which of `rows` stand in `ascending`."""
    if len(ascending) == 0:
        return np.zeros(len(rows), np.bool_)
    at = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    return np.asarray(ascending[at] == rows)
