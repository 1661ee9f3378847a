# mypy: disable-error-code="no-untyped-def"
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Spans of documents into sequences: by best fit, or joined and cut. Compiled by numba.

A span is `lengths[i]` tokens of document `documents[i]` from its token `begins[i]` on. Sequences
come out as `(starts, documents, begins, lengths)`: sequence i holds the spans from `starts[i]` to
`starts[i + 1]`.
"""

import numpy as np

from pretrain.data.kernel import kernel


@kernel
def _first_at_least(flags, leaves, value):
    """The least leaf at or above `value` whose flag is set, or -1. Leaf v is `flags[leaves + v]`,
    an inner node is set where a leaf below it is."""
    node = leaves + value
    if flags[node]:
        return value
    while node > 1:
        if node % 2 == 0 and flags[node + 1]:
            node += 1
            while node < leaves:
                node *= 2
                if not flags[node]:
                    node += 1
            return node - leaves
        node //= 2
    return -1


@kernel
def _set(flags, leaves, value):
    node = leaves + value
    while node > 0 and not flags[node]:
        flags[node] = 1
        node //= 2


@kernel
def _clear(flags, leaves, value):
    node = leaves + value
    flags[node] = 0
    while node > 1 and not flags[node ^ 1]:
        node //= 2
        flags[node] = 0


@kernel
def _decreasing(lengths, size):
    """Spans with a rest after pieces of `size`, by decreasing rest; equal ones as they come."""
    counts = np.zeros(size + 1, np.int64)
    for span in range(len(lengths)):
        counts[lengths[span] % size] += 1
    place = 0
    for rest in range(size - 1, 0, -1):
        here = counts[rest]
        counts[rest] = place
        place += here
    order = np.empty(place, np.int64)
    for span in range(len(lengths)):
        rest = lengths[span] % size
        if rest:
            order[counts[rest]] = span
            counts[rest] += 1
    return order


@kernel
def pack(documents, begins, lengths, size):
    """Sequences of at most `size` tokens in which no span is cut but those longer than `size`.

    Longer ones are cut into pieces of `size`, each a sequence of its own, and a rest. Rests go, the
    longest first, to the sequence with the least room that is enough (Ding et al. 2024,
    arXiv:2404.10830), found by a tree of flags over the rooms, as there.
    """
    full = 0
    for span in range(len(lengths)):
        full += lengths[span] // size
    order = _decreasing(lengths, size)
    leaves = 1
    while leaves <= size:
        leaves *= 2
    flags = np.zeros(2 * leaves, np.uint8)
    top = np.full(size + 1, -1, np.int64)  # of the stack of sequences with each room
    below = np.full(len(order), -1, np.int64)
    chosen = np.empty(len(order), np.int64)
    counts = np.zeros(len(order) + 1, np.int64)
    opened = 0
    for index in range(len(order)):
        rest = lengths[order[index]] % size
        room = _first_at_least(flags, leaves, rest)
        if room < 0:
            sequence = opened
            opened += 1
            room = size
        else:
            sequence = top[room]
            top[room] = below[sequence]
            if top[room] < 0:
                _clear(flags, leaves, room)
        chosen[index] = sequence
        counts[sequence] += 1
        room -= rest
        if room > 0:
            below[sequence] = top[room]
            top[room] = sequence
            _set(flags, leaves, room)

    total = full + len(order)
    starts = np.empty(full + opened + 1, np.int64)
    new_documents = np.empty(total, documents.dtype)
    new_begins = np.empty(total, np.int32)
    new_lengths = np.empty(total, np.int32)
    place = 0
    for span in range(len(lengths)):
        for piece in range(lengths[span] // size):
            starts[place] = place
            new_documents[place] = documents[span]
            new_begins[place] = begins[span] + piece * size
            new_lengths[place] = size
            place += 1
    for sequence in range(opened):
        starts[full + sequence] = place
        place += counts[sequence]
        counts[sequence] = starts[full + sequence]
    starts[full + opened] = place
    for index in range(len(order)):
        span = order[index]
        place = counts[chosen[index]]
        counts[chosen[index]] += 1
        rest = lengths[span] % size
        new_documents[place] = documents[span]
        new_begins[place] = begins[span] + lengths[span] - rest
        new_lengths[place] = rest
    return starts, new_documents, new_begins, new_lengths


@kernel
def cut(documents, begins, lengths, size, look_ahead):
    """Sequences of `size` tokens, the last one shorter: the spans one after another, cut there.

    With `look_ahead` a sequence that ends with a span, before another document's first token, gets
    a last span of length 0 on it: the label of its last token.
    """
    total = 0
    for span in range(len(lengths)):
        total += lengths[span]
    sequences = -(-total // size)
    most = len(lengths) + sequences * 2
    starts = np.empty(sequences + 1, np.int64)
    starts[0] = 0
    new_documents = np.empty(most, documents.dtype)
    new_begins = np.empty(most, np.int32)
    new_lengths = np.empty(most, np.int32)
    place = 0
    sequence = 0
    room = size
    for span in range(len(lengths)):
        done = 0
        while done < lengths[span]:
            piece = min(room, lengths[span] - done)
            new_documents[place] = documents[span]
            new_begins[place] = begins[span] + done
            new_lengths[place] = piece
            place += 1
            done += piece
            room -= piece
            if room == 0:
                ended = done == lengths[span] and span + 1 < len(lengths)
                if look_ahead and ended and begins[span + 1] == 0:
                    new_documents[place] = documents[span + 1]
                    new_begins[place] = 0
                    new_lengths[place] = 0
                    place += 1
                sequence += 1
                starts[sequence] = place
                room = size
    if room < size:
        sequence += 1
        starts[sequence] = place
    return starts, new_documents[:place], new_begins[:place], new_lengths[:place]


@kernel
def sizes(starts, lengths):
    """Tokens of each sequence, int64."""
    found = np.zeros(len(starts) - 1, np.int64)
    for sequence in range(len(found)):
        for span in range(starts[sequence], starts[sequence + 1]):
            found[sequence] += lengths[span]
    return found


@kernel
def pack_along(documents, begins, lengths, size, window):
    """`pack` for spans whose neighbours belong together: what is cut is the same.

    A sequence takes, in their order, those of the next `window` rests that still fit into it. So it
    holds neighbours, and the room they leave goes to a short one from a little farther on.
    """
    full = 0
    rests = 0
    for span in range(len(lengths)):
        full += lengths[span] // size
        rests += lengths[span] % size > 0
    starts = np.empty(full + rests + 1, np.int64)
    new_documents = np.empty(full + rests, documents.dtype)
    new_begins = np.empty(full + rests, np.int32)
    new_lengths = np.empty(full + rests, np.int32)
    waiting = np.empty(rests, np.int64)
    place = 0
    count = 0
    for span in range(len(lengths)):
        for piece in range(lengths[span] // size):
            starts[place] = place
            new_documents[place] = documents[span]
            new_begins[place] = begins[span] + piece * size
            new_lengths[place] = size
            place += 1
        if lengths[span] % size:
            waiting[count] = span
            count += 1
    after = np.arange(1, rests + 1)
    sequence = full
    head = 0
    while head < rests:
        starts[sequence] = place
        sequence += 1
        room = size
        before = -1
        at = head
        for _ in range(window):
            if at == rests:
                break
            span = waiting[at]
            rest = lengths[span] % size
            if rest <= room:
                room -= rest
                new_documents[place] = documents[span]
                new_begins[place] = begins[span] + lengths[span] - rest
                new_lengths[place] = rest
                place += 1
                if before < 0:
                    head = after[at]
                else:
                    after[before] = after[at]
            else:
                before = at
            at = after[at]
    starts[sequence] = place
    return starts[: sequence + 1], new_documents, new_begins, new_lengths
