# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Near-duplicates: verification by exact Jaccard similarity, survivors taken greedily.

Links only propose. Inside a connected component documents are taken in survivor order (content
hash, then id), and each is dropped if an earlier survivor is similar enough, by the exact Jaccard
similarity of their shingle sets; otherwise it survives itself. So every drop names a survivor that
was kept and a similarity at or above the threshold, which connected components alone do not give
(2026-11-21: with one survivor for each component 99 of 1,149 drops in real manual pages were below
the threshold).

The search inside a component is exact and need not compare all pairs: two sets of similarity t or
more share an element among the rarest |A| - ceil(t |A|) + 1 of each (prefix filtering: Chaudhuri,
Ganti, Kaushik 2006; Bayardo, Ma, Srikant 2007, "AllPairs"), so only those are indexed. What a whole
family shares, such as a licence header, is never rare, and costs nothing.
"""

import itertools

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.kernel_cache import kernel
from dataprep.shingles import overlap

SHINGLE_SCHEMA = pa.schema(
    [
        pa.field("component", pa.int64(), nullable=False),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("shingles", pa.large_list(pa.uint64()), nullable=False),
    ]
)
VERIFIED_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("survivor_row", pa.int64(), nullable=False),
        pa.field("survivor_id", pa.string(), nullable=False),
        pa.field("jaccard", pa.float64(), nullable=False),
    ]
)
# Slots of the table of shingle counts: 2^26 at most, 256 MiB. Shingles that share a slot share a
# count, which only makes the order of rarity less sharp, never the result different.
_COUNT_SLOTS_MAX = 1 << 26


def verify(candidates: pa.Table, threshold: float) -> pa.Table:
    """The candidates (`SHINGLE_SCHEMA`) that an earlier survivor of their component makes
    superfluous (`VERIFIED_SCHEMA`). All documents of a component must be in the table."""
    order = [(name, "ascending") for name in ("component", "content_hash", "id")]
    candidates = candidates.sort_by(order).combine_chunks()
    component = candidates["component"].to_numpy()
    offsets, hashes = _list_buffers(candidates["shingles"])
    survivors = np.full(len(component), -1, np.int64)
    similarity = np.zeros(len(component), np.float64)
    starts = np.unique(component, return_index=True)[1].tolist()
    for start, stop in itertools.pairwise([*starts, len(component)]):
        found, values = greedy_survivors(offsets[start : stop + 1], hashes, threshold)
        survivors[start:stop] = np.where(found >= 0, found + start, -1)
        similarity[start:stop] = values
    dropped = survivors >= 0
    kept = candidates.take(pa.array(survivors[dropped]))
    return pa.table(
        {
            "row": candidates["row"].filter(pa.array(dropped)),
            "survivor_row": kept["row"],
            "survivor_id": kept["id"],
            "jaccard": similarity[dropped],
        },
        schema=VERIFIED_SCHEMA,
    ).combine_chunks()


def greedy_survivors(
    offsets: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64], threshold: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each set, the first survivor before it with a Jaccard similarity of `threshold` or more.

    Set i is `hashes[offsets[i]:offsets[i + 1]]`, sorted and distinct (uint64); sets stand in
    survivor order. Returns positions (int64, -1 for a survivor) and similarities (float64, 0 for a
    survivor). Empty sets survive and drop nothing.
    """
    total = int(offsets[-1] - offsets[0])
    counts = np.zeros(min(_COUNT_SLOTS_MAX, _power_of_two(2 * total)), np.uint32)
    heads = np.full(_power_of_two(total), -1, np.int64)
    return _greedy(offsets, hashes, threshold, counts, heads)


def _power_of_two(least: int) -> int:
    return 1 << max(4, (least - 1).bit_length())


def _list_buffers(
    lists: pa.ChunkedArray,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    column = lists.combine_chunks()
    return column.offsets.to_numpy(), column.values.to_numpy()


@kernel
def _prefix_length(size, threshold):
    # A shade below the threshold, so that rounding can only lengthen the prefix.
    return size - int(np.ceil(threshold * size - 1e-9)) + 1


@kernel
def _greedy(offsets, hashes, threshold, counts, heads):
    num_sets = len(offsets) - 1
    count_mask = np.uint64(len(counts) - 1)
    head_mask = np.uint64(len(heads) - 1)
    num_entries = 0
    for i in range(num_sets):
        size = offsets[i + 1] - offsets[i]
        num_entries += _prefix_length(size, threshold)
        for at in range(offsets[i], offsets[i + 1]):
            counts[hashes[at] & count_mask] += np.uint32(1)
    # The index of the survivors' rare shingles: chains of entries, one chain for each slot.
    entry_hash = np.empty(num_entries, np.uint64)
    entry_set = np.empty(num_entries, np.int64)
    entry_next = np.empty(num_entries, np.int64)
    used = 0
    seen = np.full(num_sets, -1, np.int64)
    survivors = np.full(num_sets, -1, np.int64)
    similarity = np.zeros(num_sets, np.float64)
    for i in range(num_sets):
        own = hashes[offsets[i] : offsets[i + 1]]
        if len(own) == 0:
            continue
        frequency = np.empty(len(own), np.uint32)
        for k in range(len(own)):
            frequency[k] = counts[own[k] & count_mask]
        # Stable, and the hashes ascend: one order (count, hash) for all sets.
        rare = own[np.argsort(frequency, kind="mergesort")[: _prefix_length(len(own), threshold)]]
        best = num_sets
        best_similarity = 0.0
        for shingle in rare:
            entry = heads[shingle & head_mask]
            while entry >= 0:
                other = entry_set[entry]
                if entry_hash[entry] == shingle and seen[other] != i and other < best:
                    seen[other] = i
                    theirs = hashes[offsets[other] : offsets[other + 1]]
                    smaller = min(len(own), len(theirs))
                    larger = max(len(own), len(theirs))
                    if smaller >= threshold * larger - 1e-9:
                        common = overlap(own, theirs)
                        value = common / (len(own) + len(theirs) - common)
                        if value >= threshold:
                            best = other
                            best_similarity = value
                entry = entry_next[entry]
        if best < num_sets:
            survivors[i] = best
            similarity[i] = best_similarity
            continue
        for shingle in rare:
            slot = shingle & head_mask
            entry_hash[used] = shingle
            entry_set[used] = i
            entry_next[used] = heads[slot]
            heads[slot] = used
            used += 1
    return survivors, similarity
