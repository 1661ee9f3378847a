"""Figures of `gristmill pretrain check`: memory and time estimates against measurements.

`python -m benchmarks.pretrain` prints them. Memory: the live tensors of ten layouts and
sizes, trained here (`benchmarks/memory_worker.py`). Time: published runs (`published_runs.py`).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.documents import REPOSITORY
from benchmarks.published_runs import (
    MEGATRON_H100,
    STRONG_SCALING,
    VOCABULARY,
    PublishedRun,
)
from launch import torchrun
from pretrain.config import Pretrain
from pretrain.planning.hardware import hardware
from pretrain.planning.memory import estimate_memory
from pretrain.planning.step_time import FITTED, Constants, step_time

Computation = Callable[[], tuple[Any, Any, bool | None]]

_SMALL = {"layers": 4, "hidden_size": 128}
_MEDIUM = {"layers": 2, "hidden_size": 256, "heads": 8, "kv_heads": 4, "ffn_size": 704}
_OLD = {"activation": "gelu", "norm": "layer", "qk_norm": True, "tied_embeddings": True}
_EXPERTS = {**_SMALL, "ffn_size": 256, "experts": {"count": 4, "active": 2}}
# Name, model, layout, training, padded vocabulary.
MEMORY_CASES: tuple[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], int], ...] = (
    ("one process", _SMALL, {}, {}, 1024),
    ("bf16, a large vocabulary", _MEDIUM, {}, {"precision": "bf16"}, 8192),
    ("GELU, LayerNorm, QK-norm, tied", {**_SMALL, **_OLD}, {}, {}, 1024),
    ("full recomputation", {**_MEDIUM, "layers": 6}, {"recompute": "full"}, {}, 1024),
    ("experts", _EXPERTS, {"data": 2, "expert": 2}, {}, 1024),
    ("tensor 2", _MEDIUM, {"tensor": 2}, {}, 8192),
    ("tensor 2, sequence", _SMALL, {"tensor": 2, "sequence": True}, {}, 1024),
    ("pipeline 2", _SMALL, {"pipeline": 2}, {}, 1024),
    ("pipeline 2, virtual 2", _SMALL, {"pipeline": 2, "virtual_stages": 2}, {}, 1024),
    ("tensor 2, pipeline 2", _MEDIUM, {"tensor": 2, "pipeline": 2}, {"batch_size": 16}, 1024),
)


def figures() -> Iterator[tuple[str, Computation]]:
    """Name and computation: value, target, whether it holds."""
    yield "estimate_memory_worst", _memory
    yield "estimate_time_worst", _left_out
    yield "estimate_time_mean", _left_out_mean
    yield "estimate_time_strong_scaling", _strong_scaling
    yield "check_seconds_70b", _check_seconds


@cache
def measured_memory(index: int) -> tuple[float, ...]:
    """Peak bytes of live tensors of each rank, over two iterations of a case."""
    spec, vocabulary = memory_case(index)
    ranks = Pretrain.model_validate(spec).parallel.world_size
    port = str(torchrun.free_port())
    shared = torchrun.environment(ranks) | {
        "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.memory_worker", json.dumps(spec), str(vocabulary)]
    children = [
        subprocess.Popen(
            command, cwd=REPOSITORY, env={**os.environ, **shared, "RANK": str(rank)},
            stdout=subprocess.PIPE, text=True,
        )
        for rank in range(ranks)
    ]  # fmt: skip
    answers = [child.communicate()[0] for child in children]
    assert all(child.returncode == 0 for child in children), MEMORY_CASES[index][0]
    return tuple(float(answer) for answer in answers)


def memory_case(index: int) -> tuple[dict[str, Any], int]:
    """Table `[pretrain]` and padded vocabulary of a case."""
    _, model, parallel, training, vocabulary = MEMORY_CASES[index]
    sizes = {"batch_size": 8, "micro_batch_size": 2, **training}
    return {"model": model, "parallel": parallel, "training": sizes}, vocabulary


def memory_errors() -> list[tuple[str, float]]:
    """The relative error of the estimate for each case, of the stage where it is largest."""
    found = []
    for index, (name, *_) in enumerate(MEMORY_CASES):
        spec, vocabulary = memory_case(index)
        pretrain = Pretrain.model_validate(spec)
        estimates = estimate_memory(pretrain, vocabulary, "cpu")
        peaks = measured_memory(index)
        # Ranks are placed tensor first, pipeline last.
        each = len(peaks) // len(estimates)
        errors = [
            estimate.total / max(peaks[stage * each : (stage + 1) * each]) - 1
            for stage, estimate in enumerate(estimates)
        ]
        found.append((name, max(errors, key=abs)))
    return found


def _memory() -> tuple[str, str, bool]:
    errors = memory_errors()
    name, worst = max(errors, key=lambda error: abs(error[1]))
    average = mean(abs(error) for _, error in errors)
    value = f"{worst:+.1%} ({name}), mean {average:.1%}"
    return value, "within 10 %", abs(worst) <= 0.1


def fit(runs: Sequence[PublishedRun]) -> Constants:
    """The two constants that come closest to the runs, in squares of the times' logarithms."""
    import numpy as np
    from scipy.optimize import least_squares

    def residuals(values: Any) -> Any:
        constants = Constants(*(float(value) for value in values))
        return [np.log(predicted(run, constants) / run.seconds) for run in runs]

    found = least_squares(residuals, [0.6, 0.7], bounds=([0.1, 0.1], [1.0, 1.0]))
    return Constants(*(float(value) for value in found.x))


def predicted(run: PublishedRun, constants: Constants) -> float:
    """Seconds of one update of a published run."""
    gpu = hardware("h100")
    return step_time(
        run.pretrain, VOCABULARY, gpu, tensor_overlap=True, constants=constants
    ).total  # fmt: skip


@cache
def left_out_errors() -> tuple[float, ...]:
    """Relative error of each run, predicted with constants fitted to the other eight."""
    errors = []
    for run in MEGATRON_H100:
        others = [other for other in MEGATRON_H100 if other is not run]
        errors.append(predicted(run, fit(others)) / run.seconds - 1)
    return tuple(errors)


def _left_out() -> tuple[str, str, bool]:
    errors = left_out_errors()
    worst = max(range(len(errors)), key=lambda index: abs(errors[index]))
    value = f"{errors[worst]:+.1%} ({MEGATRON_H100[worst].billions:g}B)"
    return value, "within 4 %", abs(errors[worst]) <= 0.04


def _left_out_mean() -> tuple[str, None, None]:
    each = ", ".join(f"{error:+.1%}" for error in left_out_errors())
    return f"{mean(abs(error) for error in left_out_errors()):.1%} ({each})", None, None


def _strong_scaling() -> tuple[str, None, None]:
    errors = [predicted(run, FITTED) / run.seconds - 1 for run in STRONG_SCALING]
    return f"{max(errors, key=abs):+.1%} (published to the nearest 1 % of MFU)", None, None


def _check_seconds() -> tuple[str, None, None]:
    from benchmarks.check_recipes import write_seventy_billion

    with tempfile.TemporaryDirectory() as root:
        recipe = write_seventy_billion(Path(root))
        start = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "pretrain", "check", str(recipe), "gpus=64", "kind=h200",
             "disk_gigabytes=10000"],
            cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return f"{time.monotonic() - start:.1f}", None, None
