"""From scores to a choice: thresholds that keep a share, and a draw that keeps some of the rest.

Source of the draw: Brown et al. 2020 (arXiv:2005.14165, appendix A): a document is kept if
`numpy.random.pareto(alpha) > 1 - score`, alpha 9 there; so that what the classifier likes is kept
nearly always, and some of what it does not like as well.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Scores = npt.NDArray[np.float32]
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


def threshold_of_top(scores: Scores, share: float) -> float:
    """The threshold that "score >= threshold" keeps at least `share` of `scores` with, one document
    at least; ties are kept."""
    assert len(scores) > 0, "no score, no threshold"
    wanted = max(1, round(share * len(scores)))
    return float(np.sort(scores)[len(scores) - wanted])


def threshold_of_budget(scores: Scores, budget: float) -> float:
    """The threshold from which at most `budget` of `scores` are dropped; ties stay."""
    assert len(scores) > 0, "no score, no threshold"
    allowed = int(budget * len(scores))
    best_kept = np.sort(scores)[len(scores) - 1 - allowed]
    return float(np.nextafter(np.float32(best_kept), np.float32(np.inf)))
