"""Signals of Chinese text that counts of words do not give: is this written language?

What separates text from what looks like it needs no model and no list of pages:

- `pair_cohesion`: how much oftener pairs of Han characters recur in the document than its
  characters alone would have it. A language says its words again; in a shuffled text pairs recur as
  chance has it, and the value is near 1.
- `misplaced_han`: characters that begin no clause (的, 个) or end none (不, 这), and clause marks,
  where they cannot stand, against how many chance would put there. Text is near 0; words in any
  order are near a half, characters in any order near 1.
- `common_han`, `function_han`, `sentence_han`: shares, of the Han characters, that are common (in
  the first levels of GB 2312 or of Big5, whichever fits the text better), that are grammatical,
  and that stand in sentences rather than in menus.
- `repeated_han_5grams`, `repeated_han_13grams`: shares of Han characters in runs that occurred
  before. Code and tables, which repeat and are good, hold no Han characters.
- `broken_characters`: share of characters that a wrong encoding leaves behind; in any language.

All come from a document's own counts, in simplified and traditional script alike. Where little is
seen, little is said: each share is drawn towards its usual value by a small number of observations,
so that short documents are judged by what is there, not by chance. The thresholds that go with them
are in `presets/chinese.toml`, the figures in docs/language.md.
"""

import functools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import text_buffers
from dataprep.signals import chinese_kernels as k
from dataprep.step import Step
from dataprep.text.characters import character_classes

NAMES = (
    "common_han",
    "function_han",
    "sentence_han",
    "pair_cohesion",
    "misplaced_han",
    "repeated_han_5grams",
    "repeated_han_13grams",
    "signs_between_han",
    "digit_characters",
    "broken_characters",
)
FIELDS = tuple(pa.field(f"chinese_{name}", pa.float64()) for name in NAMES)
# What says something of Chinese only; null in other languages.
_OF_CHINESE = frozenset(NAMES[:5]) | {"signs_between_han"}

# Grammatical words of modern and of classical Chinese, in both scripts.
FUNCTION_CHARACTERS = (
    "的了是在不有我他她它你这那和就也都而与以为之其于及或但因所从被把到对将会能可要没个们着过"
    "又很更最还這個們著過為於與從對將會沒還吗呢吧嗎者乃則则且若如矣焉乎此何無无並并使用中上下"
)
NEVER_FIRST_CHARACTERS = "的了个個们們着些么麼者吗嗎呢吧矣哉"
NEVER_LAST_CHARACTERS = "不这這那就又其自于於与與没沒只或被很但把最该該什"
ATTACHED_CHARACTERS = "的们們"
CLAUSE_MARKS = "，。！？；：、,.:;!?…︰﹐﹑﹒"

# Observations that each measure is drawn by, and towards what.
_HAN_PRIOR, _COMMON_USUAL, _FUNCTION_USUAL = 60.0, 1.0, 0.25
_SENTENCE_PRIOR, _SENTENCE_USUAL = 30.0, 0.8
_COHESION_PRIOR, _COHESION_USUAL = 0.3, 10.0
_MISPLACED_PRIOR, _MISPLACED_USUAL = 3.0, 0.05

Signals = dict[str, npt.NDArray[np.float64]]


def make_step() -> Step:
    """The step `chinese`: adds the columns of `FIELDS`, float64.

    Those that know what Chinese is are null in every other language, Japanese too: no rule judges
    there. What repeats and what an encoding broke is measured in every row.
    """
    return Step(name="chinese", needs=("text", "language"), adds=FIELDS, apply=_apply)


