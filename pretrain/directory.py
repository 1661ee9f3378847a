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
    check_current,
    digest_file,
    write_atomic,
    write_manifest,
)
from launch.recipe import load_recipe
from pretrain.check import Plan
from pretrain.contract import KIND, STATUS_OF_EXIT_CODE, VERSION, RunResult, read_result

# Keys that a run may change between a stop and its restart: how it is computed and when it saves.
# Under another layout the numbers agree to rounding, and the checkpoint loads.
_MAY_CHANGE = ("parallel", "checkpoint")


def finished(plan: Plan, force: bool = False) -> RunResult | None:
    """The result if the directory already holds this very run, else None.

    Raises `UserError` naming the first key that differs from a finished run there.
    """
    directory = plan.recipe.run_directory
    current = check_current(directory, KIND, VERSION, plan.config, _inputs(plan), force)
    return None if current is None else read_result(directory)


def claim(plan: Plan, force: bool) -> None:
    """Make the directory this run's own: its recipe, and a result with status `running`.

    The caller holds the directory's lock. With `force` what lies there is removed. An unfinished
    run of the same recipe is left as it is, to be resumed. Raises `UserError` naming the first key
    in which an unfinished run there differs.
    """
    directory = plan.recipe.run_directory
    if force:
        # The run's identity at Weights & Biases goes with its metrics.
        for name in (
            "manifest.json", "result.json", "metrics.jsonl", "recipe.toml", "report.html",
            "logs/wandb-id",
        ):  # fmt: skip
            (directory / name).unlink(missing_ok=True)
        for name in ("checkpoints", "work"):
            shutil.rmtree(directory / name, ignore_errors=True)
    _check_same(plan)
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
    return (Input("tokens", plan.tokens.files_digest),)


def _check_same(plan: Plan) -> None:
    directory = plan.recipe.run_directory
    if not (directory / "recipe.toml").exists() or not (directory / "result.json").exists():
        return
    before = load_recipe(directory / "recipe.toml").to_dict()
    now = plan.recipe.to_dict()
    old = {"run": {"seed": before["run"]["seed"]}, "pretrain": before["pretrain"]}
    new = {"run": {"seed": now["run"]["seed"]}, "pretrain": now["pretrain"]}
    for tables in (old["pretrain"], new["pretrain"]):
        for name in _MAY_CHANGE:
            tables.pop(name)
        tables["training"].pop("micro_batch_size")
    hint = "--force begins again in its place; another run.name keeps both"
    difference = _first_difference(old, new, "")
    if difference is not None:
        key, was, wanted = difference
        raise UserError(f"{directory}: {key}", str(wanted), f"{was}, as the run was begun", hint)
    if read_result(directory).tokens_digest != plan.tokens.files_digest:
        expected = "the tokens that the run was begun with"
        raise UserError(f"{directory}: tokens", "another corpus", expected, hint)


def _first_difference(old: Any, new: Any, key: str) -> tuple[str, Any, Any] | None:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None if old == new else (key, old, new)
    for name in sorted(old.keys() | new.keys()):
        place = f"{key}.{name}" if key else name
        found = _first_difference(old.get(name), new.get(name), place)
        if found is not None:
            return found
    return None
