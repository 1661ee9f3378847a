"""One pass over the lines of a document: characters, lines, and what C4 asks of a line.

A *line* is what stands between line feeds, as it is; a *filled* line has a character that is no
white space. The details are those of datatrove 0.10 (its filters `gopher_quality`, `c4` and
`fineweb_quality`), so that its published thresholds mean the same here. Compiled by numba.
"""

from typing import Any

import numpy as np

from dataprep.arrow_buffers import Bytes
from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import (
    HASH_PRIME,
    HASH_START,
    Counts,
    Flags,
    Hashes,
    Lengths,
    Table,
    decode,
    finish_hash,
)
from dataprep.text.word_characters import (
    ALONE,
    ALPHABETIC,
    BLANK,
    DIGIT,
    IDEOGRAPH,
    PUNCTUATION,
    TERMINAL,
    UPPER,
)
from dataprep.text.word_kinds import ENDS_SENTENCE, IS_PUNCTUATION

# Columns of the counts that `scan_lines` fills.
CHARACTERS = 0
LETTERS = 1
DIGITS = 2
CAPITALS = 3
PUNCTUATION_CHARACTERS = 4
HAN_CHARACTERS = 5
BRACES = 6
NUMBER_SIGNS = 7
ELLIPSES = 8
NEWLINES = 9
LINES = 10
BULLET_LINES = 11
ELLIPSIS_LINES = 12
FILLED_LINES = 13
TERMINAL_LINES = 14
SHORT_LINES = 15
C4_LINES = 16
C4_SENTENCES = 17
C4_LOREM_IPSUM = 18
C4_BRACES = 19
OPEN_LINES = 20  # the last four once more, without asking for punctuation at a line's end
OPEN_SENTENCES = 21
OPEN_LOREM_IPSUM = 22
OPEN_BRACES = 23
NUM_LINE_COUNTS = 24

# What becomes of a line by C4's rules, whatever it ends with.
KEEP = 0
DROP = 1
LOREM_IPSUM = 2
BRACE = 3

_LINE_FEED = 10
_SHORT_LINE_CHARACTERS = 30
_LONG_WORD_CHARACTERS = 1000
_WORDS_MIN = 3


def _needle(text: str) -> Any:
    return np.frombuffer(text.encode(), np.uint8)


_LOREM = _needle("lorem ipsum")
_JAVASCRIPT = _needle("javascript")
_TERMS = _needle("terms of use")
_PRIVACY = _needle("privacy policy")
_COOKIE = _needle("cookie policy")
_USES = _needle("uses cookies")
_USE_OF = _needle("use of cookies")
_USE = _needle("use cookies")
_CITATION = _needle("[citation needed]")
_EDIT = _needle("[edit]")

# Rows without any of these need no second look at their lines: a prefilter in RE2 syntax.
SUSPECT_PATTERN = r"(?i)lorem ipsum|javascript|terms of use|privacy policy|cookie"


@kernel
def holds(data: Bytes, start: int, end: int, needle: Bytes) -> bool:
    """Whether `data[start:end]` holds `needle` (small ASCII letters), in whatever case."""
    length = needle.shape[0]
    for first in range(start, end - length + 1):
        index = 0
        while index < length:
            byte = data[first + index]
            if 65 <= byte <= 90:
                byte += 32
            if byte != needle[index]:
                break
            index += 1
        if index == length:
            return True
    return False


@kernel
def _without_citation(data: Bytes, start: int, end: int) -> int:
    """The end of a line without the citation marks that stand at it: `[12]`, `[edit]`."""
    while end > start and data[end - 1] == 93:
        first = end - 2
        while first >= start and 48 <= data[first] <= 57:
            first -= 1
        if first < start:
            return end
        if data[first] != 91:
            first = -1
            for needle in (_CITATION, _EDIT):
                place = end - needle.shape[0]
                if place >= start and holds(data, place, end, needle):
                    first = place
            if first < 0:
                return end
        end = first
    return end


@kernel
def ends_a_sentence(data: Bytes, start: int, end: int) -> bool:
    """C4: the line ends in one of . ? ! " ' and not in three full stops, citations apart."""
    end = _without_citation(data, start, end)
    if end <= start:
        return False
    last = data[end - 1]
    if last not in (33, 34, 39, 46, 63):
        return False
    dots = last == 46 and end - start >= 3 and data[end - 2] == 46 and data[end - 3] == 46
    return not dots


@kernel
def judge_line(
    data: Bytes, start: int, end: int, num_words: int, longest: int, braces: int, suspect: bool
) -> int:
    """C4's verdict on a line without white space at its ends: KEEP, DROP, LOREM_IPSUM or BRACE.

    The last two stand for the whole document. `num_words` and `longest` are of its runs without
    white space; only a `suspect` line is searched for words.
    """
    if longest > _LONG_WORD_CHARACTERS or num_words < _WORDS_MIN:
        return DROP
    if suspect and holds(data, start, end, _LOREM):
        return LOREM_IPSUM
    if suspect and holds(data, start, end, _JAVASCRIPT):
        return DROP
    if braces:
        return BRACE
    if suspect:
        for needle in (_TERMS, _PRIVACY, _COOKIE, _USES, _USE_OF, _USE):
            if holds(data, start, end, needle):
                return DROP
    return KEEP


