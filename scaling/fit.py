"""Fit both laws to a runs table: robustly, with intervals, and tested on a run they did not see.

`fit_table` is for notebooks and other people's tables; `run` is the stage: `scaling/runs/runs.csv`
to `scaling/fit/fit.json`.
"""

import json
from typing import Any

import numpy as np

from launch.errors import UserError
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import Input, Manifest, check_current, digest_json, read_manifest
from launch.recipe import Recipe
from scaling import contract
from scaling.bootstrap import Bootstrap, bootstrap
from scaling.cautions import cautions
from scaling.commit import commit
from scaling.config import Fit
from scaling.contract import RunsTable, read_table
from scaling.fitted import FILE_NAME, KIND, VERSION, FitResult, Fitted, HeldOut
from scaling.forms import FORMS, Form, Logs, law_of, significant
from scaling.robust import Optimum, fit_form, on_bounds


def fit_table(table: RunsTable, settings: Fit | None = None) -> FitResult:
    """Fit every law whose parameter count the table has. Deterministic.

    The run with the most FLOP is left out and predicted (`settings.hold_out`). Raises `UserError`
    if fewer runs remain than a law has coefficients plus one, or if they do not span two sizes and
    two token counts.
    """
    settings = settings or Fit()
    keep = np.ones(len(table), dtype=bool)
    if settings.hold_out == "largest":
        keep[_largest(table)] = False
    fitted_runs, held_out = table.select(keep), table.select(~keep)
    _check_spread(fitted_runs)
    laws = {}
    for form in FORMS:
        if table.has(form.parameter_count):
            laws[form.kind] = _fit_law(form, fitted_runs, held_out, settings)
    rows = table.to_rows()
    return FitResult(
        laws=laws,
        observed=_observed(fitted_runs),
        settings=settings.model_dump(mode="json"),
        table={
            "digest": digest_json(rows),
            "runs": rows,
            "fitted": list(fitted_runs.names),
            "held_out": list(held_out.names),
        },
    )


