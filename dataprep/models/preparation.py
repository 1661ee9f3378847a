"""What classifiers read of a text, the same in training and in scoring.

Lower case; wide forms of ASCII as ASCII; every sign, emoji, and Chinese or Japanese character a
word of its own, as those scripts put no spaces between words; of a letter or sign that stands more
than twice in a row two (`sooooo`, `!!!!!`); control characters and all white space as one blank,
zero-width signs as nothing.
Terms that shall not count by themselves (`masked`) become one sign, so that a classifier sees that
there was one, but not which.
"""

import functools
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.arrow_buffers import Bytes, Offsets, text_buffers
from dataprep.models.preparation_kernels import (
    ALONE,
    BLANK,
    NOTHING,
    REPEATS,
    prepare_texts,
    replace_spans,
)
from dataprep.text import word_lists
from dataprep.text.characters import HAN, KANA, character_classes

# A private-use character: no text says it to mean something.
MASK = "\ue000"
_LAST_LOOKED_AT = 0x1FFFF
_NUM_CODE_POINTS = 0x110000


def prepare(texts: pa.Array | pa.ChunkedArray, masked: tuple[str, ...] = ()) -> pa.Array:
    """`texts` (large_string) prepared; `masked` are words or phrases that become `MASK`."""
    data, offsets = text_buffers(texts)
    if masked:
        rows, starts, ends = word_lists.find(texts, masked_automaton(masked))
        mark = np.frombuffer(MASK.encode(), np.uint8)
        data, offsets = replace_spans(data, offsets, rows, starts, ends, mark)
    return text_array(*prepare_texts(data, offsets, _table()))


@functools.lru_cache(maxsize=8)
def masked_automaton(words: tuple[str, ...]) -> word_lists.Automaton:
    """The automaton of these words; built once in each process."""
    return word_lists.automaton(words)


def text_array(data: Bytes, offsets: Offsets) -> pa.Array:
    """A large_string array over these buffers; nothing is copied."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


@functools.cache
def _table() -> npt.NDArray[np.uint32]:
    """Shape [0x110000], uint32: see `preparation_kernels`. Takes 0.1 s once."""
    table = np.arange(_NUM_CODE_POINTS, dtype=np.uint32)
    for code in range(_LAST_LOOKED_AT + 1):
        character = chr(code)
        category = unicodedata.category(character)
        if (category.startswith("M") and "\ufe00" <= character <= "\ufe0f") or category == "Cf":
            # Variation selectors, soft hyphens, zero-width signs: they hide words in plain sight.
            table[code] = NOTHING
            continue
        if character.isspace() or category in ("Cc", "Zs", "Zl", "Zp", "Cs") or character == "_":
            table[code] = BLANK
            continue
        folded = character
        if 0xFF01 <= code <= 0xFF5E:
            folded = chr(code - 0xFEE0)
        lower = folded.lower()
        folded = lower if len(lower) == 1 else folded
        entry = ord(folded)
        kind = unicodedata.category(folded)
        if kind.startswith(("P", "S")) and folded != "'":
            entry |= ALONE
        if not folded.isdigit():
            entry |= REPEATS
        table[code] = entry
    table[ord(MASK)] |= ALONE
    classes = character_classes()
    table[(classes & (HAN | KANA)) != 0] |= ALONE | REPEATS
    table.flags.writeable = False
    return table
