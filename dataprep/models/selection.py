"""From scores to a choice: thresholds that keep a share, and a draw that keeps some of the rest.

Source of the draw: Brown et al. 2020 (arXiv:2005.14165, appendix A): a document is kept if
`numpy.random.pareto(alpha) > 1 - score`, alpha 9 there; so that what the classifier likes is kept
nearly always, and some of what it does not like as well.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Scores = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float64]
_FIRST = 0x9E3779B97F4A7C15
_SECOND = np.uint64(0xBF58476D1CE4E5B9)
_THIRD = np.uint64(0x94D049BB133111EB)


def pareto_thresholds(
    content_hashes: pa.ChunkedArray | pa.Array, alpha: float, seed: int
) -> npt.NDArray[np.float64]:
    """Shape [rows]: the score from which each document is kept, 1 minus its draw from the Pareto
    (Lomax) distribution of shape `alpha`. Content hash and seed alone decide the draw."""
    draws = (1.0 - uniform(content_hashes, seed)) ** (-1.0 / alpha) - 1.0
    return 1.0 - draws


def uniform(content_hashes: pa.ChunkedArray | pa.Array, seed: int) -> npt.NDArray[np.float64]:
    """Shape [rows]: numbers in [0, 1) from content hashes (binary(16)) and a seed.

    The finalizer of SplitMix64 (Steele et al. 2014) over the hash's first half and the seed.
    """
    array = content_hashes
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not len(array):
        return np.zeros(0, np.float64)
    size = 2 * (array.offset + len(array))
    halves = np.frombuffer(array.buffers()[1], "<u8", size)[2 * array.offset :: 2]
    mixed = halves ^ np.uint64((seed * 2 + 1) * _FIRST % 2**64)
    for shift, factor in ((np.uint64(30), _SECOND), (np.uint64(27), _THIRD)):
        mixed = (mixed ^ (mixed >> shift)) * factor
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def threshold_of_top(scores: Scores, share: float, weights: Weights | None = None) -> float:
    """The threshold that "score >= threshold" keeps at least `share` of `scores` with, one document
    at least; ties are kept. `weights` (float64 [scores]) says for how many each score stands."""
    assert len(scores) > 0, "no score, no threshold"
    order, sums = _from_the_best(scores, weights)
    # Without the last digits of the sums.
    place = int(np.searchsorted(sums, share * sums[-1] * (1 - 1e-12), "left"))
    return float(scores[order[min(place, len(order) - 1)]])


def threshold_of_budget(scores: Scores, budget: float, weights: Weights | None = None) -> float:
    """The threshold from which at most `budget` of `scores` are dropped; ties stay. `weights` as in
    `threshold_of_top`."""
    assert len(scores) > 0, "no score, no threshold"
    order, sums = _from_the_best(scores, weights)
    best_kept = int(np.searchsorted(sums, budget * sums[-1], "right"))
    kept = scores[order[min(best_kept, len(order) - 1)]]
    return float(np.nextafter(np.float32(kept), np.float32(np.inf)))


def _from_the_best(
    scores: Scores, weights: Weights | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The order of the scores, highest first, and the sums of their weights."""
    order = np.argsort(-scores, kind="stable")
    own = np.ones(len(scores)) if weights is None else weights[order]
    return order, np.cumsum(own)
