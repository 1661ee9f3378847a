# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
r"""The units of a shingle, words or characters, written one after the other: kernels.

    words       text.lower(), re.findall(r"\w+")
    characters  text.lower(), all white space removed

`auto` takes characters where more than a tenth of a document's `\w` characters are Chinese or
Japanese, words elsewhere (2026-11-21: real Chinese technical documents hold 16 % or more, English
ones none). `lower`, `\w` and white space are Python's, for all of Unicode.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import Bytes, Offsets, text_buffers
from dataprep.kernel_cache import kernel
from dataprep.text.characters import HAN, KANA, SPACE, WORD, character_classes
from dataprep.text.text_kernels import decode, encode

# The two characters that `str.lower` does not map one to one: final sigma depends on the letters
# around it, and the dotted capital I becomes two code points.
SIGMA, DOTTED_I = "\u03a3", "\u0130"

AUTO, WORDS, CHARACTERS = 0, 1, 2

Codes = npt.NDArray[np.uint32]

# An entry of `unit_table`: the code point in lower case below, what it is above.
_CODE = np.uint32(0x1FFFFF)
_IS_WORD = np.uint32(1 << 24)
_IS_SPACE = np.uint32(1 << 25)
_IS_IDEOGRAPH = np.uint32(1 << 26)
# Room behind the last unit: what the loops write ahead, and a hash may read.
PADDING = 32


@cache
def lower_case() -> Codes:
    """The lower case of every code point, uint32, shape [0x110000], as this Python has it."""
    text = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)
    lowered = text.replace(SIGMA, "s").replace(DOTTED_I, "i").lower()
    assert len(lowered) == len(text), "a character whose lower case is not one character"
    table = np.arange(0x110000, dtype=np.uint32)
    table[_codes(text)] = _codes(lowered)
    # These two never reach a kernel: `unit_buffers` lowers their documents beforehand.
    table[[ord(SIGMA), ord(DOTTED_I)]] = [ord(SIGMA), ord(DOTTED_I)]
    table.flags.writeable = False
    return table


def _codes(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


@cache
def unit_table() -> Codes:
    """Of every code point its lower case, and whether that is of a word, space or ideograph.

    uint32, shape [0x110000]: one look-up for each character. `\\w` is letters, digits and `_`.
    """
    table = lower_case().copy()
    classes = character_classes()[table]
    word = (classes & WORD != 0) | (table == ord("_"))
    table |= np.where(word, _IS_WORD, np.uint32(0))
    table |= np.where(classes & SPACE != 0, _IS_SPACE, np.uint32(0))
    table |= np.where(word & (classes & (HAN | KANA) != 0), _IS_IDEOGRAPH, np.uint32(0))
    table.flags.writeable = False
    return table


def unit_buffers(texts: pa.ChunkedArray | pa.Array) -> tuple[Bytes, Offsets, Codes]:
    """What the kernels need of a large_string column: bytes, offsets, `unit_table`.

    Documents with one of the two irregular capitals come lower-cased; all others as they are.
    """
    column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    # Arrow's search of both took a third of the time of the signatures (2026-11-24).
    if _any_irregular(*text_buffers(column)):
        irregular = pc.or_(pc.match_substring(column, SIGMA), pc.match_substring(column, DOTTED_I))
        lowered = [text.lower() for text in column.filter(irregular).to_pylist()]
        column = pc.replace_with_mask(column, irregular, pa.array(lowered, pa.large_string()))
    return *text_buffers(column), unit_table()


@kernel
def _any_irregular(data, offsets):
    """Whether U+03A3 (CE A3) or U+0130 (C4 B0) is anywhere."""
    # Neighbours as two views: with indices of its own making LLVM compares 64 bytes at once.
    left = data[offsets[0] : offsets[-1] - 1]
    right = data[offsets[0] + 1 : offsets[-1]]
    found = np.uint8(0)
    for i in range(len(right)):
        sigma = np.uint8(left[i] == 0xCE) & np.uint8(right[i] == 0xA3)
        found |= sigma | (np.uint8(left[i] == 0xC4) & np.uint8(right[i] == 0xB0))
    return found != 0


@kernel
def unit_room(offsets):
    """Sizes of the two arrays that hold the units of any one document: bytes, starts.

    They are used for one document after another; pages that none needs are never touched.
    """
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    # Lower case grows a character from two bytes to three at the most, and a word's separator
    # stands for at least one byte of the text (the last one's for none).
    return longest * 3 // 2 + PADDING, longest + PADDING


@kernel
def write_units(data, start, stop, table, kind, buffer, starts):
    """The units of the document `data[start:stop]`, written into `buffer` one after the other.

    `kind` is AUTO, WORDS or CHARACTERS; `buffer` (uint8) and `starts` (int64) have `unit_room`.
    Returns the number of units and `separator`, the bytes between two: 1 for words, 0 for
    characters. Units i to j - 1, joined, are `buffer[starts[i] : starts[j] - separator]`, for j up
    to the number of units. Only valid UTF-8 may be given.
    """
    if kind == CHARACTERS or (kind == AUTO and _is_ideographic(data, start, stop, table)):
        return _write_characters(data, start, stop, table, buffer, starts), 0
    return _write_words(data, start, stop, table, buffer, starts), 1


@kernel
def _write_words(data, start, stop, table, buffer, starts):
    length = unit = 0
    inside = 0
    at = start
    while at < stop:
        byte = data[at]
        if byte < 0x80:
            # Without a branch on the letters: a word's end is what no processor foresees.
            entry = table[byte]
            word = 1 if entry & _IS_WORD else 0
            buffer[length] = entry & np.uint32(0xFF) if word else np.uint32(32)
            starts[unit] = length
            unit += word & ~inside
            length += word | inside
            inside = word
            at += 1
            continue
        code, at = decode(data, at)
        entry = table[code]
        if entry & _IS_WORD:
            starts[unit] = length
            unit += 1 - inside
            length = encode(entry & _CODE, buffer, length)
            inside = 1
        elif inside:
            buffer[length] = 32
            length += 1
            inside = 0
    buffer[length] = 32
    starts[unit] = length + inside
    return unit


@kernel
def _write_characters(data, start, stop, table, buffer, starts):
    length = unit = 0
    at = start
    while at < stop:
        code, at = decode(data, at)
        entry = table[code]
        if not entry & _IS_SPACE:
            starts[unit] = length
            unit += 1
            length = encode(entry & _CODE, buffer, length)
    starts[unit] = length
    return unit


@kernel
def _is_ideographic(data, start, stop, table):
    """Whether more than a tenth of the `\\w` characters are Chinese or Japanese."""
    # All of those begin with a byte from 0xE2 on (U+2E80 is E2 BA 80): most texts have none.
    left = data[start : stop - 1]
    right = data[start + 1 : stop]
    possible = np.uint8(0)
    for i in range(len(right)):
        radical = np.uint8(left[i] == 0xE2) & np.uint8(right[i] >= 0xBA)
        possible |= np.uint8(left[i] > 0xE2) | radical
    if not possible:
        return False
    num_words = num_ideographs = 0
    at = start
    while at < stop:
        code, at = decode(data, at)
        entry = table[code]
        num_words += entry & _IS_WORD != 0
        num_ideographs += entry & _IS_IDEOGRAPH != 0
    return num_ideographs * 10 > num_words
