"""Which rows need which work of normalization: one look at every byte. Compiled by numba.

Most text needs none: what is not touched is not copied. That a text may not be in NFC is told by
its characters (Unicode Standard Annex #15, quick check): those whose normal form is another one,
those with a combining class, and those that can melt into the character before them.
"""

import functools
import unicodedata

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import Flags, decode

EDITED = 1  # line ends of other kinds, and what is removed
COMPOSED = 2  # perhaps not in NFC
SEEN = 4  # no white space

_REMOVED = (
    *((0x00, 0x08), (0x0E, 0x1F), (0x7F, 0x84), (0x86, 0x9F), (0xAD, 0xAD), (0x200B, 0x200B)),
    *((0x2060, 0x2060), (0xFEFF, 0xFEFF), (0xFDD0, 0xFDEF), (0xFFFE, 0xFFFF)),
)
_LINE_ENDS = ((0x0B, 0x0D), (0x85, 0x85), (0x2028, 0x2029))


@functools.cache
def characters() -> npt.NDArray[np.uint8]:
    """Shape [0x110000], uint8: for each code point the sum of its flags. Takes 0.5 s once."""
    table = np.zeros(0x110000, np.uint8)
    for first, last in (*_REMOVED, *_LINE_ENDS):
        table[first : last + 1] |= EDITED
    seconds = set()
    for code in range(0x300, 0x30000):
        character = chr(code)
        if 0xD800 <= code <= 0xDFFF:
            continue
        parts = unicodedata.decomposition(character)
        if parts and not parts.startswith("<") and " " in parts:
            seconds.add(int(parts.split()[1], 16))
        if unicodedata.combining(character) or unicodedata.normalize("NFC", character) != character:
            table[code] |= COMPOSED
    for code in (*seconds, *range(0x1161, 0x1176), *range(0x11A8, 0x11C3)):
        table[code] |= COMPOSED
    for code in range(0x3001):
        table[code] |= 0 if chr(code).isspace() else SEEN
    table[0x3001:] |= SEEN
    table.flags.writeable = False
    return table


@kernel
def look(data: Bytes, offsets: Offsets, table: Bytes) -> tuple[Flags, Flags, Flags]:
    """By row (bool [rows]): whether it is to be edited, to be composed, and holds a character.

    `data` (uint8) and `offsets` (int64 [rows + 1]) are Arrow's; `table` is that of `characters`.
    """
    num_rows = offsets.shape[0] - 1
    edited = np.zeros(num_rows, np.bool_)
    composed = np.zeros(num_rows, np.bool_)
    seen = np.zeros(num_rows, np.bool_)
    for row in range(num_rows):
        flags = np.uint8(0)
        position = offsets[row]
        end = offsets[row + 1]
        while position < end:
            byte = data[position]
            if byte < 128:
                flags |= table[byte]
                position += 1
            else:
                code, position = decode(data, position)
                flags |= table[code]
        edited[row] = flags & EDITED != 0
        composed[row] = flags & COMPOSED != 0
        seen[row] = flags & SEEN != 0
    return edited, composed, seen
