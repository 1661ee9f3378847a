"""One chart as inline SVG: axes, lines, marks. Made of numbers, and of names that are escaped.

The script of the page reads a chart's values back from the places of its points, by the ends of
the axes that stand in the attributes of the `svg` element; so no number is in the page twice.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pretrain.view.downsample import Numbers, extremes, means
from pretrain.view.people import number, plain, short

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 12.0, 22.0
_SMOOTH_FROM = 100  # points from which on a line is drawn smoothed, over all its extremes
_SMOOTH_COLUMNS = 120
_MARKS_MAX = 200
# The part of the time axis in which a loss falls so far that the rest would look flat.
_SETTLED = 0.1


@dataclass(frozen=True)
class Line:
    """A curve of one run: `dots` for one that has few points that each count."""

    name: str
    run: int
    x: Numbers
    y: Numbers
    dots: bool = False


@dataclass(frozen=True)
class Mark:
    """A place on the time axis: a line there, or a band up to it from `start`."""

    kind: str
    text: str
    run: int
    x: float
    start: float | None = None


@dataclass(frozen=True)
class Chart:
    """What is drawn: lines of any length."""

    title: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = field(default_factory=tuple)
    width: float = 470.0
    height: float = 190.0
    log_y: bool = False
    falls: bool = False  # whether the fall at the beginning may leave the chart at the top
    from_zero: bool = False


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float
    log: bool

    def place(self, values: Numbers) -> Numbers:
        """Where values stand, in units of the SVG; those below a logarithmic axis at its end."""
        low, high = self.low, self.high
        if self.log:
            values = np.log10(np.maximum(values, low))
            low, high = math.log10(low), math.log10(high)
        places: Numbers = self.start + (values - low) / (high - low) * (self.end - self.start)
        return places

    def ticks(self, most: int) -> list[float]:
        """Round numbers on the axis, at most about `most`."""
        if self.log and self.high / self.low >= 3:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            for steps in ((1, 2, 5), (1, 3), (1,)):
                values = [s * 10.0**p for p in range(first, last + 1) for s in steps]
                values = [v for v in values if self.low * 0.999 <= v <= self.high * 1.001]
                if len(values) <= most:
                    return values
            return values[:: math.ceil(len(values) / most)]
        rough = (self.high - self.low) / most
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * s for s in (1, 2, 2.5, 5, 10) if unit * s >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [(first + i) * step for i in range(count)]


def draw(chart: Chart, unit: str, log_x: bool) -> str:
    """The SVG; `unit` is what the time axis counts. A chart without any point says so."""
    lines = [line for line in chart.lines if np.isfinite(line.y).any()]
    title = html.escape(plain(chart.title))
    if not lines:
        return f'<p class="none">{title}: nothing was recorded.</p>'
    x_axis, y_axis = _axes(chart, lines, log_x)
    inside = "".join(
        [*(_mark(mark, x_axis, y_axis) for mark in chart.marks[:_MARKS_MAX]),
         *(_line(line, x_axis, y_axis) for line in lines)]
    )  # fmt: skip
    kind = "log" if log_x else "linear"
    # A little more than between the axes, so that a dot at the end is whole.
    box = (x_axis.start - 4, _TOP - 4, x_axis.end - x_axis.start + 8, y_axis.start - _TOP + 8)
    left, top, wide, high = (f"{value:g}" for value in box)
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {chart.width:g} {chart.height:g}" role="img" '
        f'tabindex="0" aria-label="{_spoken(chart, lines, unit)}" data-x="{_ends(x_axis)}" '
        f'data-y="{_ends(y_axis)}" data-unit="{html.escape(unit)}">'
        f"{_grid(x_axis, y_axis, chart)}"
        f'<svg x="{left}" y="{top}" width="{wide}" height="{high}" '
        f'viewBox="{left} {top} {wide} {high}">{inside}</svg>'
        f'<line class="cross" x1="0" x2="0" y1="{_TOP:g}" y2="{y_axis.start:g}"/></svg>'
    )


def _axes(chart: Chart, lines: Sequence[Line], log_x: bool) -> tuple[_Axis, _Axis]:
    ends = [x for line in lines for x in (line.x[0], line.x[-1])]
    ends += [mark.x for mark in chart.marks]
    x_low, x_high = (max(1.0, min(ends)) if log_x else 0.0), max(*ends, 1.0)
    if x_high <= x_low:
        x_high = x_low * 10 if log_x else x_low + 1
    from_x = -math.inf if log_x or not chart.falls else _SETTLED * x_high
    values = np.concatenate([line.y[line.x >= from_x] for line in lines])
    values = values[np.isfinite(values)]
    if not len(values):
        values = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
    low, high = float(values.min()), float(values.max())
    log_y = chart.log_y and high > 0
    if log_y:
        low = max(low, float(values[values > 0].min()))
        low, high = low / 1.1, high * 1.1
    else:
        margin = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
        low = 0.0 if chart.from_zero and low >= 0 else low - margin
        high += margin
    return (
        _Axis(x_low, x_high, _LEFT, chart.width - _RIGHT, log_x),
        _Axis(low, high, chart.height - _BOTTOM, _TOP, log_y),
    )


def _line(line: Line, x_axis: _Axis, y_axis: _Axis) -> str:
    name, color = html.escape(plain(line.name), quote=True), f"run{line.run % 8}"
    dash = " dashed" if line.run >= 8 else ""
    toggle = f"of{line.run}"
    finite = np.isfinite(line.y)
    x, y = line.x[finite], line.y[finite]
    columns = int(x_axis.end - x_axis.start)
    edges = _edges(x_axis, columns // 2)
    kept = extremes(x, y, edges)
    points = _points(x[kept], y[kept], x_axis, y_axis)
    if line.dots:
        circles = "".join(
            f'<circle cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="2.6"/>'
            for point in points.split()
        )
        return (
            f'<g class="{color} {toggle} dots"><polyline class="read{dash}" data-name="{name}" '
            f'points="{points}"/>{circles}</g>'
        )
    if len(x) < _SMOOTH_FROM:
        return (
            f'<g class="{color} {toggle}"><polyline class="read{dash}" data-name="{name}" '
            f'points="{points}"/></g>'
        )
    smoothing = _edges(x_axis, min(_SMOOTH_COLUMNS, len(x) // 4))
    smooth = _points(*means(x, y, smoothing), x_axis, y_axis)
    return (
        f'<g class="{color} {toggle}"><polyline class="raw" points="{points}"/>'
        f'<polyline class="read{dash}" data-name="{name}" points="{smooth}"/></g>'
    )


def _edges(axis: _Axis, count: int) -> Numbers:
    make = np.geomspace if axis.log else np.linspace
    edges: Numbers = make(axis.low, axis.high, count + 1)
    return edges[1:-1]


def _points(x: Numbers, y: Numbers, x_axis: _Axis, y_axis: _Axis) -> str:
    # Far outside of what is shown one place is as good as another, and shorter.
    rows = np.clip(y_axis.place(y), -2000.0, 2000.0)
    pairs = zip(x_axis.place(x).tolist(), rows.tolist(), strict=True)
    return " ".join(f"{left:.5g},{top:.5g}" for left, top in pairs)


def _mark(mark: Mark, x_axis: _Axis, y_axis: _Axis) -> str:
    start = mark.x if mark.start is None else mark.start
    left, right = x_axis.place(np.array([max(start, x_axis.low), mark.x])).tolist()
    text = f"<title>{html.escape(plain(mark.text))}</title>"
    group = f'<g class="mark {mark.kind} of{mark.run}">{text}'
    top, base = _TOP, y_axis.start
    if mark.start is not None:
        return (
            f'{group}<rect x="{left:.1f}" y="{top:g}" width="{max(right - left, 0.5):.1f}" '
            f'height="{base - top:g}"/></g>'
        )
    if mark.kind == "checkpoint":
        top = base - 5
    flag = ""
    if mark.kind == "intervention":
        flag = f'<path d="M{right - 4:.1f} {top - 4:g}h8l-4 7z"/>'
    return f'{group}<line x1="{right:.1f}" x2="{right:.1f}" y1="{top:g}" y2="{base:g}"/>{flag}</g>'


def _grid(x_axis: _Axis, y_axis: _Axis, chart: Chart) -> str:
    pieces = []
    rows = y_axis.ticks(max(4, int(chart.height / 32)))
    for value, place in zip(rows, y_axis.place(np.array(rows)).tolist(), strict=True):
        pieces.append(
            f'<line class="grid" x1="{x_axis.start:g}" x2="{x_axis.end:g}" y1="{place:.1f}" '
            f'y2="{place:.1f}"/><text x="{x_axis.start - 6:g}" y="{place + 3.5:.1f}" '
            f'text-anchor="end">{_label(value)}</text>'
        )
    base = y_axis.start
    columns = x_axis.ticks(max(3, int(chart.width / 95)))
    for value, place in zip(columns, x_axis.place(np.array(columns)).tolist(), strict=True):
        anchor = "end" if place > x_axis.end - 12 else "middle"
        pieces.append(
            f'<line class="axis" x1="{place:.1f}" x2="{place:.1f}" y1="{base:g}" '
            f'y2="{base + 3:g}"/><text x="{place:.1f}" y="{base + 15:g}" '
            f'text-anchor="{anchor}">{short(value)}</text>'
        )
    pieces.append(
        f'<line class="axis" x1="{x_axis.start:g}" x2="{x_axis.end:g}" y1="{base:g}" '
        f'y2="{base:g}"/>'
    )
    return "".join(pieces)


def _label(value: float) -> str:
    return short(value) if abs(value) >= 1000 else number(value, 3) if value else "0"


def _ends(axis: _Axis) -> str:
    kind = "log" if axis.log else "linear"
    return f"{axis.low:.9g} {axis.high:.9g} {axis.start:g} {axis.end:g} {kind}"


def _spoken(chart: Chart, lines: Sequence[Line], unit: str) -> str:
    """The chart in words, for who does not see it."""
    parts = []
    for line in lines[:6]:
        finite = np.isfinite(line.y)
        x, y = line.x[finite], line.y[finite]
        parts.append(
            f"{plain(line.name)}: {number(float(y[0]))} at {short(float(x[0]))} {unit}, "
            f"{number(float(y[-1]))} at {short(float(x[-1]))}, lowest {number(float(y.min()))}, "
            f"highest {number(float(y.max()))}"
        )
    return html.escape(f"{plain(chart.title)}. {'; '.join(parts)}.", quote=True)
