# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
r"""Shingling, version 1: what near-duplicate means here, as kernels over Arrow's text buffers.

    words       text.lower(), re.findall(r"\w+"), every five neighbours joined by one space
    characters  text.lower(), all white space removed, every five neighbouring characters

Characters are the units where more than a tenth of a document's `\w` characters are Chinese or
Japanese, words elsewhere (2026-11-21: real Chinese technical documents hold 16 % or more, English
ones none). A document with fewer units than five has no shingle: only exact duplication is asked
of it. `lower`, `\w` and white space are Python's, for all of Unicode.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import Bytes, Offsets, text_buffers
from dataprep.characters import HAN, KANA, SPACE, WORD, character_classes
from dataprep.hash_kernels import xxh64
from dataprep.kernel_cache import kernel
from dataprep.text_kernels import decode

SHINGLE_UNITS = 5

# The two characters that `str.lower` does not map one to one: final sigma depends on the letters
# around it, and the dotted capital I becomes two code points.
SIGMA, DOTTED_I = "\u03a3", "\u0130"
_UNDERSCORE = ord("_")  # with letters and digits it makes up `\w`

Codes = npt.NDArray[np.uint32]


@cache
def lower_case() -> Codes:
    """The lower case of every code point, uint32, shape [0x110000], as this Python has it."""
    text = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)
    lowered = text.replace(SIGMA, "s").replace(DOTTED_I, "i").lower()
    assert len(lowered) == len(text), "a character whose lower case is not one character"
    table = np.arange(0x110000, dtype=np.uint32)
    table[_codes(text)] = _codes(lowered)
    # These two never reach a kernel: `shingle_buffers` lowers their documents beforehand.
    table[[ord(SIGMA), ord(DOTTED_I)]] = [ord(SIGMA), ord(DOTTED_I)]
    table.flags.writeable = False
    return table


def _codes(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def shingle_buffers(texts: pa.ChunkedArray | pa.Array) -> tuple[Bytes, Offsets, Codes, Bytes]:
    """What the kernels need of a large_string column: bytes, offsets, lower case, classes.

    Documents with one of the two irregular capitals come lower-cased; all others as they are.
    """
    column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    irregular = pc.or_(pc.match_substring(column, SIGMA), pc.match_substring(column, DOTTED_I))
    if pc.any(irregular).as_py():
        lowered = [text.lower() for text in column.filter(irregular).to_pylist()]
        column = pc.replace_with_mask(column, irregular, pa.array(lowered, pa.large_string()))
    return *text_buffers(column), lower_case(), character_classes()


def shingle_sets(
    texts: pa.ChunkedArray | pa.Array,
) -> tuple[Offsets, npt.NDArray[np.uint64]]:
    """The set of shingles of each text: offsets (int64, shape [rows + 1]) into hashes (uint64).

    A set is the sorted distinct 64-bit hashes (xxh64) of its shingles' UTF-8 bytes. Comparing
    hashes is comparing shingles, up to a collision: for two documents of 10,000 shingles one
    differing pair in 10^11 such comparisons looks alike, and shifts the Jaccard by less than 1e-4.
    """
    data, offsets, lower, classes = shingle_buffers(texts)
    set_offsets = np.zeros(len(offsets), np.int64)
    parts = []
    for row in range(len(offsets) - 1):
        part = _document_set(data, offsets[row], offsets[row + 1], lower, classes)
        parts.append(part)
        set_offsets[row + 1] = set_offsets[row] + len(part)
    return set_offsets, np.concatenate(parts) if parts else np.zeros(0, np.uint64)


def jaccard(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> float:
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
def _document_set(data, start, stop, lower, classes):
    buffer, starts, separator = write_units(data, start, stop, lower, classes)
    num_shingles = max(0, len(starts) - SHINGLE_UNITS)
    hashes = np.empty(num_shingles, np.uint64)
    for i in range(num_shingles):
        end = starts[i + SHINGLE_UNITS] - separator
        hashes[i] = xxh64(buffer, np.int64(starts[i]), np.int64(end), np.uint64(0))
    hashes.sort()
    kept = 0
    for i in range(num_shingles):
        if i == 0 or hashes[i] != hashes[kept - 1]:
            hashes[kept] = hashes[i]
            kept += 1
    return hashes[:kept].copy()


@kernel
def write_units(data, start, stop, lower, classes):
    """The units of the document `data[start:stop]`, written one after the other.

    Returns `buffer` (uint8), `starts` (int64, shape [units + 1]) and `separator`, the bytes between
    two units: 1 for words, 0 for characters. Units i to j - 1, joined, are
    `buffer[starts[i] : starts[j] - separator]`. Only valid UTF-8 may be given.
    """
    characters, num_units = _count_units(data, start, stop, lower, classes)
    # Lower case grows a character from two bytes to three at the most, and a word's separator
    # stands for at least one byte of the text (the last one's for none).
    buffer = np.empty((stop - start) * 3 // 2 + 8, np.uint8)
    starts = np.empty(num_units + 1, np.int64)
    at = start
    length = 0
    unit = 0
    inside = False
    while at < stop:
        code, at = decode(data, at)
        code = lower[code]
        if characters:
            if classes[code] & SPACE:
                continue
            starts[unit] = length
            unit += 1
            length = _encode(code, buffer, length)
        elif classes[code] & WORD or code == _UNDERSCORE:
            if not inside:
                inside = True
                starts[unit] = length
                unit += 1
            length = _encode(code, buffer, length)
        elif inside:
            inside = False
            buffer[length] = 32
            length += 1
    if inside:
        buffer[length] = 32
        length += 1
    starts[num_units] = length
    return buffer, starts, 0 if characters else 1


@kernel
def _count_units(data, start, stop, lower, classes):
    num_words = num_characters = num_word_characters = num_ideographs = 0
    inside = False
    at = start
    while at < stop:
        code, at = decode(data, at)
        code = lower[code]
        classes_of_code = classes[code]
        if classes_of_code & WORD or code == _UNDERSCORE:
            num_word_characters += 1
            if classes_of_code & (HAN | KANA):
                num_ideographs += 1
            if not inside:
                num_words += 1
            inside = True
        else:
            inside = False
        if not classes_of_code & SPACE:
            num_characters += 1
    if num_ideographs * 10 > num_word_characters:
        return True, num_characters
    return False, num_words


@kernel
def _encode(code, buffer, at):
    if code < 0x80:
        buffer[at] = code
        return at + 1
    if code < 0x800:
        buffer[at] = 0xC0 | (code >> 6)
        buffer[at + 1] = 0x80 | (code & 0x3F)
        return at + 2
    if code < 0x10000:
        buffer[at] = 0xE0 | (code >> 12)
        buffer[at + 1] = 0x80 | ((code >> 6) & 0x3F)
        buffer[at + 2] = 0x80 | (code & 0x3F)
        return at + 3
    buffer[at] = 0xF0 | (code >> 18)
    buffer[at + 1] = 0x80 | ((code >> 12) & 0x3F)
    buffer[at + 2] = 0x80 | ((code >> 6) & 0x3F)
    buffer[at + 3] = 0x80 | (code & 0x3F)
    return at + 4
