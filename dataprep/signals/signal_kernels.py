"""Every count of a document, in one call for a batch: words, lines, sentences, repetition.

Compiled by numba. The workspace grows with the longest document of the batch: about 41 bytes for
each word it may hold, and the tables of repetition, 32 to 64 bytes for each word it does hold.
"""

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.signals.repetition_kernels import (
    DUPLICATE_LINES,
    NUM_REPETITION_COUNTS,
    measure_repetition,
)
from dataprep.text.line_kernels import NUM_LINE_COUNTS, scan_lines
from dataprep.text.sentence_kernels import NUM_SENTENCE_COUNTS, scan_sentences
from dataprep.text.text_kernels import Counts, Flags, Hashes, Places, Table
from dataprep.text.word_kernels import split_words
from dataprep.text.word_kinds import HAS_CAPITAL, HAS_LETTER, HAS_NAME, HAS_SMALL, describe_words

# Columns of the counts: those of lines, of repetition, of sentences, and of words.
REPETITION = NUM_LINE_COUNTS
SENTENCES = REPETITION + NUM_REPETITION_COUNTS
WORDS = SENTENCES + NUM_SENTENCE_COUNTS
NAMED_WORDS = WORDS + 1
NAMED_CHARACTERS = WORDS + 2
ALPHABETIC_WORDS = WORDS + 3
CAPITAL_WORDS = WORDS + 4
STOP_WORDS = WORDS + 5
DIFFERENT_STOP_WORDS = WORDS + 6
LINE_RUNS = WORDS + 7  # lines that are not empty, and an empty one at either end
NUM_COUNTS = WORDS + 8

STOP_SLOTS = 256  # of a language's table of stop words; 64 words fit

Reals = npt.NDArray[np.float64]


@kernel
def count_kinds(
    num_words: int, hashes: Hashes, lengths: Places, kinds: Bytes,
    stop_words: Hashes, stop_places: Bytes, ends: Places, counts: Counts,
) -> None:  # fmt: skip
    """Fill the counts of words, and `ends` (int32 [words + 1]) with their summed lengths.

    `stop_words` (uint64 [STOP_SLOTS]) is a table of hashes, 0 where it is empty; `stop_places`
    (uint8, as long) says which word of the list each is, below 64.
    """
    seen = np.uint64(0)
    ends[0] = 0
    for index in range(num_words):
        kind = kinds[index]
        ends[index + 1] = ends[index] + lengths[index]
        if kind & HAS_NAME:
            counts[NAMED_WORDS] += 1
            counts[NAMED_CHARACTERS] += lengths[index]
        if kind & HAS_LETTER:
            counts[ALPHABETIC_WORDS] += 1
            if kind & (HAS_CAPITAL | HAS_SMALL) == HAS_CAPITAL:
                counts[CAPITAL_WORDS] += 1
            value = hashes[index]
            slot = np.int64(value & np.uint64(STOP_SLOTS - 1))
            while stop_words[slot] != 0:
                if stop_words[slot] == value:
                    counts[STOP_WORDS] += 1
                    seen |= np.uint64(1) << np.uint64(stop_places[slot])
                    break
                slot = (slot + 1) & (STOP_SLOTS - 1)
    counts[WORDS] = num_words
    while seen:
        seen &= seen - np.uint64(1)
        counts[DIFFERENT_STOP_WORDS] += 1


