# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
r"""The units that evaluation items and texts are compared by: words, and characters that stand
alone.

A word is a run of letters, digits and `_` (Python's `\w`) in lower case. Chinese, Japanese, Thai,
Lao, Khmer and Burmese put no spaces between words: each of their characters is a unit by itself,
whatever the text around it is, so that an item is found in a page of any language.
"""

import functools

import numpy as np
import numpy.typing as npt

from dataprep.dedup.shingles import DOTTED_I, SIGMA, lower_case
from dataprep.kernel_cache import kernel
from dataprep.text.characters import HAN, KANA, WORD, character_classes
from dataprep.text.text_kernels import HASH_PRIME, HASH_START, decode, finish_hash

# Folded characters have 21 bits; this one says that a character is a unit by itself.
ALONE = np.uint32(1 << 31)
CODE = np.uint32((1 << 21) - 1)

_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
_FINAL_SIGMA, _SMALL_SIGMA = "\u03c2", "\u03c3"


@functools.cache
def folded_characters() -> npt.NDArray[np.uint32]:
    """Shape [0x110000], uint32: the lower case of each character of units, with `ALONE`; else 0.

    One character stays one character, unlike with `str.lower`: every sigma becomes the small one,
    and the dotted capital I an i.
    """
    classes = character_classes()
    table = lower_case().copy()
    table[[ord(SIGMA), ord(_FINAL_SIGMA)]] = ord(_SMALL_SIGMA)
    table[ord(DOTTED_I)] = ord("i")
    alone = (classes & (HAN | KANA)) != 0
    unit = (classes & WORD) != 0
    unit[ord("_")] = True
    for first, last in _UNSPACED:
        alone[first : last + 1] = True
        # Vowel signs are no letters, yet part of what is written.
        unit[first : last + 1] |= classes[first : last + 1] == 0
    table[alone] |= ALONE
    table[~unit] = 0
    table.flags.writeable = False
    return table


@kernel
def count_units(data, offsets, folded):
    """Units and characters of units in all texts `data[offsets[0] : offsets[-1]]`."""
    units = codes = 0
    for row in range(len(offsets) - 1):
        inside = False
        at = offsets[row]
        while at < offsets[row + 1]:
            code, at = decode(data, at)
            value = folded[code]
            if value == 0:
                inside = False
                continue
            codes += 1
            if value & ALONE or not inside:
                units += 1
            inside = not value & ALONE
    return units, codes


@kernel
def write_parts(data, offsets, folded, unit_offsets, hashes, code_offsets, codes):
    """The units of every text, one text after the other.

    Text i has units `unit_offsets[i]` to `unit_offsets[i + 1]`; unit j has the hash `hashes[j]` and
    the folded characters `codes[code_offsets[j] : code_offsets[j + 1]]`. The arrays have the sizes
    that `count_units` gives, offsets one more.
    """
    unit = code = 0
    for row in range(len(offsets) - 1):
        unit_offsets[row] = unit
        starts, ends, found = units_of(data, offsets[row], offsets[row + 1], folded)
        for i in range(len(found)):
            hashes[unit] = found[i]
            code_offsets[unit] = code
            at = starts[i]
            while at < ends[i]:
                character, at = decode(data, at)
                codes[code] = folded[character] & CODE
                code += 1
            unit += 1
    unit_offsets[len(offsets) - 1] = unit
    code_offsets[unit] = code


@kernel
def units_of(data, start, stop, folded):
    """First byte, byte after the last (int64) and hash (uint64) of every unit of a text."""
    starts = np.empty(stop - start, np.int64)
    ends = np.empty(stop - start, np.int64)
    hashes = np.empty(stop - start, np.uint64)
    unit = 0
    inside = False
    state = HASH_START
    at = start
    while at < stop:
        here = at
        code, at = decode(data, at)
        value = folded[code]
        if inside and (value == 0 or value & ALONE):
            ends[unit] = here
            hashes[unit] = finish_hash(state)
            unit += 1
            inside = False
        if value == 0:
            continue
        if not inside:
            starts[unit] = here
            state = HASH_START
        state = (state ^ np.uint64(value & CODE)) * HASH_PRIME
        if value & ALONE:
            ends[unit] = at
            hashes[unit] = finish_hash(state)
            unit += 1
        else:
            inside = True
    if inside:
        ends[unit] = stop
        hashes[unit] = finish_hash(state)
        unit += 1
    return starts[:unit], ends[:unit], hashes[:unit]
