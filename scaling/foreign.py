"""Other people's runs from the command line: a CSV table to a fit, a fit to a figure.

gristmill scaling fit chinchilla.csv columns.parameters_total=params columns.loss_valid=loss
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launch.config import parse_model
from launch.errors import UserError
from launch.log import get_logger
from scaling.config import Fit

_FIT_KEY = "scaling.fit."
_COLUMN_KEY = "columns."


def print_fit(path: Path, overrides: Sequence[str], *, dry_run: bool = False) -> None:
    """Fit a CSV table; fit.json goes to stdout, the summary to stderr.

    Overrides are `scaling.fit.KEY=VALUE` and `columns.OURS=THEIRS`. Raises `UserError`.
    """
    from scaling.contract import read_table
    from scaling.fit import fit_table

    settings, columns = parse_overrides(overrides)
    table = read_table(path, columns)
    if dry_run:
        print(f"fit: {len(table)} runs of {path}")
        return
    result = fit_table(table, settings)
    print(json.dumps(result.to_json(), indent=1, allow_nan=False))
    for line in result.summary().splitlines():
        get_logger("scaling").info("%s", line)


def plot_fit(path: Path, *, dry_run: bool = False, force: bool = False) -> None:
    """Draw a fit.json into a PNG beside it. Raises `UserError` if that is there already."""
    from scaling.fitted import read_fit
    from scaling.plot import save

    result = read_fit(path)
    target = path.with_suffix(".png")
    if target.exists() and not force:
        raise UserError(str(target), "a file", "a free place", "--force draws over it")
    if dry_run:
        print(f"plot: {target}")
        return
    save(result, target)
    get_logger("scaling").info("plot: %s", target)


def parse_overrides(overrides: Sequence[str]) -> tuple[Fit, dict[str, str]]:
    """Settings of the fit, and our column names to theirs."""
    import tomllib

    settings: dict[str, Any] = {}
    columns: dict[str, str] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.startswith((_FIT_KEY, _COLUMN_KEY)):
            expected = f"{_FIT_KEY}KEY=VALUE or {_COLUMN_KEY}OURS=THEIRS"
            raise UserError(f"argument '{override}'", "another key", expected)
        if key.startswith(_COLUMN_KEY):
            columns[key.removeprefix(_COLUMN_KEY)] = text
            continue
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        settings[key.removeprefix(_FIT_KEY)] = value
    return parse_model(Fit, settings, "scaling.fit"), columns
