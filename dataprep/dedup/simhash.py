# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""SimHash fingerprints, and the band values by which those of a small distance meet.

A fingerprint (Charikar 2002; Manku, Jain, Das Sarma 2007, "Detecting near-duplicates for web
crawling") has 64 bits: bit i is 1 where more shingles have a 1 than a 0 in bit i of their xxh64; a
repeated shingle counts as often as it stands there. Near-duplicates have fingerprints that differ
in few bits.

Manku et al.'s tables: the 64 bits are cut into `distance + 3` blocks; two fingerprints that differ
in `distance` bits agree in at least 3 blocks, so that they share one of the values made of 3
blocks: 20 of 6 blocks at distance 3, 120 of 10 at distance 7. A value has 3 / (distance + 3) of the
bits: 32 at distance 3, but 19 at distance 7, where among millions of documents each meets others by
chance; those cost time, never a wrong drop: the exact similarity decides.
"""

import itertools

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.dedup.shingle_units import unit_buffers, unit_room, write_units
from dataprep.dedup.shingles import DEFAULT, Hashes, Shingling, num_shingles
from dataprep.kernel_cache import kernel
from dataprep.text.hash_kernels import xxh64

BITS = 64
_BLOCKS_A_TABLE = 3


def fingerprints(
    texts: pa.ChunkedArray | pa.Array, shingling: Shingling = DEFAULT
) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Fingerprints (uint64, shape [rows]) and shingle counts (int64, shape [rows], with repeated).

    Where the count is 0 the fingerprint is 0 and must not be compared.
    """
    data, offsets, table = unit_buffers(texts)
    return _fingerprints(data, offsets, table, *shingling.numbers)


def masks(distance: int) -> Hashes:
    """The bits of each table, uint64: all choices of 3 out of `distance + 3` blocks."""
    blocks = np.array_split(np.arange(BITS), distance + _BLOCKS_A_TABLE)
    values = [sum(1 << int(bit) for bit in block) for block in blocks]
    return np.array([sum(c) for c in itertools.combinations(values, _BLOCKS_A_TABLE)], np.uint64)


def band_values(fingerprints: Hashes, distance: int) -> Hashes:
    """Shape [documents, tables], uint64: xxh64 of the bits of each table, its number as seed.

    Any two fingerprints that differ in at most `distance` bits share one at least.
    """
    return _band_values(fingerprints, masks(distance))


@kernel
def _fingerprints(data, offsets, table, kind, words, characters):
    num_documents = len(offsets) - 1
    found = np.zeros(num_documents, np.uint64)
    counts = np.zeros(num_documents, np.int64)
    buffer_size, most_units = unit_room(offsets)
    buffer = np.empty(buffer_size, np.uint8)
    starts = np.empty(most_units, np.int64)
    ones = np.empty(BITS, np.int64)
    for row in range(num_documents):
        num_units, separator = write_units(
            data, offsets[row], offsets[row + 1], table, kind, buffer, starts
        )
        size = words if separator else characters
        counts[row] = num_shingles(num_units, size)
        ones[:] = 0
        for i in range(counts[row]):
            end = starts[min(num_units, i + size)] - separator
            value = xxh64(buffer, starts[i], end, np.uint64(0))
            for bit in range(BITS):
                ones[bit] += np.int64((value >> np.uint64(bit)) & np.uint64(1))
        for bit in range(BITS):
            if 2 * ones[bit] > counts[row]:
                found[row] |= np.uint64(1) << np.uint64(bit)
    return found, counts


@kernel
def _band_values(fingerprints, masks):
    values = np.empty((len(fingerprints), len(masks)), np.uint64)
    masked = np.empty(1, np.uint64)
    content = masked.view(np.uint8)
    for document in range(len(fingerprints)):
        for number in range(len(masks)):
            masked[0] = fingerprints[document] & masks[number]
            values[document, number] = xxh64(content, 0, 8, np.uint64(number))
    return values
