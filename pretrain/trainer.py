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

from launch.errors import GristmillError, LockedError, PeerLostError
from launch.lock import lock
from launch.log import get_logger
from launch.manifest import write_atomic
from launch.process import die_with_parent
from launch.recipe import Recipe, load_recipe
from pretrain import directory as run_directory
from pretrain import parallel
from pretrain.average import average as average_checkpoints
from pretrain.check import Plan, make_plan
from pretrain.evaluate_run import evaluate_run
from pretrain.interrupt import StopRequest
from pretrain.launcher import STATUS_FILE_VARIABLE, recipes_of
from pretrain.train import train


def main(target: Path, overrides: Sequence[str], force: bool) -> int:
    """Train `target` as the rank that the environment says; the exit code of design.md.

    How it ended is also written to the file that the launcher named, if it did: torchrun's own exit
    code is always 1. Of several ranks the first to fail is recorded, for the others fail after it.
    """
    stop = _begin()
    try:
        if target.is_dir():
            _train_directory(target, stop)
        else:
            _train_one(load_recipe(target, overrides), stop, force)
    except Exception as error:
        return _end_badly(error)
    _record(0, "", "")
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
        return _end_badly(error)
    _record(0, "", "")
    return 0


def _begin() -> StopRequest:
    die_with_parent()
    # What torch and Megatron-core say of each other's insides is nothing that a user could mend.
    warnings.filterwarnings("ignore", module=r"(torch|megatron)\.")
    return StopRequest()


def _end_badly(error: Exception) -> int:
    ended = _as_known(error)
    if ended is None:
        _record(1, f"{type(error).__name__}: {error}", "")
        raise error
    _record(ended.exit_code, ended.message, ended.hint)
    if ended is not error:
        traceback.print_exception(error)
    if STATUS_FILE_VARIABLE not in os.environ and os.environ["RANK"] == "0":
        raise ended from None
    return ended.exit_code


def _train_one(recipe: Recipe, stop: StopRequest, force: bool) -> None:
    plan = make_plan(recipe)
    with _owned(plan, force) as ours:
        if ours:
            train(plan, stop)


def _train_directory(target: Path, stop: StopRequest) -> None:
    """Train what is neither finished nor being trained by another process, largest first."""
    log = get_logger("pretrain")
    worst: GristmillError | None = None
    for recipe in recipes_of(target):
        plan = make_plan(recipe)
        try:
            with lock(recipe.run_directory):
                if run_directory.finished(plan) is None:
                    run_directory.claim(plan, force=False)
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
        train(plan, stop)
    except GristmillError as error:
        run_directory.close_result(plan.recipe.run_directory, error.exit_code)
        raise


@contextlib.contextmanager
def _owned(plan: Plan, force: bool) -> Iterator[bool]:
    """Whether there is anything to train; where no launcher did so, rank 0 locks and claims."""
    if STATUS_FILE_VARIABLE in os.environ:
        yield True
        return
    parallel.start(plan.recipe.pretrain.parallel, plan.recipe.run.seed)
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
            stack.enter_context(lock(directory))
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


def _as_known(error: Exception) -> GristmillError | None:
    """The documented end that `error` stands for; None if it is a bug of ours."""
    if isinstance(error, GristmillError):
        return error
    text = str(error)
    lost = isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and ("gloo" in text or "NCCL" in text)
    )
    if lost:
        reason = text.splitlines()[0][:200]
        return PeerLostError(f"a process of the run is gone or hangs: {reason}", _LOST_HINT)
    return None


_LOST_HINT = "the same command goes on from the last checkpoint"


def _record(exit_code: int, message: str, hint: str) -> None:
    path = os.environ.get(STATUS_FILE_VARIABLE)
    if path is None or (exit_code == 0 and os.environ["RANK"] != "0"):
        return
    status = json.dumps({"exit_code": exit_code, "message": message, "hint": hint})
    own = Path(f"{path}.rank-{os.environ['RANK']}")
    write_atomic(own, status)
    # A link fails if the name is taken, so the first to end badly stays.
    with contextlib.suppress(FileExistsError):
        os.link(own, path)
    own.unlink()
