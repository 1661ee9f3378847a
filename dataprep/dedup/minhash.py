# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""MinHash signatures, bit-identical to datasketch 2.0, as a kernel over Arrow's text buffers.

The scheme is datasketch's `affine32`: every shingle's xxh32 is mixed once with MurmurHash3's
finalizer; permutation k is `a[k] * h + b[k]` modulo 2^32 with odd `a[k]`, and the signature holds
each permutation's minimum over the shingles (Broder 1997). Permutations come from datasketch.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.dedup.shingle_units import unit_buffers, unit_room, write_units
from dataprep.dedup.shingles import DEFAULT, Shingling, num_shingles
from dataprep.kernel_cache import kernel
from dataprep.text.hash_kernels import xxh32_padded

SEED = 1
# Hashes that wait for the permutations: 8 KiB, so that they and the signature stay in the
# first-level cache, and a book needs no more room than a page.
_BLOCK_SHINGLES = 2048

Signatures = npt.NDArray[np.uint32]


@cache
def permutations(num_permutations: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Multipliers and summands (uint32, shape [permutations]) of datasketch's `affine32`."""
    from datasketch import MinHash

    drawn = MinHash(num_perm=num_permutations, seed=SEED, scheme="affine32").permutations
    return np.ascontiguousarray(drawn[0]), np.ascontiguousarray(drawn[1])


def signatures(
    texts: pa.ChunkedArray | pa.Array, num_permutations: int, shingling: Shingling = DEFAULT
) -> tuple[Signatures, npt.NDArray[np.int64]]:
    """Signatures (uint32, shape [rows, permutations]) and shingle counts (int64, shape [rows]).

    The count includes repeated shingles. Where it is 0 the text has no unit, and its signature is
    that of the empty set, which must not be compared.
    """
    data, offsets, table = unit_buffers(texts)
    multipliers, summands = permutations(num_permutations)
    return _signatures(data, offsets, table, *shingling.numbers, multipliers, summands)


@kernel
def _signatures(data, offsets, table, kind, words, characters, multipliers, summands):
    num_documents = len(offsets) - 1
    found = np.full((num_documents, len(multipliers)), np.uint32(0xFFFFFFFF), np.uint32)
    counts = np.zeros(num_documents, np.int64)
    block = np.empty(_BLOCK_SHINGLES, np.uint32)
    buffer_size, most_units = unit_room(offsets)
    buffer = np.empty(buffer_size, np.uint8)
    starts = np.empty(most_units, np.int64)
    for row in range(num_documents):
        num_units, separator = write_units(
            data, offsets[row], offsets[row + 1], table, kind, buffer, starts
        )
        size = words if separator else characters
        counts[row] = num_shingles(num_units, size)
        for first in range(0, counts[row], _BLOCK_SHINGLES):
            filled = min(_BLOCK_SHINGLES, counts[row] - first)
            for i in range(filled):
                end = starts[min(num_units, first + i + size)] - separator
                block[i] = _mix(xxh32_padded(buffer, starts[first + i], end))
            _lower_minima(block[:filled], multipliers, summands, found[row])
    return found, counts


@kernel
def _lower_minima(block, multipliers, summands, minima):
    for k in range(len(multipliers)):
        multiplier = multipliers[k]
        summand = summands[k]
        least = minima[k]
        for i in range(len(block)):
            value = np.uint32(np.uint32(block[i] * multiplier) + summand)
            least = min(least, value)
        minima[k] = least


@kernel
def _mix(value):
    """MurmurHash3's 32-bit finalizer (Appleby), a bijection."""
    value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))
