"""From a stream of symbols to the costs of its n-grams: interpolated modified Kneser-Ney.

Source: Chen and Goodman 1998 (TR-10-98), in the form of Heafield et al. 2013 ("Scalable modified
Kneser-Ney language model estimation"): a run of the longest order, or one that begins a sentence,
counts how often it stands; any other, how many symbols stand before it. Three discounts for each
order, from how many runs count 1, 2, 3 and 4. Counted exactly: a run is its context's number and
its last symbol, and equal numbers are found by sorting.

A model that would be too large loses its rarest runs, of the longest order first, and what they had
goes to backing off. A run stands at least as often as any run that it is part of, so that with
thresholds that do not fall from order to order every part of what stays stays too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataprep.models.ngram_kernels import BEGIN, COSTS_PER_DIGIT, Symbols

Integers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
# Where a corpus has no runs that count so little, as lmplz's --discount_fallback.
_DISCOUNTS = (0.5, 1.0, 1.5)
_COST_MAX = 65_535
# More occurrences than this are never a threshold.
_TIMES_MAX = 1 << 16


@dataclass(frozen=True)
class Level:
    """The distinct runs of one order, sorted by context, then by last symbol.

    `context` and `suffix` (int32 [runs]) are places in the level below, of the run without its
    last and without its first symbol; `last` and `first` those symbols; `num` how often it stands.
    """

    context: Symbols
    suffix: Symbols
    last: Symbols
    first: Symbols
    num: Integers


@dataclass(frozen=True)
class Runs:
    """The runs of one order that a model keeps: symbols (int32 [runs, order]), and what each costs
    as a whole and as a context that is backed off from (uint16 [runs])."""

    symbols: Symbols
    costs: npt.NDArray[np.uint16]
    backoffs: npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Estimate:
    """A model's runs by order, from one symbol on, and how they were pruned.

    `thresholds` has, by order, the number of occurrences up to which runs were left out.
    """

    runs: tuple[Runs, ...]
    thresholds: tuple[int, ...]


def estimate(stream: Symbols, num_symbols: int, order: int, ngrams_max: int) -> Estimate:
    """The model of a stream of sentences, each with its BEGIN and END.

    Memory: about 100 bytes for each symbol of the stream. At most `ngrams_max` runs of two symbols
    and more are kept.
    """
    levels = count(stream, num_symbols, order)
    thresholds = _thresholds(levels, ngrams_max)
    kept = [level.num > least for level, least in zip(levels, thresholds, strict=True)]
    kept[0][:] = True
    shares, backoffs = _shares(levels, kept)
    found: list[Runs] = []
    places = np.zeros(0, np.int64)
    for level, own, share, backoff in zip(levels, kept, shares, backoffs, strict=True):
        symbols = level.last[own][:, np.newaxis]
        if found:
            symbols = np.hstack([found[-1].symbols[places[level.context[own]]], symbols])
        places = np.cumsum(own) - 1
        found.append(Runs(symbols, np.maximum(_cost(share[own]), 1), _cost(backoff[own])))
    return Estimate(tuple(found), tuple(thresholds))


def count(stream: Symbols, num_symbols: int, order: int) -> list[Level]:
    """The levels of orders 1 to `order`; the first has every symbol, seen or not."""
    every = np.arange(num_symbols, dtype=np.int32)
    none = np.zeros(num_symbols, np.int32)
    levels = [Level(none, none, every, every, np.bincount(stream, minlength=num_symbols))]
    starts = np.maximum.accumulate(np.where(stream == BEGIN, np.arange(len(stream)), 0))
    depth = np.arange(len(stream)) - starts
    below = stream
    for length in range(2, order + 1):
        # Runs do not go beyond their sentence.
        at = np.flatnonzero(depth >= length - 1)
        keys = below[at - 1].astype(np.uint64) * np.uint64(num_symbols) + stream[at].astype(
            np.uint64
        )
        distinct, where, inverse, num = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        context = (distinct // np.uint64(num_symbols)).astype(np.int32)
        last = (distinct % np.uint64(num_symbols)).astype(np.int32)
        first = levels[-1].first[context]
        levels.append(Level(context, below[at[where]], last, first, num))
        below = np.full(len(stream), -1, np.int32)
        below[at] = inverse
    return levels


def _thresholds(levels: Sequence[Level], ngrams_max: int) -> list[int]:
    """By order, the number of occurrences up to which runs go, so that few enough stay."""
    least = [0] * len(levels)
    # By order and number, how many runs stand at least so often.
    often = []
    for level in levels:
        times = np.bincount(np.minimum(level.num, _TIMES_MAX), minlength=_TIMES_MAX + 2)
        often.append(np.cumsum(times[::-1])[::-1])
    while True:
        kept = sum(
            int(own[min(bound, _TIMES_MAX) + 1])
            for own, bound in zip(often[1:], least[1:], strict=True)
        )
        if kept <= ngrams_max:
            return least
        # The longest order whose threshold may rise: no higher than one above that of the shortest.
        place = len(levels) - 1
        while place > 1 and least[place] > least[1]:
            place -= 1
        least[place] += 1


def _shares(
    levels: Sequence[Level], kept: Sequence[npt.NDArray[np.bool_]]
) -> tuple[list[Shares], list[Shares]]:
    """By order, each run's probability after its context, and its weight as a context: the share
    that it leaves to the shorter one."""
    num_symbols = len(levels[0].num)
    shares: list[Shares] = []
    weights: list[Shares] = []
    for place, level in enumerate(levels):
        counts = _adjusted(levels, place)
        taken = np.append(0.0, _discounts(counts))[np.minimum(counts, 3)]
        left = np.where(kept[place], taken, counts)
        num_contexts = len(levels[place - 1].num) if place else 1
        totals = np.bincount(level.context, counts, num_contexts)
        given = np.bincount(level.context, left, num_contexts)
        weight = np.divide(given, totals, out=np.ones(num_contexts), where=totals > 0)
        per_run = np.maximum(totals[level.context], 1)
        own = (counts - taken) / per_run
        if place:
            shares.append(own + weight[level.context] * shares[-1][level.suffix])
            weights.append(weight)
        else:
            # BEGIN is never asked for; every other symbol, UNKNOWN too, may come anywhere.
            shares.append(own + weight[0] / (num_symbols - 1))
            shares[0][BEGIN] = 1.0
    weights.append(np.ones(len(levels[-1].num)))
    return shares, weights


def _adjusted(levels: Sequence[Level], place: int) -> Integers:
    """What each run counts: its occurrences, or the different symbols before it."""
    level = levels[place]
    if place == len(levels) - 1:
        return level.num.astype(np.int64)
    before = np.bincount(levels[place + 1].suffix, minlength=len(level.num))
    return np.where((level.first == BEGIN) & (place > 0), level.num, before)


def _discounts(counts: Integers) -> Shares:
    """What is taken off a count of 1, of 2, and of 3 and more (Chen and Goodman, equation 26)."""
    one, two, three, four = (int(np.count_nonzero(counts == number)) for number in range(1, 5))
    if not (one and two and three):
        return np.array(_DISCOUNTS)
    ratio = one / (one + 2 * two)
    found = np.array(
        [1 - 2 * ratio * two / one, 2 - 3 * ratio * three / two, 3 - 4 * ratio * four / three]
    )
    # With nothing taken off, a context would leave nothing to what has not been seen after it.
    possible = (found > 0).all() and (found <= (1, 2, 3)).all()
    return found if possible else np.array(_DISCOUNTS)


def _cost(shares: Shares) -> npt.NDArray[np.uint16]:
    steps = np.rint(-np.log10(np.maximum(shares, 1e-16)) * COSTS_PER_DIGIT)
    return np.clip(steps, 0, _COST_MAX).astype(np.uint16)
