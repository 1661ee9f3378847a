"""Pieces of text that several documents share: the tasks that cut them out, in order.

    spans        decided rows ──▶ pieces(shard) ──▶ repeats(partition) ──▶ cuts(shard)
    substrings   decided rows without spans ──▶ fingerprints, runs of bytes ──▶ repeats ──▶ cuts

Each task reads and writes files of the workspace, like those of deduplication. Of the places that
hold the same piece the first stays: documents in survivor order, then position.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.config import Dataprep
from dataprep.dedup import spans, substring
from dataprep.dedup.decided import survivors
from dataprep.dedup.exchange import read_partition
from dataprep.sealed import write_sealed
from dataprep.stage import read_counts
from dataprep.tasks import RunTasks
from dataprep.text.cut_kernels import CHARACTERS, LINES
from dataprep.text.cuts import (
    CUT_SCHEMA,
    REPEAT_SCHEMA,
    SPANS,
    SUBSTRINGS,
    CutStep,
    cut_steps,
    settled,
)
from dataprep.workspace import ROW_MASK, Layout, Workspace


def cut_pieces(config: Dataprep, work: Workspace, layout: Layout, run_tasks: RunTasks) -> None:
    """Find the cuts of every step of the recipe: afterwards `work.cuts` says what to cut."""
    num_shards, partitions = layout.num_shards, layout.num_partitions
    shards = range(num_shards)
    if config.spans.units:
        tasks: list[tuple[Any, ...]] = [
            (work, shard, config.spans, partitions)
            for shard in shards
            if not work.pieces(SPANS, shard).exists()
        ]
        run_tasks(spans.write_spans, tasks, "spans")
        tasks = [
            (work, partition, partitions, num_shards)
            for partition in range(partitions)
            if not work.repeats(SPANS, partition).exists()
        ]
        run_tasks(spans.find_repeats, tasks, "repeated spans")
        _collect(config, work, SPANS, partitions, CHARACTERS, num_shards, run_tasks)

    if config.substrings.enabled:
        _cut_substrings(config, work, num_shards, run_tasks)


def _cut_substrings(
    config: Dataprep, work: Workspace, num_shards: int, run_tasks: RunTasks
) -> None:
    shards, length = range(num_shards), config.substrings.bytes_min
    text_bytes = read_counts(work, shards)["bytes_in"]
    num_partitions = substring.num_partitions(config.near_duplicates.partitions, text_bytes)
    partitions = range(num_partitions)
    before = cut_steps(config)[:-1]
    tasks: list[tuple[Any, ...]] = [
        (work, shard, before, length, num_partitions)
        for shard in shards
        if not work.pieces(SUBSTRINGS, shard).exists()
    ]
    run_tasks(substring.write_fingerprints, tasks, "fingerprints of substrings")
    tasks = [
        (work, partition, num_partitions, num_shards)
        for partition in partitions
        if not work.shared(SUBSTRINGS, partition).exists()
    ]
    run_tasks(substring.find_shared, tasks, "shared fingerprints")
    tasks = [
        (work, shard, before, length, num_partitions, num_shards)
        for shard in shards
        if not work.runs(SUBSTRINGS, shard).exists()
    ]
    run_tasks(substring.write_runs, tasks, "text around them")
    tasks = [
        (work, partition, length, num_partitions, num_shards)
        for partition in partitions
        if not work.repeats(SUBSTRINGS, partition).exists()
    ]
    run_tasks(substring.find_repeats, tasks, "repeated substrings")
    to = {"character": CHARACTERS, "line": LINES}[config.substrings.cut]
    _collect(config, work, SUBSTRINGS, num_partitions, to, num_shards, run_tasks)


def _collect(
    config: Dataprep, work: Workspace, name: str, partitions: int, to: int, num_shards: int,
    run_tasks: RunTasks,
) -> None:  # fmt: skip
    steps = cut_steps(config)
    before = steps[: [step.name for step in steps].index(name)]
    tasks = [
        (work, shard, name, before, partitions, num_shards, to)
        for shard in range(num_shards)
        if not work.cuts(name, shard).exists()
    ]
    run_tasks(collect_cuts, tasks, f"cuts of {name}")


def collect_cuts(
    work: Workspace, shard: int, name: str, before: Sequence[CutStep], num_partitions: int,
    num_shards: int, to: int,
) -> None:  # fmt: skip
    """Task: the cuts of one shard from the repeats that all partitions have found in it.

    `before` are the steps that cut before this one, `to` is what a cut is shrunk to.
    """
    paths = [work.repeats(name, partition) for partition in range(num_partitions)]
    repeats = read_partition(paths, shard, num_shards, REPEAT_SCHEMA)
    repeats = repeats.sort_by("row").combine_chunks()
    rows = repeats["row"].to_numpy()
    found = [CUT_SCHEMA.empty_table()]
    for living, texts in survivors(work, shard, before) if len(rows) else ():
        if not len(living):
            continue
        start, stop = np.searchsorted(rows, [living[0], living[-1] + 1])
        edited, place = np.unique(rows[start:stop], return_inverse=True)
        of_batch = repeats.slice(start, stop - start)
        of_batch = of_batch.set_column(0, REPEAT_SCHEMA.field("row"), pa.array(place))
        chosen = texts.take(pa.array(np.searchsorted(living, edited)))
        cuts = settled(chosen, of_batch, to)
        in_shard = pa.array(edited[cuts["row"].to_numpy()] & ROW_MASK)
        found.append(cuts.set_column(0, CUT_SCHEMA.field("row"), in_shard))
    write_sealed(work.cuts(name, shard), pa.concat_tables(found).combine_chunks())
