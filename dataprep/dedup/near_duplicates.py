# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Near-duplicates: verification by exact similarity, survivors taken greedily.

Links only propose. Inside a connected component documents are taken in survivor order, and each is
dropped for the first earlier survivor that is similar enough, by the exact similarity of their
shingle sets; otherwise it survives itself. So every drop names a survivor that was kept and a
similarity at or above the threshold, which connected components alone do not give (2026-11-21:
with one survivor for each component 99 of 1,149 drops in real manual pages were below the
threshold). Documents of an index come first, survive, and are not compared with each other.

The search inside a component is exact and need not compare all pairs. Two sets of Jaccard
similarity t or more share an element among the rarest |A| - ceil(t |A|) + 1 of each (prefix
filtering: Chaudhuri, Ganti, Kaushik 2006; Bayardo, Ma, Srikant 2007, "AllPairs"), so only those are
indexed. What a whole family shares, such as a licence header, is never rare, and costs nothing.
Containment, the share of A's elements that B has, needs those of A alone: there all elements of
survivors are indexed, and the rarest of the others looked up.

Memory: the index of the survivors of one component, and a count for each slot of its shingles;
the sets themselves may be mapped from a file.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.dedup.shingles import overlap
from dataprep.kernel_cache import kernel

SHINGLE_SCHEMA = pa.schema(
    [
        pa.field("component", pa.int64(), nullable=False),
        pa.field("precedence", pa.binary(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("num_shingles", pa.int64(), nullable=False),
        pa.field("shingles", pa.large_list(pa.uint64()), nullable=False),
    ]
)
# Slots of the table of shingle counts: 2^26 at most, 256 MiB. Shingles that share a slot share a
# count, which only makes the order of rarity less sharp, never the result different.
_COUNT_SLOTS_MAX = 1 << 26
# Up to so many documents of a component are simply compared with each other.
FEW = 12


def greedy_survivors(
    offsets: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
    threshold: float,
    *,
    starts: npt.NDArray[np.int64] | None = None,
    fixed: npt.NDArray[np.bool_] | None = None,
    containment: bool = False,
    few: int = FEW,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each set, the first survivor before it with a similarity of `threshold` or more.

    Set i is `hashes[offsets[i]:offsets[i + 1]]`, sorted and distinct (uint64); sets stand in
    survivor order. Component c is the sets `starts[c]` to `starts[c + 1]` (int64; None: all are
    one), in which the `fixed` ones (bool, shape [sets]) come first. Returns positions (int64, -1
    for a survivor) and similarities (float64, 0 for a survivor): Jaccard's, or the share of the
    dropped set that its survivor contains. Empty sets survive and drop nothing. In components of
    up to `few` sets all pairs are compared; the result is the same.
    """
    num_sets = len(offsets) - 1
    if starts is None:
        starts = np.array([0, num_sets], np.int64)
    if fixed is None:
        fixed = np.zeros(num_sets, np.bool_)
    survivors = np.full(num_sets, -1, np.int64)
    similarity = np.zeros(num_sets, np.float64)
    # One type for what is in memory and what is mapped, and thus one compiled kernel.
    hashes = hashes.view(np.ndarray)
    hashes.flags.writeable = False
    _greedy(starts, offsets, hashes, fixed, threshold, containment, few, survivors, similarity)
    return survivors, similarity


@kernel
def _greedy(starts, offsets, hashes, fixed, threshold, containment, few, survivors, similarity):
    for component in range(len(starts) - 1):
        first, stop = starts[component], starts[component + 1]
        if stop - first <= few:
            _compare_all(
                first, stop, offsets, hashes, fixed, threshold, containment, survivors, similarity
            )
        else:
            _search(
                first, stop, offsets, hashes, fixed, threshold, containment, survivors, similarity
            )


@kernel
def _alike(own, theirs, threshold, containment):
    """The similarity of `own` to an earlier survivor, or 0 if it is below the threshold."""
    if len(theirs) < threshold * len(own) - 1e-9:
        return 0.0
    if not containment and len(own) < threshold * len(theirs) - 1e-9:
        return 0.0
    common = overlap(own, theirs)
    value = common / (len(own) if containment else len(own) + len(theirs) - common)
    return value if value >= threshold else 0.0


@kernel
def _compare_all(
    first, stop, offsets, hashes, fixed, threshold, containment, survivors, similarity
):
    for i in range(first, stop):
        own = hashes[offsets[i] : offsets[i + 1]]
        if fixed[i] or len(own) == 0:
            continue
        for other in range(first, i):
            if survivors[other] < 0 and offsets[other + 1] > offsets[other]:
                theirs = hashes[offsets[other] : offsets[other + 1]]
                value = _alike(own, theirs, threshold, containment)
                if value > 0.0:
                    survivors[i] = other
                    similarity[i] = value
                    break


@kernel
def _count_slots(total):
    slots = 16
    while slots < 2 * total and slots < _COUNT_SLOTS_MAX:
        slots *= 2
    return slots


@kernel
def _prefix_length(size, threshold):
    # A shade below the threshold, so that rounding can only lengthen the prefix.
    return size - int(np.ceil(threshold * size - 1e-9)) + 1


@kernel
def _search(first, stop, offsets, hashes, fixed, threshold, containment, survivors, similarity):
    counts = np.zeros(_count_slots(offsets[stop] - offsets[first]), np.uint32)
    count_mask = np.uint64(len(counts) - 1)
    for at in range(offsets[first], offsets[stop]):
        counts[hashes[at] & count_mask] += np.uint32(1)
    # The index of the survivors' shingles: chains of entries, one chain for each slot. It grows
    # with what survives: of a million copies there is one entry for each shingle of one.
    entry_hash = np.empty(1024, np.uint64)
    entry_set = np.empty(1024, np.int64)
    entry_next = np.empty(1024, np.int64)
    heads = np.full(1024, -1, np.int64)
    used = 0
    seen = np.full(stop - first, -1, np.int64)
    for i in range(first, stop):
        own = hashes[offsets[i] : offsets[i + 1]]
        if len(own) == 0:
            continue
        if containment and fixed[i]:
            rare = own
        else:
            frequency = np.empty(len(own), np.uint32)
            for k in range(len(own)):
                frequency[k] = counts[own[k] & count_mask]
            # Stable, and the hashes ascend: one order (count, hash) for all sets.
            order = np.argsort(frequency, kind="mergesort")
            rare = own[order[: _prefix_length(len(own), threshold)]]
        best = stop
        best_value = 0.0
        if not fixed[i]:
            mask = np.uint64(len(heads) - 1)
            for shingle in rare:
                entry = heads[shingle & mask]
                while entry >= 0:
                    other = entry_set[entry]
                    if entry_hash[entry] == shingle and other < best and seen[other - first] != i:
                        seen[other - first] = i
                        theirs = hashes[offsets[other] : offsets[other + 1]]
                        value = _alike(own, theirs, threshold, containment)
                        if value > 0.0:
                            best = other
                            best_value = value
                    entry = entry_next[entry]
        if best < stop:
            survivors[i] = best
            similarity[i] = best_value
            continue
        if containment:
            rare = own
        if used + len(rare) > len(entry_hash):
            size = len(entry_hash)
            while size < used + len(rare):
                size *= 2
            entry_hash = _grown(entry_hash, used, size)
            entry_set = _grown(entry_set, used, size)
            entry_next = _grown(entry_next, used, size)
            heads = np.full(size, -1, np.int64)
            mask = np.uint64(size - 1)
            for entry in range(used):
                slot = entry_hash[entry] & mask
                entry_next[entry] = heads[slot]
                heads[slot] = entry
        mask = np.uint64(len(heads) - 1)
        for shingle in rare:
            slot = shingle & mask
            entry_hash[used] = shingle
            entry_set[used] = i
            entry_next[used] = heads[slot]
            heads[slot] = used
            used += 1


@kernel
def _grown(array, used, size):
    grown = np.empty(size, array.dtype)
    grown[:used] = array[:used]
    return grown
