"""The launcher: checks, takes the run's lock, starts the trainers and tells how they ended.

It imports no torch. One process is started as it is, more through torchrun; both call `python -m
pretrain run` again, with the rank in the environment.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from launch import torchrun
from launch.errors import (
    GristmillError,
    NumericalError,
    PeerLostError,
    PreemptedError,
    UserError,
)
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import read_manifest
from launch.process import die_with_parent
from launch.recipe import Recipe, load_recipe
from pretrain import directory as run_directory
from pretrain.check import describe, make_plan
from pretrain.contract import read_result

# Names the file in which a trainer says how it ended; it also says that a launcher holds the lock.
STATUS_FILE_VARIABLE = "GRISTMILL_STATUS_FILE"

_ERRORS: dict[int, type[GristmillError]] = {
    3: PreemptedError,
    4: NumericalError,
    5: PeerLostError,
}


def run(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> dict[str, Any]:
    """Train the recipe's run to its end, going on from its last checkpoint.

    Returns the content of `result.json` (empty for a dry run, which prints the plan). Raises
    `UserError`, `LockedError`, and what the trainers ended with: `PreemptedError`,
    `NumericalError`, `PeerLostError`, or `GristmillError` for a bug, whose traceback they printed.
    """
    log = get_logger("pretrain")
    plan = make_plan(recipe)
    if dry_run:
        print(describe(plan))
        return {}
    directory = recipe.run_directory
    if not force:
        done = run_directory.finished(plan)
        if done is not None:
            log.info("%s: up to date", recipe.run.name)
            return done.model_dump(mode="json")
    with lock(directory), tempfile.TemporaryDirectory(prefix="gristmill-") as scratch:
        run_directory.claim(plan, force)
        for line in describe(plan).splitlines():
            log.info("%s", line)
        status_file = Path(scratch) / "status.json"
        processes = recipe.pretrain.parallel.world_size
        try:
            recipe_file = str(directory / "recipe.toml")
            _attend([_Child(["run", recipe_file], processes, 1, status_file)])
        except GristmillError as error:
            run_directory.close_result(directory, error.exit_code)
            raise
    return read_result(directory).model_dump(mode="json")


def run_ladder(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> None:
    """Train the recipes that `scaling ladder` wrote, `execution.workers` at a time."""
    directory = recipe.scaling_directory / "ladder"
    read_manifest(directory, "ladder", 1)
    if dry_run:
        for each in recipes_of(directory):
            print(f"{describe(make_plan(each)).splitlines()[0]}")
        return
    run_directory_of_recipes(directory, recipe.execution.workers, force=force)


def run_directory_of_recipes(directory: Path, workers: int, *, force: bool = False) -> None:
    """Train every recipe (`*.toml`) of `directory`, each in one process, `workers` at a time.

    A worker trains one run after another; the runs' locks see to it that no two take the same.
    Raises `UserError` if a recipe is wrong or wants more than one process, else as `run`.
    """
    log = get_logger("pretrain")
    plans = [make_plan(recipe) for recipe in recipes_of(directory)]
    if force:
        for plan in plans:
            with lock(plan.recipe.run_directory):
                run_directory.claim(plan, force=True)
    waiting = sum(run_directory.finished(plan) is None for plan in plans)
    if waiting == 0:
        log.info("%s: %d runs up to date", directory, len(plans))
        return
    log.info("%s: %d of %d runs to train, %d at a time", directory, waiting, len(plans), workers)
    with (
        timed(directory, "runs"),
        tempfile.TemporaryDirectory(prefix="gristmill-") as scratch,
    ):
        number = min(workers, waiting)
        _attend(
            [
                _Child(["run", str(directory)], 1, workers, Path(scratch) / f"status-{index}.json")
                for index in range(number)
            ]
        )
    unfinished = [p.recipe.run.name for p in plans if run_directory.finished(p) is None]
    if unfinished:
        raise PeerLostError(
            f"{directory}: {', '.join(unfinished)} not finished",
            "another process may be training them; the same command goes on",
        )


def evaluate(directory: Path, checkpoint: str | None = None) -> None:
    """Measure a run's checkpoint, the last one without a name, in a process of its own, which
    prints JSON to stdout.

    Raises `UserError` if there is none that is whole.
    """
    read_result(directory)
    options = ["--checkpoint", checkpoint] if checkpoint else []
    _alone(["evaluate", str(directory), *options])


def average(directory: Path, last: int, iterations: Sequence[int]) -> None:
    """Write the mean of a run's checkpoints in a process of its own, which prints JSON to stdout.

    Raises `UserError` if one of them is missing or not whole, `LockedError` while the run goes on.
    """
    read_result(directory)
    chosen = ",".join(str(iteration) for iteration in iterations)
    options = ["--last", str(last)] if last else ["--iterations", chosen]
    _alone(["average", str(directory), *options])


def _alone(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gristmill-") as scratch:
        _attend([_Child(arguments, 1, 1, Path(scratch) / "status.json")])


def recipes_of(directory: Path) -> list[Recipe]:
    """The recipes of a directory, the costliest first.

    Raises `UserError` if there is none, or if one of them needs more than one process.
    """
    recipes = [load_recipe(path) for path in sorted(directory.glob("*.toml"))]
    if not recipes:
        raise UserError(str(directory), "no *.toml", "a directory of recipes")
    for recipe in recipes:
        if recipe.pretrain.parallel.world_size != 1:
            raise UserError(
                f"{directory}: {recipe.run.name}",
                f"{recipe.pretrain.parallel.world_size} processes",
                "recipes for one process each",
                "train it by itself: gristmill pretrain run RECIPE",
            )
    costs = {id(r): make_plan(r).result("running").flops for r in recipes}
    return sorted(recipes, key=lambda recipe: (-costs[id(recipe)], recipe.run.name))


class _Child:
    """One process to start: a trainer, or torchrun with several."""

    def __init__(self, arguments: list[str], processes: int, siblings: int, status: Path) -> None:
        self.status = status
        environment = {
            **os.environ,
            **torchrun.environment(processes * siblings),
            STATUS_FILE_VARIABLE: str(status),
        }
        module = ["pretrain", *arguments]
        if processes == 1:
            environment |= torchrun.single_process_environment()
            command = [sys.executable, "-m", *module]
        else:
            command = torchrun.command(processes, module)
        self.process = subprocess.Popen(
            command,
            env=environment,
            # Signals of the terminal reach the launcher alone, which passes each on once.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def outcome(self, asked: bool) -> tuple[int, str, str]:
        """Exit code, message and hint, once the process has ended; `asked`: it was told to."""
        try:
            status = json.loads(self.status.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if asked:
                return 3, "stopped before it could save anything new", "the same command goes on"
            how = f"ended with {self.process.returncode} and said nothing"
            return 5, f"a trainer {how}: killed, or out of memory", "the same command goes on"
        return status["exit_code"], status["message"], status["hint"]


def _attend(children: list[_Child]) -> None:
    with _passing_signals_on(children) as passed:
        for child in children:
            child.process.wait()
    outcomes = [child.outcome(asked=bool(passed)) for child in children]
    failures = [outcome for outcome in outcomes if outcome[0] != 0]
    if not failures:
        return
    exit_code, message, hint = failures[0]
    error = _ERRORS.get(exit_code, GristmillError)(message, hint)
    error.exit_code = exit_code
    raise error


@contextlib.contextmanager
def _passing_signals_on(children: list[_Child]) -> Iterator[list[int]]:
    """Hand signals to stop on to the children; yields those that came."""
    passed: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        passed.append(number)
        for child in children:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield passed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for child in children:
            if child.process.poll() is None:
                child.process.kill()
                child.process.wait()
