"""Texts as the words that n-gram models count: one way for every language, without a download.

    Don't panic, 42 people!  ->  don ' t panic , 00 people !
    水车转动 3 次。           ->  水 车 转 动 0 次 。

Lower case; every digit is 0. Letters, digits and marks in a row are a word; every Chinese or
Japanese character, and every other sign, is a word by itself. A line of text is a sentence. That is
CCNet's normalization (Wenzek et al. 2020, arXiv:1911.00359) but that accents stay, and words and
characters stand in the place of its SentencePiece pieces. A run of more than 32 characters is cut,
so that the longest word is bounded.
"""

import functools
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.arrow_buffers import Bytes, Offsets, text_buffers
from dataprep.kernel_cache import kernel
from dataprep.text.characters import HAN, KANA, SPACE, WORD, character_classes
from dataprep.text.text_kernels import decode, encode

WORD_CHARACTERS_MAX = 32

Folds = npt.NDArray[np.uint32]

# Above the code point that a character is folded to, in the table's upper bits.
_ALONE = np.uint32(1 << 24)
_BLANK = np.uint32(1 << 25)
_CODE = np.uint32(0x1FFFFF)
_LAST_CASED = 0x1FFFF
_LINE_END = 10
_SEPARATOR = 32


@functools.cache
def folds() -> Folds:
    """Shape [0x110000], uint32: what each code point is folded to, with its kind. 0.3 s once."""
    classes = character_classes()
    table = np.arange(0x110000, dtype=np.uint32)
    word = ((classes & WORD) != 0) & ((classes & (HAN | KANA)) == 0)
    for code in range(_LAST_CASED + 1):
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Nd":
            table[code] = ord("0")
        elif category[0] == "M":
            word[code] = True
        elif len(lower := character.lower()) == 1:
            table[code] = ord(lower)
    table[~word] |= _ALONE
    table[((classes & SPACE) != 0) | (np.arange(0x110000) < _SEPARATOR)] |= _BLANK
    table.flags.writeable = False
    return table


def words(text: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Each text (large_string) as its words with a blank between them, lines kept apart.

    Lines without a word are gone, and the last line has no end. Words hold no white space.
    """
    data, offsets = text_buffers(text)
    first, last = int(offsets[0]), int(offsets[-1])
    # Every character becomes at most itself and a blank; the lower case of some that take two bytes
    # takes three.
    written = np.empty(2 * (last - first) + 1, np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    write_words(data, offsets, folds(), written, bounds)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(written[: bounds[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


@kernel
def write_words(
    data: Bytes, offsets: Offsets, table: Folds, written: Bytes, bounds: Offsets
) -> None:
    """Fill `written` (uint8) with the words of all texts and `bounds` (int64 [rows + 1]).

    `data` and `offsets` are Arrow's; `table` is that of `folds`.
    """
    place = 0
    for row in range(offsets.shape[0] - 1):
        begin = place
        position = offsets[row]
        end = offsets[row + 1]
        length = 0  # characters of the word that is open
        pending = 0  # what stands before the next word: nothing, a blank or a line's end
        while position < end:
            byte = data[position]
            if byte == _LINE_END:
                position += 1
                length = 0
                if place > begin:
                    pending = _LINE_END
                continue
            if byte < 0x80:
                code = int(byte)
                position += 1
            else:
                code, position = decode(data, position)
            fold = table[code]
            if fold & _BLANK:
                length = 0
                continue
            alone = fold & _ALONE != 0
            if alone or length == 0 or length == WORD_CHARACTERS_MAX:
                if place > begin:
                    written[place] = pending if pending else _SEPARATOR
                    place += 1
                pending = 0
                length = 0
            length = 0 if alone else length + 1
            place = encode(int(np.int64(fold & _CODE)), written, place)
        bounds[row + 1] = place
