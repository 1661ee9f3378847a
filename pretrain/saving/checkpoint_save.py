"""Saving: one checkpoint at a time, in the way of training or beside it.

A save has three parts. It begins together: Megatron plans, the optimizer's shards are gathered.
Then each rank writes its files alone; with `checkpoint.asynchronous` a thread does so from a copy,
and training goes on. It ends together: rank 0 seals the files with their digests, renames the
directory, and lets `latest` name it. A kill at any moment leaves the checkpoint before it.

What the ranks tell each other to end a save goes over `World.control`, never through the device.
"""

import errno
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from launch.errors import GristmillError, UserError
from launch.manifest import Input, Manifest
from pretrain import megatron
from pretrain.config import Checkpoint, Parallel
from pretrain.model import Stage
from pretrain.parallel import World
from pretrain.saving import checkpoint_files as files
from pretrain.saving.checkpoint_state import (
    placement,
    sharded_random_state,
    sharded_state,
    split_loop_state,
)
from pretrain.saving.checkpoint_writer import Part, metadata_file, plan, to_host

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Saved:
    """A checkpoint that now exists."""

    iteration: int
    seconds: float
    """that training stood still for it"""
    permanent: bool
    asynchronous: bool


@dataclass
class _Flight:
    """A save that has begun."""

    iteration: int
    part: Part
    thread: threading.Thread | None
    seconds: float
    answer: tuple[torch.Tensor, Any] | None = None
    """Whether all ranks have written, asked at the iteration before"""


class Saver:
    """Saves the checkpoints of a run. Every rank calls every method at the same iteration."""

    def __init__(
        self, directory: Path, parallel: Parallel, config_digest: str, settings: Checkpoint,
        world: World,
    ) -> None:  # fmt: skip
        """`config_digest` says what the state belongs to: see `branch.identity`."""
        self._directory, self._parallel, self._world = directory, parallel, world
        self._config_digest, self._settings = config_digest, settings
        self._planner = megatron.SavePlanner()
        self._flight: _Flight | None = None

    def save(
        self, iteration: int, stage: Stage, optimizer: Any, state: Mapping[str, Any] | None = None
    ) -> list[Saved]:
        """Save what there is after `iteration` updates, with the loop's own `state` of rank 0
        (tensors, and values that JSON gives back as they were).

        Returns the checkpoints that exist since the last call of any method: that of an earlier
        call if it was still being written (it is waited for), and this one unless it is written
        asynchronously. Raises `UserError` on every rank if it could not be written, a full disk for
        example; then nothing of it is left, and `latest` is as it was.
        """
        ended = self.finish()
        start = time.monotonic()
        part = self._begin(iteration, stage, optimizer, state or {})
        thread = None
        if self._settings.asynchronous:
            thread = threading.Thread(target=part.write, name="checkpoint", daemon=True)
            thread.start()
        else:
            part.write()
        self._flight = _Flight(iteration, part, thread, time.monotonic() - start)
        return ended if thread is not None else ended + self.finish()

    def poll(self) -> list[Saved]:
        """At an iteration's end: name the checkpoint in flight, if by then all ranks have written.

        The question is asked at one call and its answer read at the next, so that no rank waits
        here for a slower one.
        """
        flight = self._flight
        if flight is None or flight.thread is None:
            return []
        if flight.answer is not None:
            written, work = flight.answer
            work.wait()
            flight.answer = None
            if bool(written):
                return self.finish()
        written = torch.tensor([int(not flight.thread.is_alive())])
        work = torch.distributed.all_reduce(
            written, torch.distributed.ReduceOp.MIN, group=self._world.control, async_op=True
        )
        flight.answer = (written, work)
        return []

    def finish(self) -> list[Saved]:
        """Wait for the save in flight, if there is one, and name it; raises as `save`."""
        flight, self._flight = self._flight, None
        if flight is None:
            return []
        start = time.monotonic()
        if flight.answer is not None:
            flight.answer[1].wait()
        if flight.thread is not None:
            flight.thread.join()
        self._end(flight)
        return [
            Saved(
                flight.iteration,
                flight.seconds + time.monotonic() - start,
                self._is_permanent(flight.iteration),
                flight.thread is not None,
            )
        ]

    def _begin(
        self, iteration: int, stage: Stage, optimizer: Any, loop_state: Mapping[str, Any]
    ) -> Part:
        writing = begin_together(self._directory, files.name_of(iteration), self._world)
        state = sharded_state(stage, optimizer, is_loading=False)
        state["rng"] = sharded_random_state(self._world)
        text, tensors = split_loop_state(loop_state)
        if tensors:
            state["loop"] = tensors
        part = plan(state, writing, self._planner, self._world.rank)
        if self._world.is_first:
            part.small["state.json"] = text
        to_host(part, copy=self._settings.asynchronous)
        return part

    def _end(self, flight: _Flight) -> None:
        facts = {"iteration": flight.iteration, "layout": placement(self._parallel)}
        seal_together(
            flight.part, {"run": self._config_digest}, (), facts, self._directory, self._world
        )
        error: OSError | None = None
        if self._world.is_first:
            try:
                files.point_latest(self._directory, files.name_of(flight.iteration))
                files.keep_only(
                    self._directory, flight.iteration, self._settings.keep,
                    self._settings.permanent_interval_iterations,
                )  # fmt: skip
            except OSError as failed:
                error = failed
        raise_together(error, self._directory, self._world)

    def _is_permanent(self, iteration: int) -> bool:
        return files.is_permanent(iteration, self._settings.permanent_interval_iterations)


