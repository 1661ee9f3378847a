"""Cheap signals of every document: counts and shares that rules judge and reports show.

They are computed once and kept, for every row, dropped or not, so that thresholds can be tried
without reading a text again. `text_kernels` says what a word, a line and a paragraph are, and
`repetition_kernels` what repeats. Shares of characters are of all characters of the text.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep import repetition_kernels, text_kernels
from dataprep.arrow_buffers import text_buffers
from dataprep.characters import character_classes
from dataprep.step import Step

# Languages in which a character is a word, because no spaces stand between words.
LANGUAGES_WITHOUT_SPACES = ("zh", "ja")

# Rae et al. 2021, section A1.1.
STOP_WORDS_GOPHER = ("the", "be", "to", "of", "and", "that", "have", "with")
# FineWeb-2, cmn_Hani, without its middle dot, which is no word here.
STOP_WORDS_CHINESE = tuple("的年在月是和日了於為有被人中为他與後也而由")

_COUNTS = ("character_count", "word_count", "line_count", "paragraph_count", "stop_words")
_SHARES = (
    "mean_word_length",
    "symbol_ratio",
    "ellipsis_ratio",
    "bullet_lines",
    "ellipsis_lines",
    "terminal_lines",
    "newline_ratio",
    "alphabetic_words",
    "punctuation_characters",
    "han_characters",
    "duplicate_lines",
    "duplicate_paragraphs",
    "duplicate_line_characters",
    "duplicate_paragraph_characters",
    *(f"top_{n}gram_characters" for n in repetition_kernels.TOP_NGRAMS),
    *(f"duplicate_{n}gram_characters" for n in repetition_kernels.DUPLICATE_NGRAMS),
)
FIELDS = (
    *(pa.field(f"signals_{name}", pa.int64(), nullable=False) for name in _COUNTS),
    *(pa.field(f"signals_{name}", pa.float64(), nullable=False) for name in _SHARES),
)

Signals = dict[str, npt.NDArray[np.generic]]


def make_step() -> Step:
    """The step `signals`: adds the columns of `FIELDS`; needs the language for the stop words."""
    return Step(name="signals", needs=("text", "language"), adds=FIELDS, apply=_apply)


def measure(text: pa.ChunkedArray | pa.Array, unspaced: npt.NDArray[np.bool_]) -> Signals:
    """The signals of each text (large_string): arrays of shape [rows] by name, without prefix.

    `unspaced` (bool [rows]) says where the language puts no spaces between words: there Chinese
    stop words are counted. Counts are int64. Shares and ratios are float64, 0.0 where there is
    nothing to divide by.
    """
    data, offsets = text_buffers(text)
    counts = np.zeros((len(offsets) - 1, repetition_kernels.NUM_COUNTS), dtype=np.int64)
    repetition_kernels.measure(data, offsets, character_classes(), _stop_words(), counts)
    t, r = text_kernels, repetition_kernels

    def share(column: int, of: int) -> npt.NDArray[np.float64]:
        whole = counts[:, of]
        return np.where(whole > 0, counts[:, column] / np.maximum(whole, 1), 0.0)

    signals: Signals = {
        "character_count": counts[:, t.CHARACTERS],
        "word_count": counts[:, t.WORDS],
        "line_count": counts[:, t.LINES],
        "paragraph_count": counts[:, r.PARAGRAPHS],
        "stop_words": np.where(
            unspaced, counts[:, t.STOP_WORDS_CHINESE], counts[:, t.STOP_WORDS_GOPHER]
        ),
        "mean_word_length": share(t.WORD_CHARACTERS, t.WORDS),
        "symbol_ratio": share(t.NUMBER_SIGNS, t.WORDS),
        "ellipsis_ratio": share(t.ELLIPSES, t.WORDS),
        "bullet_lines": share(t.BULLET_LINES, t.LINES),
        "ellipsis_lines": share(t.ELLIPSIS_LINES, t.LINES),
        "terminal_lines": share(t.TERMINAL_LINES, t.LINES),
        "newline_ratio": share(t.NEWLINES, t.WORDS),
        "alphabetic_words": share(t.ALPHABETIC_TOKENS, t.TOKENS),
        "punctuation_characters": share(t.PUNCTUATION_CHARACTERS, t.CHARACTERS),
        "han_characters": share(t.HAN_CHARACTERS, t.CHARACTERS),
        "duplicate_lines": share(r.DUPLICATE_LINES, t.LINES),
        "duplicate_paragraphs": share(r.DUPLICATE_PARAGRAPHS, r.PARAGRAPHS),
        "duplicate_line_characters": share(r.DUPLICATE_LINE_CHARACTERS, t.CHARACTERS),
        "duplicate_paragraph_characters": share(r.DUPLICATE_PARAGRAPH_CHARACTERS, t.CHARACTERS),
    }
    for index, n in enumerate(r.TOP_NGRAMS):
        column = r.TOP_NGRAM_CHARACTERS + index
        signals[f"top_{n}gram_characters"] = share(column, t.CHARACTERS)
    for index, n in enumerate(r.DUPLICATE_NGRAMS):
        column = r.DUPLICATE_NGRAM_CHARACTERS + index
        signals[f"duplicate_{n}gram_characters"] = share(column, t.CHARACTERS)
    return signals


def _apply(table: pa.Table) -> pa.Table:
    unspaced = pc.is_in(table["language"], pa.array(LANGUAGES_WITHOUT_SPACES, pa.string()))
    signals = measure(table["text"], unspaced.to_numpy())
    for field in FIELDS:
        values = signals[field.name.removeprefix("signals_")]
        table = table.append_column(field, pa.array(values, field.type))
    return table


def _stop_words() -> npt.NDArray[np.uint64]:
    """Shape [2, n], uint64: both lists packed for the kernel, padded with 0."""
    lists = (STOP_WORDS_GOPHER, STOP_WORDS_CHINESE)
    packed = np.zeros((2, max(len(words) for words in lists)), dtype=np.uint64)
    for row, words in enumerate(lists):
        packed[row, : len(words)] = [text_kernels.pack_word(word) for word in words]
    packed.flags.writeable = False
    return packed
