"""The figures of dataprep: `python -m benchmarks.dataprep [--only FIGURE] [--list]`.

One JSON object a line: figure, value, target (null: reported only), holds; every value is computed
in this run. Rates are medians of five at least. datatrove runs in an environment of its own,
`.venv-datatrove`, which is made if it is not there.
"""

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

# Each module maps names of figures to functions that give value, target and whether it holds.
MODULES = (
    "dataprep_rules",
    "dataprep_language",
    "dataprep_extraction",
    "dataprep_reading",
    "dataprep_retune",
    "dataprep_speed",
)

Figure = Callable[[], tuple[Any, Any, bool | None]]


def figures(modules: Sequence[str] = MODULES) -> dict[str, Figure]:
    """Every figure of these modules by its name."""
    found: dict[str, Figure] = {}
    for name in modules:
        found |= importlib.import_module(f"benchmarks.{name}").FIGURES
    return found


def print_figures(found: dict[str, Figure], only: list[str] | None, names: bool) -> None:
    """Print those whose names begin with one of `only`, each as soon as it is there."""
    chosen = {
        name: figure
        for name, figure in found.items()
        if not only or any(name.startswith(prefix) for prefix in only)
    }
    if not chosen:
        raise typer.BadParameter(f"no figure begins with {only}; try --list")
    for name, figure in chosen.items():
        if names:
            print(name)
            continue
        try:
            value, target, holds = figure()
        except FileNotFoundError as error:
            print(f"{name}: not measured: {error}", file=sys.stderr)
            continue
        line = {"figure": name, "value": value, "target": target, "holds": holds}
        print(json.dumps(line), flush=True)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Names, or beginnings of names.")] = None,
    names: Annotated[bool, typer.Option("--list", help="Print the names only.")] = False,
) -> None:
    """Print each figure as soon as it is there."""
    print_figures(figures(), only, names)


if __name__ == "__main__":
    typer.run(main)
