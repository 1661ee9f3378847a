"""The real loop on a rank of the pool, with faults planted in its batches."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import torch

from launch.errors import GristmillError
from launch.recipe import Recipe
from pretrain import directory, parallel, train
from pretrain.batch import MicroBatch
from pretrain.check import make_plan
from pretrain.contract import read_metrics
from pretrain.data.batches import Batches
from pretrain.device_reads import DeviceReads
from pretrain.judge import Judge, Seen
from pretrain.safety.watchdog import Watchdog
from pretrain.source_losses import SourceLosses

_TIMES = ("seconds", "tokens_per_second", "memory_bytes")


class NoStop:
    """In the place of the stop request, where signals are none of the test's matter."""

    is_set, by = False, ""

    def saves_from_now_on(self) -> None:
        """There is something to save."""

    def honoured(self) -> None:
        """There is no stop file."""


class Killed(Exception):
    """As if the process had been killed: nothing is saved."""


def run_loop(
    recipe: dict[str, Any],
    work: str,
    faults: dict[str, str],
    stop_after: int = -1,
    count_reads: bool = False,
) -> dict[str, Any]:
    """Train a recipe to its end, or until a fault ends it.

    `faults` are by iteration, from 0: `nan` (a loss that is not a number), `spike` (labels that
    never come), `die` (the process is killed before the batch comes). The stop signal comes to the
    last rank during iteration `stop_after`. With `count_reads` the answer says what was asked of
    the device between any two readings of the judge. It is the same on all ranks.
    """
    plan = make_plan(Recipe.from_dict(recipe))
    world = parallel.start(plan.recipe.pretrain.parallel, 1)
    where = plan.recipe.run_directory
    if world.is_first and not (where / "result.json").exists():
        directory.claim(plan, force=False)
    parallel.barrier()
    seen: list[int] = []

    class Planted:
        """The batches of the run, spoiled."""

        def __init__(self, batches: Batches) -> None:
            self._batches = batches
            self.sequence_length, self.close = batches.sequence_length, batches.close
            self.wait = batches.wait

        def iteration(self, number: int) -> Iterator[MicroBatch]:
            seen.append(number)
            fault = faults.get(str(number), "")
            if fault == "die":
                raise Killed
            for batch in self._batches.iteration(number):
                yield _spoiled(batch, fault)

    class Signal(NoStop):
        by = "SIGTERM"

        @property
        def is_set(self) -> bool:
            last = world.rank == world.size - 1
            return last and 0 <= stop_after <= max(seen, default=-1)

    ended, message = "done", ""
    state, reads = None, []
    stop = Signal()
    with Watchdog(plan.recipe.pretrain.watch, where, stop) as watch:  # type: ignore[arg-type]
        try:
            run = train.set_up(plan, stop, watch)  # type: ignore[arg-type]
            run = dataclasses.replace(run, batches=Planted(run.batches))  # type: ignore[arg-type]
            state = train.resume(run)
            with counted(run.judge) if count_reads else contextlib.nullcontext([]) as reads:
                train.iterate(run, state)
        except (GristmillError, Killed) as error:
            ended, message = type(error).__name__, str(error)
    run.batches.close()
    numbers = sum(float(p.double().abs().sum()) for m in run.stage.models for p in m.parameters())
    (weights,) = parallel.sum_over_world([numbers], world.device)
    parallel.barrier()
    assert state is not None
    events = [{k: v for k, v in e.items() if k not in _TIMES} for e in read_metrics(where)]
    return {
        "ended": ended, "message": message, "events": events, "weights": weights,
        "iterations": seen, "done": state.done, "interventions": state.interventions,
        "passed_over": state.passed_over, "reads": reads,
    }  # fmt: skip


@contextlib.contextmanager
def counted(judge: Judge) -> Iterator[list[dict[str, int]]]:
    """What is asked of the device from the end of one `drain` to the beginning of the next."""
    between: list[dict[str, int]] = []
    drain, read = judge.drain, SourceLosses.read
    with DeviceReads() as reads:

        def counting() -> list[Seen]:
            between.append(dict(reads.found))
            seen = drain()
            reads.found.clear()
            return seen

        def line(self: SourceLosses, world: parallel.World) -> list[tuple[str, float, int]]:
            sources = read(self, world)  # at the same line as the judge
            reads.found.clear()
            return sources

        judge.drain = counting  # type: ignore[method-assign]
        SourceLosses.read = line  # type: ignore[method-assign]
        yield between
        SourceLosses.read = read  # type: ignore[method-assign]


def _spoiled(batch: MicroBatch, fault: str) -> MicroBatch:
    if fault == "nan":
        mask = batch.mask.clone()
        mask[0, 0] = 1e38  # a loss that float32 cannot hold
        return dataclasses.replace(batch, mask=mask)
    if fault == "spike":
        # Ids of the vocabulary's padding: the model has learnt that they never come.
        return dataclasses.replace(batch, labels=torch.full_like(batch.labels, 1_000))
    return batch
