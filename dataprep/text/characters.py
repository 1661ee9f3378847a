"""What kind each Unicode character is, as one table that compiled loops look up.

Python's own `str` methods and `unicodedata` decide, so that a reference in plain Python agrees by
construction; a Python with another Unicode version may classify new characters differently.
"""

import functools
import unicodedata

import numpy as np
import numpy.typing as npt

LETTER = 1  # str.isalpha
WORD = 2  # str.isalnum: a word has at least one such character
SPACE = 4  # str.isspace
HAN = 8
KANA = 16
HANGUL = 32
PUNCTUATION = 64  # general categories P*
TERMINAL = 128  # ends a sentence, or closes a quotation that may end one

# A sentence's end as FineWeb and C4 count it (Raffel et al. 2020; Penedo et al. 2024): full stop,
# question and exclamation mark, ellipsis, and closing quotation marks; with their wide forms.
TERMINAL_CHARACTERS = ".!?…\"'”’。！？．｡」』"

_NUM_CODE_POINTS = 0x110000
_LAST_ASSIGNED_LETTER = 0x3FFFF  # planes 4 to 13 are empty; 14 to 16 hold neither letter nor space
_HAN = (
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_KANA = ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F))
_HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF))


@functools.cache
def character_classes() -> npt.NDArray[np.uint8]:
    """Shape [0x110000], uint8: for each code point the sum of its flags. Takes 0.2 s once."""
    table = np.zeros(_NUM_CODE_POINTS, dtype=np.uint8)
    for code in range(_LAST_ASSIGNED_LETTER + 1):
        character = chr(code)
        flags = 0
        if character.isalnum():
            flags = WORD | LETTER if character.isalpha() else WORD
        elif character.isspace():
            flags = SPACE
        elif unicodedata.category(character).startswith("P"):
            flags = PUNCTUATION
        table[code] = flags
    for flag, ranges in ((HAN, _HAN), (KANA, _KANA), (HANGUL, _HANGUL)):
        for first, last in ranges:
            letters = (table[first : last + 1] & LETTER) != 0
            table[first : last + 1][letters] |= flag
    for character in TERMINAL_CHARACTERS:
        table[ord(character)] |= TERMINAL
    table.flags.writeable = False
    return table
