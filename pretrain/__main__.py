"""`gristmill pretrain VERB TARGET`, the same as `python -m pretrain VERB TARGET`."""

import os
import sys

from launch.cli import DryRun, Force, Overrides, Target, main, new_app

app = new_app("pretrain", "Tokens to a trained model, with Megatron-core.")


@app.command("run")
def run_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Train a recipe's run, or all recipes of a directory; goes on from the last checkpoint."""
    if "RANK" in os.environ:
        from pretrain import trainer

        exit_code = trainer.main(target, overrides or (), force)
        # Everything is on disk. To take torch, Megatron-core and gloo's threads apart would cost
        # 1 s for one process and 2 to 3 s for four on two cores (2026-11-21).
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    from launch.recipe import load_recipe
    from pretrain import launcher

    if target.is_dir():
        workers = launcher.recipes_of(target)[0].execution.workers
        launcher.run_directory_of_recipes(target, workers, force=force)
    else:
        launcher.run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("check")
def check_command(target: Target, overrides: Overrides = None) -> None:
    """Check a recipe against its encoded corpus and print the plan; starts nothing."""
    from launch.recipe import load_recipe
    from pretrain.check import describe, make_plan

    print(describe(make_plan(load_recipe(target, overrides or ()))))


@app.command("evaluate")
def evaluate_command(target: Target) -> None:
    """Measure a run's last checkpoint on the whole validation split; JSON on stdout."""
    import json

    from pretrain.evaluate_run import evaluate_run

    print(json.dumps(evaluate_run(target)))


if __name__ == "__main__":
    main(app)