def measure(text: pa.ChunkedArray | pa.Array) -> Signals:
    """The signals of each text (large_string): float64 arrays of shape [rows] by name.

    Where a document has no Han characters, shares of them are their usual values, or 0.
    """
    data, offsets = text_buffers(text)
    counts = np.zeros((len(offsets) - 1, k.NUM_COUNTS), dtype=np.int64)
    k.measure(data, offsets, character_classes(), character_kinds(), counts)
    c = counts.astype(np.float64).T
    han, read, pairs = c[k.HAN_CHARACTERS], c[k.READ_HAN], c[k.PAIRS]
    common = np.maximum(c[k.COMMON_SIMPLIFIED], c[k.COMMON_TRADITIONAL])
    function = c[k.FUNCTION_CHARACTERS]
    # Two places show the same pair by chance as often as the same character, squared.
    equal_share = _share(c[k.EQUAL_CHARACTERS], read * (read - 1) / 2)
    pairs_expected = equal_share**2 * pairs * (pairs - 1) / 2
    wrong, wrong_expected = _misplaced(c)
    return {
        "common_han": (common + _HAN_PRIOR * _COMMON_USUAL) / (han + _HAN_PRIOR),
        "function_han": (function + _HAN_PRIOR * _FUNCTION_USUAL) / (han + _HAN_PRIOR),
        "sentence_han": (c[k.SENTENCE_HAN] + _SENTENCE_PRIOR * _SENTENCE_USUAL)
        / (han + _SENTENCE_PRIOR),
        "pair_cohesion": (c[k.EQUAL_PAIRS] + _COHESION_PRIOR * _COHESION_USUAL)
        / (pairs_expected + _COHESION_PRIOR),
        "misplaced_han": (wrong + _MISPLACED_PRIOR * _MISPLACED_USUAL)
        / (wrong_expected + _MISPLACED_PRIOR),
        "repeated_han_5grams": _share(c[k.REPEATED_5GRAMS], read),
        "repeated_han_13grams": _share(c[k.REPEATED_13GRAMS], read),
        "signs_between_han": _share(c[k.SIGNS_BETWEEN], han),
        "digit_characters": _share(c[k.DIGITS], c[k.CHARACTERS]),
        "broken_characters": _share(c[k.BROKEN_CHARACTERS], c[k.CHARACTERS]),
    }


@functools.cache
def character_kinds() -> npt.NDArray[np.uint8]:
    """Shape [0x110000], uint8: the flags of `chinese_kernels` for each code point."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for flag, encoding, leads in (
        (k.SIMPLIFIED, "gb2312", range(0xB0, 0xD8)),  # level 1: 3,755 characters, by sound
        (k.TRADITIONAL, "big5", range(0xA4, 0xC7)),  # level 1: 5,401 characters, by strokes
    ):
        for lead in leads:
            for trail in range(0x40, 0xFF):
                character = bytes((lead, trail)).decode(encoding, errors="ignore")
                if len(character) == 1 and ord(character) > 0x7F:
                    table[ord(character)] |= flag
    for flag, characters in (
        (k.FUNCTION, FUNCTION_CHARACTERS),
        (k.NEVER_FIRST, NEVER_FIRST_CHARACTERS),
        (k.NEVER_LAST, NEVER_LAST_CHARACTERS),
        (k.ATTACHED, ATTACHED_CHARACTERS),
        (k.CLAUSE_MARK, CLAUSE_MARKS),
    ):
        for character in characters:
            table[ord(character)] |= flag
    # Latin-1's upper half but its usual signs, private use, half-width katakana, U+FFFD.
    for first, last in ((0x80, 0xFF), (0xE000, 0xF8FF), (0xFF61, 0xFF9F), (0xFFFD, 0xFFFD)):
        table[first : last + 1] |= k.BROKEN
    for character in "©®°±·×÷«»§¥£²³":
        table[ord(character)] &= 0xFF ^ k.BROKEN
    table.flags.writeable = False
    return table


def _misplaced(
    c: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How many characters stand where they cannot, and how many would by chance; each [rows]."""
    han = c[k.HAN_CHARACTERS]
    wrong = c[k.WRONG_STARTS] + c[k.WRONG_ENDS] + c[k.WRONG_PAIRS] + c[k.WRONG_MARKS]
    starts = c[k.CLAUSE_STARTS] * _share(c[k.NEVER_FIRST_CHARACTERS], han)
    ends = c[k.CLAUSE_ENDS] * _share(c[k.NEVER_LAST_CHARACTERS], han)
    before = _share(c[k.NEVER_LAST_CHARACTERS] + c[k.OF_CHARACTERS], han)
    pairs = c[k.PAIRS] * before * _share(c[k.ATTACHED_CHARACTERS], han)
    places = _share(c[k.CLAUSE_MARKS] + c[k.LINES], c[k.CHARACTERS])
    return wrong, starts + ends + pairs + c[k.CLAUSE_MARKS] * places


def _share(
    part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1e-300), 0.0)


def _apply(table: pa.Table) -> pa.Table:
    signals = measure(table["text"])
    foreign = ~np.asarray(pc.equal(table["language"], "zh").to_numpy(), np.bool_)
    for field, name in zip(FIELDS, NAMES, strict=True):
        unknown = foreign if name in _OF_CHINESE else None
        table = table.append_column(field, pa.array(signals[name], field.type, mask=unknown))
    return table
