"""The run's directory: is there anything to do, may this recipe write here, and the last commit.

Everything here is done by one process of a run: the launcher, or rank 0 where there is none.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from launch.errors import UserError
from launch.manifest import (
    FileEntry,
    Input,
    Manifest,
    digest_file,
    has_manifest,
    read_manifest,
    write_atomic,
    write_manifest,
)
from launch.recipe import load_recipe
from pretrain.check import Plan
from pretrain.contract import KIND, STATUS_OF_EXIT_CODE, VERSION, RunResult, read_result
from pretrain.planning.machine import Machine, check_disk, check_host_memory
from pretrain.safety import heartbeat
from pretrain.safety.changes import first_change
from pretrain.safety.restarts import latest_checkpoint
from pretrain.saving import branch

# Where NVIDIA's driver is; no torch is imported here to ask.
_GPU_DRIVER = Path("/dev/nvidiactl")
# A file of this name in a run's directory asks it to stop, where no signal reaches it.
STOP_FILE = "STOP"


def finished(plan: Plan, force: bool = False) -> RunResult | None:
    """The result if the directory already holds this run, as long as the recipe asks for, else
    None.

    Raises `UserError` naming the first key that differs from a finished run there and may not.
    """
    directory = plan.recipe.run_directory
    if force or not has_manifest(directory):
        return None
    read_manifest(directory, KIND, VERSION)
    _check_same(plan)
    result = read_result(directory)
    return result if result.iterations == plan.recipe.pretrain.training.iterations else None


def claim(plan: Plan, force: bool) -> None:
    """Make the directory this run's own: its recipe, and a result with status `running`.

    The caller holds the directory's lock. With `force` what lies there is removed. An unfinished
    run of the same recipe is left as it is, to be resumed; a finished one that shall become longer
    is unfinished from now on. Raises `UserError` naming the first key in which a run there differs
    and may not (`changes.py`), and where the disk or, on CPUs, the memory is too small.
    """
    directory, pretrain = plan.recipe.run_directory, plan.recipe.pretrain
    check_disk(pretrain, plan.padded_vocab_size, directory, Machine())
    if not _GPU_DRIVER.exists():
        check_host_memory(pretrain, plan.padded_vocab_size, Machine())
    if force:
        # The run's identity at Weights & Biases goes with its metrics.
        for name in (
            "manifest.json", "result.json", "metrics.jsonl", "recipe.toml", "report.html",
            "logs/wandb-id", branch.RECORD,
        ):  # fmt: skip
            (directory / name).unlink(missing_ok=True)
        for name in ("checkpoints", "work"):
            shutil.rmtree(directory / name, ignore_errors=True)
    _check_same(plan)
    branch.record(plan.recipe, branch.origin(plan.recipe, plan.tokens))
    # The manifest goes first: it says that recipe and result are what they were.
    (directory / "manifest.json").unlink(missing_ok=True)
    # Of an earlier start: whoever asks to stop from now on means this one.
    (directory / STOP_FILE).unlink(missing_ok=True)
    heartbeat.clear(directory)
    write_atomic(directory / "recipe.toml", plan.recipe.to_toml())
    write_result(directory, plan.result("running"))


def write_result(directory: Path, result: RunResult) -> None:
    """Replace `result.json`."""
    text = json.dumps(result.model_dump(mode="json"), indent=1)
    write_atomic(directory / "result.json", text + "\n")


def close_result(directory: Path, exit_code: int) -> None:
    """Record how a run ended that did not end well, unless it did so itself."""
    result = read_result(directory)
    if result.status == "running":
        status = STATUS_OF_EXIT_CODE.get(exit_code, "failed")
        ended: dict[str, Any] = {"status": status, "exit_code": exit_code}
        write_result(directory, result.model_copy(update=ended))


def commit(plan: Plan, summary: dict[str, Any], checkpoint: str) -> RunResult:
    """Finish the run: the result, then the manifest, then drop what is no longer needed."""
    directory = plan.recipe.run_directory
    known = plan.result("done").model_dump()
    result = RunResult(**{**known, **summary, "exit_code": 0})
    write_result(directory, result)
    names = ("recipe.toml", "result.json", f"checkpoints/{checkpoint}/manifest.json")
    files = tuple(
        FileEntry(name, None, (directory / name).stat().st_size, digest_file(directory / name))
        for name in names
    )
    facts = {"checkpoint": f"checkpoints/{checkpoint}", "loss_valid": result.loss_valid}
    write_manifest(directory, Manifest(KIND, VERSION, plan.config, _inputs(plan), files, facts))
    shutil.rmtree(directory / "work", ignore_errors=True)
    return result


def _inputs(plan: Plan) -> tuple[Input, ...]:
    begun = branch.origin(plan.recipe, plan.tokens)
    return (Input("tokens", plan.tokens.files_digest), *branch.inputs(begun))


def _check_same(plan: Plan) -> None:
    directory = plan.recipe.run_directory
    if not (directory / "recipe.toml").exists() or not (directory / "result.json").exists():
        return
    hint = "--force begins again in its place; another run.name keeps both"
    before, now = load_recipe(directory / "recipe.toml"), plan.recipe
    difference = first_change(before.pretrain, now.pretrain, _done(directory), str(directory))
    if before.run.seed != now.run.seed:
        difference = ("run.seed", before.run.seed, now.run.seed)
    if difference is not None:
        key, was, wanted = difference
        raise UserError(f"{directory}: {key}", str(wanted), f"{was}, as the run was begun", hint)
    if read_result(directory).tokens_digest != plan.tokens.files_digest:
        expected = "the tokens that the run was begun with"
        raise UserError(f"{directory}: tokens", "another corpus", expected, hint)


def _done(directory: Path) -> int:
    """Iterations that the last checkpoint holds."""
    name = latest_checkpoint(directory)
    return 0 if name is None else int(name.rpartition("-")[2])
