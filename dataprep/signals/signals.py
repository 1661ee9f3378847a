"""Cheap signals of every document: counts and shares that rules judge and reports show.

They are computed once and kept, for every row, dropped or not, so that thresholds can be tried
without reading a text again. `word_kernels` says what a word is, `line_kernels` what a line is,
`sentence_kernels` what a sentence is, `repetition_kernels` what repeats. Beside what the rules of
Gopher, C4, FineWeb and MADLAD-400 read, they are the signals of RedPajama-V2 (Weber et al. 2024)
that a document's text alone decides. Shares of characters are of all characters of the text.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Dataprep
from dataprep.signals import repetition_kernels, signal_kernels
from dataprep.signals.stop_words import OwnLists, own_lists, stop_word_tables
from dataprep.step import Step
from dataprep.text import line_kernels, sentence_kernels
from dataprep.text.word_characters import word_characters

# Languages in which a character is a word, because no spaces stand between words.
LANGUAGES_WITHOUT_SPACES = ("zh", "ja")

_REPETITION = signal_kernels.REPETITION
_SENTENCES = signal_kernels.SENTENCES
_CHARACTERS = line_kernels.CHARACTERS
_WORDS = signal_kernels.WORDS
_LINES = line_kernels.LINES
_FILLED = line_kernels.FILLED_LINES

# Signals that are counts: name, column of the kernel's counts.
_COUNTS = {
    "character_count": _CHARACTERS,
    "word_count": signal_kernels.NAMED_WORDS,
    "token_count": _WORDS,
    "line_count": _FILLED,
    "paragraph_count": _REPETITION + repetition_kernels.PARAGRAPHS,
    "sentence_count": _SENTENCES + sentence_kernels.SENTENCES,
    "stop_words": signal_kernels.DIFFERENT_STOP_WORDS,
    "braces": line_kernels.BRACES,
    "c4_sentences": line_kernels.C4_SENTENCES,
    "c4_lorem_ipsum": line_kernels.C4_LOREM_IPSUM,
    "c4_braces": line_kernels.C4_BRACES,
    "c4_open_sentences": line_kernels.OPEN_SENTENCES,
    "c4_open_lorem_ipsum": line_kernels.OPEN_LOREM_IPSUM,
    "c4_open_braces": line_kernels.OPEN_BRACES,
}
# Signals that are shares or ratios: name, column above, column below.
_SHARES = {
    "mean_word_length": (signal_kernels.NAMED_CHARACTERS, signal_kernels.NAMED_WORDS),
    "symbol_ratio": (line_kernels.NUMBER_SIGNS, _WORDS),
    "ellipsis_ratio": (line_kernels.ELLIPSES, _WORDS),
    "bullet_lines": (line_kernels.BULLET_LINES, _LINES),
    "ellipsis_lines": (line_kernels.ELLIPSIS_LINES, _LINES),
    "alphabetic_words": (signal_kernels.ALPHABETIC_WORDS, _WORDS),
    "capital_words": (signal_kernels.CAPITAL_WORDS, _WORDS),
    "stop_word_share": (signal_kernels.STOP_WORDS, _WORDS),
    "different_words": (_REPETITION + repetition_kernels.DIFFERENT_WORDS, _WORDS),
    "newline_ratio": (line_kernels.NEWLINES, _WORDS),
    "terminal_lines": (line_kernels.TERMINAL_LINES, _FILLED),
    "short_lines": (line_kernels.SHORT_LINES, _FILLED),
    "c4_lines": (line_kernels.C4_LINES, _FILLED),
    "c4_open_lines": (line_kernels.OPEN_LINES, _FILLED),
    "letter_characters": (line_kernels.LETTERS, _CHARACTERS),
    "digit_characters": (line_kernels.DIGITS, _CHARACTERS),
    "capital_characters": (line_kernels.CAPITALS, _CHARACTERS),
    "punctuation_characters": (line_kernels.PUNCTUATION_CHARACTERS, _CHARACTERS),
    "han_characters": (line_kernels.HAN_CHARACTERS, _CHARACTERS),
    "questionable_sentences": (
        _SENTENCES + sentence_kernels.QUESTIONABLE_SENTENCES,
        _SENTENCES + sentence_kernels.SENTENCES,
    ),
    "list_sentences": (
        _SENTENCES + sentence_kernels.LIST_SENTENCES,
        _SENTENCES + sentence_kernels.SENTENCES,
    ),
    "technical_sentences": (
        _SENTENCES + sentence_kernels.TECHNICAL_SENTENCES,
        _SENTENCES + sentence_kernels.SENTENCES,
    ),
    "duplicate_paragraphs": (
        _REPETITION + repetition_kernels.DUPLICATE_PARAGRAPHS,
        _REPETITION + repetition_kernels.PARAGRAPHS,
    ),
    "duplicate_paragraph_characters": (
        _REPETITION + repetition_kernels.DUPLICATE_PARAGRAPH_CHARACTERS,
        _CHARACTERS,
    ),
    "duplicate_line_characters": (
        _REPETITION + repetition_kernels.DUPLICATE_LINE_CHARACTERS,
        _CHARACTERS,
    ),
    **{
        f"top_{n}gram_characters": (
            _REPETITION + repetition_kernels.TOP_NGRAM_CHARACTERS + index,
            _CHARACTERS,
        )
        for index, n in enumerate(repetition_kernels.TOP_NGRAMS)
    },
    **{
        f"duplicate_{n}gram_characters": (
            _REPETITION + repetition_kernels.DUPLICATE_NGRAM_CHARACTERS + index,
            _CHARACTERS,
        )
        for index, n in enumerate(repetition_kernels.DUPLICATE_NGRAMS)
    },
}
# Shares whose parts need a sum first.
_OTHERS = ("duplicate_lines", "duplicate_filled_characters", "word_entropy")

PREFIX = "signals_"
FIELDS = (
    *(pa.field(f"{PREFIX}{name}", pa.int64(), nullable=False) for name in _COUNTS),
    *(pa.field(f"{PREFIX}{name}", pa.float64(), nullable=False) for name in (*_SHARES, *_OTHERS)),
)

Signals = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class GivenWords:
    """Words that someone else has found: those of row i are `starts[offsets[i]:offsets[i + 1]]`.

    `offsets` is int64 [rows + 1]; `starts` and `ends` (int32) are bytes from the text's beginning.
    """

    offsets: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]


def make_step(config: Dataprep) -> Step:
    """The step `signals`: adds the columns of `FIELDS`; needs the language for the stop words."""
    own = own_lists(config)
    return Step(
        name="signals",
        needs=("text", "language"),
        adds=FIELDS,
        apply=functools.partial(_apply, stop_words=own),
    )


def measure(
    text: pa.ChunkedArray | pa.Array,
    languages: Sequence[str] | pa.ChunkedArray | pa.Array,
    words: GivenWords | None = None,
    stop_words: OwnLists = (),
) -> Signals:
    """The signals of each text (large_string): arrays of shape [rows] by name, without prefix.

    `languages` are those of the rows; `words`, if given, stand in the place of our own;
    `stop_words` are lists in the place of those of `stop_words.STOP_WORDS`. Counts are int64.
    Shares and ratios are float64, 0.0 where there is nothing to divide by.
    """
    data, offsets = text_buffers(text)
    num_rows = len(offsets) - 1
    counts = np.zeros((num_rows, signal_kernels.NUM_COUNTS), dtype=np.int64)
    entropies = np.zeros(num_rows, dtype=np.float64)
    hashes, places, rows = stop_word_tables(stop_words)
    known = pa.array(list(rows), pa.string())
    found = pc.index_in(pa.array(languages) if isinstance(languages, list) else languages, known)
    which = pc.fill_null(found, 0).to_numpy(zero_copy_only=False).astype(np.int32)
    suspects = pc.match_substring_regex(text, line_kernels.SUSPECT_PATTERN)
    none = GivenWords(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32))
    given = words or none
    signal_kernels.measure(
        data, offsets, word_characters(),
        np.array(suspects.to_numpy(zero_copy_only=False), dtype=np.bool_), np.array(which),
        hashes, places, given.offsets, given.starts, given.ends, counts, entropies,
    )  # fmt: skip
    return _signals(counts, entropies)


def _signals(counts: npt.NDArray[np.int64], entropies: npt.NDArray[np.float64]) -> Signals:
    def share(
        above: npt.NDArray[np.int64], below: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        return np.where(below > 0, above / np.maximum(below, 1), 0.0)

    signals: Signals = {name: counts[:, column] for name, column in _COUNTS.items()}
    for name, (above, below) in _SHARES.items():
        signals[name] = share(counts[:, above], counts[:, below])
    repeated = counts[:, _REPETITION + repetition_kernels.DUPLICATE_LINES]
    runs = counts[:, signal_kernels.LINE_RUNS]
    signals["duplicate_lines"] = share(repeated, runs)
    signals["duplicate_filled_characters"] = share(
        counts[:, _REPETITION + repetition_kernels.DUPLICATE_FILLED_CHARACTERS],
        counts[:, _CHARACTERS] - counts[:, line_kernels.NEWLINES],
    )
    signals["word_entropy"] = entropies
    return signals


def _apply(table: pa.Table, stop_words: OwnLists) -> pa.Table:
    signals = measure(table["text"], table["language"], stop_words=stop_words)
    for field in FIELDS:
        values = signals[field.name.removeprefix(PREFIX)]
        table = table.append_column(field, pa.array(values, field.type))
    return table
