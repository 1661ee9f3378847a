"""What the lines of a document are made of: code, comments, prose, formulas. Compiled by numba.

Bytes are looked at, not characters: what tells code from prose is ASCII in every language. A line
is a *comment* if it is within marks of comments or begins with one; else *code* if it ends as
statements and blocks do, holds an operator that prose does not know, or is short and begins with a
keyword; else *prose* if it has five words and few signs, or is a quarter of other scripts.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import Counts

# Of a longer document its beginning is looked at, bytes.
SAMPLE_BYTES = 1 << 17
# Where a mark of generated code stands, bytes.
MARKED_BYTES = 2048

# Flags of a byte.
ALPHABETIC = 1
DIGIT = 2
HEXADECIMAL = 4
WHITE = 8
SIGN = 16  # a sign of code
ENDING = 32  # ends a statement or a block
OPENING = 64  # ends a line that goes on

# Columns of the counts.
CHARACTERS = 0
ALPHABETIC_CHARACTERS = 1
DIGIT_CHARACTERS = 2
HEXADECIMAL_CHARACTERS = 3
WHITE_CHARACTERS = 4
LINES = 5
LINE_LENGTH_LONGEST = 6  # characters
FULL_LINES = 7  # not empty
FULL_CHARACTERS = 8  # in them, without indentation
CODE_LINES = 9
CODE_CHARACTERS = 10
COMMENT_LINES = 11
COMMENT_CHARACTERS = 12
PROSE_CHARACTERS = 13
SIGNS = 14  # outside comments
COMMANDS = 15  # LaTeX's, for mathematics, and MathML's elements
FORMULAS = 16  # $...$ with an operator in it
GENERATED_MARKS = 17
NUM_COUNTS = 18

Names = npt.NDArray[np.uint64]  # of at most eight bytes, packed, in order

_FORMULA_LENGTH_MAX = 200
_KEYWORD_WORDS_MAX = 8
_QUOTE, _APOSTROPHE, _SLASH, _STAR, _HASH, _EQUALS = 34, 39, 47, 42, 35, 61
_DOLLAR, _BACKSLASH, _BRACE, _LESS, _STOP, _SPACE = 36, 92, 123, 60, 46, 32
_CARET, _UNDERSCORE = 94, 95
_LINE_COMMENT = _SLASH << 8 | _SLASH
_BLOCK_COMMENT = _SLASH << 8 | _STAR
# Perl's documentation lies between lines =head1 or =pod and =cut.
_POD_HEAD, _POD_POD, _POD_CUT = 61 << 8 | 104, 61 << 8 | 112, 61 << 8 | 99


@kernel
def is_in(names: Names, name: Any) -> bool:
    """Whether `name` is among `names`."""
    low = 0
    high = names.shape[0]
    while low < high:
        middle = (low + high) // 2
        if names[middle] < name:
            low = middle + 1
        else:
            high = middle
    return low < names.shape[0] and names[low] == name


@kernel
def packed_name(data: Bytes, start: int, end: int, flags_of: Bytes) -> Any:
    """The ASCII letters from `start` on as a number; 0 if there are none or more than eight."""
    name = np.uint64(0)
    index = start
    while index < end and data[index] < 128 and flags_of[data[index]] & ALPHABETIC:
        if index - start == 8:
            return np.uint64(0)
        name = name << np.uint64(8) | np.uint64(data[index])
        index += 1
    return name


@kernel
def count_marks(
    data: Bytes, start: int, end: int, flags_of: Bytes, marks: Bytes, begins: Any
) -> int:
    """How often one of `marks` (uint8 [n, length], lower case, padded by 0) stands there.

    A mark begins where no letter is before it, with a byte that `begins` (bool [256]) knows.
    """
    found = 0
    for position in range(start, end):
        inside = position > start and flags_of[data[position - 1]] & ALPHABETIC
        if inside or not begins[data[position]]:
            continue
        for mark in range(marks.shape[0]):
            index = 0
            while index < marks.shape[1] and marks[mark, index] and position + index < end:
                byte = data[position + index]
                if 65 <= byte <= 90:
                    byte += 32
                if byte != marks[mark, index]:
                    break
                index += 1
            if index == marks.shape[1] or marks[mark, index] == 0:
                found += 1
    return found


@kernel
def measure(
    data: Bytes, offsets: Offsets, flags_of: Bytes, pairs: Bytes, commands: Names, elements: Names,
    keywords: Names, marks: Bytes, counts: Counts,
) -> None:  # fmt: skip
    """Fill `counts` (int64 [rows, NUM_COUNTS], zero).

    `data` and `offsets` are Arrow's. `flags_of` is uint8 [256]; `pairs` (uint8 [1 << 14]) is 1 at
    `first << 7 | second` where two bytes in a row are an operator.
    """
    begins = np.zeros(256, dtype=np.bool_)
    for mark in range(marks.shape[0]):
        begins[marks[mark, 0]] = True
        if 97 <= marks[mark, 0] <= 122:
            begins[marks[mark, 0] - 32] = True
    for row in range(offsets.shape[0] - 1):
        start = offsets[row]
        end = min(offsets[row + 1], start + SAMPLE_BYTES)
        c = counts[row]
        c[GENERATED_MARKS] = count_marks(
            data, start, min(end, start + MARKED_BYTES), flags_of, marks, begins
        )
        characters = alphabetic = digits = hexadecimal = white = 0
        block = 0  # the first byte of what opened a comment of several lines
        length = signs = words = operators = indent = high = quotes = 0
        first = second = last = 0
        closes = keyword = False
        spelling = True  # within the line's first word
        word = np.uint64(0)
        before = before_that = _SPACE
        dollar = -1  # where a formula may have begun
        formula = False
        position = start
        while position <= end:
            byte = 10 if position == end else int(data[position])
            position += 1
            if byte & 0xC0 == 0x80:
                continue
            if byte == 10:
                if position <= end or length > 0:
                    c[LINES] += 1
                if position <= end:
                    white += 1
                    characters += 1
                characters += length
                c[LINE_LENGTH_LONGEST] = max(c[LINE_LENGTH_LONGEST], length)
                if first:
                    size = length - indent
                    c[FULL_LINES] += 1
                    c[FULL_CHARACTERS] += size
                    opens = first << 8 | second
                    quoted = first in (_QUOTE, _APOSTROPHE) and first == second
                    comment = True
                    if block in (_QUOTE, _APOSTROPHE):
                        block = 0 if quotes >= 3 else block
                    elif block == _SLASH:
                        block = 0 if closes else block
                    elif block == _EQUALS:
                        block = 0 if opens == _POD_CUT else block
                    elif quoted and quotes >= 3:
                        block = 0 if quotes >= 6 else first
                    elif opens == _BLOCK_COMMENT:
                        block = 0 if closes else first
                    elif opens in (_POD_HEAD, _POD_POD):
                        block = first
                    else:
                        comment = opens == _LINE_COMMENT or (first == _HASH and not keyword)
                        if first == _STAR and second in (0, _SPACE, _SLASH):
                            comment = True
                    if comment:
                        c[COMMENT_LINES] += 1
                        c[COMMENT_CHARACTERS] += size
                    else:
                        c[SIGNS] += signs
                        ending = flags_of[last]
                        many = signs > 2 and signs * 12 > size
                        if high * 4 > size and not ending & ENDING:
                            c[PROSE_CHARACTERS] += size
                        elif (
                            ending & ENDING
                            or operators > 0
                            or (keyword and words <= _KEYWORD_WORDS_MAX and last != _STOP)
                            or (ending & OPENING and many)
                        ):
                            c[CODE_LINES] += 1
                            c[CODE_CHARACTERS] += size
                        elif words >= 5 and signs * 16 < length:
                            c[PROSE_CHARACTERS] += size
                length = signs = words = operators = indent = high = quotes = 0
                first = second = last = 0
                closes = keyword = False
                spelling = True
                word = np.uint64(0)
                before = before_that = _SPACE
                dollar = -1
                continue
            flags = flags_of[byte]
            length += 1
            if flags & WHITE:
                white += 1
                if first == 0:
                    indent += 1
                elif spelling:
                    spelling = False
                    keyword = is_in(keywords, word)
                if before == _EQUALS and before_that == _SPACE:
                    operators += 1
                before_that = before
                before = byte
                continue
            if flags & ALPHABETIC:
                alphabetic += 1
                if byte >= 128:
                    high += 1
            elif flags & DIGIT:
                digits += 1
            if flags & HEXADECIMAL:
                hexadecimal += 1
            if flags & SIGN:
                signs += 1
                if before < 128 and pairs[before << 7 | byte]:
                    operators += 1
                if byte == _DOLLAR:
                    closed = dollar >= 0 and length - dollar < _FORMULA_LENGTH_MAX
                    if closed and formula and before != _SPACE:
                        c[FORMULAS] += 1
                        dollar = -1
                    else:
                        dollar = length
                    formula = False
                elif byte == _BRACE and length == dollar + 1:
                    dollar = -1  # a variable's name
                elif byte in (_BACKSLASH, _CARET, _UNDERSCORE, _EQUALS):
                    formula = True
                if byte in (_BACKSLASH, _LESS):
                    names = commands if byte == _BACKSLASH else elements
                    if is_in(names, packed_name(data, position, end, flags_of)):
                        c[COMMANDS] += 1
                if byte in (_QUOTE, _APOSTROPHE):
                    quotes += 1
                elif byte == _SLASH and before == _STAR:
                    closes = True
            if spelling:
                if first and (byte == 40 or byte == 58 or byte == 59):
                    spelling = False
                    keyword = is_in(keywords, word)
                else:
                    word = word << np.uint64(8) | np.uint64(byte)
            if first == 0:
                first = byte
            elif second == 0 and length == indent + 2:
                second = byte
            if before == _SPACE:
                words += 1
            last = byte
            before_that = before
            before = byte
        c[CHARACTERS] = characters
        c[ALPHABETIC_CHARACTERS] = alphabetic
        c[DIGIT_CHARACTERS] = digits
        c[HEXADECIMAL_CHARACTERS] = hexadecimal
        c[WHITE_CHARACTERS] = white
