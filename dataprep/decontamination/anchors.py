# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Anchors: the runs of a few units by which parts of evaluation items are found in texts."""

import numpy as np

from dataprep.kernel_cache import kernel

LONG_ANCHOR = 5  # units
SHORT_ANCHOR = 3  # units, for parts that have fewer than five
BASE = np.uint64(0x9E3779B97F4A7C15)


@kernel
def anchor_hashes(hashes, firsts, length):
    """The hash (uint64) of the `length` units that begin at each of `firsts` (int64)."""
    found = np.empty(len(firsts), np.uint64)
    for i in range(len(firsts)):
        value = np.uint64(0)
        for j in range(length):
            value = value * BASE + hashes[firsts[i] + j]
        found[i] = value
    return found


@kernel
def find_key(bitmap, slots, keys, key):
    """The place of `key` among `keys`, or -1. `bitmap` (uint64, bits) and `slots` (int32) have
    powers of two as sizes; see `decontamination_index.Anchors`."""
    bit = key & np.uint64(len(bitmap) * 64 - 1)
    if not (bitmap[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1):
        return -1
    mask = np.uint64(len(slots) - 1)
    slot = (key >> np.uint64(20)) & mask
    while slots[slot] >= 0:
        if keys[slots[slot]] == key:
            return slots[slot]
        slot = (slot + np.uint64(1)) & mask
    return -1


@kernel
def fill_slots(keys, bitmap, slots):
    """Enter `keys` into a bitmap of zeros and slots of -1."""
    mask = np.uint64(len(slots) - 1)
    for place in range(len(keys)):
        key = keys[place]
        bit = key & np.uint64(len(bitmap) * 64 - 1)
        bitmap[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        slot = (key >> np.uint64(20)) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = place


@kernel
def choose_anchors(part_offsets, weights, run_units):
    """Places (int64, shape [n, 3]: part, position in it, units) such that every run of
    `run_units[part]` units of a part has one inside; where there is a choice the heaviest units."""
    places = np.empty((len(weights) + 1, 3), np.int64)
    size = 0
    for part in range(len(part_offsets) - 1):
        own = weights[part_offsets[part] : part_offsets[part + 1]]
        if run_units[part] < SHORT_ANCHOR:
            continue
        length = LONG_ANCHOR if run_units[part] >= LONG_ANCHOR else SHORT_ANCHOR
        sums = np.empty(len(own) - length + 1, np.float64)
        for i in range(len(sums)):
            sums[i] = own[i : i + length].sum()
        window = run_units[part] - length + 1
        last = -1
        for first in range(len(sums) - window + 1):
            if last >= first and sums[last] >= sums[first + window - 1]:
                continue
            if last >= first:
                last = first + window - 1
            else:
                last = first
                for i in range(first, first + window):
                    if sums[i] >= sums[last]:
                        last = i
            places[size, 0] = part
            places[size, 1] = last
            places[size, 2] = length
            size += 1
    return places[:size]
