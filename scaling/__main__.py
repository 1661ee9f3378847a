"""`python -m scaling VERB …`: the ladder, its runs table, the fit, the plan, the figure."""

from pathlib import Path
from typing import Annotated

import typer

from launch.cli import DryRun, Force, Overrides, Target, main, new_app

app = new_app("scaling", "Runs to fitted scaling laws, and from them the plan of the next run.")

Table = Annotated[Path, typer.Argument(help="The recipe (TOML), or any runs table (CSV).")]
FitFile = Annotated[Path, typer.Argument(help="A fit.json.")]
Columns = Annotated[
    list[str] | None,
    typer.Argument(
        help="Changes to the recipe; for a table scaling.fit.seed=2 or columns.OURS=THEIRS.",
        metavar="[KEY=VALUE]...",
    ),
]


@app.command("ladder")
def ladder_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Write the recipes of the ladder: every size with every token count."""
    from launch.recipe import load_recipe
    from scaling import ladder

    ladder.run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("collect")
def collect_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Make the runs table from the results of the ladder's runs."""
    from launch.recipe import load_recipe
    from scaling import collect

    collect.run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("fit")
def fit_command(
    target: Table, overrides: Columns = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Fit both laws to the ladder's runs; of another CSV table, print the fit as JSON."""
    from launch.recipe import load_recipe
    from scaling import fit
    from scaling.foreign import print_fit

    if target.suffix == ".csv":
        print_fit(target, overrides or (), dry_run=dry_run)
        return
    fit.run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("plan")
def plan_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Write the recipe of the next run for scaling.plan.budget_flops."""
    from launch.recipe import load_recipe
    from scaling import plan

    plan.run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("plot")
def plot_command(target: FitFile, dry_run: DryRun = False, force: Force = False) -> None:
    """Draw the figure of a fit.json, as a PNG beside it (a plan has its own: plan.png)."""
    from scaling.foreign import plot_fit

    plot_fit(target, dry_run=dry_run, force=force)


if __name__ == "__main__":
    main(app)
