"""The automaton of Aho and Corasick over bytes: built and run. Compiled by numba."""

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.text.characters import WORD
from dataprep.text.text_kernels import Counts, decode

Nodes = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

# Which of several matches are taken (`search`).
FIRST, LONGEST, OVERLAPPING = 0, 1, 2


@kernel
def num_nodes(data: Bytes, offsets: Offsets) -> int:
    """How many nodes a tree of the words has, its root included; words are in order of bytes."""
    nodes = 1
    for row in range(offsets.shape[0] - 1):
        start, end = offsets[row], offsets[row + 1]
        common = 0
        if row:
            before = offsets[row - 1]
            while (
                common < end - start
                and common < start - before
                and data[start + common] == data[before + common]
            ):
                common += 1
        nodes += end - start - common
    return nodes


@kernel
def build(
    data: Bytes, offsets: Offsets, alone: Flags, symbols: Bytes,
    moves: Nodes, ends: Nodes, bounded: Flags, shorter: Nodes,
) -> None:  # fmt: skip
    """Fill the arrays of an `Automaton`, which must be zero, from words in order of bytes."""
    nodes = 1
    for row in range(offsets.shape[0] - 1):
        node = 0
        for position in range(offsets[row], offsets[row + 1]):
            symbol = symbols[data[position]]
            if moves[node, symbol] == 0:
                moves[node, symbol] = nodes
                nodes += 1
            node = moves[node, symbol]
        ends[node] = offsets[row + 1] - offsets[row]
        bounded[node] = alone[row]
    # Breadth first: a node's failure is shallower than itself, and done before it.
    failure = np.zeros(nodes, dtype=np.int32)
    queue = np.empty(nodes, dtype=np.int32)
    head = 0
    tail = 0
    for symbol in range(1, moves.shape[1]):
        if moves[0, symbol]:
            queue[tail] = moves[0, symbol]
            tail += 1
    while head < tail:
        node = queue[head]
        head += 1
        fallback = failure[node]
        shorter[node] = fallback if ends[fallback] else shorter[fallback]
        for symbol in range(1, moves.shape[1]):
            child = moves[node, symbol]
            if child:
                failure[child] = moves[fallback, symbol]
                queue[tail] = child
                tail += 1
            else:
                moves[node, symbol] = moves[fallback, symbol]


@kernel
def stands_alone(data: Bytes, start: int, end: int, first: int, last: int, classes: Bytes) -> bool:
    """Whether no letter or digit stands just before `start` or at `end`, in [first, last)."""
    if end < last:
        code, _ = decode(data, end)
        if classes[code] & WORD:
            return False
    if start > first:
        before = start - 1
        while before > first and data[before] & 0xC0 == 0x80:
            before -= 1
        code, _ = decode(data, before)
        if classes[code] & WORD:
            return False
    return True


@kernel
def search(
    data: Bytes, offsets: Offsets, classes: Bytes, symbols: Bytes, moves: Nodes, ends: Nodes,
    bounded: Flags, shorter: Nodes, way: int, protected: Bytes, counts: Counts, found: Counts,
) -> int:  # fmt: skip
    """Run the automaton over all texts; the number of matches.

    With FIRST matches do not overlap, the first counts: `counts` (int64 [rows, 2], zero) gets the
    matches of each text and the bytes that they cover. `protected` is empty, or says of each byte
    of `data` whether it is: a match all of whose bytes are does not count. Else `found` (int64
    [3, n]) gets row, start and end of the matches in order; for what it has no room is missing. Of
    words that end at one place the longest is taken; with LONGEST a longer one replaces one before
    it that begins no earlier, with OVERLAPPING all are taken.
    """
    size = 0
    for row in range(offsets.shape[0] - 1):
        first, last = offsets[row], offsets[row + 1]
        begin = size
        node = 0
        covered = first  # the end of the last match
        for position in range(first, last):
            byte = data[position]
            if 65 <= byte <= 90:
                byte += 32
            node = moves[node, symbols[byte]]
            if symbols[byte] == 0:
                node = 0
                continue
            match = node if ends[node] else shorter[node]
            while match:
                start = position + 1 - ends[match]
                if (way != FIRST or start >= covered) and (
                    not bounded[match]
                    or stands_alone(data, start, position + 1, first, last, classes)
                ):
                    if way == FIRST:
                        if not (protected.shape[0] and _all_set(protected, start, position + 1)):
                            counts[row, 0] += 1
                            counts[row, 1] += ends[match]
                            covered = position + 1
                            size += 1
                            break
                    else:
                        size = _place(found, size, begin, row, start, position + 1, way)
                        break
                match = shorter[match]
    return size


@kernel
def _place(
    found: Counts, size: int, begin: int, row: int, start: int, end: int, way: int
) -> int:  # fmt: skip
    """Write a match behind the `size` that are there, `begin` of them of other texts; their
    number then."""
    if way == LONGEST:
        while begin < size <= found.shape[1] and found[1, size - 1] >= start:
            size -= 1
        if begin < size <= found.shape[1] and found[2, size - 1] > start:
            return size
    if size < found.shape[1]:
        found[0, size] = row
        found[1, size] = start
        found[2, size] = end
    return size + 1


@kernel
def _all_set(flags: Bytes, start: int, end: int) -> bool:
    for position in range(start, end):  # noqa: SIM110
        if flags[position] == 0:
            return False
    return True
