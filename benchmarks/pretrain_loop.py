"""Figures of the training loop: against a bare Megatron-core loop, what it costs by itself, what it
asks of the device, and against a plain reference. One process, one thread.

`pretrain_loop_side.py` computes them in a process with a trainer's environment.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.documents import REPOSITORY
from launch import torchrun


def _ask(question: str) -> Any:
    variables = {**torchrun.environment(1), **torchrun.single_process_environment()}
    variables |= {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.pretrain_loop_side", question],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def speed() -> tuple[Any, float, bool]:
    """Tokens/s of our loop over those of a bare Megatron-core loop, alternating; median of nine."""
    answer = _ask("speed")
    return answer, 0.98, answer["ratio"] >= 0.98


def overhead() -> tuple[Any, float, bool]:
    """Milliseconds of an iteration with a model that does nothing; median of nine times 100."""
    answer = _ask("overhead")
    return answer, 1.0, answer["milliseconds"] <= 1.0


def reads() -> tuple[Any, int, bool]:
    """Readings of the device between two log lines, over 40 iterations each."""
    answer = _ask("reads")
    return answer, 0, not any(answer.values())


def plain(optimizer: str) -> tuple[Any, float, bool]:
    """Largest relative difference of losses from the plain reference over 20 iterations."""
    answer = _ask(f"plain-{optimizer}")
    return answer, 1e-4, answer["loss"] <= 1e-4


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """Names and computations of all figures."""
    yield "loop_speed_over_bare", speed
    yield "loop_overhead_milliseconds", overhead
    yield "loop_device_reads", reads
    for optimizer in ("adamw", "muon"):
        yield f"loop_plain_difference_{optimizer}", functools.partial(plain, optimizer)