@kernel
def measure(
    data: Bytes, offsets: Offsets, table: Table, suspects: Flags, languages: Places,
    stop_words: Hashes, stop_places: Bytes, given: Offsets, given_starts: Places,
    given_ends: Places, counts: Counts, entropies: Reals,
) -> None:  # fmt: skip
    """Count every document of a batch.

    `data` (uint8) and `offsets` (int64 [rows + 1]) are Arrow's; `table` is that of
    `word_characters`; `suspects` (bool [rows]) where `line_kernels.SUSPECT_PATTERN` matches;
    `languages` (int32 [rows]) is the row of `stop_words` (uint64 [languages, STOP_SLOTS]) and
    `stop_places` (uint8, as large). If `given` (int64) has rows + 1 items, the words of row i are
    those of `given_starts[given[i]:given[i + 1]]` and `given_ends`, in bytes from its beginning;
    otherwise the text is split here. `counts` (int64 [rows, NUM_COUNTS], zero) and `entropies`
    (float64 [rows]) receive the result.
    """
    num_rows = offsets.shape[0] - 1
    capacity = 4096
    starts = np.empty(capacity, np.int32)
    ends = np.empty(capacity, np.int32)
    hashes = np.empty(capacity, np.uint64)
    lengths = np.empty(capacity, np.int32)
    kinds = np.empty(capacity, np.uint8)
    sums = np.empty(capacity + 1, np.int32)
    ngrams = np.empty(capacity, np.uint64)
    places = np.empty(capacity, np.int32)
    slots = np.empty(capacity, np.int32)
    line_capacity = 1024
    line_hashes = np.empty(line_capacity, np.uint64)
    line_lengths = np.empty(line_capacity, np.int32)
    filled = np.empty(line_capacity, np.bool_)
    opens = np.empty(line_capacity, np.bool_)
    size = 4096
    keys = np.empty(size, np.uint64)
    stamps = np.zeros(size, np.int32)
    values = np.empty(size, np.int32)
    stamp = np.int32(0)
    for row in range(num_rows):
        text = data[offsets[row] : offsets[row + 1]]
        result = counts[row]
        num_words = -1
        if given.shape[0]:
            num_words = given[row + 1] - given[row]
            needed = num_words
        else:
            num_words = split_words(text, 0, text.shape[0], table, starts, ends)
            needed = capacity if num_words >= 0 else max(text.shape[0] // 3, 2 * capacity)
        while num_words < 0 or needed > capacity:
            capacity = max(needed, 16)
            starts = np.empty(capacity, np.int32)
            ends = np.empty(capacity, np.int32)
            hashes = np.empty(capacity, np.uint64)
            lengths = np.empty(capacity, np.int32)
            kinds = np.empty(capacity, np.uint8)
            sums = np.empty(capacity + 1, np.int32)
            ngrams = np.empty(capacity, np.uint64)
            places = np.empty(capacity, np.int32)
            slots = np.empty(capacity, np.int32)
            if num_words < 0:
                num_words = split_words(text, 0, text.shape[0], table, starts, ends)
                needed = capacity if num_words >= 0 else 2 * capacity
        if given.shape[0]:
            for index in range(num_words):
                starts[index] = given_starts[given[row] + index]
                ends[index] = given_ends[given[row] + index]
        num_lines = 1
        for position in range(text.shape[0]):
            num_lines += text[position] == 10
        if num_lines > line_capacity:
            line_capacity = 2 * num_lines
            line_hashes = np.empty(line_capacity, np.uint64)
            line_lengths = np.empty(line_capacity, np.int32)
            filled = np.empty(line_capacity, np.bool_)
            opens = np.empty(line_capacity, np.bool_)
        if size < 4 * max(num_words, num_lines):
            while size < 4 * max(num_words, num_lines):
                size *= 2
            keys = np.empty(size, np.uint64)
            stamps = np.zeros(size, np.int32)
            values = np.empty(size, np.int32)
            stamp = np.int32(0)
        describe_words(text, num_words, table, starts, ends, hashes, lengths, kinds)
        language = languages[row]
        count_kinds(
            num_words, hashes, lengths, kinds,
            stop_words[language], stop_places[language], sums, result,
        )  # fmt: skip
        num_lines = scan_lines(
            text, table, suspects[row], starts, kinds, num_words,
            result, line_hashes, line_lengths, filled, opens,
        )  # fmt: skip
        scan_sentences(text, starts, ends, lengths, kinds, num_words, result[SENTENCES:])
        stamp, entropies[row] = measure_repetition(
            hashes, sums, num_words, line_hashes, line_lengths, filled, opens, num_lines,
            ngrams, places, slots, keys, stamps, values, stamp, result[REPETITION:],
        )  # fmt: skip
        if text.shape[0]:
            opening = text[0] == 10
            closing = text[text.shape[0] - 1] == 10
            result[LINE_RUNS] = num_lines + opening + closing
            result[REPETITION + DUPLICATE_LINES] += opening and closing
