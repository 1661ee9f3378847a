"""Counts over the Chinese of a document: one pass, and a table of its pairs. Compiled by numba.

A *pair* is two Han characters with nothing between them. A *clause* begins with the first Han
character after the start of a line or a clause mark (，。！？；：and their like), if nothing else
stands between, and ends with the one before a clause mark. A *run* of n Han characters is n in a
row, whatever stands between them.
"""

from typing import Any

import numpy as np

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.signals.repetition_kernels import find_slot
from dataprep.text.characters import HAN, LETTER, SPACE
from dataprep.text.text_kernels import Counts, Hashes, Lengths, decode, finish_hash

# Flags of a character, in the table that `measure` takes.
SIMPLIFIED = 1  # common in simplified text
TRADITIONAL = 2  # common in traditional text
FUNCTION = 4  # a grammatical word or part of one
NEVER_FIRST = 8  # begins no clause
NEVER_LAST = 16  # ends no clause
ATTACHED = 32  # follows neither 的 nor what ends no clause
CLAUSE_MARK = 64
BROKEN = 128  # stands in no Chinese text: what a wrong encoding leaves behind

# Columns of the counts.
CHARACTERS = 0  # without white space
LINES = 1  # not empty
HAN_CHARACTERS = 2
COMMON_SIMPLIFIED = 3
COMMON_TRADITIONAL = 4
FUNCTION_CHARACTERS = 5
BROKEN_CHARACTERS = 6
DIGITS = 7
CLAUSE_MARKS = 8
CLAUSE_STARTS = 9
CLAUSE_ENDS = 10
NEVER_FIRST_CHARACTERS = 11
NEVER_LAST_CHARACTERS = 12
ATTACHED_CHARACTERS = 13
OF_CHARACTERS = 14  # 的
WRONG_STARTS = 15  # clauses that begin with what begins none
WRONG_ENDS = 16
WRONG_PAIRS = 17  # attached characters where they cannot be
WRONG_MARKS = 18  # Chinese clause marks that open a line or follow another one
SENTENCE_HAN = 19  # Han characters in lines that hold sentences
SIGNS_BETWEEN = 20  # single ASCII characters between two Han characters
READ_HAN = 21  # Han characters in which pairs and runs were looked for
PAIRS = 22
EQUAL_PAIRS = 23  # twos of places with the same pair
EQUAL_CHARACTERS = 24  # twos of places with the same character
REPEATED_5GRAMS = 25  # Han characters in runs of five that occurred before
REPEATED_13GRAMS = 26
NUM_COUNTS = 27

# Pairs and runs are looked for in the first so many Han characters: enough to know, and bounded.
READ_HAN_MAX = 1 << 14
_TABLE_SIZE = 2 * READ_HAN_MAX
_NUM_CODES = 0x10000  # rarer characters, beyond the basic plane, are in no pair
_BASE = np.uint64(0x9E3779B97F4A7C15)

_LINE_FEED = ord("\n")
_OF = ord("的")
_COLON = ord("：")
_STOP = ord("。")
_WIDE = 0x3000  # marks from here on are Chinese ones
# A line holds sentences if a clause mark (no colon) follows so many Han characters, and if one of
# so many of them is a function character; or, for verse has few, if it ends in a full stop.
_SENTENCE_HAN_MIN = 8
_HAN_PER_FUNCTION_MAX = 10
_VERSE_HAN_MIN = 4


@kernel
def repeated_run_length(
    codes: Lengths, num_codes: int, n: int,
    keys: Hashes, stamps: Lengths, mask: int, stamp: Any,
) -> int:  # fmt: skip
    """How many of the codes lie in runs of `n` that occurred before; none counts twice."""
    power = np.uint64(1)
    for _ in range(n):
        power *= _BASE
    value = np.uint64(0)
    repeated = 0
    since = n  # codes since the last repeated run
    for index in range(num_codes):
        value = value * _BASE + np.uint64(codes[index])
        since += 1
        if index >= n:
            value -= power * np.uint64(codes[index - n])
        if index < n - 1:
            continue
        key = finish_hash(value)
        slot, found = find_slot(keys, stamps, mask, stamp, key)
        if not found:
            keys[slot] = key
            stamps[slot] = stamp
        elif since >= n:
            repeated += n
            since = 0
    return repeated


