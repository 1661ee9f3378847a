# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Scores of prepared texts from tables of weights. Compiled by numba.

A fastText classifier is linear when it is applied: the mean of the vectors of a text's features,
times the difference of two labels' vectors, is the mean of one number for each feature. So the
vectors are folded into such numbers once (`fasttext_member`), and a text is scored from Arrow's
buffer by looking them up. The features are fastText's own: its hash (FNV-1a over signed bytes), its
character n-grams of `<word>`, its hashed runs of words (Bojanowski et al. 2017, arXiv:1607.04606;
Joulin et al. 2017, arXiv:1607.01759).
"""

import numpy as np

from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import HASH_PRIME, HASH_START, decode, finish_hash

_FNV_START = np.uint32(2166136261)
_FNV_PRIME = np.uint32(16777619)
_NGRAM_FACTOR = np.uint64(116049371)
_SPACE = 32
_OPEN = 60  # <
_CLOSE = 62  # >


@kernel
def fold_byte(value, byte):
    """One step of fastText's hash; `value` is uint32, and a byte above 127 counts as negative."""
    extended = np.uint32(byte) if byte < 128 else np.uint32(byte) | np.uint32(0xFFFFFF00)
    return np.uint32((value ^ extended) * _FNV_PRIME)


@kernel
def word_key(data, start, end):
    """A hash of 64 bits, never 0, by which words are told apart."""
    value = HASH_START
    for position in range(start, end):
        value = (value ^ np.uint64(data[position])) * HASH_PRIME
    return finish_hash(value) | np.uint64(1)


@kernel
def extended(value):
    """A uint32 hash as fastText adds it to a 64-bit one: as a signed number."""
    signed = np.int64(value)
    if signed >= 1 << 31:
        signed -= 1 << 32
    return np.uint64(signed)


@kernel
def place_of(key, keys, places):
    """The row of a word, -1 if it is not known; `keys` (uint64 [2^n]) is open-addressed."""
    mask = np.uint64(len(keys) - 1)
    slot = (key >> np.uint64(7)) & mask
    while keys[slot] != 0:
        if keys[slot] == key:
            return np.int64(places[slot])
        slot = (slot + np.uint64(1)) & mask
    return np.int64(-1)


