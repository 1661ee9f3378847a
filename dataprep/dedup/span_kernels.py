# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Paragraphs, lines and sentences of a batch of texts, and keys under which equal ones meet."""

from typing import Any

import numpy as np

from dataprep.kernel_cache import kernel
from dataprep.text.hash_kernels import xxh64
from dataprep.text.text_kernels import decode
from dataprep.text.word_characters import BLANK, SENTENCE_END

PARAGRAPHS = 0
LINES = 1
SENTENCES = 2

_LINE_FEED = 10
_SPACE = 32
# From here on signs end a sentence without white space after them: 。！？ and their like.
_EAST_ASIAN = 0x2E80
# Quotation marks and brackets that close: ' " ) ] } » ’ ” 〉 》 」 』 】 〕 ）
_CLOSING = (
    0x27, 0x22, 0x29, 0x5D, 0x7D, 0xBB, 0x2019, 0x201D, 0x3009, 0x300B, 0x300D, 0x300F, 0x3011,
    0x3015, 0xFF09,
)  # fmt: skip


@kernel
def find_units(data, offsets, table, unit):
    """The pieces of each text, int64 [3, pieces]: row, start and end in `data`, without the white
    space around them.

    A line ends at a line feed. A paragraph is a run of lines that are not blank. A sentence ends at
    the end of its line, or after a sign that ends sentences (Unicode's Sentence_Terminal) and the
    signs and closing quotation marks or brackets that follow it, if white space comes next or one
    of the signs is East Asian.
    """
    num_rows = len(offsets) - 1
    # A piece and what ends it are two bytes at least. Pages that are never touched take no room.
    found = np.empty((3, (offsets[num_rows] - offsets[0]) // 2 + num_rows), np.int64)
    size = 0
    for row in range(num_rows):
        position = offsets[row]
        end = offsets[row + 1]
        start = -1  # of the piece, -1 if none is open
        last = position
        feeds = 0  # line feeds since the last character that is not blank
        ended = False  # a sign that ends the sentence has been met, and only closing ones since
        eastern: Any = False
        while position < end:
            code: Any = np.int64(data[position])
            following = position + 1
            if code >= 128:
                code, following = decode(data, position)
            flags = int(table[code])
            if flags & BLANK:
                feeds += code == _LINE_FEED
                if start >= 0:
                    if unit == PARAGRAPHS:
                        closed = feeds >= 2
                    elif unit == LINES:
                        closed = feeds >= 1
                    else:
                        closed = feeds >= 1 or ended
                    if closed:
                        found[:, size] = (row, start, last)
                        size += 1
                        start = -1
            else:
                ends = flags & SENTENCE_END != 0
                if start >= 0 and ended and not ends and code not in _CLOSING:
                    if unit == SENTENCES and eastern:
                        found[:, size] = (row, start, last)
                        size += 1
                        start = -1
                    ended = False
                if start < 0:
                    start = position
                    ended = False
                    eastern = False
                if ends:
                    eastern = bool((ended and eastern) or code >= _EAST_ASIAN)
                    ended = True
                feeds = 0
                last = following
            position = following
        if start >= 0:
            found[:, size] = (row, start, last)
            size += 1
    return found[:, :size].copy()


@kernel
def runs_of_units(units, length):
    """Every run of `length` units of one text as one piece: int64 [3, runs], as `find_units`."""
    found = np.empty_like(units)
    size = 0
    for first in range(units.shape[1] - length + 1):
        last = first + length - 1
        if units[0, first] == units[0, last]:
            found[:, size] = (units[0, first], units[1, first], units[2, last])
            size += 1
    return found[:, :size].copy()


@kernel
def hash_pieces(data, starts, ends, table, seed):
    """Keys (uint64 [pieces, 2], xxh64 with seeds `seed` and `seed + 1`) and lengths (int64
    [pieces], characters) of pieces in which every run of white space counts as one blank."""
    keys = np.empty((len(starts), 2), np.uint64)
    lengths = np.empty(len(starts), np.int64)
    folded = np.empty(4096, np.uint8)
    for piece in range(len(starts)):
        position = starts[piece]
        end = ends[piece]
        if end - position > len(folded):
            folded = np.empty(2 * (end - position), np.uint8)
        size = 0
        length = 0
        blank = False
        while position < end:
            code, following = decode(data, position)
            if int(table[code]) & BLANK:
                if not blank:
                    folded[size] = _SPACE
                    size += 1
                    length += 1
                blank = True
                position = following
            else:
                blank = False
                length += 1
                while position < following:
                    folded[size] = data[position]
                    size += 1
                    position += 1
        keys[piece, 0] = xxh64(folded, 0, size, np.uint64(seed))
        keys[piece, 1] = xxh64(folded, 0, size, np.uint64(seed + 1))
        lengths[piece] = length
    return keys, lengths
