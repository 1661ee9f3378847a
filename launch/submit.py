"""Submit: a recipe becomes a job of a cluster's scheduler.

    gristmill launch submit RECIPE slurm.nodes=4 slurm.gpus_per_node=8 --to slurm --dry-run

Keys that begin with the scheduler's name are options of the job; all others change the recipe and
travel with it. With `--dry-run` the text is printed and nothing else happens.
"""

import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launch import ray_jobs, slurm
from launch.config import parse_model
from launch.errors import UserError
from launch.log import get_logger
from launch.manifest import write_atomic
from launch.recipe import load_recipe

SCHEDULERS = ("slurm", "ray")
SCRIPT_NAME = "submit.slurm"


def submit(target: Path, overrides: Sequence[str] = (), *, to: str, dry_run: bool = False) -> None:
    """Check the recipe and hand it to the scheduler `to`, from the working directory.

    For Slurm the script is kept as `runs/NAME/submit.slurm` and given to sbatch. Raises `UserError`
    if the recipe or an option is wrong, the scheduler is unknown, absent or refuses the job.
    """
    if to not in SCHEDULERS:
        raise UserError("--to", f"'{to}'", " or ".join(SCHEDULERS))
    options, changes = split_options(overrides, to)
    recipe = load_recipe(target, changes)
    directory = str(Path.cwd())
    if to == "ray":
        ray_options = parse_model(ray_jobs.RayOptions, options, "ray")
        text = ray_jobs.render(str(target), changes, ray_options, directory)
        if dry_run:
            print(text, end="")
            return
        _call(ray_jobs.job_command(str(target), changes, ray_options, directory))
        return
    options.setdefault("python", sys.executable)
    slurm_options = parse_model(slurm.SlurmOptions, options, "slurm")
    text = slurm.render(recipe, str(target), changes, slurm_options, directory)
    if dry_run:
        print(text, end="")
        return
    script = recipe.run_directory / SCRIPT_NAME
    # sbatch opens the log before the script can make its directory.
    (recipe.run_directory / "logs").mkdir(parents=True, exist_ok=True)
    write_atomic(script, text)
    get_logger("launch").info("script: %s", script)
    _call(["sbatch", str(script)])


def split_options(overrides: Sequence[str], to: str) -> tuple[dict[str, Any], list[str]]:
    """Options of the job (`slurm.KEY=VALUE`, values as TOML writes them), and the recipe's changes.

    Raises `UserError` for an option of the other scheduler.
    """
    options: dict[str, Any] = {}
    changes = []
    for override in overrides:
        key, _, text = override.partition("=")
        scheduler, _, name = key.partition(".")
        if scheduler not in SCHEDULERS:
            changes.append(override)
            continue
        if scheduler != to:
            raise UserError(
                f"argument '{override}'", f"an option of {scheduler}", f"{to}.KEY=VALUE"
            )
        try:
            options[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            options[name] = text  # `slurm.partition=gpu` need not be quoted
    return options, changes


def _call(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        hint = "--dry-run prints what would be submitted, to be copied to the cluster"
        raise UserError(command[0], "no such program", "the scheduler's command line", hint)
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise UserError(
            shlex.join(command)[:200], f"exit code {done.returncode}", "a submitted job"
        )