def run(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> Manifest | None:
    """The stage: fit the ladder's runs table, write `scaling/fit/fit.json` and its manifest.

    Returns the manifest (None for a dry run). Raises `UserError` if the table is missing or wrong.
    """
    directory = recipe.scaling_directory / "fit"
    runs_directory = recipe.scaling_directory / "runs"
    log = get_logger("scaling")
    settings = recipe.scaling.fit
    config = {"fit": settings.model_dump(mode="json")}
    runs = read_manifest(runs_directory, contract.KIND, contract.VERSION)
    inputs = (Input("runs", runs.files_digest),)
    current = check_current(directory, KIND, VERSION, config, inputs, force)
    if current is not None:
        log.info("fit: up to date")
        return current
    table = read_table(runs_directory / contract.FILE_NAME)
    if dry_run:
        print(f"fit: {len(table)} runs, {settings.bootstrap_samples} bootstrap samples")
        return None
    with lock(directory), timed(directory, "scaling fit"):
        result = fit_table(table, settings)
        text = json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n"
        manifest = commit(
            directory, {FILE_NAME: text}, kind=KIND, version=VERSION, config=config, inputs=inputs,
            facts=_facts(result),
        )  # fmt: skip
    for line in result.summary().splitlines():
        log.info("%s", line)
    return manifest


def _fit_law(form: Form, runs: RunsTable, held_out: RunsTable, settings: Fit) -> Fitted:
    num_free = len(form.free_names)
    if len(runs) <= num_free:
        raise UserError(
            "runs table", f"{len(runs)} runs to fit", f"more than the {num_free} coefficients of "
            f"the {form.kind} law", "add runs to the ladder, or set scaling.fit.hold_out=none",
        )  # fmt: skip
    logs = Logs.of(runs.parameters(form.parameter_count), runs.tokens, runs.loss)
    optimum = fit_form(form, logs, settings.huber_delta, settings.polished_starts)
    drawn = bootstrap(
        form, logs, optimum, settings.huber_delta, settings.bootstrap_samples, settings.seed
    )
    if len(drawn.free) < settings.bootstrap_samples / 2:
        raise UserError(
            "runs table", f"{drawn.num_failed} of {drawn.num_samples} resamplings too poor to fit",
            "at most half", "the intervals would mean nothing: more runs are needed",
        )  # fmt: skip
    predicted, _ = form.predict(optimum.free, logs)
    without_cautions = Fitted(
        law=law_of(form, optimum.free, logs),
        samples=tuple(law_of(form, free, logs) for free in drawn.free),
        noise=tuple(significant(value) for value in drawn.noise.tolist()),
        confidence=settings.confidence,
        objective=significant(optimum.objective),
        residuals={
            name: significant(residual)
            for name, residual in zip(runs.names, (logs.loss - predicted).tolist(), strict=True)
        },
        held_out=(),
        search=_search_facts(form, optimum, logs),
        bootstrap=_bootstrap_facts(drawn),
        cautions=(),
    )
    tested = tuple(_test(without_cautions, held_out, index) for index in range(len(held_out)))
    found = cautions(without_cautions, runs, tested)
    return Fitted(**{**vars(without_cautions), "held_out": tested, "cautions": found})


def _test(fitted: Fitted, held_out: RunsTable, index: int) -> HeldOut:
    parameters = float(held_out.parameters(fitted.law.parameter_count)[index])
    tokens = float(held_out.tokens[index])
    return HeldOut(
        name=held_out.names[index],
        parameters=parameters,
        tokens=tokens,
        measured=float(held_out.loss[index]),
        predicted=fitted.loss(parameters, tokens),
        run_interval=fitted.loss_of_run(parameters, tokens),
    )


def _largest(table: RunsTable) -> int:
    """Index of the run with the most FLOP; of equals the one whose name sorts last."""
    flops = table.flops.tolist()
    return max(range(len(table)), key=lambda index: (flops[index], table.names[index]))


def _check_spread(runs: RunsTable) -> None:
    count = "total" if runs.has("total") else "nonembedding"
    sizes = len(np.unique(runs.parameters("total" if count == "total" else "nonembedding")))
    token_counts = len(np.unique(runs.tokens))
    if sizes < 2 or token_counts < 2:
        raise UserError(
            "runs table", f"{sizes} sizes and {token_counts} token counts", "at least 2 of each",
            "a law of two variables needs both to vary",
        )  # fmt: skip


def _observed(runs: RunsTable) -> dict[str, tuple[float, float]]:
    columns = {"tokens": runs.tokens, "flops": runs.flops, "loss_valid": runs.loss}
    if runs.parameters_total is not None:
        columns["parameters_total"] = runs.parameters_total
    if runs.parameters_nonembedding is not None:
        columns["parameters_nonembedding"] = runs.parameters_nonembedding
    return {name: (float(values.min()), float(values.max())) for name, values in columns.items()}


def _search_facts(form: Form, optimum: Optimum, logs: Logs) -> dict[str, Any]:
    exponents = [law_of(form, free, logs).a for free in optimum.valley]
    return {
        "num_starts": optimum.num_starts,
        "num_polished": len(optimum.polished),
        "share_at_optimum": round(optimum.share_at_optimum, 4),
        "valley_a": [significant(min(exponents), 6), significant(max(exponents), 6)],
        "condition_number": significant(optimum.condition_number, 4),
        "on_bounds": list(on_bounds(optimum.free, form)),
    }


def _bootstrap_facts(drawn: Bootstrap) -> dict[str, Any]:
    return {
        "num_samples": drawn.num_samples,
        "num_used": len(drawn.free),
        "num_failed": drawn.num_failed,
        "bound_shares": {name: round(share, 4) for name, share in drawn.bound_shares.items()},
    }


def _facts(result: FitResult) -> dict[str, Any]:
    """What a summary shows, without the bootstrap samples."""
    data = result.to_json()
    for law in data["laws"].values():
        del law["samples"], law["noise"], law["residuals"]
    del data["table"]["runs"]
    return {"table": data["table"], "observed": data["observed"], "laws": data["laws"]}
