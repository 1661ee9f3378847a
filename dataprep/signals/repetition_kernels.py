"""How much of a document repeats itself: lines, paragraphs and word n-grams. Compiled by numba.

Definitions of Gopher (Rae et al. 2021, table A1), with the details that the paper leaves open as
the code of FineWeb settled them (datatrove 0.10, `gopher_repetition`): a repeated line counts from
its second occurrence on; the commonest n-gram counts with the spaces between its words, even if it
occurs once; a repeated n-gram of five words or more is skipped as a whole, so that no character
counts twice. Equality is that of 64-bit hashes.
"""

from typing import Any

import numpy as np

from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import Counts, Flags, Hashes, Lengths, Places, finish_hash

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)

# Columns of the counts that `measure_repetition` fills.
DUPLICATE_LINES = 0
DUPLICATE_LINE_CHARACTERS = 1
DUPLICATE_FILLED_CHARACTERS = 2
PARAGRAPHS = 3
DUPLICATE_PARAGRAPHS = 4
DUPLICATE_PARAGRAPH_CHARACTERS = 5
DIFFERENT_WORDS = 6
TOP_NGRAM_CHARACTERS = 7  # for n = 2, 3, 4
DUPLICATE_NGRAM_CHARACTERS = 10  # for n = 5 to 10
NUM_REPETITION_COUNTS = 16

# c log c of small counts c: a logarithm for each word would take as long as its hash.
_SMALL_COUNTS = np.array([0.0, *(count * np.log(count) for count in range(1, 1024))])
_NGRAM_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@kernel
def find_slot(keys: Hashes, stamps: Lengths, mask: int, stamp: Any, key: Any) -> tuple[Any, bool]:
    """The slot of `key` in an open-addressing table, and whether the key was there.

    A slot counts as empty unless its stamp is `stamp`, so that a table is emptied by counting the
    stamp up. `mask` is the table's size, a power of two, less one; at least one slot is empty.
    """
    slot = np.int64(key & np.uint64(mask))
    while stamps[slot] == stamp:
        if keys[slot] == key:
            return slot, True
        slot = (slot + 1) & mask
    return slot, False


@kernel
def count_duplicates(
    hashes: Hashes, lengths: Lengths, filled: Flags, num_items: int,
    keys: Hashes, stamps: Lengths, mask: int, stamp: Any,
) -> tuple[int, int, int]:  # fmt: skip
    """How many items repeat an earlier one, their summed lengths, and those of the filled ones."""
    num_duplicates = 0
    duplicate_length = 0
    filled_length = 0
    for index in range(num_items):
        slot, found = find_slot(keys, stamps, mask, stamp, hashes[index])
        if found:
            num_duplicates += 1
            duplicate_length += lengths[index]
            if filled[index]:
                filled_length += lengths[index]
        else:
            keys[slot] = hashes[index]
            stamps[slot] = stamp
    return num_duplicates, duplicate_length, filled_length


@kernel
def count_ngrams(
    places: Places, num_places: int, ngrams: Hashes, slots: Places,
    keys: Hashes, stamps: Lengths, values: Lengths, mask: int, stamp: Any,
) -> int:  # fmt: skip
    """Count the n-grams that begin at `places`; returns how often the commonest one occurs.

    `ngrams[place]` is the hash of the one that begins there. `slots` receives where the table
    holds each place's n-gram; `values` there is its number of occurrences.
    """
    best = 0
    for index in range(num_places):
        key = ngrams[places[index]]
        slot, found = find_slot(keys, stamps, mask, stamp, key)
        if found:
            values[slot] += 1
        else:
            keys[slot] = key
            stamps[slot] = stamp
            values[slot] = 1
        slots[index] = slot
        best = max(best, values[slot])
    return best


@kernel
def word_entropy(
    num_words: int, slots: Places, stamps: Lengths, values: Lengths, stamp: Any
) -> tuple[int, float]:
    """The number of different words and the entropy of their distribution in nats.

    `slots`, `stamps` and `values` are as `count_ngrams` leaves them for the words; the stamps are
    used up.
    """
    different = 0
    weighted = 0.0  # sum of c log c over the words' counts c
    for index in range(num_words):
        slot = slots[index]
        if stamps[slot] == stamp:
            stamps[slot] = stamp - 1
            different += 1
            count = values[slot]
            if count < _SMALL_COUNTS.shape[0]:
                weighted += _SMALL_COUNTS[count]
            else:
                weighted += count * np.log(count)
    if num_words == 0:
        return 0, 0.0
    return different, max(0.0, np.log(num_words) - weighted / num_words)


@kernel
def keep_repeated(places: Places, num_places: int, slots: Places, values: Lengths) -> int:
    """Drop the places whose n-gram occurs once, in place; returns how many are left."""
    kept = 0
    for index in range(num_places):
        # Without a branch: whether a word repeats is what a processor cannot foresee.
        slot = slots[index]
        places[kept] = places[index]
        slots[kept] = slot
        kept += values[slot] > 1
    return kept


@kernel
def lengthen(places: Places, num_places: int, ngrams: Hashes, words: Hashes, n: int) -> int:
    """From the places of repeated n-grams to those that may repeat with one word more.

    Such an n-gram is followed by a repeated one at the next place. `ngrams` is brought up to date
    there. Returns the number of places.
    """
    kept = 0
    for index in range(num_places - 1):
        place = places[index]
        ngrams[place] = ngrams[place] * _NGRAM_MULTIPLIER + words[place + n]
        places[kept] = place
        kept += places[index + 1] == place + 1
    return kept