@kernel
def scan_lines(
    data: Bytes, table: Table, suspect: bool, starts: Lengths, kinds: Bytes, num_words: int,
    counts: Counts, hashes: Hashes, lengths: Lengths, filled: Flags, opens: Flags,
) -> int:  # fmt: skip
    """Count the lines of one document; returns the number of lines that are not empty.

    `data` is the text, `table` that of `word_characters`, `starts` and `kinds` are its words'.
    `counts` (int64, zero) receives the counts. Of each line that is not empty the last arrays
    receive hash, length in characters, whether it is filled, and whether it opens a paragraph
    (a line feed more than the one stands before it).
    """
    size = data.shape[0]
    num_lines = 0
    word = 0
    gap = True
    position = 0
    while position <= size:
        if position == size and (size == 0 or data[size - 1] == _LINE_FEED):
            break
        first = position
        characters = 0
        letters = 0
        capitals = 0
        digits = 0
        punctuation = 0
        han = 0
        braces = 0
        dots = 0
        value = HASH_START
        text_start = -1
        text_end = first
        first_code = 0
        last_flags = 0
        runs = 0
        run_length = 0
        longest = 0
        while position < size:
            byte = data[position]
            if byte == _LINE_FEED:
                break
            code = int(byte)
            following = position + 1
            if byte >= 128:
                code, following = decode(data, position)
            flags = int(table[code])
            value = (value ^ np.uint64(code)) * HASH_PRIME
            characters += 1
            letters += flags & ALPHABETIC
            if flags & BLANK:
                run_length = 0
            else:
                if text_start < 0:
                    text_start = position
                    first_code = code
                text_end = following
                run_length += 1
                if run_length == 1:
                    runs += 1
                longest = max(longest, run_length)
                if flags & ALPHABETIC == 0:
                    if flags & DIGIT:
                        digits += 1
                    if flags & PUNCTUATION:
                        punctuation += 1
                    if code == 0x7B:
                        braces += 1
                    elif code == 0x23:
                        counts[NUMBER_SIGNS] += 1
                    elif code == 0x2026:
                        counts[ELLIPSES] += 1
                elif flags & ALONE:
                    han += flags & IDEOGRAPH != 0
                elif flags & UPPER:
                    capitals += 1
            if code == 0x2E:
                dots += 1
                if dots == 3:
                    counts[ELLIPSES] += 1
                    dots = 0
            else:
                dots = 0
            last_flags = flags
            position = following
        counts[CHARACTERS] += characters
        counts[LETTERS] += letters
        counts[CAPITALS] += capitals
        counts[DIGITS] += digits
        counts[PUNCTUATION_CHARACTERS] += punctuation
        counts[HAN_CHARACTERS] += han
        counts[BRACES] += braces
        counts[LINES] += 1
        if characters:
            hashes[num_lines] = finish_hash(value)
            lengths[num_lines] = characters
            filled[num_lines] = runs > 0
            opens[num_lines] = gap
            num_lines += 1
        gap = characters == 0
        # Sentences of the line: each begins with a word that is no sign after one that ends one.
        sentences = 0
        ended = True
        while word < num_words and starts[word] < position:
            kind = kinds[word]
            if ended and (sentences == 0 or kind & (IS_PUNCTUATION | ENDS_SENTENCE) == 0):
                sentences += 1
                ended = False
            if kind & ENDS_SENTENCE:
                ended = True
            word += 1
        if runs:
            counts[FILLED_LINES] += 1
            if characters <= _SHORT_LINE_CHARACTERS:
                counts[SHORT_LINES] += 1
            if last_flags & TERMINAL:
                counts[TERMINAL_LINES] += 1
            if first_code == 0x2022 or first_code == 0x2D:
                counts[BULLET_LINES] += 1
            elided = text_end - text_start >= 3
            for index in range(3):
                elided = elided and data[text_end - 1 - index] == 46
            if not elided and text_end - text_start >= 3:
                elided = (
                    data[text_end - 3] == 0xE2
                    and data[text_end - 2] == 0x80
                    and data[text_end - 1] == 0xA6
                )
            if elided:
                counts[ELLIPSIS_LINES] += 1
            verdict = judge_line(data, text_start, text_end, runs, longest, braces, suspect)
            if verdict == KEEP:
                counts[OPEN_LINES] += 1
                counts[OPEN_SENTENCES] += sentences
            elif verdict == LOREM_IPSUM:
                counts[OPEN_LOREM_IPSUM] += 1
            elif verdict == BRACE:
                counts[OPEN_BRACES] += 1
            if verdict != DROP and ends_a_sentence(data, text_start, text_end):
                if verdict == KEEP:
                    counts[C4_LINES] += 1
                    counts[C4_SENTENCES] += sentences
                elif verdict == LOREM_IPSUM:
                    counts[C4_LOREM_IPSUM] += 1
                else:
                    counts[C4_BRACES] += 1
        if position < size:
            counts[CHARACTERS] += 1
            counts[NEWLINES] += 1
        position += 1
    return num_lines
