"""`gristmill pretrain VERB TARGET`, the same as `python -m pretrain VERB TARGET`.

With `RANK` in the environment it is one process of a run, started by our launcher or by torchrun.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from launch.cli import DryRun, Force, Overrides, Target, main, new_app
from launch.errors import NumericalError, UserError

RunDirectory = Annotated[Path, typer.Argument(help="The directory of a run.")]

app = new_app("pretrain", "Tokens to a trained model, with Megatron-core.")


@app.command("run")
def run_command(
    target: Target, overrides: Overrides = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Train a recipe's run, or all recipes of a directory; goes on from the last checkpoint."""
    if "RANK" in os.environ:
        from pretrain.safety.interrupt import StopRequest

        stop = StopRequest()  # before torch is imported, which takes seconds
        from pretrain import trainer

        _leave(trainer.main(target, overrides or (), force, stop))
    from launch.recipe import load_recipe
    from pretrain import launcher

    if target.is_dir():
        workers = launcher.recipes_of(target)[0].execution.workers
        launcher.run_directory_of_recipes(target, workers, force=force)
    else:
        launcher.run(load_recipe(target, overrides or ()), force=force, dry_run=dry_run)


@app.command("check")
def check_command(target: Target, overrides: Overrides = None) -> None:
    """Check a recipe against its corpus and a machine (gpus=64 kind=h100 price=2.5
    save_gigabytes_per_second=10) and print the plan; starts nothing."""
    from pretrain.planning.check_command import check

    print(check(target, overrides or ()))


@app.command("index")
def index_command(target: Target, overrides: Overrides = None) -> None:
    """Build the order of a recipe's data before its run: on a CPU, shared by all runs with it."""
    from launch.recipe import load_recipe
    from pretrain.data import index

    index.run(load_recipe(target, overrides or ()))


@app.command("trace")
def trace_command(
    target: RunDirectory,
    iterations: Annotated[
        str | None, typer.Option(help="FIRST:END: print the documents of these iterations.")
    ] = None,
    document: Annotated[
        str | None, typer.Option(help="An id: print where this document is read.")
    ] = None,
) -> None:
    """Print which documents a run's iterations read, or where a document is read; JSON lines."""
    from pretrain.data.tracing import print_trace

    print_trace(target, iterations, document)


@app.command("evaluate")
def evaluate_command(
    target: Target,
    checkpoint: Annotated[str | None, typer.Option(help="Its name; the last one without.")] = None,
) -> None:
    """Measure a run's checkpoint on the whole validation split; JSON on stdout."""
    if "RANK" in os.environ:
        from pretrain import trainer

        _leave(trainer.evaluate(target, checkpoint))
    from pretrain import launcher

    launcher.evaluate(target, checkpoint)


@app.command("average")
def average_command(
    target: Target,
    last: Annotated[int, typer.Option(help="Of how many of the last checkpoints.", min=0)] = 0,
    iterations: Annotated[str, typer.Option(help="Or of which ones: 100,150,200.")] = "",
) -> None:
    """Write the mean of a run's checkpoints' weights as a checkpoint beside them."""
    numbers = _numbers(iterations)
    if bool(last) == bool(numbers):
        raise UserError("average", "neither or both", "either --last or --iterations")
    if "RANK" in os.environ:
        from pretrain import trainer

        _leave(trainer.average(target, last, numbers))
    from pretrain import launcher

    launcher.average(target, last, numbers)


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",") if number.strip()]
    except ValueError:
        raise UserError("--iterations", repr(text), "numbers, as 100,150,200") from None


Run = Annotated[Path, typer.Argument(help="The directory of a run.", metavar="RUN")]


@app.command("watch")
def watch_command(
    target: Run,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and leave.")] = False,
) -> None:
    """Show a run as it goes, until it ends: curves, speed, time left, ranks."""
    from pretrain.view.watch import watch

    watch(target, once=once)


@app.command("report")
def report_command(
    targets: Annotated[list[Path], typer.Argument(help="Directories of runs.", metavar="RUN...")],
) -> None:
    """Write a page of curves, RUN/report.html; of several runs FIRST/comparison.html."""
    from pretrain.view.report import write_report

    print(write_report(targets))


@app.command("follow")
def follow_command(target: Run, overrides: Overrides = None) -> None:
    """Pass a run's metrics on to what its recipe names (TensorBoard, W&B), until it ends."""
    from pretrain.view.follow import follow_run

    follow_run(target, overrides or ())


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
    from pretrain.qualification.compare import compare_layouts

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
    from pretrain.qualification import qualify

    if not qualify.main(record=record):
        raise NumericalError(
            "this machine does not compute what it should",
            "each line that fails names the first layer that differs",
        )


@app.command("record-traces", hidden=True)
def record_traces_command(listing: Target) -> None:
    """One rank that records the traces of a list of jobs; `compare` and `qualify` start it."""
    from pretrain.qualification import trace_worker

    _leave(trace_worker.main(listing))


def _leave(exit_code: int) -> None:
    # Everything is on disk. To take torch, Megatron-core and gloo's threads apart would cost 1 s
    # for one process and 2 to 3 s for four on two cores (2026-11-21).
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    main(app)