@kernel
def top_ngram_length(
    places: Places, num_places: int, slots: Places, values: Lengths, best: int,
    ends: Lengths, n: int,
) -> int:  # fmt: skip
    """Occurrences of the commonest n-gram times its length, the spaces between words counted.

    `ends[i]` is the summed length of the first i words. Occurrences may overlap. Among equally
    common n-grams the one that comes first in the text counts; if none repeats, the first of all.
    """
    first = 0
    if best > 1:
        for index in range(num_places):
            if values[slots[index]] == best:
                first = places[index]
                break
    return max(best, 1) * (ends[first + n] - ends[first] + n - 1)


@kernel
def duplicate_ngram_length(
    places: Places, num_places: int, slots: Places, values: Lengths, ends: Lengths, n: int
) -> int:
    """Summed length of the n-grams that repeat an earlier one, none overlapping another.

    `places` are those of n-grams that occur twice at least. `values` are used up.
    """
    length = 0
    free = 0
    for index in range(num_places):
        place = places[index]
        if place < free:
            continue
        if values[slots[index]] < 0:
            length += ends[place + n] - ends[place]
            free = place + n
        else:
            values[slots[index]] = -1
    return length


@kernel
def join_paragraphs(
    hashes: Hashes, lengths: Lengths, filled: Flags, opens: Flags, num_lines: int
) -> int:
    """Turn lines into paragraphs, in place; returns the number of paragraphs.

    Lines without a character at the text's two ends belong to no paragraph.
    """
    first = 0
    while first < num_lines and not filled[first]:
        first += 1
    while num_lines > first and not filled[num_lines - 1]:
        num_lines -= 1
    num_paragraphs = 0
    for index in range(first, num_lines):
        if opens[index] or index == first:
            hashes[num_paragraphs] = hashes[index]
            lengths[num_paragraphs] = lengths[index]
            filled[num_paragraphs] = True
            num_paragraphs += 1
        else:
            last = num_paragraphs - 1
            hashes[last] = finish_hash(hashes[last] * _NGRAM_MULTIPLIER + hashes[index])
            lengths[last] += lengths[index] + 1
    return num_paragraphs


@kernel
def measure_repetition(
    word_hashes: Hashes, ends: Lengths, num_words: int,
    line_hashes: Hashes, line_lengths: Lengths, filled: Flags, opens: Flags, num_lines: int,
    ngrams: Hashes, places: Places, slots: Places,
    keys: Hashes, stamps: Lengths, values: Lengths, stamp: Any, counts: Counts,
) -> tuple[Any, float]:  # fmt: skip
    """Fill `counts` (int64, zero) for one document; returns the last stamp and the entropy.

    `ends` (int32 [words + 1]) are summed lengths of the words; lines are as `scan_lines` leaves
    them and are used up; `ngrams` (uint64 [words]), `places` and `slots` (int32 [words]), `keys`,
    `stamps` and `values` are workspace.
    """
    # A table that fits the document stays in the cache; its slots may hold older stamps.
    mask = 15
    while mask + 1 < 2 * max(num_words, num_lines):
        mask = 2 * mask + 1
    stamp += np.int32(1)
    found = count_duplicates(
        line_hashes, line_lengths, filled, num_lines, keys, stamps, mask, stamp
    )
    counts[DUPLICATE_LINES] = found[0]
    counts[DUPLICATE_LINE_CHARACTERS] = found[1]
    counts[DUPLICATE_FILLED_CHARACTERS] = found[2]
    num_paragraphs = join_paragraphs(line_hashes, line_lengths, filled, opens, num_lines)
    stamp += np.int32(1)
    found = count_duplicates(
        line_hashes, line_lengths, filled, num_paragraphs, keys, stamps, mask, stamp
    )
    counts[PARAGRAPHS] = num_paragraphs
    counts[DUPLICATE_PARAGRAPHS] = found[0]
    counts[DUPLICATE_PARAGRAPH_CHARACTERS] = found[1]
    stamp += np.int32(2)  # the entropy uses up the stamps of its words
    for index in range(num_words):
        places[index] = index
        ngrams[index] = word_hashes[index]
    count_ngrams(places, num_words, ngrams, slots, keys, stamps, values, mask, stamp)
    different, entropy = word_entropy(num_words, slots, stamps, values, stamp)
    counts[DIFFERENT_WORDS] = different
    # An n-gram can only repeat where the shorter ones inside it do: each round looks at fewer.
    num_places = keep_repeated(places, num_words, slots, values)
    for n in range(2, 11):
        if num_words < n or (n > 4 and num_places == 0):
            break
        num_places = lengthen(places, num_places, ngrams, word_hashes, n - 1)
        stamp += np.int32(1)
        best = count_ngrams(places, num_places, ngrams, slots, keys, stamps, values, mask, stamp)
        num_places = keep_repeated(places, num_places, slots, values)
        if n < 5:
            counts[TOP_NGRAM_CHARACTERS + n - 2] = top_ngram_length(
                places, num_places, slots, values, best, ends, n
            )
        else:
            counts[DUPLICATE_NGRAM_CHARACTERS + n - 5] = duplicate_ngram_length(
                places, num_places, slots, values, ends, n
            )
    return stamp, entropy
