"""`python -m launch VERB …`: the whole recipe, cluster scripts, the state of this machine."""

from pathlib import Path
from typing import Annotated

import typer

from launch.cli import DryRun, Force, Overrides, Target, main, new_app

app = new_app("launch", "All stages in order; cluster scripts; the state of this machine.")


@app.command("run")
def run_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Run all stages of a recipe in order, skipping what is current, and print the summary."""
    from launch.pipeline import run
    from launch.recipe import load_recipe

    run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("status")
def status_command(target: Target, overrides: Overrides = None) -> None:
    """Print the summary of what a recipe's root holds, finished or not."""
    from launch.recipe import load_recipe
    from launch.summary import print_summary

    print_summary(load_recipe(target, overrides or ()))


@app.command("submit")
def submit_command(
    target: Target,
    overrides: Overrides = None,
    to: Annotated[str, typer.Option("--to", help="slurm or ray.")] = "slurm",
    dry_run: DryRun = False,
) -> None:
    """Write a recipe's script for a cluster and submit it; with --dry-run only print it."""
    from launch.submit import submit

    submit(target, tuple(overrides or ()), to=to, dry_run=dry_run)


@app.command("doctor")
def doctor_command(
    target: Annotated[Path | None, typer.Argument(help="A recipe, to check its root too.")] = None,
) -> None:
    """Check this machine and environment: packages, names, memory, disk, schedulers."""
    from launch.doctor import run
    from launch.recipe import load_recipe

    run(None if target is None else load_recipe(target))


if __name__ == "__main__":
    main(app)
