"""Figures of a run's safety: signals at any moment, dead and hanging ranks, garbage collection.

All runs are whole ones as a user starts them, on a made-up corpus. Moments are found by the ranks'
own signs of life (`logs/heartbeat-RANK.json`), not by chance.
"""

import functools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.documents import REPOSITORY
from launch.recipe import Recipe
from pretrain.contract import read_metrics, read_result
from pretrain.safety import heartbeat
from tests.pretrain.conftest import DEFAULTS, write_tokens

WITHIN_SECONDS = 30.0
STEP_TIMEOUT_SECONDS = 10.0
LAYOUTS: tuple[dict[str, int], ...] = ({}, {"data": 2}, {"tensor": 2}, {"pipeline": 2})
PHASES = ("step", "evaluation", "data", "warm-up")
# Of a result, what another moment may change.
_TIMES = ("seconds", "tokens_per_second", "name")
_SLOW = "benchmarks.pretrain_safety_slow"


@functools.cache
def _root() -> Path:
    # Kept for the process: every figure trains on the same corpus.
    directory = tempfile.TemporaryDirectory(prefix="gristmill-safety-")
    _KEPT.append(directory)
    root = Path(directory.name)
    write_tokens(root / "tokens", train_documents=400, valid_documents=400)
    return root


_KEPT: list[Any] = []


def _recipe(name: str, layout: dict[str, int], **tables: dict[str, Any]) -> Recipe:
    """12 iterations with a validation of some seconds in the middle and at the end."""
    pretrain: dict[str, dict[str, Any]] = {
        **DEFAULTS,
        "parallel": layout,
        "watch": {"heartbeat_seconds": 0.05},
    }
    pretrain["training"] = {
        **DEFAULTS["training"],
        "iterations": 12,
        "valid_interval": 6,
        "valid_batches": 64,
    }
    pretrain["checkpoint"] = {"interval_iterations": 50}
    for table, values in tables.items():
        pretrain[table] = {**pretrain.get(table, {}), **values}
    run = {"name": name, "root": str(_root()), "seed": 1}
    return Recipe.from_dict({"run": run, "pretrain": pretrain})


