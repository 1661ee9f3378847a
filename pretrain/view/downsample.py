"""Fewer points that draw the same curve."""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


def extremes(x: Numbers, y: Numbers, edges: Numbers) -> Indices:
    """Indices, ascending, of the points that a curve needs at the resolution of `edges`.

    Of the points between two edges the lowest and the highest stay, and the first and the last of
    all; so every extreme is drawn, and at most 2 x (edges + 1) + 2 points. `x` ascends; a `y` that
    is NaN stands for no point.
    """
    there = np.flatnonzero(~np.isnan(y))
    if len(there) <= 2:
        return there
    starts, ends = _buckets(x[there], edges)
    chosen = {0, len(there) - 1}
    values = y[there]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        part = values[start:end]
        chosen |= {start + int(part.argmin()), start + int(part.argmax())}
    return there[sorted(chosen)]


def means(x: Numbers, y: Numbers, edges: Numbers) -> tuple[Numbers, Numbers]:
    """The mean point between each two edges, where there is any; NaN stands for no point."""
    there = ~np.isnan(y)
    x, y = x[there], y[there]
    if not len(x):
        return x, y
    starts, ends = _buckets(x, edges)
    sizes = ends - starts
    return np.add.reduceat(x, starts) / sizes, np.add.reduceat(y, starts) / sizes


def _buckets(x: Numbers, edges: Numbers) -> tuple[Indices, Indices]:
    # Where the point's interval changes, a new bucket begins; so none is empty.
    interval = np.searchsorted(edges, x, side="right")
    starts = np.concatenate(([0], np.flatnonzero(np.diff(interval)) + 1))
    return starts, np.concatenate((starts[1:], [len(x)]))
