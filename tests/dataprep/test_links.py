"""Forests: however they are merged, the candidates are the same, and a restart goes on."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dataprep.dedup import links
from dataprep.dedup.candidates import candidate_facts, find_candidates
from dataprep.dedup.exact import TEXT_SCHEMA
from dataprep.dedup.exchange import open_exchange
from dataprep.sealed import read_sealed, write_sealed
from dataprep.tasks import in_turn
from dataprep.workspace import ROW_BITS, Layout, Workspace

LAYOUT = Layout(num_shards=3, num_partitions=20)


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    """Twenty forests of random links between 3 x 200 documents, and how many shingles each has."""
    work = Workspace(tmp_path)
    draw = np.random.default_rng(1)
    for partition in range(LAYOUT.num_partitions):
        ends = (draw.integers(0, 3, (12, 2)) << ROW_BITS) + draw.integers(0, 200, (12, 2))
        write_sealed(work.links(partition), pa.table({"left": ends[:, 0], "right": ends[:, 1]}))
    for shard in range(LAYOUT.num_shards):
        rows = (shard << ROW_BITS) + np.arange(200)
        columns = [[bytes(16)] * 200, [b""] * 200, [""] * 200, rows, np.arange(200)]
        with open_exchange(work.texts(shard), TEXT_SCHEMA, 20) as writer:
            writer.add(pa.table(columns, schema=TEXT_SCHEMA), np.zeros(200, np.int64))
    return work


@pytest.mark.parametrize("fan_in", [2, 3, 8])
def test_components_do_not_depend_on_how_forests_are_merged(
    work: Workspace, fan_in: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_at_once = links.merged(work, LAYOUT, in_turn)
    assert len(all_at_once) == 20
    find_candidates(work, LAYOUT, all_at_once)
    expected = read_sealed(work.candidates)
    assert candidate_facts(work)["largest_component"] > 10
    work.candidates.unlink()
    monkeypatch.setattr(links, "FAN_IN", fan_in)
    merged = links.merged(work, LAYOUT, in_turn, edges_max=10)
    assert len(merged) == 1
    find_candidates(work, LAYOUT, merged)
    assert read_sealed(work.candidates).equals(expected)


def test_forests_that_are_there_are_not_merged_again(work: Workspace) -> None:
    merged = links.merged(work, LAYOUT, in_turn, edges_max=10)
    done: list[int] = []

    def counting(function: Callable[..., None], tasks: list[tuple[Any, ...]], label: str) -> None:
        done.append(len(tasks))
        in_turn(function, tasks, label)

    work.forest(1, 1).unlink()
    assert links.merged(work, LAYOUT, counting, edges_max=10) == merged
    assert done == [1, 0]


def test_groups_of_shards_hold_each_shard_once() -> None:
    for num_shards, smallest in itertools.product((1, 5, 256, 257, 1000), (1, 8)):
        assert Layout(num_shards, 4).num_groups == min(256, math.ceil(num_shards / 8))
        layout = Layout(num_shards, 4, group_shards_min=smallest)
        shards = [shard for group in range(layout.num_groups) for shard in layout.shards_of(group)]
        assert shards == list(range(num_shards))
        of_shard = np.arange(num_shards) * layout.num_groups // num_shards
        assert all(set(of_shard[list(layout.shards_of(g))]) == {g} for g in set(of_shard))
