"""Planted faults of what comes after the backward pass: totals, verdict and update.

Each takes the stage, the world, and a stack for what must be patched for as long as the trace runs.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import torch

from pretrain import iteration, judge, optimizer
from pretrain.judge import Verdict
from pretrain.model import Stage
from pretrain.parallel import World


def _not_summed(index: int, stack: contextlib.ExitStack) -> None:
    """Number `index` of an iteration's totals stays that of the rank."""
    original, reduce = iteration._totals, torch.distributed.all_reduce

    def faulty(*arguments: Any) -> torch.Tensor:
        def all_but_one(totals: torch.Tensor, *a: Any, **n: Any) -> None:
            own = totals[index].clone()
            reduce(totals, *a, **n)
            totals[index] = own

        with mock.patch("torch.distributed.all_reduce", all_but_one):
            return original(*arguments)

    stack.enter_context(mock.patch.object(iteration, "_totals", faulty))


def local_count(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    """The number of tokens is this rank's."""
    _not_summed(1, stack)


def local_norm(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    """The norm is that of this rank's gradients."""
    _not_summed(2, stack)


def copies_counted_twice(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    """Tensor ranks count their copies of norms."""

    # Norms are copied on tensor ranks; here the second one counts its copy, too.
    def change(built: Any) -> None:
        named = stage.models[0].named_parameters()
        norms = [p.main_grad for name, p in named if name.endswith("norm.weight")]
        part = built._parts[0]
        built._parts[0] = replace(part, counted=(*part.counted, *norms))

    _change_optimizer(world.tensor_rank == 1, stack, change)


def clipped_by_square(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    """Clipping divides by the square of what it should."""
    original = judge.Judge.decide

    def faulty(self: Any, totals: torch.Tensor) -> Verdict:
        said = original(self, totals)
        mean = totals[1].float()
        return Verdict(mean * (said.divisor / mean).square(), said.skip)

    stack.enter_context(mock.patch.object(judge.Judge, "decide", faulty))


def _change_optimizer(
    here: bool, stack: contextlib.ExitStack, change: Callable[[Any], None]
) -> None:
    """Where it is `here`, this rank's optimizer is as `change` makes it."""
    build = optimizer.build

    def faulty(*arguments: Any, **named: Any) -> Any:
        built = build(*arguments, **named)
        if here:
            change(built)
        return built

    stack.enter_context(mock.patch.object(optimizer, "build", faulty))


def update_missing(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    """A data rank's shard is not updated."""

    def change(built: Any) -> None:
        for part in built._parts:
            part.chained.optimizer.update = lambda *_a, **_n: None

    _change_optimizer(world.data_rank == 1, stack, change)


def step_not_counted(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    """A data rank corrects Adam's bias for one step fewer."""

    def change(built: Any) -> None:
        update = built.update

        def faulty(rate: float, verdict: Verdict) -> None:
            if built._steps > 0:
                built._steps.sub_(1)
            update(rate, verdict)

        built.update = faulty

    _change_optimizer(world.data_rank == 1, stack, change)


def not_gathered(stage: Stage, world: World, stack: contextlib.ExitStack) -> None:
    """Data ranks do not exchange their updated shards."""
    stack.enter_context(mock.patch.object(optimizer.Optimizer, "_gather", lambda _self: None))
