# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""xxh32 and xxh64 of a slice of bytes, as kernels: equal to the `xxhash` package, without a call
into Python for each slice.

Source: the xxHash specification (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md). Every
value is masked to its width by its type: numba widens mixed integers to 64 bits.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dataprep.kernel_cache import kernel

A32 = np.uint32(2654435761)
B32 = np.uint32(2246822519)
C32 = np.uint32(3266489917)
D32 = np.uint32(668265263)
E32 = np.uint32(374761393)

A64 = np.uint64(11400714785074694791)
B64 = np.uint64(14029467366897019727)
C64 = np.uint64(1609587929392839161)
D64 = np.uint64(9650029242287828579)
E64 = np.uint64(2870177450012600261)


def _reader(bits):
    """The intrinsic that loads so many bits, little endian, from any place of a uint8 array.

    Four bytes put together by shifts cost several times as much: numba asks of every index whether
    it is negative, and LLVM then no longer sees one load (2026-11-24: signatures 1.5 times slower).
    """
    kind = types.uint32 if bits == 32 else types.uint64

    @intrinsic
    def read(typing_context, data, at):
        def generate(context, builder, signature, arguments):
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = builder.gep(array.data, [arguments[1]])
            return builder.load(builder.bitcast(place, ir.IntType(bits).as_pointer()), align=1)

        return kind(data, types.int64), generate

    return read


_read32, _read64 = _reader(32), _reader(64)


@kernel
def _rotate32(value, bits):
    left = np.uint32(np.uint32(value) << np.uint32(bits))
    return np.uint32(left | np.uint32(np.uint32(value) >> np.uint32(32 - bits)))


@kernel
def _rotate64(value, bits):
    return np.uint64((value << np.uint64(bits)) | (value >> np.uint64(64 - bits)))


@kernel
def _round32(lane, word):
    lane = np.uint32(lane + np.uint32(word * B32))
    return np.uint32(_rotate32(lane, 13) * A32)


@kernel
def _round64(lane, word):
    return np.uint64(_rotate64(np.uint64(lane + word * B64), 31) * A64)


@kernel
def xxh32_padded(data, start, stop):
    """uint32 hash, seed 0, of `data[start:stop]` (uint8), which 16 bytes or more follow.

    The last words and bytes are read in any case and taken if they belong to the slice: for slices
    of all lengths, such as shingles, what costs is a branch that no processor foresees (2026-11-24:
    10 ns for a shingle of five words, 15 ns with loops that end where the slice does).
    """
    at = start
    if stop - start >= 16:
        lane_a = np.uint32(A32 + B32)
        lane_b = B32
        lane_c = np.uint32(0)
        lane_d = np.uint32(np.uint32(0) - A32)
        while at + 16 <= stop:
            lane_a = _round32(lane_a, _read32(data, at))
            lane_b = _round32(lane_b, _read32(data, at + 4))
            lane_c = _round32(lane_c, _read32(data, at + 8))
            lane_d = _round32(lane_d, _read32(data, at + 12))
            at += 16
        value = np.uint32(
            _rotate32(lane_a, 1)
            + _rotate32(lane_b, 7)
            + _rotate32(lane_c, 12)
            + _rotate32(lane_d, 18)
        )
    else:
        value = E32
    value = np.uint32(value + np.uint32(stop - start))
    for _ in range(3):
        next_value = np.uint32(value + np.uint32(_read32(data, at) * C32))
        next_value = np.uint32(_rotate32(next_value, 17) * D32)
        inside = at + 4 <= stop
        value = next_value if inside else value
        at += 4 if inside else 0
    last = _read32(data, at)
    for _ in range(3):
        next_value = np.uint32(value + np.uint32((last & np.uint32(0xFF)) * E32))
        next_value = np.uint32(_rotate32(next_value, 11) * A32)
        value = next_value if at < stop else value
        last >>= np.uint32(8)
        at += 1
    value = np.uint32((value ^ (value >> np.uint32(15))) * B32)
    value = np.uint32((value ^ (value >> np.uint32(13))) * C32)
    return np.uint32(value ^ (value >> np.uint32(16)))


@kernel
def xxh64(data, start, stop, seed):
    """uint64 hash of `data[start:stop]` (uint8 array) with a uint64 seed."""
    seed = np.uint64(seed)
    at = start
    if stop - start >= 32:
        lane_a = np.uint64(seed + A64 + B64)
        lane_b = np.uint64(seed + B64)
        lane_c = seed
        lane_d = np.uint64(seed - A64)
        while at + 32 <= stop:
            lane_a = _round64(lane_a, _read64(data, at))
            lane_b = _round64(lane_b, _read64(data, at + 8))
            lane_c = _round64(lane_c, _read64(data, at + 16))
            lane_d = _round64(lane_d, _read64(data, at + 24))
            at += 32
        value = np.uint64(
            _rotate64(lane_a, 1)
            + _rotate64(lane_b, 7)
            + _rotate64(lane_c, 12)
            + _rotate64(lane_d, 18)
        )
        for lane in (lane_a, lane_b, lane_c, lane_d):
            value = np.uint64((value ^ _round64(np.uint64(0), lane)) * A64 + D64)
    else:
        value = np.uint64(seed + E64)
    value = np.uint64(value + np.uint64(stop - start))
    while at + 8 <= stop:
        value = np.uint64(value ^ _round64(np.uint64(0), _read64(data, at)))
        value = np.uint64(_rotate64(value, 27) * A64 + D64)
        at += 8
    if at + 4 <= stop:
        value = np.uint64(value ^ np.uint64(np.uint64(_read32(data, at)) * A64))
        value = np.uint64(_rotate64(value, 23) * B64 + C64)
        at += 4
    while at < stop:
        value = np.uint64(value ^ np.uint64(np.uint64(data[at]) * E64))
        value = np.uint64(_rotate64(value, 11) * A64)
        at += 1
    value = np.uint64((value ^ (value >> np.uint64(33))) * B64)
    value = np.uint64((value ^ (value >> np.uint64(29))) * C64)
    return np.uint64(value ^ (value >> np.uint64(32)))


@kernel
def hash_slices(offsets, data):
    """xxh64 (seed 0) of every `data[offsets[i]:offsets[i + 1]]`: uint64, shape [slices]."""
    hashes = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(hashes)):
        hashes[i] = xxh64(data, offsets[i], offsets[i + 1], np.uint64(0))
    return hashes
