"""What a run is to be checked against: GPUs, their kind, price, storage; `gpus=64 kind=h100`.

These are no keys of the recipe: the same recipe is checked for one machine and for another.
"""

import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.errors import UserError
from pretrain.config import Parallel, Pretrain
from pretrain.planning.hardware import Hardware, hardware
from pretrain.planning.memory import checkpoint_bytes, estimate_memory, largest

_NUMBERS = {
    "gpus": "whole number above 0",
    "price": "dollars for one GPU and hour, above 0",
    "disk_gigabytes": "free space where the run will lie, above 0",
    "save_gigabytes_per_second": "speed at which all processes together save, above 0",
}


@dataclass(frozen=True)
class Machine:
    """What is known of it; None: not said."""

    gpus: int | None = None
    gpu: Hardware | None = None
    price: float | None = None
    """Dollars for one GPU and hour"""
    disk_gigabytes: float | None = None
    """Free where the run will lie; None: what this machine says of `run.root`"""
    save_gigabytes_per_second: float | None = None
    """Of all processes together, to where the run lies"""


def parse_machine(arguments: Sequence[str]) -> tuple[Machine, list[str]]:
    """The machine that `arguments` (key=value) describe, and the others: the recipe's overrides.

    Raises `UserError` for a kind that is not known or a number that is none.
    """
    values: dict[str, float] = {}
    gpu, others = None, []
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if equals and key == "kind":
            gpu = hardware(text)
        elif equals and key in _NUMBERS:
            values[key] = _number(key, text)
        else:
            others.append(argument)
    gpus = values.get("gpus")
    return Machine(
        gpus=None if gpus is None else int(gpus),
        gpu=gpu,
        price=values.get("price"),
        disk_gigabytes=values.get("disk_gigabytes"),
        save_gigabytes_per_second=values.get("save_gigabytes_per_second"),
    ), others


def check_gpus(pretrain: Pretrain, machine: Machine) -> None:
    """Raise `UserError` unless the layout has as many processes as there are GPUs."""
    parallel, gpus = pretrain.parallel, machine.gpus
    if gpus is None or gpus == parallel.world_size:
        return
    raise UserError(
        "gpus",
        str(gpus),
        f"tensor {parallel.tensor} x pipeline {parallel.pipeline} x context {parallel.context} x "
        f"data {parallel.data} = {parallel.world_size}",
        _fitting_data(parallel, gpus, pretrain),
    )


def _fitting_data(parallel: Parallel, gpus: int, pretrain: Pretrain) -> str:
    copy = parallel.world_size // parallel.data
    if gpus % copy:
        fewer = gpus // copy * copy
        nearest = f"{fewer} or {fewer + copy}" if fewer else str(copy)
        return f"one copy of the model takes {copy} GPUs, so a multiple of them: {nearest}"
    data, batch = gpus // copy, pretrain.training.batch_size
    together = data * pretrain.training.micro_batch_size
    hint = f"pretrain.parallel.data={data} uses them all"
    if batch % together:
        most = max(n for n in range(1, data + 1) if batch % (n * together // data) == 0)
        hint += (
            f", with a batch_size that {together} divides; the batch of {batch} fits "
            f"data={most} on {most * copy} GPUs"
        )
    return hint


def check_disk(
    pretrain: Pretrain, padded_vocab_size: int, directory: Path, machine: Machine
) -> None:
    """Raise `UserError` unless there is room for all checkpoints that lie in `directory` at once,
    with the one being written; those that are there have theirs."""
    each = checkpoint_bytes(pretrain, padded_vocab_size)
    needed = each * checkpoints_held(pretrain)
    if machine.disk_gigabytes is None:
        present = next(path for path in (directory, *directory.parents) if path.exists())
        there = sum(p.stat().st_size for p in directory.glob("checkpoints/*/*") if p.is_file())
        free = float(shutil.disk_usage(present).free) + there
    else:
        free = machine.disk_gigabytes * 1e9
    if needed > free:
        keep = pretrain.checkpoint
        raise UserError(
            str(directory),
            f"{free / 1e9:,.1f} GB free",
            f"{needed / 1e9:,.1f} GB for {checkpoints_held(pretrain)} checkpoints of "
            f"{each / 1e9:,.1f} GB (checkpoint.keep = {keep.keep}, permanent ones, and the one "
            "being written)",
            "a run.root on a larger file system, a smaller checkpoint.keep, or a larger "
            "checkpoint.permanent_interval_iterations; `check` takes disk_gigabytes= for another",
        )


def checkpoints_held(pretrain: Pretrain) -> int:
    """Checkpoints on disk at once, at most."""
    keep, interval = pretrain.checkpoint, pretrain.checkpoint.permanent_interval_iterations
    permanent = pretrain.training.iterations // interval if interval else 0
    return keep.keep + permanent + 1


def check_host_memory(pretrain: Pretrain, padded_vocab_size: int, machine: Machine) -> None:
    """Raise `UserError` if the hosts have too little memory: for the processes themselves on CPUs,
    for the copy of an asynchronous checkpoint beside GPUs."""
    if machine.gpu is None:
        processes = pretrain.parallel.world_size
        stages = estimate_memory(pretrain, padded_vocab_size, "cpu")
        each = processes // len(stages)
        needed = sum((memory.total + 400_000_000) * each for memory in stages)
        present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if machine.gpus is None and needed > present:
            raise UserError(
                "memory",
                f"{present / 1e9:,.1f} GB on this machine",
                f"{needed / 1e9:,.1f} GB for {processes} processes "
                f"(the largest takes {largest(stages).total / 1e9:,.1f})",
                "a smaller micro_batch_size, parallel.recompute = 'full', or kind=h100 to check "
                "for GPUs",
            )
        return
    if not pretrain.checkpoint.asynchronous:
        return
    gpus = min(machine.gpu.gpus_per_node, pretrain.parallel.world_size)
    share = checkpoint_bytes(pretrain, padded_vocab_size) / pretrain.parallel.world_size
    needed, present = math.ceil(share * gpus), machine.gpu.host_memory_bytes_per_gpu * gpus
    if needed > present:
        raise UserError(
            "pretrain.checkpoint.asynchronous",
            f"true, a copy of {needed / 1e9:,.1f} GB in each host's memory",
            f"at most the {present / 1e9:,.1f} GB of a host with {gpus} GPUs",
            "asynchronous = false, or more data ranks to divide it",
        )


def _number(key: str, text: str) -> float:
    try:
        value = int(text) if key == "gpus" else float(text)
    except ValueError:
        value = 0
    if not value > 0 or not math.isfinite(value):
        raise UserError(key, text, _NUMBERS[key], f"for example {key}=8")
    return value
