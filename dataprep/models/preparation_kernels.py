# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Texts as classifiers see them: one line of words with one blank between. Compiled by numba."""

import numpy as np

from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import decode, encode

# Flags above the code point (21 bits) that a character is written as.
BLANK = 1 << 24
ALONE = 1 << 25  # a word by itself
REPEATS = 1 << 26  # a letter or sign: of more than two in a row two are left
NOTHING = 1 << 27  # not written at all
CODE = (1 << 24) - 1

_SPACE = 32


@kernel
def prepare_texts(data, offsets, table):
    """The prepared texts: bytes, and int64 offsets from 0.

    `table` (uint32 [0x110000]) says what each character is written as, and its flags. No text ends
    or begins with a blank. A byte becomes three at most: a blank, itself, a blank.
    """
    num_rows = len(offsets) - 1
    out = np.empty(3 * (offsets[num_rows] - offsets[0]) + 8, np.uint8)
    out_offsets = np.zeros(num_rows + 1, np.int64)
    size = 0
    for row in range(num_rows):
        first = size
        position = offsets[row]
        end = offsets[row + 1]
        blank = False  # a blank is due before the next character
        before = 0
        run = 0
        while position < end:
            code, position = decode(data, position)
            entry = int(table[code])
            if entry & NOTHING:
                continue
            if entry & BLANK:
                blank = True
                run = 0
                continue
            code = entry & CODE
            run = run + 1 if code == before and entry & REPEATS else 1
            before = code
            if run > 2:
                continue
            if (blank or entry & ALONE) and size > first:
                out[size] = _SPACE
                size += 1
            size = encode(code, out, size)
            blank = entry & ALONE != 0
        out_offsets[row + 1] = size
    return out[:size].copy(), out_offsets


@kernel
def replace_spans(data, offsets, rows, starts, ends, mark):
    """The texts with each span (int64 [n] each; places in `data`, in order, without overlap) as the
    bytes `mark`: bytes, and int64 offsets from 0."""
    num_rows = len(offsets) - 1
    out = np.empty(offsets[num_rows] - offsets[0] + len(rows) * len(mark), np.uint8)
    out_offsets = np.zeros(num_rows + 1, np.int64)
    size = 0
    span = 0
    for row in range(num_rows):
        position = offsets[row]
        while span < len(rows) and rows[span] == row:
            length = starts[span] - position
            out[size : size + length] = data[position : position + length]
            size += length
            out[size : size + len(mark)] = mark
            size += len(mark)
            position = ends[span]
            span += 1
        length = offsets[row + 1] - position
        out[size : size + length] = data[position : position + length]
        size += length
        out_offsets[row + 1] = size
    return out[:size].copy(), out_offsets
