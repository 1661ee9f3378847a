"""All stages of a recipe in order; a stage whose output is current is skipped.

What can be checked without spending anything is checked first: the whole recipe, its inputs, the
layout. Then each stage decides for itself, from the manifests, whether there is anything to do, so
that the same command after a kill goes on where it was.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from launch.manifest import has_manifest
from launch.recipe import Recipe
from launch.store import Location


class Stage(NamedTuple):
    """One stage: what to call, and the directory that must be finished before."""

    name: str
    run: Callable[..., Any]
    after: Location | None


def run(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> None:
    """Run all stages of one recipe, then print the summary.

    With `force` every stage is built again in its place. With `dry_run` every check is made, the
    plans of those stages whose input is there are printed, and nothing is written.
    Raises what the stages raise (`launch.errors`).
    """
    _check(recipe)
    for stage in _stages(recipe):
        if not dry_run:
            stage.run(recipe, force=force)
        elif stage.after is None or has_manifest(stage.after):
            stage.run(recipe, dry_run=True)
        else:
            print(f"{stage.name}: planned when {stage.after} is finished")
    if not dry_run:
        from launch.summary import print_summary

        print_summary(recipe)


def _check(recipe: Recipe) -> None:
    """Everything that needs no output of an earlier stage."""
    import dataprep.run
    import pretrain.check

    dataprep.run.check(recipe)
    pretrain.check.check_recipe(recipe)


def _stages(recipe: Recipe) -> list[Stage]:
    # Here, not at the top: launch imports no stage when it is itself imported.
    import dataprep.run
    import pretrain.launcher
    import tokenizer.encode
    import tokenizer.train

    stages = [
        Stage("dataprep", dataprep.run.run, None),
        Stage("tokenizer", tokenizer.train.run, recipe.published_documents),
        Stage("tokens", tokenizer.encode.run, recipe.tokenizer_directory),
        Stage("pretrain", pretrain.launcher.run, recipe.tokens),
    ]
    if recipe.scaling.enabled:
        import scaling.collect
        import scaling.fit
        import scaling.ladder
        import scaling.plan

        directory = recipe.scaling_directory
        stages += [
            Stage("ladder", scaling.ladder.run, recipe.tokens),
            Stage("ladder runs", pretrain.launcher.run_ladder, directory / "ladder"),
            Stage("runs table", scaling.collect.run, directory / "ladder"),
            Stage("fit", scaling.fit.run, directory / "runs"),
            Stage("plan", scaling.plan.run, directory / "fit"),
        ]
    return stages
