"""One figure: the runs with the fitted curves, and where a budget should go.

Left: loss against tokens, one curve for each size, the held-out run with its prediction, the
planned run with its interval. Right: the law's best parameter count against compute with its band.
Whatever lies beyond the fitted runs is dashed. No global matplotlib state is touched.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.interval import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling.fitted import FitResult, Fitted

_HELD_OUT, _PLANNED, _BAND = "#c0392b", "#1b7f4b", "#4a6fa5"


def figure(result: "FitResult", planned: dict[str, Any] | None = None) -> "Figure":
    """Both panels; `planned` is the fact of that name in a plan's manifest."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(11.0, 4.6), layout="constrained")
    left, right = drawn.subplots(1, 2, width_ratios=(1.15, 1.0))
    draw_curves(result, left, planned=planned)
    draw_frontier(result, right, planned=planned)
    return drawn


def png(drawn: "Figure") -> bytes:
    """The figure as PNG, without the time and version that matplotlib would write into it."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg

    stream = io.BytesIO()
    FigureCanvasAgg(drawn).print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def save(result: "FitResult", path: Path, planned: dict[str, Any] | None = None) -> None:
    """Write the figure of a fit to a PNG file."""
    path.write_bytes(png(figure(result, planned)))


def draw_curves(
    result: "FitResult", ax: "Axes | None" = None, *, planned: dict[str, Any] | None = None
) -> "Axes":
    """Loss against tokens, a curve for each size; returns the Axes that were drawn on.

    With more than eight sizes only every so many are drawn as curves; all runs are points.
    """
    from matplotlib import colormaps

    axes = _axes(ax)
    law = result.chinchilla
    runs = result.table["runs"]
    sizes = sorted({run["parameters_total"] for run in runs})
    span = np.log(sizes[-1] / sizes[0])
    palette = colormaps["viridis"]

    def color(size: float) -> Any:
        return palette(0.05 + 0.8 * (np.log(size / sizes[0]) / span if span > 0 else 0.0))

    labelled = [sizes[i] for i in np.unique(np.linspace(0, len(sizes) - 1, 8).astype(int))]
    low, high = result.observed["tokens"]
    # The largest run may lie beyond the fitted tokens; the curves reach it, dashed.
    top = max(high, max(run["tokens"] for run in runs))
    for size in labelled:
        _curve(axes, law, size, low / 1.4, high, top * 1.5, color(size), _count(size))
    dot = 5.0 if len(runs) <= 40 else 3.0
    held_out = set(result.table["held_out"])
    for run in runs:
        if run["name"] not in held_out:
            axes.plot(
                run["tokens"],
                run["loss_valid"],
                "o",
                ms=dot,
                zorder=3,
                color=color(run["parameters_total"]),
            )
    for index, tested in enumerate(law.held_out):
        _bar(
            axes,
            tested.tokens,
            tested.run_interval,
            _HELD_OUT,
            "_",
            f"held out: predicted {tested.predicted.value:.3f}" if index == 0 else None,
        )
        axes.plot(
            tested.tokens,
            tested.measured,
            "*",
            ms=11,
            color=_HELD_OUT,
            zorder=5,
            mec="white",
            label=f"held out: measured {tested.measured:.3f}",
        )
    if planned is not None:
        interval = Interval(**planned["loss_of_run"])
        size, tokens = planned["parameters_total"], planned["tokens"]
        reach = np.geomspace(low, max(tokens, low * 2.0), 80)
        axes.plot(reach, law.law.loss(np.full_like(reach, size), reach), ":", color=_PLANNED, lw=1)
        _bar(
            axes, tokens, interval, _PLANNED, "D", f"planned: {_count(size)}, {interval.value:.3f}"
        )
    axes.set_xscale("log")
    _plain_ticks(axes)
    axes.set_xlabel("training tokens")
    axes.set_ylabel("validation loss, nats per token")
    axes.set_title(
        f"Chinchilla fit to {len(law.residuals)} runs (total parameters)", loc="left", fontsize=11
    )
    axes.grid(visible=True, which="major", alpha=0.25)
    axes.legend(fontsize=8, frameon=False, ncols=2)
    return axes


def draw_frontier(
    result: "FitResult", ax: "Axes | None" = None, *, planned: dict[str, Any] | None = None
) -> "Axes":
    """The best parameter count against compute, with its band; returns the Axes."""
    axes = _axes(ax)
    law = result.chinchilla
    low, high = result.observed["flops"]
    top = max(high, planned["flops"] if planned else high) * 3.0
    compute = np.geomspace(low / 2.0, top, 80)
    bands = [_best_size(law, flops) for flops in compute.tolist()]
    best = np.array([band.value for band in bands])
    axes.fill_between(
        compute,
        [b.low for b in bands],
        [b.high for b in bands],
        color=_BAND,
        alpha=0.18,
        lw=0,
        label=f"{100 * law.confidence:.0f} % of bootstrap fits",
    )
    inside = compute <= high
    axes.plot(compute[inside], best[inside], color=_BAND, lw=2, label="best size by the law")
    axes.plot(compute[~inside], best[~inside], color=_BAND, lw=2, ls="--")
    axes.axvspan(low, high, color="0.5", alpha=0.10, lw=0, label="fitted runs")
    fitted_runs = [r for r in result.table["runs"] if r["name"] not in result.table["held_out"]]
    axes.plot(
        [6.0 * r["parameters_total"] * r["tokens"] for r in fitted_runs],
        [r["parameters_total"] for r in fitted_runs],
        "o",
        ms=4,
        color="0.45",
    )
    if planned is not None:
        axes.plot(
            planned["flops"],
            planned["parameters_total"],
            "D",
            ms=8,
            color=_PLANNED,
            zorder=5,
            label=f"planned: {_count(planned['parameters_total'])}",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    # A band that the runs do not bound would squeeze the rest to a line.
    centre = [r["parameters_total"] for r in result.table["runs"]] + best.tolist()
    axes.set_ylim(min(centre) / 4.0, max(centre) * 4.0)
    exponent = law.interval(lambda law: law.a)
    power = f"{exponent.value:.2f} ({exponent.low:.2f} to {exponent.high:.2f})"
    axes.set_title(f"best size ~ compute to the power {power}", loc="left", fontsize=11)
    axes.set_xlabel("training compute, FLOP = 6 x parameters x tokens")
    axes.set_ylabel("total parameters")
    axes.grid(visible=True, which="major", alpha=0.25)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return axes


def _best_size(law: "Fitted", flops: float) -> Interval:
    return law.interval(lambda law: law.optimum(flops).N)


def _axes(ax: "Axes | None") -> "Axes":
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(6.0, 4.4), layout="constrained").subplots()


def _curve(
    axes: "Axes",
    law: "Fitted",
    size: float,
    low: float,
    high: float,
    end: float,
    color: Any,
    label: str,
) -> None:
    inside = np.geomspace(low, high, 60)
    beyond = np.geomspace(high, end, 20)
    values = np.full_like(inside, size)
    axes.plot(inside, law.law.loss(values, inside), color=color, lw=1.6, label=label)
    axes.plot(
        beyond, law.law.loss(np.full_like(beyond, size), beyond), color=color, lw=1.2, ls="--"
    )


def _bar(
    axes: "Axes", tokens: float, interval: Interval, color: str, marker: str, label: str | None
) -> None:
    reach = [[interval.value - interval.low], [interval.high - interval.value]]
    axes.errorbar(
        [tokens],
        [interval.value],
        yerr=reach,
        fmt=marker,
        color=color,
        capsize=4,
        ms=8,
        lw=1.4,
        zorder=4,
        label=label,
    )


def _plain_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _count(value: float) -> str:
    """1234567 as 1.2M."""
    for scale, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"
