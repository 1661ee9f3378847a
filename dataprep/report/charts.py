"""Histograms as inline SVG: kept below, dropped above, a dashed line where a rule decides.

In: bins of `histogram` as report.json holds them. Out: markup that is made of numbers only.
"""

import math
from collections.abc import Mapping, Sequence

from dataprep.report.histogram import BINS_PER_OCTAVE, LINEAR_BINS, scale

WIDTH, HEIGHT = 300.0, 96.0
_TOP, _BOTTOM = 6.0, 16.0
_BARS_MAX = LINEAR_BINS + 2
# On a logarithmic axis (0, 1] and 0 have one slot each, left of 1.
_SLOTS_BELOW_ONE = 2


def chart(found: Mapping[str, Sequence[int]], thresholds: Sequence[float]) -> str:
    """One histogram; heights grow with the square root of the number of documents.

    The axis is linear where no number is above 1, logarithmic where one is.
    """
    numbered = {int(position): (pair[0], pair[1]) for position, pair in found.items()}
    logarithmic = max(numbered) > LINEAR_BINS
    slots: dict[int, list[int]] = {}
    for position, pair in numbered.items():
        slot = slots.setdefault(_slot(position, logarithmic), [0, 0])
        slot[0] += pair[0]
        slot[1] += pair[1]
    first, last = min(slots), max(slots) + 1
    if not logarithmic:
        # The whole interval, unless nearly everything is near zero.
        first, last = min(first, 0), LINEAR_BINS if last > 15 else max(last, 5)
    width = math.ceil((last - first) / _BARS_MAX)
    bars: dict[int, list[int]] = {}
    for left, numbers in slots.items():
        bar = bars.setdefault((left - first) // width, [0, 0])
        bar[0] += numbers[0]
        bar[1] += numbers[1]
    unit = WIDTH / (last - first)
    highest = max(kept + dropped for kept, dropped in bars.values())
    pieces = []
    for position in sorted(bars):
        pieces += _bar(bars[position], position * width * unit, width * unit, highest)
    base = HEIGHT - _BOTTOM
    pieces.append(f'<line class="axis" x1="0" y1="{base:g}" x2="{WIDTH:g}" y2="{base:g}"/>')
    for value in thresholds:
        place = (_place(value, logarithmic) - first) * unit
        if 0 <= place <= WIDTH:
            pieces.append(
                f'<line class="rule" x1="{place:.1f}" y1="0" x2="{place:.1f}" y2="{base:g}"/>'
            )
    pieces += _ticks(first, last, unit, logarithmic)
    view = f"0 0 {WIDTH:g} {HEIGHT:g}"
    return f'<svg viewBox="{view}" role="img" aria-label="histogram">{"".join(pieces)}</svg>'


def _slot(position: int, logarithmic: bool) -> int:
    """Left end of a bin on the axis; zero and negative numbers stand left of everything."""
    if position <= 0:
        return -_SLOTS_BELOW_ONE if logarithmic else -1
    if not logarithmic:
        return position - 1
    return position - LINEAR_BINS - 1 if position > LINEAR_BINS else -1


def _place(value: float, logarithmic: bool) -> float:
    """Where a number stands on the axis."""
    if not logarithmic:
        return scale(value)
    if value <= 0:
        return -1.0
    return scale(value) - LINEAR_BINS if value >= 1 else value - 1.0


def _bar(numbers: Sequence[int], left: float, width: float, highest: int) -> list[str]:
    kept, dropped = numbers
    full = (HEIGHT - _BOTTOM - _TOP) * math.sqrt((kept + dropped) / highest)
    below = full * kept / (kept + dropped)
    base = HEIGHT - _BOTTOM
    size = max(width - 0.8, 0.6)
    pieces = []
    if kept:
        pieces.append(_rectangle("k", left, base - below, size, below))
    if dropped:
        pieces.append(_rectangle("d", left, base - full, size, full - below))
    return pieces


def _rectangle(name: str, left: float, top: float, width: float, height: float) -> str:
    return (
        f'<rect class="{name}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}"/>'
    )


def _ticks(first: int, last: int, unit: float, logarithmic: bool) -> list[str]:
    if logarithmic:
        bottom = 0 if first < 0 else first
        low, high = 2.0 ** (bottom / BINS_PER_OCTAVE), 2.0 ** (last / BINS_PER_OCTAVE)
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if len(decades) <= 3 else (1,)
        values = [step * 10.0**decade for decade in decades for step in steps]
        values = [value for value in values if low <= value <= high]
        every = math.ceil(len(values) / 7)
        values = values[::every] if values else [low]
    else:
        step = 0.25 if last > 25 else 0.1
        values = [step * i for i in range(int(last / LINEAR_BINS / step + 1e-9) + 1)]
    pieces = []
    if first < -1 or (first < 0 and not logarithmic and unit > 12):
        pieces.append(_tick("0", unit / 2))
    zero_stands = bool(pieces)
    for value in values:
        if value == 0 and zero_stands:
            continue
        place = (_place(value, logarithmic) - first) * unit
        if place <= WIDTH and not (pieces and place < 14):
            pieces.append(_tick(_short(value), place))
    return pieces


def _tick(label: str, place: float) -> str:
    anchor = "start" if place < 8 else "end" if place > WIDTH - 8 else "middle"
    return f'<text x="{place:.1f}" y="{HEIGHT - 4:g}" text-anchor="{anchor}">{label}</text>'


def _short(value: float) -> str:
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{name}"
    return f"{value:g}"