def _start(recipe: Recipe, module: str = "pretrain") -> "subprocess.Popen[str]":
    path = _root() / f"{recipe.run.name}.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", module, "run", str(path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(recipe: Recipe) -> None:
    process = _start(recipe)
    _, said = process.communicate()
    assert process.returncode == 0, said


def _losses(recipe: Recipe) -> list[tuple[str, int, float]]:
    events = read_metrics(recipe.run_directory)
    return [(e["event"], e["iteration"], e["loss"]) for e in events if "loss" in e]


def _result(recipe: Recipe) -> dict[str, Any]:
    result = read_result(recipe.run_directory).model_dump(mode="json")
    return {key: value for key, value in result.items() if key not in _TIMES}


@functools.cache
def _undisturbed(layout: tuple[tuple[str, int], ...]) -> Recipe:
    name = "-".join(["undisturbed", *(f"{key}{value}" for key, value in layout)])
    recipe = _recipe(name, dict(layout))
    _finish(recipe)
    return recipe


def _wait_for(
    process: "subprocess.Popen[str]", reached: Callable[[], bool], what: str, seconds: float = 600.0
) -> None:
    end = time.monotonic() + seconds
    while not reached():
        if process.poll() is not None:
            raise RuntimeError(f"ended before {what}: {process.communicate()[1]}")
        if time.monotonic() > end:
            process.terminate()
            raise RuntimeError(f"{what} was not reached in {seconds} s")
        time.sleep(0.01)


def _phase(recipe: Recipe) -> tuple[str, int]:
    sign = heartbeat.read(recipe.run_directory, [0]).get(0)
    return ("", 0) if sign is None else (sign.phase, sign.iteration)


def _ranks(process: "subprocess.Popen[str]") -> dict[int, psutil.Process]:
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            rank = child.environ().get("RANK")
        except psutil.Error:
            continue
        if rank is not None:
            found[int(rank)] = child
    return found


@dataclass(frozen=True)
class Stopped:
    """How one run took a SIGTERM."""

    exit_code: int
    seconds: float
    same: bool  # the resumed run equals the undisturbed one, to the bit

    @property
    def is_good(self) -> bool:
        """Whether it is as promised."""
        return self.exit_code == 3 and self.seconds <= WITHIN_SECONDS and self.same


def stop_in(phase: str, number: int) -> Stopped:
    """SIGTERM to the launcher while rank 0 is in `phase`; then the same command until the end."""
    layout = LAYOUTS[number % len(LAYOUTS)]
    recipe = _recipe(f"{phase}-{number}", layout)
    process = _start(recipe, _SLOW if phase == "data" else "pretrain")
    if phase == "warm-up":
        # Processes that begin, in the midst of imports, groups being formed, building and loading.
        _wait_for(process, lambda: bool(_ranks(process)), "the first rank")
        time.sleep((0.0, 0.7, 1.4)[number] if number < 3 else 0.0)
        if number >= 3:
            wanted = ("start", "load")[number - 3]
            _wait_for(process, lambda: _phase(recipe)[0] in (wanted, "data"), wanted)
    elif phase == "evaluation":
        _wait_for(process, lambda: _phase(recipe) == ("evaluation", 6), phase)
        time.sleep(0.2)
    elif phase == "data":
        _wait_for(process, lambda: _phase(recipe) == ("data", 4), phase)
        time.sleep(0.5)
    else:
        _wait_for(process, lambda: _phase(recipe)[1] >= 2, phase)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    seconds = time.monotonic() - begun
    _finish(recipe)
    undisturbed = _undisturbed(tuple(layout.items()))
    same = _losses(recipe) == _losses(undisturbed) and _result(recipe) == _result(undisturbed)
    return Stopped(process.returncode, seconds, same)


def stopped(times: int = 5) -> tuple[dict[str, Any], int, bool]:
    """Runs that were stopped well, of `times` in each phase."""
    value: dict[str, Any] = {}
    good = 0
    for phase in PHASES:
        results = [stop_in(phase, number) for number in range(times)]
        good += sum(result.is_good for result in results)
        value[f"{phase}_seconds_max"] = round(max(result.seconds for result in results), 2)
        bad = [vars(result) for result in results if not result.is_good]
        if bad:
            value[f"{phase}_bad"] = bad
    wanted = times * len(PHASES)
    return {"good": good, **value}, wanted, good == wanted


def lost(number: signal.Signals, layout: dict[str, int]) -> tuple[dict[str, Any], float, bool]:
    """Seconds from a signal that rank 1 cannot answer to the end of the launcher, and its word."""
    world = 1
    for value in layout.values():
        world *= value
    recipe = _recipe(
        f"lost-{number.name}-{world}",
        layout,
        training={"iterations": 100_000, "epochs_max": 1e9, "valid_interval": 0},
        watch={"heartbeat_seconds": 1.0, "step_timeout_seconds": STEP_TIMEOUT_SECONDS},
    )
    process = _start(recipe)
    _wait_for(process, lambda: _phase(recipe)[1] >= 5, "iteration 5")
    rank = _ranks(process)[1]
    begun = time.monotonic()
    rank.send_signal(number)
    _, said = process.communicate()
    seconds = time.monotonic() - begun
    named = f"rank 1 is {'gone' if number is signal.SIGKILL else 'stopped'} (process {rank.pid} "
    found = {
        "seconds": round(seconds, 2),
        "exit_code": process.returncode,
        "named": named in said,
    }
    holds = seconds <= STEP_TIMEOUT_SECONDS and process.returncode == 5 and named in said
    return found, STEP_TIMEOUT_SECONDS, holds


def pauses(times: int = 5) -> tuple[dict[str, Any], None, None]:
    """Milliseconds of the longest pause for garbage in 300 iterations, and of a full collection."""
    found: dict[str, list[float]] = {}
    for turn in range(times):
        for name, interval in (("left_to_python", 0), ("controlled", 50)):
            recipe = _recipe(
                f"pauses-{name}-{turn}",
                {},
                training={"iterations": 300, "epochs_max": 1e9, "valid_interval": 0},
                watch={"collect_garbage_iterations": interval, "heartbeat_seconds": 10.0},
            )
            process = _start(recipe, _SLOW)
            process.communicate()
            assert process.returncode == 0
            text = (recipe.run_directory / "logs" / "pauses.json").read_text(encoding="utf-8")
            for key, milliseconds in json.loads(text).items():
                found.setdefault(f"{name}_{key}_ms", []).append(milliseconds)
    return {key: round(statistics.median(values), 2) for key, values in found.items()}, None, None


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """Names and computations of all figures."""
    yield "safety_sigterm_anywhere", stopped
    for signal_number in (signal.SIGKILL, signal.SIGSTOP):
        for layout in ({"data": 2}, {"tensor": 2, "pipeline": 2}):
            world = 2 * len(layout)
            name = {"SIGKILL": "dead", "SIGSTOP": "hung"}[signal_number.name]
            yield (
                f"safety_{name}_rank_of_{world}",
                functools.partial(lost, signal_number, layout),
            )
    yield "safety_garbage_pauses", pauses
