"""Lines one by one: which of them stay, and the texts without the others. Compiled by numba.

A line's bytes include the line feed that ends it, so that the lines of a batch follow one another
without a gap and are an Arrow array as they lie.
"""

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.text.line_kernels import KEEP, ends_a_sentence, judge_line
from dataprep.text.text_kernels import Flags, Table, decode
from dataprep.text.word_characters import ALPHABETIC, BLANK, DIGIT, UPPER

# Sets of edits: sums of these.
C4 = 1
C4_OPEN = 2  # C4 without asking for punctuation at a line's end
REFINEDWEB = 4

# Verdicts on a line.
STAYS = 0
GOES = 1
SHORT = 2  # ten words at most: its words decide

_SHORT_WORDS = 10
_LINE_FEED = 10


@kernel
def _bounds(data: Bytes, start: int, end: int, table: Table) -> tuple[int, int, int, int]:
    """First and last byte of a line's text, its runs, and its longest run."""
    first = -1
    last = start
    runs = 0
    length = 0
    longest = 0
    position = start
    while position < end:
        code, following = decode(data, position)
        if int(table[code]) & BLANK:
            length = 0
        else:
            if first < 0:
                first = position
            last = following
            length += 1
            runs += length == 1
            longest = max(longest, length)
        position = following
    return (start, start, 0, 0) if first < 0 else (first, last, runs, longest)


@kernel
def _is_refused(data: Bytes, start: int, end: int, runs: int, table: Table) -> bool:
    """RefinedWeb: one word only, more capitals than the rest, or digits and signs only."""
    if runs == 1:
        return True
    characters = 0
    capitals = 0
    letters = 0
    digits = 0
    position = start
    while position < end:
        code, position = decode(data, position)
        flags = int(table[code])
        characters += 1
        capitals += flags & UPPER != 0
        letters += flags & ALPHABETIC
        digits += flags & DIGIT != 0
    return 2 * capitals > characters or (digits > 0 and letters == 0)


@kernel
def find_lines(
    data: Bytes, offsets: Offsets, table: Table, suspects: Flags, rows: Flags, edits: int
) -> tuple[Offsets, Offsets, Bytes, npt.NDArray[np.int32]]:
    """The lines of a batch: where they begin, the first of each row, verdicts, and words.

    `data` and `offsets` (int64 [rows + 1]) are Arrow's; `suspects` and `rows` are bool [rows]: rows
    that `line_kernels.SUSPECT_PATTERN` matches, and those to be edited at all. Returns starts
    (int64 [lines + 1]), lines before each row (int64 [rows + 1]), verdicts (uint8 [lines]) and
    runs without white space (int32 [lines]).
    """
    num_rows = offsets.shape[0] - 1
    num_lines = num_rows
    for position in range(offsets[0], offsets[num_rows]):
        num_lines += data[position] == _LINE_FEED
    starts = np.empty(num_lines + 1, np.int64)
    before = np.empty(num_rows + 1, np.int64)
    verdicts = np.zeros(num_lines, np.uint8)
    words = np.zeros(num_lines, np.int32)
    line = 0
    for row in range(num_rows):
        before[row] = line
        position = offsets[row]
        end = offsets[row + 1]
        while position < end:
            stop = position
            while stop < end and data[stop] != _LINE_FEED:
                stop += 1
            starts[line] = position
            if rows[row]:
                first, last, runs, longest = _bounds(data, position, stop, table)
                words[line] = runs
                goes = False
                if runs and edits & (C4 | C4_OPEN):
                    # Braces and lorem ipsum are the whole document's affair: rules judge them.
                    verdict = judge_line(data, first, last, runs, longest, 0, suspects[row])
                    goes = verdict != KEEP
                    if edits & C4 and not ends_a_sentence(data, first, last):
                        goes = True
                if runs and edits & REFINEDWEB and not goes:
                    goes = _is_refused(data, first, last, runs, table)
                    if not goes and runs <= _SHORT_WORDS:
                        verdicts[line] = SHORT
                if goes or (runs == 0 and edits & (C4 | C4_OPEN)):
                    verdicts[line] = GOES
            line += 1
            position = stop + 1
    before[num_rows] = line
    starts[line] = offsets[num_rows]
    return starts[: line + 1].copy(), before, verdicts[:line].copy(), words[:line].copy()


@kernel
def join_lines(
    data: Bytes, offsets: Offsets, starts: Offsets, before: Offsets, verdicts: Bytes,
    words: npt.NDArray[np.int32], rows: Flags,
) -> tuple[Bytes, Offsets, npt.NDArray[np.float64]]:  # fmt: skip
    """The texts without the lines that go: bytes, offsets from 0, and the share of words lost.

    A row of which a line goes loses the line feeds at its end too.
    """
    num_rows = offsets.shape[0] - 1
    kept = np.empty(offsets[num_rows] - offsets[0], np.uint8)
    kept_offsets = np.zeros(num_rows + 1, np.int64)
    lost = np.zeros(num_rows, np.float64)
    size = 0
    for row in range(num_rows):
        begin = size
        all_words = 0
        lost_words = 0
        gone = False
        for line in range(before[row], before[row + 1]):
            all_words += words[line]
            if verdicts[line] == GOES:
                lost_words += words[line]
                gone = True
                continue
            for position in range(starts[line], starts[line + 1]):
                kept[size] = data[position]
                size += 1
        if gone:
            while size > begin and kept[size - 1] == _LINE_FEED:
                size -= 1
        if all_words:
            lost[row] = lost_words / all_words
        kept_offsets[row + 1] = size
    return kept[:size].copy(), kept_offsets, lost
