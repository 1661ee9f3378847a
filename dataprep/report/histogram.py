"""Histograms that add up: one fixed scale for every number, so that parts of any size merge.

The scale needs no knowledge of the data. Bin -1 holds negative numbers, bin 0 zero, bins 1 to 50
the interval (0, 1] in steps of 0.02, and each later bin an eighth of an octave. Shares between 0
and 1 thus keep a linear scale, counts a logarithmic one.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

LINEAR_BINS = 50
BINS_PER_OCTAVE = 8

# Bin -> number of kept documents, number of dropped documents.
Histogram = dict[int, tuple[int, int]]


def bins(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Shape [values]: the bin of each number. Infinities and NaN must not be among them."""
    positive = np.maximum(values, np.finfo(np.float64).tiny)
    # Rounded, so that an edge falls into its own bin: 0.14 * 50 is 7.000000000000001.
    linear = np.ceil(np.round(np.minimum(positive, 1.0) * LINEAR_BINS, 9))
    octaves = np.ceil(np.round(np.log2(np.maximum(positive, 1.0)) * BINS_PER_OCTAVE, 9))
    found = np.where(values > 1.0, LINEAR_BINS + np.maximum(octaves, 1.0), np.maximum(linear, 1.0))
    found = np.where(values == 0.0, 0.0, found)
    return np.where(values < 0.0, -1.0, found).astype(np.int64)


def upper_edge(position: int) -> float:
    """The largest number that falls into the bin (0 for bin -1, whose numbers are below 0)."""
    if position <= 0:
        return 0.0
    if position <= LINEAR_BINS:
        return position / LINEAR_BINS
    return float(2.0 ** ((position - LINEAR_BINS) / BINS_PER_OCTAVE))


def scale(value: float) -> float:
    """Where `value` stands on the axis of bins, in bins: the bin's number, with a fraction."""
    if value <= 0.0:
        return 0.0
    if value <= 1.0:
        return value * LINEAR_BINS
    return LINEAR_BINS + math.log2(value) * BINS_PER_OCTAVE


def histogram(values: npt.NDArray[np.float64], kept: npt.NDArray[np.bool_]) -> Histogram:
    """Documents by bin, kept and dropped. `values` and `kept` have one entry for each document."""
    finite = np.isfinite(values)
    placed = bins(values[finite])
    occupied, inverse = np.unique(placed, return_inverse=True)
    of_kept = np.bincount(inverse, weights=kept[finite], minlength=len(occupied))
    of_all = np.bincount(inverse, minlength=len(occupied))
    return {
        position: (int(number), int(total - number))
        for position, number, total in zip(occupied.tolist(), of_kept, of_all, strict=True)
    }


def add(left: Mapping[int, tuple[int, int]], right: Mapping[int, tuple[int, int]]) -> Histogram:
    """The sum of two histograms, bins in ascending order."""
    nothing = (0, 0)
    return {
        position: (
            left.get(position, nothing)[0] + right.get(position, nothing)[0],
            left.get(position, nothing)[1] + right.get(position, nothing)[1],
        )
        for position in sorted({*left, *right})
    }