@kernel
def measure(data: Bytes, offsets: Offsets, classes: Bytes, kinds: Bytes, counts: Counts) -> None:
    """Fill `counts` (int64 [rows, NUM_COUNTS], zero) for every document.

    `data` and `offsets` are Arrow's; `classes` is `character_classes()`, `kinds` (uint8
    [0x110000]) the sums of the flags above. Memory: 1 MB, whatever the documents.
    """
    keys = np.empty(_TABLE_SIZE, dtype=np.uint64)
    stamps = np.zeros(_TABLE_SIZE, dtype=np.int32)
    values = np.empty(_TABLE_SIZE, dtype=np.int64)
    singles = np.zeros(_NUM_CODES, dtype=np.int32)
    codes = np.empty(READ_HAN_MAX, dtype=np.int32)
    stamp = np.int32(0)
    for row in range(offsets.shape[0] - 1):
        start, end = offsets[row], offsets[row + 1]
        result = counts[row]
        stamp += np.int32(1)
        num_codes = 0
        # A table that fits the document stays in the cache. A Han character has three bytes.
        mask = 255
        while mask + 1 < _TABLE_SIZE and mask + 1 < 2 * (end - start) // 3:
            mask = 2 * mask + 1
        before = 0  # the Han character just before, or 0
        mark = 0  # the Chinese clause mark just before, or 0
        sign = 0  # 1 after a Han character, 2 after one ASCII character that follows one
        fresh = True  # a clause begins here
        line_open = False
        line_marked = False
        line_han = 0
        line_function = 0
        position = start
        while position <= end:
            if position == end:
                code = _LINE_FEED
                position += 1
            else:
                code, position = decode(data, position)
            flags = int(classes[code])
            if flags & SPACE:
                before = 0
                sign = 0
                if code == _LINE_FEED:
                    written = line_function * _HAN_PER_FUNCTION_MAX >= line_han
                    if (line_marked and written) or (mark == _STOP and line_han >= _VERSE_HAN_MIN):
                        result[SENTENCE_HAN] += line_han
                    fresh = True
                    mark = 0
                    line_open = False
                    line_marked = False
                    line_han = 0
                    line_function = 0
                continue
            result[CHARACTERS] += 1
            opens = not line_open
            if opens:
                result[LINES] += 1
                line_open = True
            kind = int(kinds[code])
            if kind & BROKEN:
                result[BROKEN_CHARACTERS] += 1
            if flags & (HAN | LETTER) != HAN | LETTER:
                if 48 <= code <= 57:
                    result[DIGITS] += 1
                fresh = kind & CLAUSE_MARK != 0
                if fresh:
                    result[CLAUSE_MARKS] += 1
                    if before:
                        result[CLAUSE_ENDS] += 1
                        if kinds[before] & NEVER_LAST:
                            result[WRONG_ENDS] += 1
                    if line_han >= _SENTENCE_HAN_MIN and code != _COLON:
                        line_marked = True
                    if code >= _WIDE:
                        if opens or (mark != 0 and mark != code):
                            result[WRONG_MARKS] += 1
                        mark = code
                else:
                    mark = 0
                sign = 2 if sign == 1 and code < 128 and not fresh else 0
                before = 0
                continue

            result[HAN_CHARACTERS] += 1
            line_han += 1
            mark = 0
            if sign == 2:
                result[SIGNS_BETWEEN] += 1
            sign = 1
            if kind & SIMPLIFIED:
                result[COMMON_SIMPLIFIED] += 1
            if kind & TRADITIONAL:
                result[COMMON_TRADITIONAL] += 1
            if kind & FUNCTION:
                result[FUNCTION_CHARACTERS] += 1
                line_function += 1
            if kind & NEVER_LAST:
                result[NEVER_LAST_CHARACTERS] += 1
            if kind & NEVER_FIRST:
                result[NEVER_FIRST_CHARACTERS] += 1
            if code == _OF:
                result[OF_CHARACTERS] += 1
            if kind & ATTACHED:
                result[ATTACHED_CHARACTERS] += 1
                if before and (before == _OF or kinds[before] & NEVER_LAST):
                    result[WRONG_PAIRS] += 1
            if fresh:
                result[CLAUSE_STARTS] += 1
                if kind & NEVER_FIRST:
                    result[WRONG_STARTS] += 1
                fresh = False
            if num_codes == READ_HAN_MAX or code >= _NUM_CODES:
                before = 0
                continue
            if before:
                result[PAIRS] += 1
                key = finish_hash(np.uint64(before) << np.uint64(32) | np.uint64(code))
                slot, found = find_slot(keys, stamps, mask, stamp, key)
                if found:
                    result[EQUAL_PAIRS] += values[slot]
                    values[slot] += 1
                else:
                    keys[slot] = key
                    stamps[slot] = stamp
                    values[slot] = 1
            result[EQUAL_CHARACTERS] += singles[code]
            singles[code] += np.int32(1)
            codes[num_codes] = code
            num_codes += 1
            before = code

        result[READ_HAN] = num_codes
        for index in range(num_codes):
            singles[codes[index]] = 0
        stamp += np.int32(1)
        result[REPEATED_5GRAMS] = repeated_run_length(
            codes, num_codes, 5, keys, stamps, mask, stamp
        )
        stamp += np.int32(1)
        result[REPEATED_13GRAMS] = repeated_run_length(
            codes, num_codes, 13, keys, stamps, mask, stamp
        )
