"""Tasks: what the band values link, as spanning forests, partition by partition, then merged.

A forest has at most one edge for each document that shares a band value, however many it shares.
Forests that are too large together for one process are merged a few at a time, level by level;
what is connected stays connected, so that the components do not depend on how they are merged.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.dedup import components, lsh
from dataprep.dedup.drops import contains
from dataprep.dedup.equal_documents import TEXTS
from dataprep.dedup.exchange import read_partition
from dataprep.sealed import map_array, open_sealed, read_sealed, write_sealed
from dataprep.tasks import RunTasks
from dataprep.workspace import Layout, Workspace

BAND_SCHEMA = pa.schema(
    [
        pa.field("band_value", pa.uint64(), nullable=False),
        pa.field("order", pa.uint64(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
    ]
)
FAN_IN = 8
# Edges that one process joins: about 100 bytes each while it does, 3.4 GB.
EDGES_MAX = 1 << 25
_COUNTED = ("num_groups", "num_hot_groups", "largest_group", "num_cut")

# Runs a function for each tuple of arguments, in any order, anywhere; the text names the tasks.


def find_links(work: Workspace, layout: Layout, partition: int, band_size_max: int) -> None:
    """Task: a spanning forest of what the band values of one partition link.

    Exact duplicates take no part: the document that survives them stands for them.
    """
    paths = [work.bands(shard) for shard in layout.shards]
    bands = read_partition(paths, partition, layout.num_partitions, BAND_SCHEMA)
    values, order, rows = (column.to_numpy() for column in bands.columns)
    gone = contains(map_array(work.gone(TEXTS)), rows)
    if gone.any():
        values, order, rows = values[~gone], order[~gone], rows[~gone]
    found = lsh.links(values, order, rows, band_size_max)
    counted = {key: str(getattr(found, key)) for key in _COUNTED}
    _write_forest(work.links(partition), found.edges, counted)


def merge_forests(paths: Sequence[Path], target: Path) -> None:
    """Task: one spanning forest of several."""
    _write_forest(target, read_edges(paths), {})


def _write_forest(path: Path, edges: npt.NDArray[np.int64], metadata: dict[str, str]) -> None:
    forest = components.spanning_forest(edges)
    table = pa.table({"left": forest[:, 0], "right": forest[:, 1]})
    write_sealed(path, table.replace_schema_metadata(metadata))


def read_edges(paths: Sequence[Path]) -> npt.NDArray[np.int64]:
    """The edges of these forests, int64, shape [edges, 2]."""
    found = [np.zeros((0, 2), np.int64)]
    for path in paths:
        table = read_sealed(path)
        found.append(np.stack((table["left"].to_numpy(), table["right"].to_numpy()), axis=1))
    return np.concatenate(found)


def merged(
    work: Workspace, layout: Layout, run_tasks: RunTasks, edges_max: int = EDGES_MAX
) -> list[Path]:
    """Merge until the edges of all forests together are at most `edges_max`, or one is left."""
    paths = [work.links(partition) for partition in range(layout.num_partitions)]
    for level in itertools.count(1):
        if len(paths) == 1 or sum(map(_num_rows, paths)) <= edges_max:
            return paths
        tasks: list[tuple[Any, ...]] = []
        for number, first in enumerate(range(0, len(paths), FAN_IN)):
            tasks.append((paths[first : first + FAN_IN], work.forest(level, number)))
        paths = [target for _, target in tasks]
        waiting = [task for task in tasks if not task[1].exists()]
        run_tasks(merge_forests, waiting, f"merging forests, level {level}")
    raise AssertionError("unreachable")


def _num_rows(path: Path) -> int:
    with open_sealed(path) as piece:
        return piece.num_rows


def band_facts(work: Workspace, layout: Layout) -> dict[str, int]:
    """Band values shared by two documents or more (`num_groups`), those above the cap
    (`num_hot_groups`) and their documents (`num_cut`), and the largest group."""
    found = []
    for partition in range(layout.num_partitions):
        with open_sealed(work.links(partition)) as piece:
            found.append({key: int(piece.metadata[key]) for key in _COUNTED})
    facts = {key: sum(part[key] for part in found) for key in _COUNTED}
    facts["largest_group"] = max(part["largest_group"] for part in found)
    return facts
