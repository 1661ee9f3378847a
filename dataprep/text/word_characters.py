"""What the splitter of words and the rules' own definitions must know of each character.

`characters` says what Unicode says (letters, spaces, scripts); the sets here are those that others
fixed: which signs stand at a word's edge and are split off (spaCy's English rules, which FineWeb's
thresholds were set with), which words are only symbols, which characters end a line that counts as
a sentence (datatrove 0.10, `PUNCTUATION` and `TERMINAL_PUNCTUATION`; Penedo et al. 2024).
"""

import functools
import unicodedata

import numpy as np
import numpy.typing as npt

from dataprep.text.characters import HAN, KANA, LETTER, SPACE, WORD, character_classes

ALPHABETIC = 1
DIGIT = 2
BLANK = 4
ALONE = 8  # Han and kana: a word by itself
EDGE = 16  # split off at either end of a run
SYMBOL = 32  # a word of nothing but these is no word
TERMINAL = 64  # ends a line of prose, as FineWeb counts it
SENTENCE_END = 128
PUNCTUATION = 256  # Unicode's P*: does not begin a sentence
UPPER = 512
LOWER = 1024
PLAIN = 2048  # letters and digits that need no further look inside a run
CURRENCY = 4096
QUOTE = 8192
ICON = 16384  # Unicode's So: split off wherever it stands
IDEOGRAPH = 32768

_NUM_CODE_POINTS = 0x110000
_LAST_LOOKED_AT = 0x1FFFF

# Signs at an edge: punctuation, quotation marks and currency signs, but no hyphen and no full stop.
_EDGES = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪§%=—–"
_QUOTES = "'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉"
_CURRENCY = "$£€¥฿₽﷼₴₹₩₪₫₭₮₱₲₵₸₺₼₾₿"

# The characters of words that are only symbols; beside them controls and what ends a sentence.
_SYMBOLS = (
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
)

# Characters that end a sentence in some script, in hexadecimal.
_SENTENCE_ENDS = """
21 2e 3f 589 61f 6d4 700-702 7f9 964-965 104a-104b 1362 1367-1368 166e 1735-1736 1803 1809
1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 3002
a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57
ff01 ff0e ff1f ff61 10a56-10a57 11047-11048 110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df
11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 1173c-1173e
11a42-11a43 11a9b-11a9c 11c41-11c42 16a6e-16a6f 16af5 16b37-16b38 16b44 1bc9f 1da88
"""
# More of them, which end a line but no sentence of spaCy's.
_LINE_ENDS = """
61d-61e 837 839 83d-83e 17d4-17d6 17d9-17da 1b7d-1b7e 2e53-2e54 10f55-10f59 10f86-10f89 11944 11946
11ef7-11ef8 11f43-11f44 16e98
"""


@functools.cache
def word_characters() -> npt.NDArray[np.uint16]:
    """Shape [0x110000], uint16: for each code point the sum of its flags. Takes 0.2 s once."""
    classes = character_classes()
    table = np.zeros(_NUM_CODE_POINTS, dtype=np.uint16)
    table[(classes & LETTER) != 0] |= ALPHABETIC
    table[(classes & SPACE) != 0] |= BLANK
    table[(classes & (HAN | KANA)) != 0] |= ALONE
    table[(classes & HAN) != 0] |= IDEOGRAPH
    table[((classes & WORD) != 0) & ((classes & (HAN | KANA)) == 0)] |= PLAIN
    for code in range(_LAST_LOOKED_AT + 1):
        category = unicodedata.category(chr(code))
        if category == "Nd":
            table[code] |= DIGIT
        elif category == "Lu":
            table[code] |= UPPER
        elif category == "Ll":
            table[code] |= LOWER
        elif category == "So":
            table[code] |= ICON
        elif category[0] == "P":
            table[code] |= PUNCTUATION
    for flag, characters in (
        (EDGE, _EDGES + _QUOTES + _CURRENCY),
        (QUOTE, _QUOTES),
        (CURRENCY, _CURRENCY),
        (SYMBOL, _SYMBOLS),
    ):
        for character in characters:
            table[ord(character)] |= flag
    for flag, written in (
        (SENTENCE_END | TERMINAL | SYMBOL, _SENTENCE_ENDS),
        (TERMINAL | SYMBOL, _LINE_ENDS),
    ):
        for first, last in _ranges(written):
            table[first : last + 1] |= flag
    for first, last in ((0, 8), (0xB, 0x1F), (0x7F, 0x9F)):
        table[first : last + 1] |= SYMBOL
    table.flags.writeable = False
    return table


def _ranges(written: str) -> list[tuple[int, int]]:
    """`"21 2e-2f"` as pairs of first and last code point."""
    pairs = []
    for item in written.split():
        first, _, last = item.partition("-")
        pairs.append((int(first, 16), int(last or first, 16)))
    return pairs
