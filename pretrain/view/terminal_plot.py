"""Curves in a terminal: a plot of braille dots with its axes, and a line of blocks."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pretrain.view.downsample import Numbers, means

_BLOCKS = "▁▂▃▄▅▆▇█"
# Bits of the eight dots of a braille character, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800

Cell = tuple[str, int]  # a character, and the number of the curve that it is of, -1 for none


def plot(
    curves: Sequence[tuple[Numbers, Numbers]],
    width: int,
    height: int,
    x_range: tuple[float, float],
    most: float | None = None,
) -> tuple[list[list[Cell]], tuple[float, float]]:
    """`height` rows of `width` characters, the top one first, and the range of values.

    Each curve (x, y) is drawn as its means by column, joined; later ones lie above earlier
    ones. Values that are not finite are left out, and what lies above `most`. Without any value all
    rows are blank.
    """
    columns, rows = 2 * width, 4 * height
    drawn = [means(x, _finite(y), _edges(x_range, width)) for x, y in curves]
    values = np.concatenate([y for _, y in drawn]) if drawn else np.empty(0)
    if not len(values):
        return [[(" ", -1)] * width for _ in range(height)], (0.0, 0.0)
    low, high = float(values.min()), float(values.max())
    if most is not None:
        high = max(low, min(high, most))
    spread = high - low or 1.0
    span = max(x_range[1] - x_range[0], 1e-9)
    dots = [[0] * width for _ in range(height)]
    owner = [[-1] * width for _ in range(height)]
    for number, (x, y) in enumerate(drawn):
        places = [
            (
                min(columns - 1, int((each - x_range[0]) / span * columns)),
                round((high - value) / spread * (rows - 1)),
            )
            for each, value in zip(x.tolist(), y.tolist(), strict=True)
        ]
        for column, row in _joined(places):
            if row < 0:
                continue
            dots[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
            owner[row // 4][column // 2] = number
    cells = [
        [(chr(_BLANK + bits) if bits else " ", own) for bits, own in zip(*pair, strict=True)]
        for pair in zip(dots, owner, strict=True)
    ]
    return cells, (low, high)


def sparkline(values: Numbers, width: int) -> str:
    """At most `width` blocks from the lowest to the highest value, the newest at the right."""
    places = np.arange(len(values), dtype=np.float64)
    _, found = means(places, _finite(values), _edges((0.0, float(len(values))), width))
    if not len(found):
        return ""
    low, spread = float(found.min()), float(found.max() - found.min())
    if spread <= 1e-9 * max(abs(low), 1e-30):
        return _BLOCKS[3] * len(found)
    return "".join(_BLOCKS[int((value - low) / spread * 7.999)] for value in found.tolist())


def _edges(x_range: tuple[float, float], count: int) -> Numbers:
    edges: Numbers = np.linspace(x_range[0], x_range[1], count + 1)[1:-1]
    return edges


def _finite(values: Numbers) -> Numbers:
    return np.where(np.isfinite(values), values, np.nan)


def _joined(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The places and those on the straight lines between them."""
    out = list(places[:1])
    for (x0, y0), (x1, y1) in pairwise(places):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        out += [
            (x0 + round((x1 - x0) * i / steps), y0 + round((y1 - y0) * i / steps))
            for i in range(1, steps + 1)
        ]
    return out
