# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Runs of bytes that stand twice: fingerprints of all windows, then the windows themselves.

A window is `length` bytes of one text. Its fingerprint is the smallest hash of the runs of `grain`
bytes inside it (a minimizer: Schleimer, Wilkerson and Aiken 2003; Roberts et al. 2004), so that
equal windows have equal fingerprints, and neighbours mostly share one.
"""

import numpy as np

from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import finish_hash

_BASE = np.uint64(0x9E3779B97F4A7C15)
_EMPTY = -1
_SLOTS_MIN = 256


@kernel
def _power(exponent):
    """`_BASE` to the power `exponent`, modulo 2^64."""
    result = np.uint64(1)
    for _ in range(exponent):
        result *= _BASE
    return result


@kernel
def find_fingerprints(data, offsets, length, grain):
    """Stretches of windows that share a fingerprint: row, first window, number of windows (int64
    [3, stretches]), fingerprints (uint64), and whether several runs of bytes gave it (bool).

    `data` and `offsets` are Arrow's. Windows count from the beginning of their text. A stretch is
    as long as it can be: of a text that repeats one byte all windows are one.
    """
    num_grains = length - grain + 1
    outgoing = _power(grain)
    ring = np.empty(num_grains, np.uint64)
    capacity = 1024 + 3 * (offsets[-1] - offsets[0]) // num_grains
    found = np.empty((3, capacity), np.int64)
    hashes = np.empty(capacity, np.uint64)
    several = np.zeros(capacity, np.bool_)
    size = 0
    for row in range(len(offsets) - 1):
        begin = offsets[row]
        num_windows = offsets[row + 1] - begin - length + 1
        if num_windows <= 0:
            continue
        rolling = np.uint64(0)
        for position in range(begin, begin + grain - 1):
            rolling = rolling * _BASE + np.uint64(data[position])
        smallest = np.uint64(0)
        place = -1  # of the smallest, leftmost grain
        slot = 0
        opened = False
        for at in range(num_windows + num_grains - 1):
            # The grain that begins at `at`; with it the window at - num_grains + 1 is complete.
            rolling = rolling * _BASE + np.uint64(data[begin + at + grain - 1])
            if at > 0:
                rolling -= outgoing * np.uint64(data[begin + at - 1])
            value = finish_hash(rolling)
            ring[slot] = value
            slot += 1
            if slot == num_grains:
                slot = 0
            window = at - num_grains + 1
            moved = False
            if place < 0 or value < smallest:
                smallest = value
                place = at
                moved = True
            elif place < window:
                # The smallest has gone: the leftmost smallest of the others takes its place.
                smallest = ring[slot]
                place = window
                index = slot
                for step in range(1, num_grains):
                    index += 1
                    if index == num_grains:
                        index = 0
                    if ring[index] < smallest:
                        smallest = ring[index]
                        place = window + step
                moved = True
            if window < 0:
                continue
            if opened and not moved:
                found[2, size - 1] += 1
            elif opened and hashes[size - 1] == smallest:
                found[2, size - 1] += 1
                several[size - 1] = True
            else:
                if size == len(hashes):
                    capacity = 2 * size
                    found_before, hashes_before, several_before = found, hashes, several
                    found = np.empty((3, capacity), np.int64)
                    hashes = np.empty(capacity, np.uint64)
                    several = np.zeros(capacity, np.bool_)
                    found[:, :size] = found_before
                    hashes[:size] = hashes_before
                    several[:size] = several_before
                found[0, size] = row
                found[1, size] = window
                found[2, size] = 1
                hashes[size] = smallest
                size += 1
                opened = True
    return found[:, :size].copy(), hashes[:size].copy(), several[:size].copy()


@kernel
def copy_runs(data, begins, lengths):
    """The bytes of `data` from each of `begins`, as many as `lengths` says, one after the other."""
    copied = np.empty(lengths.sum(), np.uint8)
    size = 0
    for run in range(len(begins)):
        begin = begins[run]
        length = lengths[run]
        copied[size : size + length] = data[begin : begin + length]
        size += length
    return copied


@kernel
def _equal(data, left, right, length):
    same = 0
    while same < length and data[left + same] == data[right + same]:
        same += 1
    return same == length


@kernel
def _equal_windows(data, first, place, at, most, length):
    """How many windows from `at` equal those from `place`, of which the first does: up to `most`,
    and only those that stand nowhere before `place`. One more byte shows it of one more window."""
    number = 1
    while (
        number < most
        and first[place + number]
        and data[place + number + length - 1] == data[at + number + length - 1]
    ):
        number += 1
    return number


@kernel
def _hash(data, at, length):
    rolling = np.uint64(0)
    for position in range(at, at + length):
        rolling = rolling * _BASE + np.uint64(data[position])
    return rolling


@kernel
def _until_met(
    data, begin, window, count, rolling, rolled, length, outgoing, table, first, owner, room
):  # fmt: skip
    """Put windows from `window` on into the table until one is met that stands there, or `room`
    for others has gone: that window, its hash, its slot or -1, and the room left.

    `rolled` says whether `rolling` is the hash of the window before. A loop of its own, in which no
    array is replaced: with growing arrays in it, it took twice as long (2026-11-24).
    """
    keys, places, owners = table
    mask = np.uint64(len(keys) - 1)
    while window < count:
        at = begin + window
        if rolled:
            rolling = rolling * _BASE + np.uint64(data[at + length - 1])
            rolling -= outgoing * np.uint64(data[at - 1])
        else:
            rolling = _hash(data, at, length)
            rolled = True
        key = finish_hash(rolling)
        slot = np.int64(key & mask)
        while places[slot] != _EMPTY:
            if keys[slot] == key and _equal(data, places[slot], at, length):
                return window, rolling, slot, room
            slot = (slot + 1) & np.int64(mask)
        if room == 0:
            break
        first[at] = True
        keys[slot] = key
        places[slot] = at
        owners[slot] = owner
        room -= 1
        window += 1
    return window, rolling, -1, room


@kernel
def find_repeated(data, groups, begins, counts, length):
    """Windows that stand earlier: stretch, first window, windows and the stretch of the first
    occurrence, int64 [4, found].

    Stretches (int64 [n] each) stand in survivor order within each group; those of one group have
    one fingerprint. The windows of stretch i are the `counts[i]` that begin at `begins[i]` in
    `data` and after; stretches do not overlap. Every window is looked for by its hash among the
    group's different ones, and compared byte by byte: the answer does not depend on the hash.
    """
    outgoing = _power(length)
    table = _new_table(_SLOTS_MIN)
    room = _SLOTS_MIN // 2
    first = np.zeros(len(data), np.bool_)  # where a window begins that stands nowhere earlier
    found = np.empty((4, 1024), np.int64)
    size = 0
    for i in range(len(groups)):
        if i == 0 or groups[i] != groups[i - 1]:
            if len(table[0]) > 8 * _SLOTS_MIN:
                # A table that one group has blown up is not swept for all that follow.
                table = _new_table(_SLOTS_MIN)
            else:
                table[1][:] = _EMPTY
            room = len(table[0]) // 2
        rolling = np.uint64(0)
        rolled = False
        previous = -1  # the owner of the window before, if that stands earlier
        window = 0
        while window < counts[i]:
            start = window
            window, rolling, slot, room = _until_met(
                data, begins[i], start, counts[i], rolling, rolled, length, outgoing, table, first,
                i, room,
            )  # fmt: skip
            if window > start:
                previous = -1
            if slot < 0:
                if window < counts[i]:
                    room = len(table[0]) // 2
                    table = _doubled(table)
                    rolled = False
                continue
            place, owner = table[1][slot], table[2][slot]
            most = min(counts[i] - window, begins[owner] + counts[owner] - place)
            number = _equal_windows(data, first, place, begins[i] + window, most, length)
            rolled = number == 1
            if owner != previous:
                if size == found.shape[1]:
                    larger = np.empty((4, 2 * size), np.int64)
                    larger[:, :size] = found
                    found = larger
                found[0, size] = i
                found[1, size] = window
                found[2, size] = 0
                found[3, size] = owner
                size += 1
            found[2, size - 1] += number
            previous = owner
            window += number
    return found[:, :size].copy()


@kernel
def _new_table(slots):
    """Keys, places and owners of windows, open addressing; an empty slot has no place."""
    return (
        np.empty(slots, np.uint64),
        np.full(slots, _EMPTY, np.int64),
        np.empty(slots, np.int64),
    )


@kernel
def _doubled(table):
    keys, places, owners = table
    slots = 2 * len(keys)
    new_keys, new_places, new_owners = larger = _new_table(slots)
    for old in range(len(keys)):
        if places[old] != _EMPTY:
            slot = np.int64(keys[old] & np.uint64(slots - 1))
            while new_places[slot] != _EMPTY:
                slot = (slot + 1) & (slots - 1)
            new_keys[slot] = keys[old]
            new_places[slot] = places[old]
            new_owners[slot] = owners[old]
    return larger
