"""Collect: the ladder's `result.json` files become one runs table.

Only results that a run wrote about itself are read, never logs or names (a table scraped from a log
puts a zero where a number is missing, and the fit bends without a word).
"""

import csv
import io
from pathlib import Path
from typing import Any

from launch.errors import UserError
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import Input, Manifest, check_current, digest_json, read_manifest
from launch.recipe import Recipe
from pretrain.contract import read_result
from scaling import contract, ladder
from scaling.commit import commit
from scaling.contract import COLUMNS, FILE_NAME, table_of_rows


def run(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> Manifest | None:
    """The stage: write `scaling/runs/runs.csv` and its manifest.

    Returns the manifest (None for a dry run). Raises `UserError` naming the runs that are missing,
    unfinished, failed, or not comparable with the others.
    """
    directory = recipe.scaling_directory / "runs"
    log = get_logger("scaling")
    made = read_manifest(recipe.scaling_directory / "ladder", ladder.KIND, ladder.VERSION)
    names = [str(rung["name"]) for rung in made.facts["runs"]]
    if dry_run:
        trained = [(_run_directory(recipe, name) / "result.json").exists() for name in names]
        print(f"collect: {len(names)} runs, {trained.count(False)} of them not yet trained")
        return None
    rows = read_results([_run_directory(recipe, name) for name in names])
    config = {"runs": sorted(names)}
    # The digest is of the row, not of the file: how long a run took is no part of the table.
    inputs = [Input(f"runs/{row['name']}/result.json", digest_json(row)) for row in rows]
    current = check_current(directory, contract.KIND, contract.VERSION, config, inputs, force)
    if current is not None:
        log.info("collect: up to date")
        return current
    table_of_rows(rows, str(recipe.scaling_directory / "ladder"))
    rows.sort(key=lambda row: (row["parameters_total"], row["tokens"], row["name"]))
    with lock(directory), timed(directory, "scaling collect"):
        manifest = commit(
            directory,
            {FILE_NAME: csv_text(rows)},
            kind=contract.KIND,
            version=contract.VERSION,
            config=config,
            inputs=inputs,
            facts={"num_runs": len(rows), "columns": {c.name: c.unit for c in COLUMNS}},
            rows={FILE_NAME: len(rows)},
        )
    log.info("collect: %d runs in %s", len(rows), directory / FILE_NAME)
    return manifest


def read_results(directories: list[Path]) -> list[dict[str, Any]]:
    """Rows of the runs table, keys as in `contract.COLUMNS`; a value that is absent is None.

    Raises `UserError` for a missing or unreadable result; what a row says is checked by
    `contract.table_of_rows`.
    """
    missing = [path for path in directories if not (path / "result.json").exists()]
    if missing:
        hint = "`gristmill run RECIPE` trains what is missing; `gristmill pretrain run` one of them"
        got = f"no result for {len(missing)} of {len(directories)} runs"
        raise UserError(str(missing[0]), got, "a finished run", hint)
    results = [read_result(directory).model_dump(mode="json") for directory in directories]
    return [{column.name: result[column.name] for column in COLUMNS} for result in results]


def csv_text(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV; floats in full, None as nothing."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [column.name for column in COLUMNS], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if value is None else value for name, value in row.items()})
    return stream.getvalue()


def _run_directory(recipe: Recipe, name: str) -> Path:
    return recipe.run.root / "runs" / name
