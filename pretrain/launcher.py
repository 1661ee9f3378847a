"""The launcher: checks, takes the run's lock, starts the trainers and tells how they ended.

It imports no torch. One process is started as it is, more through torchrun; both call `python -m
pretrain run` again, with the rank in the environment.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launch.errors import GristmillError, PeerLostError, UserError
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import read_manifest
from launch.recipe import Recipe, load_recipe
from pretrain import directory as run_directory
from pretrain.check import describe, make_plan
from pretrain.config import Parallel
from pretrain.contract import read_result
from pretrain.safety import children, heartbeat, restarts
from pretrain.safety.children import Child, Signals, as_error


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
    with (
        children.signals() as signals,
        lock(directory),
        tempfile.TemporaryDirectory(prefix="gristmill-") as scratch,
    ):
        run_directory.claim(plan, force)
        for line in describe(plan).splitlines():
            log.info("%s", line)
        try:
            _train_with_restarts(recipe, signals, Path(scratch))
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
        children.signals() as signals,
        timed(directory, "runs"),
        tempfile.TemporaryDirectory(prefix="gristmill-") as scratch,
    ):
        number = min(workers, waiting)
        started = [
            Child(
                ["run", str(directory)], Path(scratch) / f"status-{index}.json", Parallel(), workers
            )
            for index in range(number)
        ]
        children.raise_first(signals.attend(started))
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
    with (
        children.signals() as signals,
        tempfile.TemporaryDirectory(prefix="gristmill-") as scratch,
    ):
        child = Child(arguments, Path(scratch) / "status.json", Parallel())
        children.raise_first(signals.attend([child]))


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


def _train_with_restarts(recipe: Recipe, signals: Signals, scratch: Path) -> None:
    """Start the trainers, again after crashes as often as `watch.restarts_max` allows; raises how
    the last start ended."""
    log = get_logger("pretrain")
    directory, pretrain = recipe.run_directory, recipe.pretrain
    starts: list[restarts.Start] = []
    while True:
        signals.check()
        before = restarts.latest_checkpoint(directory)
        status = scratch / f"status-{len(starts)}.json"
        child = Child(["run", str(directory / "recipe.toml")], status, pretrain.parallel)
        (ended,) = signals.attend([child])
        if ended.exit_code == 0:
            return
        after = restarts.latest_checkpoint(directory)
        starts.append(restarts.Start(ended.exit_code, ended.message, before, after))
        restarts.note(directory, starts[-1])
        again, reason = restarts.starts_again(starts, pretrain.watch.restarts_max)
        if not again:
            if len(starts) > 1:
                log.error("%s: %s", recipe.run.name, reason)
            raise as_error(ended)
        log.warning("%s: %s; %s", recipe.run.name, ended.message, reason)
        heartbeat.clear(directory)
