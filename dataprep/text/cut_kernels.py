# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Texts without some of their bytes, and with them again; where exactly a cut may begin and end.

A cut is `start` to `end` in the bytes of its text. Cuts of a text stand in order and do not
overlap; they may touch.
"""

import numpy as np

from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import decode
from dataprep.text.word_characters import ALONE, ALPHABETIC, BLANK, DIGIT, PLAIN

# What a cut is shrunk to before white space is looked at.
CHARACTERS = 0
LINES = 1

_LINE_FEED = 10


@kernel
def join(rows, starts, ends, owners):
    """Which joined interval each interval belongs to, int64 [n].

    Intervals, in the order of row, owner and start, that overlap or touch and have one owner are
    one.
    """
    joined = np.empty(len(rows), np.int64)
    last = -1
    reach = 0
    for i in range(len(rows)):
        apart = i == 0 or rows[i] != rows[i - 1] or owners[i] != owners[i - 1]
        if apart or starts[i] > reach:
            last += 1
            reach = ends[i]
        joined[i] = last
        reach = max(reach, ends[i])
    return joined


@kernel
def _blank_until(data, position, end, table):
    """Where the white space that begins at `position` ends."""
    while position < end:
        code, following = decode(data, position)
        if not int(table[code]) & BLANK:
            break
        position = following
    return position


@kernel
def _blank_since(data, begin, position, table):
    """Where the white space that ends at `position` begins."""
    while position > begin:
        before = position - 1
        while before > begin and data[before] & 0xC0 == 0x80:
            before -= 1
        code, _ = decode(data, before)
        if not int(table[code]) & BLANK:
            break
        position = before
    return position


@kernel
def _shrink(data, begin, end, start, stop, to):
    """`start` to `stop` of the text `begin` to `end`, shrunk to whole characters or whole lines."""
    if to == CHARACTERS:
        while start < stop and data[start] & 0xC0 == 0x80:
            start += 1
        while stop > start and stop < end and data[stop] & 0xC0 == 0x80:
            stop -= 1
        return start, stop
    while start < stop and start > begin and data[start - 1] != _LINE_FEED:
        start += 1
    while stop > start and stop < end and data[stop] != _LINE_FEED and data[stop - 1] != _LINE_FEED:
        stop -= 1
    return start, stop


@kernel
def _with_white_space(data, begin, end, start, stop, table):
    """The cut that leaves of the white space on its two sides one piece: that with more line feeds,
    of as many the later, and the indentation of what follows."""
    left = _blank_since(data, begin, start, table)
    right = _blank_until(data, stop, end, table)
    if left == begin or right == end:
        return left, right
    if left == start or right == stop:
        return start, stop
    left_feeds = 0
    after_left = start
    for position in range(left, start):
        if data[position] == _LINE_FEED:
            left_feeds += 1
            after_left = position + 1
    right_feeds = 0
    after_right = right
    for position in range(stop, right):
        if data[position] == _LINE_FEED:
            right_feeds += 1
            after_right = position + 1
    if right_feeds >= left_feeds:
        return left, stop
    if right_feeds:
        return after_left, after_right
    return start, right


@kernel
def settle(data, offsets, rows, starts, ends, owners, table, to):
    """The cuts that pieces of text come to: int64 [cuts] of row, start, end, owner.

    `data` and `offsets` (int64 [texts + 1]) are Arrow's; pieces (int64 [pieces] each) stand in the
    order of row, start and end. Pieces that overlap, touch, or have only white space between them
    become one stretch, which is shrunk (`CHARACTERS` or `LINES`) and trimmed; its white space goes
    as `_with_white_space` says. A stretch is one cut for each of its owners in turn.
    """
    found = np.empty((4, len(rows)), np.int64)
    size = 0
    first = 0
    while first < len(rows):
        row = rows[first]
        begin = offsets[row]
        end = offsets[row + 1]
        stop = begin + ends[first]
        last = first + 1
        while last < len(rows) and rows[last] == row:
            following = begin + starts[last]
            # A piece may end within a character, which is not read from its middle.
            whole = stop
            while whole > begin and whole < end and data[whole] & 0xC0 == 0x80:
                whole -= 1
            if following > stop and _blank_until(data, whole, following, table) < following:
                break
            stop = max(stop, begin + ends[last])
            last += 1
        start, stop = _shrink(data, begin, end, begin + starts[first], stop, to)
        if start < stop:
            start = _blank_until(data, start, stop, table)
            stop = _blank_since(data, start, stop, table)
        if start < stop:
            start, stop = _with_white_space(data, begin, end, start, stop, table)
            owner = owners[first]
            reach = ends[first]
            for piece in range(first + 1, last):
                # The border of two owners must not part a character.
                border = max(begin + starts[piece], start)
                while border < stop and data[border] & 0xC0 == 0x80:
                    border += 1
                if owners[piece] != owner and ends[piece] > reach and border < stop:
                    if border > start:
                        found[:, size] = (row, start - begin, border - begin, owner)
                        size += 1
                        start = border
                    owner = owners[piece]
                reach = max(reach, ends[piece])
            found[:, size] = (row, start - begin, stop - begin, owner)
            size += 1
        first = last
    return found[:, :size].copy()


@kernel
def take_out(data, offsets, rows, starts, ends):
    """The texts without the cuts, and the cuts: bytes and int64 offsets from 0 of each.

    `rows`, `starts` and `ends` are int64 [cuts], in order.
    """
    removed = 0
    for cut in range(len(rows)):
        removed += ends[cut] - starts[cut]
    num_rows = len(offsets) - 1
    left = np.empty(offsets[num_rows] - offsets[0] - removed, np.uint8)
    left_offsets = np.zeros(num_rows + 1, np.int64)
    pieces = np.empty(removed, np.uint8)
    piece_offsets = np.zeros(len(rows) + 1, np.int64)
    size = 0
    cut = 0
    for row in range(num_rows):
        position = offsets[row]
        while cut < len(rows) and rows[cut] == row:
            start = offsets[row] + starts[cut]
            stop = offsets[row] + ends[cut]
            left[size : size + start - position] = data[position:start]
            size += start - position
            filled = piece_offsets[cut]
            pieces[filled : filled + stop - start] = data[start:stop]
            piece_offsets[cut + 1] = filled + stop - start
            position = stop
            cut += 1
        stop = offsets[row + 1]
        left[size : size + stop - position] = data[position:stop]
        size += stop - position
        left_offsets[row + 1] = size
    return left, left_offsets, pieces, piece_offsets


@kernel
def put_back(data, offsets, rows, starts, pieces, piece_offsets):
    """What `take_out` has taken, in its place again: bytes and int64 offsets from 0.

    `starts` count in the texts as they become.
    """
    num_rows = len(offsets) - 1
    added = piece_offsets[len(rows)] - piece_offsets[0]
    whole = np.empty(offsets[num_rows] - offsets[0] + added, np.uint8)
    whole_offsets = np.zeros(num_rows + 1, np.int64)
    size = 0
    cut = 0
    for row in range(num_rows):
        begin = size
        position = offsets[row]
        while cut < len(rows) and rows[cut] == row:
            step = begin + starts[cut] - size
            whole[size : size + step] = data[position : position + step]
            size += step
            position += step
            length = piece_offsets[cut + 1] - piece_offsets[cut]
            whole[size : size + length] = pieces[piece_offsets[cut] : piece_offsets[cut + 1]]
            size += length
            cut += 1
        rest = offsets[row + 1] - position
        whole[size : size + rest] = data[position : position + rest]
        size += rest
        whole_offsets[row + 1] = size
    return whole, whole_offsets


@kernel
def count_words(data, offsets, rows, table):
    """Words of the texts `rows` (int64 [n]), int64 [n]; -1 where there is only white space.

    A word is a run of letters, digits and marks, or one Chinese or Japanese character.
    """
    counts = np.zeros(len(rows), np.int64)
    for i in range(len(rows)):
        position = offsets[rows[i]]
        end = offsets[rows[i] + 1]
        words = 0
        inside = False
        blank = True
        while position < end:
            code, position = decode(data, position)
            flags = int(table[code])
            blank = blank and flags & BLANK != 0
            if flags & ALONE:
                words += 1
                inside = False
            elif flags & (PLAIN | ALPHABETIC | DIGIT):
                words += not inside
                inside = True
            else:
                inside = False
        counts[i] = -1 if blank else words
    return counts
