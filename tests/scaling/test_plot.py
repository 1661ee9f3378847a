"""The figure: drawn without a display, without touching global state, the same every time."""

from pathlib import Path

import numpy as np
import pytest

from scaling.allocate import allocate
from scaling.config import Fit, Plan
from scaling.contract import RunsTable
from scaling.fit import fit_table
from scaling.fitted import FitResult
from scaling.foreign import parse_overrides, plot_fit, print_fit
from scaling.laws import PUBLISHED
from scaling.plot import draw_curves, figure, png


@pytest.fixture(scope="module")
def result() -> FitResult:
    sizes, tokens = np.repeat([5e5, 9e5, 1.6e6, 3e6], 3), np.tile([5e4, 2e5, 8e5], 4)
    scatter = np.exp(np.random.default_rng(0).normal(0.0, 0.003, 12))
    table = RunsTable(
        names=tuple(f"run-{index}" for index in range(12)),
        tokens=tokens,
        loss=PUBLISHED["besiroglu"].loss(sizes, tokens) * scatter,
        parameters_total=sizes,
    )
    return fit_table(table, Fit(bootstrap_samples=20, polished_starts=4))


def test_the_figure_shows_runs_curves_prediction_and_plan(result: FitResult) -> None:
    planned = allocate(result, Plan(), padded_vocab_size=8192, tokens_available=4_000_000)
    drawn = figure(result, planned.to_json())
    left, right = drawn.axes
    labels = left.get_legend_handles_labels()[1]
    assert {"500k", "900k", "1.6M", "3M"} <= set(labels)
    assert any(label.startswith("held out: predicted") for label in labels)
    assert any(label.startswith("held out: measured") for label in labels)
    assert any(label.startswith("planned") for label in labels)
    assert left.get_xscale() == right.get_yscale() == "log"
    # A dashed piece for what lies beyond the runs.
    assert any(line.get_linestyle() == "--" for line in left.lines)
    measured = [line for line in left.lines if line.get_marker() == "o"]
    assert len(measured) == 11


def test_the_picture_is_the_same_every_time(result: FitResult) -> None:
    assert png(figure(result)) == png(figure(result))


def test_a_notebook_may_bring_its_own_axes(result: FitResult) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    assert result.plot(axes) is axes
    assert result.plot() is not axes
    assert draw_curves(result).get_xlabel() == "training tokens"
    assert dict(matplotlib.rcParams) == before


def test_a_foreign_table_is_fitted_to_stdout_and_drawn(
    tmp_path: Path, result: FitResult, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    from launch.errors import UserError

    table = tmp_path / "theirs.csv"
    result_frame = RunsTable(
        names=tuple(run["name"] for run in result.table["runs"]),
        tokens=np.array([run["tokens"] for run in result.table["runs"]]),
        loss=np.array([run["loss_valid"] for run in result.table["runs"]]),
        parameters_total=np.array([run["parameters_total"] for run in result.table["runs"]]),
    ).to_frame()
    result_frame.rename(columns={"parameters_total": "size"}).to_csv(table)
    overrides = ["columns.parameters_total=size", "scaling.fit.bootstrap_samples=20",
                 "scaling.fit.polished_starts=4"]  # fmt: skip
    print_fit(table, overrides)
    printed = json.loads(capsys.readouterr().out)
    assert printed["laws"]["chinchilla"]["coefficients"]["a"]["value"] == pytest.approx(
        result.chinchilla.law.a, rel=1e-6
    )
    path = tmp_path / "fit.json"
    path.write_text(json.dumps(printed))
    plot_fit(path)
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match=r"fit\.png"):
        plot_fit(path)


def test_options_of_a_foreign_fit() -> None:
    from launch.errors import UserError

    settings, columns = parse_overrides(["scaling.fit.seed=3", "columns.loss_valid=loss"])
    assert settings.seed == 3
    assert columns == {"loss_valid": "loss"}
    with pytest.raises(UserError, match="unknown key"):
        parse_overrides(["scaling.fit.sed=3"])
    with pytest.raises(UserError, match="another key"):
        parse_overrides(["run.seed=3"])