def begin_together(directory: Path, name: str, world: World) -> Path:
    """The empty directory in which all ranks write the checkpoint `name`."""
    error: OSError | None = None
    if world.is_first:
        try:
            files.begin(directory, name)
        except OSError as failed:
            error = failed
    raise_together(error, directory, world)
    return directory / f".{name}.tmp"


def seal_together(
    part: Part, belongs_to: Mapping[str, str], inputs: tuple[Input, ...],
    facts: Mapping[str, Any], directory: Path, world: World,
) -> None:  # fmt: skip
    """Once all ranks have written their parts, rank 0 lets the checkpoint exist.

    Raises on every rank if any of them could not write; then nothing of it is left.
    """
    told = part.error and _told(part.error, directory)
    parts: list[Any] | None = [None] * world.size if world.is_first else None
    mine = (part.results, part.entries, told)
    torch.distributed.gather_object(mine, parts, dst=0, group=world.control)
    error = told
    if parts is not None:
        try:
            error = next((failed for _, _, failed in parts if failed is not None), None)
            if error is None:
                content = metadata_file(part.metadata, [results for results, _, _ in parts])
                entries = [entry for _, written, _ in parts for entry in written]
                entries.append(files.write_small(part.directory, ".metadata", content))
                entries.sort(key=lambda entry: entry.path)
                manifest = Manifest(
                    files.KIND, files.VERSION, belongs_to, inputs, tuple(entries), facts
                )
                files.finish(part.directory, manifest)
        except OSError as failed:
            error = failed
        if error is not None:
            files.remove(part.directory)
    raise_together(error, directory, world)


def raise_together(error: BaseException | None, directory: Path, world: World) -> None:
    """Raise on every rank if `error` is one on any; a rank that fails alone would leave the others
    waiting. Bugs keep their traceback on the rank that has them."""
    told: list[Any] = [None] * world.size
    mine = None if error is None else _told(error, directory)
    torch.distributed.all_gather_object(told, mine, group=world.control)
    first = next((one for one in told if one is not None), None)
    if first is not None:
        raise first from error


def _told(error: BaseException, directory: Path) -> Exception:
    """`error` as all ranks shall raise it."""
    if isinstance(error, GristmillError):
        return error
    if isinstance(error, OSError):
        full = error.errno in _FULL
        reason = "no space left" if full else error.strerror or type(error).__name__
        return UserError(
            str(directory), reason, "a checkpoint that can be written",
            "the last whole one is as it was; make room and start again: the same command goes on"
            if full else "the last whole one is as it was; the same command goes on from it",
        )  # fmt: skip
    return RuntimeError(f"{type(error).__name__}: {error}")
