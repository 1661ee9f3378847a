"""`gristmill pretrain VERB TARGET`, the same as `python -m pretrain VERB TARGET`.

With `RANK` in the environment it is one process of a run, started by our launcher or by torchrun.
"""

import json
import os
import sys
from typing import Annotated

import typer

from launch.cli import DryRun, Force, Overrides, Target, main, new_app
from launch.errors import NumericalError

app = new_app("pretrain", "Tokens to a trained model, with Megatron-core.")


@app.command("run")
def run_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Train a recipe's run, or all recipes of a directory; goes on from the last checkpoint."""
    if "RANK" in os.environ:
        from pretrain import trainer

        _leave(trainer.main(target, overrides or (), force))
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
    if "RANK" in os.environ:
        from pretrain import trainer

        _leave(trainer.evaluate(target))
    from pretrain import launcher

    launcher.evaluate(target)


@app.command("compare")
def compare_command(
    target: Target,
    overrides: Overrides = None,
    layout: Annotated[str, typer.Option(help="Such as tensor=2,sequence=true.")] = "tensor=2",
    against: Annotated[str, typer.Option(help="The layout to compare with.")] = "one",
    iterations: Annotated[int, typer.Option(help="Updates to follow.", min=1)] = 2,
) -> None:
    """Run a recipe's model under two layouts here; name the first layer that differs."""
    from launch.recipe import load_recipe
    from pretrain.compare import compare_layouts

    verdict = compare_layouts(load_recipe(target, overrides or ()), layout, against, iterations)
    print(verdict.pop("table"), file=sys.stderr)
    print(json.dumps(verdict))
    if not verdict["same"]:
        raise NumericalError(f"{layout} differs from {against}: {verdict['finding']['text']}")


@app.command("qualify")
def qualify_command(
    record: Annotated[bool, typer.Option("--record", help="Write golden traces anew.")] = False,
) -> None:
    """Compare this machine's ways to train (GPUs, precisions, layouts) with traces of a CPU."""
    from pretrain import qualify

    if not qualify.main(record=record):
        raise NumericalError(
            "this machine does not compute what it should",
            "each line that fails names the first layer that differs",
        )


@app.command("record-traces", hidden=True)
def record_traces_command(listing: Target) -> None:
    """One rank that records the traces of a list of jobs; `compare` and `qualify` start it."""
    from pretrain import trace_worker

    _leave(trace_worker.main(listing))


def _leave(exit_code: int) -> None:
    # Everything is on disk. To take torch, Megatron-core and gloo's threads apart would cost 1 s
    # for one process and 2 to 3 s for four on two cores (2026-11-21).
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    main(app)
