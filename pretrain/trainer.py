"""A trainer process: what torchrun starts (also on a cluster), once for each rank.

It trains one recipe together with its peers, or a directory of single-process recipes one after
another, because importing torch and Megatron-core takes longer than a small run.
"""

import contextlib
import json
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from launch.errors import GristmillError, LockedError, PeerLostError, full_disk
from launch.lock import STALE_SECONDS, lock
from launch.log import get_logger
from launch.process import die_with_parent
from launch.recipe import Recipe, load_recipe
from pretrain import directory as run_directory
from pretrain import parallel
from pretrain.check import Plan, make_plan
from pretrain.evaluate_run import evaluate_run
from pretrain.launcher import recipes_of
from pretrain.safety import garbage, heartbeat
from pretrain.safety.determinism import as_user_error, set_deterministic
from pretrain.safety.ending import Ending, has_launcher, record
from pretrain.safety.interrupt import StopRequest
from pretrain.safety.watchdog import Watchdog
from pretrain.saving.average import average as average_checkpoints
from pretrain.train import train


def main(target: Path, overrides: Sequence[str], force: bool, stop: StopRequest) -> int:
    """Train `target` as the rank that the environment says; the exit code of design.md.

    How it ended is also told to the launcher, if there is one (`ending.py`).
    """
    _begin()
    directory = None
    try:
        if target.is_dir():
            _train_directory(target, stop)
        else:
            recipe = load_recipe(target, overrides)
            directory = recipe.run_directory
            _train_one(recipe, stop, force)
    except Exception as error:
        return _end_badly(error, directory)
    record(Ending(0))
    return 0


def evaluate(directory: Path, checkpoint: str | None = None) -> int:
    """Print what `evaluate_run` finds as JSON; the exit code, as for `main`."""
    return _print(lambda: evaluate_run(directory, checkpoint))


def average(directory: Path, last: int, iterations: Sequence[int]) -> int:
    """Write the mean of checkpoints, print what it is of as JSON; the exit code, as for `main`."""
    return _print(lambda: average_checkpoints(directory, last, iterations))


def _print(work: Callable[[], object]) -> int:
    _begin()
    try:
        print(json.dumps(work()))
    except Exception as error:
        return _end_badly(error, None)
    record(Ending(0))
    return 0


def _begin() -> None:
    die_with_parent()
    # What torch and Megatron-core say of each other's insides is nothing that a user could mend.
    warnings.filterwarnings("ignore", module=r"(torch|megatron)\.")


def _end_badly(error: Exception, directory: Path | None) -> int:
    ended = _as_known(error, directory)
    if ended is None:
        record(Ending(1, f"{type(error).__name__}: {error}"))
        raise error
    record(Ending(ended.exit_code, ended.message, ended.hint))
    if ended is not error:
        traceback.print_exception(error)
    if not has_launcher() and os.environ["RANK"] == "0":
        raise ended from None
    return ended.exit_code


def _train_one(recipe: Recipe, stop: StopRequest, force: bool) -> None:
    set_deterministic(recipe.pretrain.training.deterministic)
    plan = make_plan(recipe)
    with _owned(plan, force) as ours:
        if ours:
            _train_watched(plan, stop)


def _train_watched(plan: Plan, stop: StopRequest) -> None:
    watch, directory = plan.recipe.pretrain.watch, plan.recipe.run_directory
    stop.run_begins(directory)
    with (
        Watchdog(watch, directory, stop) as watchdog,
        garbage.controlled(watch.collect_garbage_iterations),
    ):
        train(plan, stop, watchdog)


def _train_directory(target: Path, stop: StopRequest) -> None:
    """Train what is neither finished nor being trained by another process, largest first."""
    log = get_logger("pretrain")
    worst: GristmillError | None = None
    for recipe in recipes_of(target):
        plan = make_plan(recipe)
        try:
            with lock(recipe.run_directory):
                if run_directory.finished(plan) is None:
                    set_deterministic(recipe.pretrain.training.deterministic)
                    run_directory.claim(plan, force=False)
                    garbage.leave_libraries_alone(recipe.pretrain.watch.collect_garbage_iterations)
                    _train_claimed(plan, stop)
        except LockedError:
            log.info("%s: another process trains it", recipe.run.name)
        except GristmillError as error:
            if error.exit_code == 3:
                raise
            log.error("%s: %s", recipe.run.name, error.message)
            worst = worst or error
    if worst is not None:
        raise worst


def _train_claimed(plan: Plan, stop: StopRequest) -> None:
    try:
        _train_watched(plan, stop)
    except GristmillError as error:
        run_directory.close_result(plan.recipe.run_directory, error.exit_code)
        raise


@contextlib.contextmanager
def _owned(plan: Plan, force: bool) -> Iterator[bool]:
    """Whether there is anything to train; where no launcher did so, rank 0 locks and claims."""
    if has_launcher():
        yield True
        return
    pretrain = plan.recipe.pretrain
    parallel.start(pretrain.parallel, plan.recipe.run.seed, pretrain.watch.start_timeout_seconds)
    directory = plan.recipe.run_directory
    if os.environ["RANK"] != "0":
        verdict: list[object] = [None]
        torch.distributed.broadcast_object_list(verdict, src=0)
        if isinstance(verdict[0], GristmillError):
            raise verdict[0]
        yield bool(verdict[0])
        return
    with contextlib.ExitStack() as stack:
        answer: object
        try:
            # A job that Slurm has put on other nodes: the holder on the lost node cannot say so.
            stack.enter_context(lock(directory, patience_seconds=STALE_SECONDS + 10))
            answer = run_directory.finished(plan, force) is None
            if answer:
                run_directory.claim(plan, force)
            else:
                get_logger("pretrain").info("%s: up to date", plan.recipe.run.name)
        except GristmillError as error:
            answer = error
        torch.distributed.broadcast_object_list([answer], src=0)
        if isinstance(answer, GristmillError):
            raise answer
        try:
            yield bool(answer)
        except GristmillError as error:
            run_directory.close_result(directory, error.exit_code)
            raise


def _as_known(error: Exception, directory: Path | None) -> GristmillError | None:
    """The documented end that `error` stands for; None if it is a bug of ours."""
    if isinstance(error, GristmillError):
        return error
    full = full_disk(error)
    if full is not None:
        return full
    refused = as_user_error(error)
    if refused is not None:
        return refused
    text = str(error)
    lost = isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and ("gloo" in text or "NCCL" in text)
    )
    if lost:
        size = int(os.environ["WORLD_SIZE"])
        gone = heartbeat.gone(directory, size) if directory is not None else {}
        who = "; ".join(f"rank {rank} {how}" for rank, how in sorted(gone.items()))
        reason = text.splitlines()[0][:200]
        return PeerLostError(who or f"a process of the run is gone: {reason}", _LOST_HINT)
    return None


_LOST_HINT = "the same command goes on from the last checkpoint"
