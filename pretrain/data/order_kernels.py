# mypy: disable-error-code="no-untyped-def"
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""The order of documents, of sources and of spans, by integer arithmetic alone. Compiled by numba.

No generator of a library is used: their streams are not promised to stay what they are.
"""

import numpy as np

from pretrain.data.kernel import kernel

ROUNDS = 8
"""Rounds of the permutation below."""
WEIGHT_ONE = 1 << 30
"""Weights are integers with this sum."""


@kernel
def mixed(value):
    """Every bit of a uint64 spread over all others (the finalizer of splitmix64: Steele et al.
    2014, doi:10.1145/2660193.2660195)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@kernel
def hashes(key, count):
    """uint64 [count]: a hash of (key, 0), (key, 1) …, for shuffling by sorting."""
    found = np.empty(count, np.uint64)
    for index in range(count):
        found[index] = mixed(key ^ mixed(np.uint64(index)))
    return found


@kernel
def round_keys(key):
    """uint64 [ROUNDS] for `permuted`, of one uint64."""
    keys = np.empty(ROUNDS, np.uint64)
    for index in range(ROUNDS):
        keys[index] = mixed(key + np.uint64(index))
    return keys


@kernel
def permuted(index, size, keys):
    """Place `index` of a permutation of 0 … size - 1, without the others: a Feistel network on the
    next power of four, walked until it lands below `size` (Black and Rogaway 2002,
    doi:10.1007/3-540-45760-7_9). Nothing is stored, so 10^9 documents cost no memory."""
    half = np.uint64(1)
    while np.uint64(1) << (half + half) < np.uint64(size):
        half += np.uint64(1)
    low = (np.uint64(1) << half) - np.uint64(1)
    value = np.uint64(index)
    while True:
        left, right = value >> half, value & low
        for key in keys:
            left, right = right, left ^ (mixed(right ^ key) & low)
        value = (left << half) | right
        if value < np.uint64(size):
            return np.int64(value)


@kernel
def next_documents(members, positions, keys, start, tokens, until):
    """The documents of an epoch from place `start` on, as many as bring `tokens` to `until`.

    `members` are the source's documents, `positions` int64 where each document of the corpus
    begins, `keys` those of the epoch, `tokens` how many the epoch has given before. Returns the
    documents in the type of `members`, and the new number of tokens.
    """
    found = np.empty(1024, members.dtype)
    count = 0
    while tokens < until and start + count < len(members):
        if count == len(found):
            longer = np.empty(2 * count, members.dtype)
            longer[:count] = found
            found = longer
        document = members[permuted(start + count, len(members), keys)]
        found[count] = document
        tokens += positions[document + 1] - positions[document]
        count += 1
    return found[:count], tokens


@kernel
def blend(weights, deficits, given, tokens, bounds, taken, sources):
    """Which source gives each of the next samples: always the one that is furthest behind.

    All int64 but `sources`: `weights` of sum WEIGHT_ONE, `deficits` (tokens due x WEIGHT_ONE),
    `given` (tokens) and `taken` (samples of the current block) by source, changed in place;
    `tokens` of all samples of the current blocks, those of source s from `bounds[s]` to
    `bounds[s + 1]`. Fills the uint16 `sources` until it is full or the source that is due has no
    sample left. Returns how many, and that source or -1.

    It is Megatron-core's rule for blending (`build_blending_indices`), with tokens in the place of
    samples, and integers in that of floats: the sums are exact.
    """
    nothing = True
    for source in range(len(weights)):
        nothing = nothing and given[source] == 0
    for count in range(len(sources)):
        due = 0
        for source in range(1, len(weights)):
            values = weights if nothing else deficits
            if values[source] > values[due]:
                due = source
        place = bounds[due] + taken[due]
        if place == bounds[due + 1]:
            return count, due
        size = tokens[place]
        for source in range(len(weights)):
            deficits[source] += weights[source] * size
        deficits[due] -= size << 30
        given[due] += size
        taken[due] += 1
        sources[count] = due
        nothing = False
    return len(sources), -1


@kernel
def gather(starts, spans, samples, new_starts, rows, to):
    """Copy the spans of `samples` (numbers of a block's samples) to where `rows` of the new
    samples have theirs: `spans` and `to` are documents, begins and lengths, old and new."""
    documents, begins, lengths = spans
    new_documents, new_begins, new_lengths = to
    for index in range(len(rows)):
        place = new_starts[rows[index]]
        for span in range(starts[samples[index]], starts[samples[index] + 1]):
            new_documents[place] = documents[span]
            new_begins[place] = begins[span]
            new_lengths[place] = lengths[span]
            place += 1


@kernel
def merged(documents, begins, lengths):
    """How many spans are left when each that goes on where the last one ended is joined to it; the
    arrays are changed in place."""
    count = 0
    for span in range(len(documents)):
        goes_on = (
            count > 0
            and documents[count - 1] == documents[span]
            and begins[count - 1] + lengths[count - 1] == begins[span]
        )
        if goes_on:
            lengths[count - 1] += lengths[span]
        else:
            documents[count] = documents[span]
            begins[count] = begins[span]
            lengths[count] = lengths[span]
            count += 1
    return count
