"""Which charts a report has: from the courses of the runs to lines and marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pretrain.contract import RunResult
from pretrain.view.course import Course
from pretrain.view.downsample import Numbers
from pretrain.view.people import number, plain
from pretrain.view.report_chart import Chart, Line, Mark

SOURCES_MAX = 24


@dataclass(frozen=True)
class Drawn:
    """One run of a report."""

    result: RunResult
    course: Course


@dataclass(frozen=True)
class Axis:
    """What the time axis counts: iterations, or tokens where iterations would not compare."""

    unit: str

    def of(self, course: Course, iterations: Numbers) -> Numbers:
        """Iterations of a run on this axis."""
        tokens = course.curve("train", "tokens")
        if self.unit == "iterations" or not len(tokens):
            return iterations
        x = np.concatenate(([0.0], tokens.x))
        return np.interp(iterations, x, np.concatenate(([0.0], tokens.y)))


def choose_axis(runs: Sequence[Drawn]) -> Axis:
    """Tokens for runs whose batches or sequences differ, else iterations."""
    sizes = {(run.result.batch_size, run.result.sequence_length) for run in runs}
    return Axis("tokens" if len(sizes) > 1 else "iterations")


def loss_chart(runs: Sequence[Drawn], axis: Axis) -> Chart:
    """The chart that everybody looks at: both losses, and what happened on the way."""
    lines = []
    for index, run in enumerate(runs):
        lines.append(_line(run, index, axis, "train", "loss", _named(runs, run, "training")))
        lines.append(_line(run, index, axis, "valid", "loss", _named(runs, run, "validation"),
                           dots=True))  # fmt: skip
    marks = [mark for index, run in enumerate(runs) for mark in _marks(run, index, axis)]
    return Chart("Loss", lines, marks, width=960.0, height=340.0, falls=True)


def small_charts(runs: Sequence[Drawn], axis: Axis) -> list[Chart]:
    """The other numbers of every line of metrics; those that were never known are left out."""
    table: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("Bits per byte, validation", "valid", "bits_per_byte", {}),
        ("Gradient norm, before clipping", "train", "gradient_norm", {"log_y": True}),
        ("Learning rate", "train", "learning_rate", {"from_zero": True}),
        ("Tokens per second", "train", "tokens_per_second", {"from_zero": True}),
        ("Model FLOP utilisation", "train", "mfu", {"from_zero": True}),
        ("Memory, bytes of the first process", "train", "memory_bytes", {"from_zero": True}),
        ("Batch, sequences", "train", "batch_size", {"from_zero": True}),
    )
    charts = []
    for title, event, key, options in table:
        lines = [
            _line(run, index, axis, event, key, _named(runs, run, ""), dots=event == "valid")
            for index, run in enumerate(runs)
        ]
        finite = [line.y[np.isfinite(line.y)] for line in lines]
        # A batch that never changes is a fact of the table, not a curve.
        constant = key == "batch_size" and all(len(np.unique(y)) < 2 for y in finite)
        if any(len(y) for y in finite) and not constant:
            charts.append(Chart(title, lines, **options))
    return charts


def source_charts(runs: Sequence[Drawn], axis: Axis) -> tuple[list[Chart], int]:
    """A chart for each source, those of most tokens first; and how many are left out."""
    names = list(dict.fromkeys(name for run in runs for name in run.course.sources()))
    charts = []
    for name in names[:SOURCES_MAX]:
        lines = []
        for index, run in enumerate(runs):
            for event, what in (("train_source", "training"), ("valid_source", "validation")):
                lines.append(_line(run, index, axis, event, "loss", _named(runs, run, what),
                                   source=name, dots=event == "valid_source"))  # fmt: skip
        charts.append(Chart(name, lines, falls=True, width=310.0, height=170.0))
    return charts, max(0, len(names) - SOURCES_MAX)


def _line(
    run: Drawn, index: int, axis: Axis, event: str, key: str, name: str, *,
    source: str = "", dots: bool = False,
) -> Line:  # fmt: skip
    curve = run.course.curve(event, key, source)
    return Line(name, index, axis.of(run.course, curve.x), curve.y, dots)


def _named(runs: Sequence[Drawn], run: Drawn, what: str) -> str:
    if len(runs) == 1:
        return what or "value"
    return f"{run.result.name}, {what}" if what else run.result.name


def _marks(run: Drawn, index: int, axis: Axis) -> list[Mark]:
    marks = []
    for event in run.course.marks:
        kind, at = event["event"], float(event["iteration"])
        places = axis.of(run.course, np.array([at]))
        where = f"{plain(run.result.name)}, iteration {event['iteration']:,}"
        start = None
        if kind == "intervention":
            text = (
                f"{event['kind']} {number(event['value'])}, limit {number(event['threshold'])}: "
                f"{event['action']}"
            )
        elif kind == "rewind":
            text = f"rewound to {event['to_iteration']:,}"
            start = float(axis.of(run.course, np.array([float(event["to_iteration"])]))[0])
        elif kind == "stage":
            text = f"stage {event['stage']}"
        elif kind == "branch":
            text = f"branched from {event['run']}, iteration {event['from_iteration']:,}"
        elif kind in ("resume", "checkpoint"):
            text = kind
        else:
            continue
        marks.append(Mark(kind, f"{where}: {text}", index, float(places[0]), start))
    # What matters most first: only so many are drawn.
    order = ("intervention", "rewind", "stage", "branch", "resume", "checkpoint")
    return sorted(marks, key=lambda mark: order.index(mark.kind))
