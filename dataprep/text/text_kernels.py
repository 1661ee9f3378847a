"""What every kernel over text begins with: the characters of UTF-8, and a hash whose bits are even.

The kernels see Arrow's buffers, not Python objects, and release the GIL. Text is valid UTF-8:
the readers have checked that.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes
from dataprep.kernel_cache import kernel

# Types of the arrays, for readers and mypy; numba finds out by itself.
Hashes = npt.NDArray[np.uint64]
Lengths = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Table = npt.NDArray[np.uint16]
Places = npt.NDArray[np.int32]

HASH_START = np.uint64(0xCBF29CE484222325)  # FNV-1a, 64 bits
HASH_PRIME = np.uint64(0x100000001B3)


@kernel
def decode(data: Bytes, position: int) -> tuple[int, int]:
    """The code point at `position` and the position after it. `data` is valid UTF-8."""
    first = int(data[position])
    if first < 0x80:
        return first, position + 1
    second = int(data[position + 1]) & 0x3F
    if first < 0xE0:
        return (first & 0x1F) << 6 | second, position + 2
    third = int(data[position + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, position + 3
    fourth = int(data[position + 3]) & 0x3F
    return (first & 0x07) << 18 | second << 12 | third << 6 | fourth, position + 4


@kernel
def encode(code: int, out: Bytes, position: int) -> int:
    """Write the code point as UTF-8 at `position` of `out`; the position after it."""
    if code < 0x80:
        out[position] = code
        return position + 1
    if code < 0x800:
        out[position] = 0xC0 | (code >> 6)
        out[position + 1] = 0x80 | (code & 0x3F)
        return position + 2
    if code < 0x10000:
        out[position] = 0xE0 | (code >> 12)
        out[position + 1] = 0x80 | ((code >> 6) & 0x3F)
        out[position + 2] = 0x80 | (code & 0x3F)
        return position + 3
    out[position] = 0xF0 | (code >> 18)
    out[position + 1] = 0x80 | ((code >> 12) & 0x3F)
    out[position + 2] = 0x80 | ((code >> 6) & 0x3F)
    out[position + 3] = 0x80 | (code & 0x3F)
    return position + 4


@kernel
def finish_hash(value: Any) -> Any:
    """Spread every bit of a 64-bit hash over all others (the finalizer of MurmurHash3)."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    value ^= value >> np.uint64(33)
    return value
