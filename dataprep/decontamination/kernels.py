# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Evaluation items searched for in texts: one pass with a rolling hash, then an exact comparison.

A text is a row of units: words, and single characters of scripts that put no spaces between words.
Every run of five units is looked up among the anchors of the items' parts, first in a bitmap that
stays in the cache. A text with an anchor is gone over again: each anchor is extended to the longest
run of units that text and part have in common, and the run is compared character by character.
"""

import numpy as np

from dataprep.decontamination.anchors import (
    BASE,
    LONG_ANCHOR,
    SHORT_ANCHOR,
    anchor_hashes,
    find_key,
)
from dataprep.decontamination.units import ALONE, CODE, units_of
from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import HASH_PRIME, HASH_START, decode, finish_hash

_BASE_3 = np.uint64(0x9E3779B97F4A7C15**3 % 2**64)
_BASE_5 = np.uint64(0x9E3779B97F4A7C15**5 % 2**64)
# A run that is found again from its next anchor is told by the last ones recorded.
_REMEMBERED = 16
# A text of one word over and over has as many runs with an item of such words as it has words.
_RUNS_MAX = 1 << 16
# Units that a changed place may have, in the text and in the part together: two words for two.
_SKIPPED_MAX = 4


@kernel
def rows_with_anchor(data, offsets, folded, bitmap, slots, keys, short):
    """Shape [rows], bool: texts that hold an anchor. `short`: also those of three units."""
    found = np.zeros(len(offsets) - 1, np.bool_)
    for row in range(len(found)):
        found[row] = _has_anchor(
            data, offsets[row], offsets[row + 1], folded, bitmap, slots, keys, short
        )
    return found


@kernel
def _has_anchor(data, start, stop, folded, bitmap, slots, keys, short):
    # The last five units' hashes, `e` the newest, and the rolling hashes of three and five.
    a = b = c = d = e = np.uint64(0)
    three = five = np.uint64(0)
    units = 0
    inside = False
    state = HASH_START
    at = start
    while at <= stop:
        value = np.uint32(0)
        if at < stop:
            first = data[at]
            if first < 0x80:
                value = folded[first]
                at += 1
            else:
                code, at = decode(data, at)
                value = folded[code]
        else:
            at += 1
        if inside:
            if value != 0 and not value & ALONE:
                state = (state ^ np.uint64(value)) * HASH_PRIME
                continue
        elif value == 0:
            continue
        # A unit ends here: a word before this character, or a character that stands alone, or both.
        for ending in range(2):
            if ending == 0:
                if not inside:
                    continue
                unit = finish_hash(state)
                inside = False
            else:
                if not value & ALONE:
                    continue
                unit = finish_hash((HASH_START ^ np.uint64(value & CODE)) * HASH_PRIME)
            five = (five * BASE + unit) - a * _BASE_5
            three = (three * BASE + unit) - c * _BASE_3
            units += 1
            if units >= LONG_ANCHOR and find_key(bitmap, slots, keys, five) >= 0:
                return True
            if short and units >= SHORT_ANCHOR and find_key(bitmap, slots, keys, three) >= 0:
                return True
            a, b, c, d, e = b, c, d, e, unit
        if value != 0 and not value & ALONE:
            inside = True
            state = (HASH_START ^ np.uint64(value)) * HASH_PRIME
    return False


@kernel
def find_runs(
    data, offsets, rows, folded, bitmap, slots, keys, posting_offsets, postings, part_offsets,
    hashes, code_offsets, codes, run_units, companion_offsets, companions, near, short,
):  # fmt: skip
    """The runs of units that the texts `rows` have in common with a part, of `run_units[part]` or
    more, each once if it was found by neighbouring anchors; and on either side of such a run those
    of three and more units that go on where a few were changed. int64, shape [runs, 7]: row, part,
    first unit in the text, first unit in the part, number of units, and the first byte and the byte
    after the last in the row's text.

    A text with 65,536 runs is not searched further. Of a part with companions a run counts only
    where each of them stands whole within `near` units of it.
    """
    runs = np.empty((64, 7), np.int64)
    size = 0
    for row in rows:
        start = offsets[row]
        starts, ends, units = units_of(data, start, offsets[row + 1], folded)
        first_of_row = size
        for length in (LONG_ANCHOR, SHORT_ANCHOR):
            if length == SHORT_ANCHOR and not short:
                continue
            wanted = anchor_hashes(units, np.arange(len(units) - length + 1), length)
            for at in range(len(wanted)):
                if size - first_of_row >= _RUNS_MAX:
                    break
                place = find_key(bitmap, slots, keys, wanted[at])
                if place < 0:
                    continue
                for posting in range(posting_offsets[place], posting_offsets[place + 1]):
                    part = postings[posting, 0]
                    position = postings[posting, 1]
                    if _known(
                        runs, max(first_of_row, size - _REMEMBERED), size, part, at, position
                    ):
                        continue
                    own = hashes[part_offsets[part] : part_offsets[part + 1]]
                    back, forward = _extend(units, at, own, position)
                    if back + forward < run_units[part]:
                        continue
                    first = at - back
                    last = at + forward
                    unit = part_offsets[part] + position - back
                    if not _same(
                        data, starts, ends, first, last, folded, code_offsets, codes, unit
                    ):
                        continue
                    complete = True
                    for i in range(companion_offsets[part], companion_offsets[part + 1]):
                        complete = complete and _stands_near(
                            data, starts, ends, units, first, last, near, folded, part_offsets,
                            hashes, code_offsets, codes, companions[i],
                        )  # fmt: skip
                    if not complete:
                        continue
                    runs = _with_room(runs, size)
                    _record(runs, size, row, part, first, position - back, last - first)
                    size += 1
                    # Beyond a place that was changed the text may go on as the part does.
                    for step in (1, -1):
                        here = last if step == 1 else first - 1
                        there = position + forward if step == 1 else position - back - 1
                        here, there = _resumed(units, own, here, there, step)
                        while here >= 0:
                            before, after = _extend(units, here, own, there)
                            begin, length = here - before, before + after
                            place_in_part = there - before
                            if not _same(
                                data, starts, ends, begin, begin + length, folded, code_offsets,
                                codes, part_offsets[part] + place_in_part,
                            ):  # fmt: skip
                                break
                            runs = _with_room(runs, size)
                            _record(runs, size, row, part, begin, place_in_part, length)
                            size += 1
                            moved = after if step == 1 else -before - 1
                            here, there = _resumed(units, own, here + moved, there + moved, step)
        for i in range(first_of_row, size):
            runs[i, 5] = starts[runs[i, 2]] - start
            runs[i, 6] = ends[runs[i, 2] + runs[i, 4] - 1] - start
    return runs[:size]


@kernel
def _record(runs, size, row, part, first, position, length):
    runs[size, 0] = row
    runs[size, 1] = part
    runs[size, 2] = first
    runs[size, 3] = position
    runs[size, 4] = length


@kernel
def _with_room(runs, size):
    """`runs`, or a copy of twice the length where it is full."""
    if size < len(runs):
        return runs
    grown = np.empty((2 * size, runs.shape[1]), np.int64)
    grown[:size] = runs
    return grown


@kernel
def _resumed(units, own, here, there, step):
    """The nearest units of text and part, from `here` and `there` forwards (`step` 1) or backwards
    (-1), from which three are alike; -1 if there are none within a few units."""
    for skipped in range(_SKIPPED_MAX + 1):
        for in_text in range(skipped + 1):
            i = here + step * in_text
            j = there + step * (skipped - in_text)
            alike = 0
            while (
                alike < SHORT_ANCHOR
                and 0 <= i + step * alike < len(units)
                and 0 <= j + step * alike < len(own)
                and units[i + step * alike] == own[j + step * alike]
            ):
                alike += 1
            if alike == SHORT_ANCHOR:
                return i, j
    return -1, -1


@kernel
def _known(runs, first, stop, part, at, position):
    """Whether one of the runs `first` to `stop` holds unit `at` of the text at `position`."""
    for i in range(first, stop):
        if (
            runs[i, 1] == part
            and at - position == runs[i, 2] - runs[i, 3]
            and runs[i, 2] <= at < runs[i, 2] + runs[i, 4]
        ):
            return True
    return False


@kernel
def _extend(units, at, own, position):
    """How many units before `at`, and from it on, are those of `own` around `position`."""
    back = 0
    while back < min(at, position) and units[at - back - 1] == own[position - back - 1]:
        back += 1
    forward = 0
    while (
        at + forward < len(units)
        and position + forward < len(own)
        and units[at + forward] == own[position + forward]
    ):
        forward += 1
    return back, forward


@kernel
def _same(data, starts, ends, first, last, folded, code_offsets, codes, unit):
    """Whether units `first` to `last` of a text have the characters of those from `unit` on."""
    for i in range(first, last):
        place = code_offsets[unit + i - first]
        stop = code_offsets[unit + i - first + 1]
        at = starts[i]
        while at < ends[i] and place < stop:
            code, at = decode(data, at)
            if folded[code] & CODE != codes[place]:
                return False
            place += 1
        if at != ends[i] or place != stop:
            return False
    return True


@kernel
def _stands_near(
    data, starts, ends, units, first, last, near, folded, part_offsets, hashes, code_offsets, codes,
    part,
):  # fmt: skip
    """Whether all of `part` stands within `near` units before or after units `first` to `last`."""
    own = hashes[part_offsets[part] : part_offsets[part + 1]]
    begin = max(0, first - near - len(own))
    end = min(len(units), last + near + len(own))
    for at in range(begin, end - len(own) + 1):
        if at < last and at + len(own) > first:
            continue  # the part itself is no answer to itself
        equal = 0
        while equal < len(own) and units[at + equal] == own[equal]:
            equal += 1
        if equal == len(own) and _same(
            data, starts, ends, at, at + equal, folded, code_offsets, codes, part_offsets[part]
        ):
            return True
    return False
