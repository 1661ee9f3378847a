# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
r"""Shingling, version 2: what near-duplicate means here, as kernels over Arrow's text buffers.

A shingle is a run of neighbouring units (`shingle_units`): words joined by one space, five unless
the recipe says otherwise, or characters with nothing between, five too. A document with at least
one unit, but fewer than a shingle has, has one shingle: all its units, joined. So a short document
meets those that are equal to it in all but case and punctuation, and no others; one without any
unit has no shingle, and only exact duplication is asked of it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.arrow_buffers import Offsets
from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup import shingle_units
from dataprep.dedup.shingle_units import DOTTED_I as DOTTED_I
from dataprep.dedup.shingle_units import SIGMA as SIGMA
from dataprep.dedup.shingle_units import lower_case as lower_case
from dataprep.dedup.shingle_units import unit_buffers, unit_room, write_units
from dataprep.kernel_cache import kernel
from dataprep.text.hash_kernels import xxh64

Hashes = npt.NDArray[np.uint64]

_KINDS = {
    "auto": shingle_units.AUTO,
    "words": shingle_units.WORDS,
    "characters": shingle_units.CHARACTERS,
}


@dataclass(frozen=True)
class Shingling:
    """What a shingle is made of: kind of its units, and how many, for each kind."""

    units: Literal["auto", "words", "characters"] = "auto"
    words: int = 5
    characters: int = 5

    @property
    def numbers(self) -> tuple[int, int, int]:
        """What the kernels are given: kind, words, characters."""
        return _KINDS[self.units], self.words, self.characters


DEFAULT = Shingling()


def shingling_of(near: NearDuplicates) -> Shingling:
    """The shingles of a recipe."""
    return Shingling(near.units, near.words, near.characters)


def shingle_sets(
    texts: pa.ChunkedArray | pa.Array, shingling: Shingling = DEFAULT
) -> tuple[Offsets, Hashes]:
    """The set of shingles of each text: offsets (int64, shape [rows + 1]) into hashes (uint64).

    A set is the sorted distinct 64-bit hashes (xxh64) of its shingles' UTF-8 bytes. Comparing
    hashes is comparing shingles, up to a collision: for two documents of 10,000 shingles one
    differing pair in 10^11 such comparisons looks alike, and shifts the Jaccard by less than 1e-4.
    """
    data, offsets, table = unit_buffers(texts)
    return _shingle_sets(data, offsets, table, *shingling.numbers)


def jaccard(left: Hashes, right: Hashes) -> float:
    """Exact Jaccard similarity of two sets of sorted distinct hashes; 0 where both are empty."""
    common = int(overlap(left, right))
    union = len(left) + len(right) - common
    return common / union if union else 0.0


@kernel
def overlap(left, right):
    """Number of common values of two sorted arrays of distinct uint64, by one merge."""
    i = j = common = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            common += 1
            i += 1
            j += 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return common


@kernel
def num_shingles(num_units, size):
    """Shingles of a document: at least one where there is a unit at all."""
    return max(min(num_units, 1), num_units - size + 1)


@kernel
def _shingle_sets(data, offsets, table, kind, words, characters):
    num_documents = len(offsets) - 1
    set_offsets = np.zeros(num_documents + 1, np.int64)
    buffer_size, most_units = unit_room(offsets)
    buffer = np.empty(buffer_size, np.uint8)
    starts = np.empty(most_units, np.int64)
    hashes = np.empty(most_units, np.uint64)
    scattered = np.empty(most_units, np.uint64)
    sets = np.empty(max(1024, (offsets[-1] - offsets[0]) // 4), np.uint64)
    used = 0
    for row in range(num_documents):
        num_units, separator = write_units(
            data, offsets[row], offsets[row + 1], table, kind, buffer, starts
        )
        size = words if separator else characters
        count = num_shingles(num_units, size)
        for i in range(count):
            end = starts[min(num_units, i + size)] - separator
            hashes[i] = xxh64(buffer, starts[i], end, np.uint64(0))
        if used + count > len(sets):
            larger = np.empty(max(2 * len(sets), used + count), np.uint64)
            larger[:used] = sets[:used]
            sets = larger
        used += _sort_distinct(hashes[:count], scattered, sets[used : used + count])
        set_offsets[row + 1] = used
    return set_offsets, sets[:used].copy()


@kernel
def _sort_distinct(hashes, scattered, out):
    """Write the distinct `hashes` to `out`, ascending; returns how many. `scattered` is scratch.

    One bucket for each value, by the leading bits: hashes are even, so that a bucket holds one or
    two, and what is left to sort is next to nothing. Copies never enter a bucket's list twice.
    """
    bits = np.uint64(1)
    while (1 << bits) < len(hashes):
        bits += np.uint64(1)
    shift = np.uint64(64) - bits
    ends = np.zeros((1 << bits) + 1, np.int64)
    for value in hashes:
        ends[(value >> shift) + np.uint64(1)] += 1
    for bucket in range(1 << bits):
        ends[bucket + 1] += ends[bucket]
    # Afterwards `ends[bucket]` is where the bucket ends.
    for value in hashes:
        scattered[ends[value >> shift]] = value
        ends[value >> shift] += 1
    kept = first = 0
    for bucket in range(1 << bits):
        base = kept
        for i in range(first, ends[bucket]):
            value = scattered[i]
            at = kept
            while at > base and out[at - 1] > value:
                at -= 1
            if at > base and out[at - 1] == value:
                continue
            for j in range(kept, at, -1):
                out[j] = out[j - 1]
            out[at] = value
            kept += 1
        first = ends[bucket]
    return kept
