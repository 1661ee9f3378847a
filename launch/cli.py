"""The command line: `gristmill STAGE VERB TARGET [key=value …] [--dry-run] [--force]`.

Each stage's verbs stand in its own `__main__.py`, so that `python -m STAGE VERB …` is the same
command (torchrun and Ray jobs need that form). Two flags in total; all else is `key=value`.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from launch.errors import GristmillError, full_disk

STAGES = {
    "dataprep": "Raw text to documents: filter, remove personal data, deduplicate.",
    "tokenizer": "Documents to a tokenizer, and the corpus to tokens.",
    "pretrain": "Tokens to a trained model, with Megatron-core.",
    "scaling": "Runs to fitted scaling laws, and from them the plan of the next run.",
    "launch": "All stages in order; cluster scripts; the state of this machine.",
}

Target = Annotated[Path, typer.Argument(help="The recipe (TOML).")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Changes to the recipe, such as run.seed=2.", metavar="[KEY=VALUE]..."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, print the plan, stop.")]
Force = Annotated[bool, typer.Option("--force", help="Build again what lies there finished.")]


def new_app(name: str, help: str) -> typer.Typer:
    """A stage's command group. The verb is always there, also where a stage has only one."""
    app = typer.Typer(
        name=name,
        help=help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)
    return app


def main(app: typer.Typer, arguments: Sequence[str] | None = None, name: str | None = None) -> None:
    """Run a stage's command; a `GristmillError` becomes one line, a hint and its exit code."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name=name)
    except GristmillError as error:
        _stop(error)
    except OSError as error:
        told = full_disk(error)
        if told is None:
            raise
        _stop(told)


def _stop(error: GristmillError) -> NoReturn:
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"\nhint: {error.hint}", file=sys.stderr)
    raise SystemExit(error.exit_code) from None


def entry() -> None:
    """The `gristmill` command. A stage's module is imported only when it is called."""
    root = typer.Typer(
        help="From raw text to a trained language model. `gristmill run RECIPE` does all of it.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    for stage, help in STAGES.items():
        root.command(stage, help=help, context_settings=passed_on)(_stage_command(stage))
    short = "Short for `launch run`: the whole recipe, skipping what is current."
    root.command("run", help=short, context_settings=passed_on)(_stage_command("launch", "run"))
    root(prog_name="gristmill")


def _stage_command(stage: str, *verb: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        app = importlib.import_module(f"{stage}.__main__").app
        main(app, [*verb, *context.args], name=f"gristmill {stage}")

    return command


if __name__ == "__main__":
    entry()
