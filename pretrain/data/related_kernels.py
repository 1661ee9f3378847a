# mypy: disable-error-code="no-untyped-def"
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Which documents are alike, by the rare tokens that they share. Compiled by numba.

Integers alone: the order of a run must not hang on the last bit of a logarithm.
"""

import numba
import numpy as np

from pretrain.data.kernel import kernel, pointer

# Most documents on each side that are compared, in the list of one sketched token.
_REACH = 4


@kernel
def _spread(value):
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@kernel
def _bits(value):
    count = 0
    while value > 0:
        value >>= 1
        count += 1
    return count


@kernel
def _shard(shard_tokens, position):
    low, high = 0, len(shard_tokens) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if shard_tokens[middle] <= position:
            low = middle
        else:
            high = middle
    return low


@kernel
def sketches(starts, lengths, addresses, shard_tokens, like, vocabulary, bins):
    """int32 [spans, bins]: of each span a sample of its rare tokens, -1 where a bin is empty.

    `starts` are int64 positions of tokens, `lengths` int32. A token counts that is in two spans at
    least and in one of sixteen at most. Its hash chooses its bin; in each bin the token with the
    least hash divided by its rarity stays (the bits by which it is rarer than one in all spans), so
    that two spans agree in a bin about as often as their sets of tokens, weighted by rarity, agree
    (one permutation hashing: Li et al. 2012, arXiv:1208.1259).
    """
    spans = len(starts)
    found = np.zeros(vocabulary, np.int32)
    seen = np.full(vocabulary, -1, np.int32)
    for span in range(spans):
        shard = _shard(shard_tokens, starts[span])
        tokens = numba.carray(
            pointer(addresses[shard]), shard_tokens[shard + 1] - shard_tokens[shard], like.dtype
        )
        first = starts[span] - shard_tokens[shard]
        for place in range(first, first + lengths[span]):
            token = tokens[place]
            if seen[token] != span:
                seen[token] = span
                found[token] += 1
    # `value` is -1 for a token that does not count.
    value = np.full(vocabulary, -1, np.int64)
    bin_of = np.empty(vocabulary, np.int32)
    most = max(spans // 16, 2)
    for token in range(vocabulary):
        if 2 <= found[token] <= most:
            hashed = _spread(np.uint64(token))
            rarity = max(1, _bits(spans) - _bits(np.int64(found[token])))
            bin_of[token] = np.int32(hashed % np.uint64(bins))
            value[token] = np.int64(hashed >> np.uint64(24)) // rarity
    sketch = np.full((spans, bins), -1, np.int32)
    for span in range(spans):
        shard = _shard(shard_tokens, starts[span])
        tokens = numba.carray(
            pointer(addresses[shard]), shard_tokens[shard + 1] - shard_tokens[shard], like.dtype
        )
        first = starts[span] - shard_tokens[shard]
        for place in range(first, first + lengths[span]):
            token = np.int32(tokens[place])
            if value[token] >= 0:
                other = sketch[span, bin_of[token]]
                if other < 0 or value[token] < value[other]:
                    sketch[span, bin_of[token]] = token
    return sketch


@kernel
def greedy_path(sketch, vocabulary):
    """int64 [spans], every span once: after each the one, of those that are not yet on the path and
    near it in a list of one of its sketched tokens, that shares the most; else the next as they
    come (Shi et al. 2023, arXiv:2310.10638, algorithm 1, with these neighbours)."""
    spans, bins = sketch.shape
    before = np.full((spans, bins), -1, np.int32)
    after = np.full((spans, bins), -1, np.int32)
    for column in range(bins):
        last = np.full(vocabulary, -1, np.int32)
        for span in range(spans):
            token = sketch[span, column]
            if token >= 0:
                before[span, column] = last[token]
                if last[token] >= 0:
                    after[last[token], column] = span
                last[token] = span
    path = np.empty(spans, np.int64)
    done = np.zeros(spans, np.uint8)
    compared = np.full(spans, -1, np.int64)
    fresh = np.int64(0)
    current = np.int64(-1)
    for place in range(spans):
        best, most = np.int64(-1), 0
        if current >= 0:
            for column in range(bins):
                for side in range(2):
                    links = before if side == 0 else after
                    other = np.int64(links[current, column])
                    for _ in range(_REACH):
                        if other < 0:
                            break
                        if compared[other] != place:
                            compared[other] = place
                            shared = 0
                            for each in range(bins):
                                token = sketch[current, each]
                                shared += token >= 0 and token == sketch[other, each]
                            if shared > most or (shared == most and other < best):
                                best, most = other, shared
                        other = np.int64(links[other, column])
            for column in range(bins):
                low, high = before[current, column], after[current, column]
                if low >= 0:
                    after[low, column] = high
                if high >= 0:
                    before[high, column] = low
        if best < 0:
            while done[fresh]:
                fresh += 1
            best = fresh
        path[place] = best
        done[best] = 1
        current = best
    return path