@kernel
def fill_places(data, offsets, keys, places):
    """Enter the words (row i of `data`, `offsets`) as row i; `keys` and `places` are empty."""
    mask = np.uint64(len(keys) - 1)
    for row in range(len(offsets) - 1):
        key = word_key(data, offsets[row], offsets[row + 1])
        slot = (key >> np.uint64(7)) & mask
        while keys[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        keys[slot] = key
        places[slot] = row


@kernel
def add_subwords(word, size, least, most, buckets, sums):
    """Add to `sums` (float64 [categories]) the weights of the character n-grams of a word, whose
    bytes with `<` and `>` around are `word[:size]`; their number."""
    number = 0
    for first in range(size):
        if word[first] & 0xC0 == 0x80:
            continue
        value = _FNV_START
        position = first
        length = 0
        while position < size and length < most:
            value = fold_byte(value, word[position])
            position += 1
            while position < size and word[position] & 0xC0 == 0x80:
                value = fold_byte(value, word[position])
                position += 1
            length += 1
            if length >= least and not (length == 1 and (first == 0 or position == size)):
                bucket = np.int64(value) % buckets.shape[0]
                for category in range(len(sums)):
                    sums[category] += buckets[bucket, category]
                number += 1
    return number


@kernel
def score_words(
    data, offsets, keys, places, word_sums, word_counts, buckets, settings, scores
):  # fmt: skip
    """Add to `scores` (float64 [rows, categories]) the log-odds of each prepared text.

    `word_sums` (float32 [words, categories]) holds for each known word the sum over itself and its
    n-grams, `word_counts` (int32 [words]) how many those are; `buckets` (float32 [n, categories])
    the hashed features. `settings` (int64 [4]): n-grams' least and most characters (0: none), the
    longest run of words, and the row of the word that ends every line.
    """
    least, most, longest, line_end = settings[0], settings[1], settings[2], settings[3]
    categories = scores.shape[1]
    longest_text = 0
    for row in range(len(offsets) - 1):
        longest_text = max(longest_text, offsets[row + 1] - offsets[row])
    word = np.empty(longest_text + 2, np.uint8)
    runs = np.zeros(max(longest - 1, 1), np.uint64)
    sums = np.zeros(categories, np.float64)
    ending = _FNV_START
    for byte in (60, 47, 115, 62):  # </s>
        ending = fold_byte(ending, np.uint8(byte))
    for row in range(len(offsets) - 1):
        sums[:] = 0.0
        number = 0
        tokens = 0
        position = offsets[row]
        end = offsets[row + 1]
        while position <= end:
            if position == end:
                place = line_end
                value = ending
                position += 1
            else:
                start = position
                value = _FNV_START
                key = HASH_START
                while position < end and data[position] != _SPACE:
                    value = fold_byte(value, data[position])
                    key = (key ^ np.uint64(data[position])) * HASH_PRIME
                    position += 1
                if position == start:
                    position += 1
                    continue
                place = place_of(finish_hash(key) | np.uint64(1), keys, places)
                if place < 0 and most > 0:
                    size = position - start
                    word[0] = _OPEN
                    word[1 : size + 1] = data[start:position]
                    word[size + 1] = _CLOSE
                    number += add_subwords(word, size + 2, least, most, buckets, sums)
                if position < end:
                    position += 1
            if place >= 0:
                number += word_counts[place]
                for category in range(categories):
                    sums[category] += word_sums[place, category]
            if longest > 1:
                signed = extended(value)
                for back in range(min(tokens, longest - 1)):
                    slot = (tokens - 1 - back) % (longest - 1)
                    runs[slot] = runs[slot] * _NGRAM_FACTOR + signed
                    bucket = np.int64(runs[slot] % np.uint64(buckets.shape[0]))
                    for category in range(categories):
                        sums[category] += buckets[bucket, category]
                    number += 1
                runs[tokens % (longest - 1)] = signed
                tokens += 1
        if number:
            for category in range(categories):
                scores[row, category] += sums[category] / number


@kernel
def characters_of(data, start, end, classes, joined, codes):
    """The code points of a prepared text with a blank at both ends; their number.

    The blanks around a character of a script without spaces (`joined`: flags of `classes`) are left
    out: they are the preparation's.
    """
    codes[0] = _SPACE
    size = 1
    position = start
    after_joined = False
    while position < end:
        code, position = decode(data, position)
        if code == _SPACE:
            following, _ = decode(data, position)
            if after_joined or classes[following] & joined:
                continue
        after_joined = classes[code] & joined != 0
        codes[size] = code
        size += 1
    codes[size] = _SPACE
    return size + 1


@kernel
def hashed_features(data, start, end, codes, size, least, most, slots, features):
    """Fill `features` (int32) with the slots of a text's words and of its runs of `least` to `most`
    characters; their number. `slots` is a power of two."""
    mask = np.uint64(slots - 1)
    number = 0
    for first in range(size):
        value = HASH_START
        for length in range(1, min(most, size - first) + 1):
            value = (value ^ np.uint64(codes[first + length - 1])) * HASH_PRIME
            if length >= least:
                features[number] = np.int32(finish_hash(value + np.uint64(length)) & mask)
                number += 1
    position = start
    while position < end:
        begin = position
        while position < end and data[position] != _SPACE:
            position += 1
        if position > begin:
            features[number] = np.int32(finish_hash(word_key(data, begin, position)) & mask)
            number += 1
        position += 1
    return number


@kernel
def score_characters(data, offsets, classes, joined, weights, bias, least, most, scores):
    """Add to `scores` (float64 [rows, categories]) the log-odds of each prepared text by a linear
    model over hashed features: their summed `weights` (float32 [slots, categories]) over the square
    root of their number, and a `bias` (float64 [categories])."""
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    codes = np.empty(longest + 2, np.int32)
    features = np.empty((longest + 2) * (most + 1), np.int32)
    for row in range(len(offsets) - 1):
        start = offsets[row]
        end = offsets[row + 1]
        size = characters_of(data, start, end, classes, joined, codes)
        number = hashed_features(
            data, start, end, codes, size, least, most, weights.shape[0], features
        )
        scale = 1.0 / np.sqrt(max(number, 1))
        # Category by category: a sum in a register, which costs a third less than one in memory.
        for category in range(scores.shape[1]):
            total = 0.0
            for index in range(number):
                total += weights[features[index], category]
            scores[row, category] += total * scale + bias[category]
