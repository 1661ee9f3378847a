"""The figures of models and people: `python -m benchmarks.dataprep_models [--only NAME] [--list]`.

Like `benchmarks.dataprep`: one JSON object a line, every value computed in this run. Each module
has a function `figures` that yields names and computations.
"""

import importlib
from typing import Annotated

import typer

from benchmarks.dataprep import print_figures

MODULES = (
    "dataprep_models_classifiers",
    "dataprep_models_annotator",
    "dataprep_models_perplexity",
    "dataprep_models_pii",
    "dataprep_models_pii_national",
    "dataprep_models_pii_speed",
    "dataprep_models_rights",
    "dataprep_models_whole",
)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Names, or beginnings of names.")] = None,
    names: Annotated[bool, typer.Option("--list", help="Print the names only.")] = False,
) -> None:
    """Print each figure as soon as it is there."""
    modules = [importlib.import_module(f"benchmarks.{name}") for name in MODULES]
    print_figures(dict(pair for module in modules for pair in module.figures()), only, names)


if __name__ == "__main__":
    typer.run(main)
