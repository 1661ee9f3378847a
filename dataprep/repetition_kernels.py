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
from dataprep.text_kernels import Counts, Flags, Hashes, Lengths, finish_hash

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
def count_words(
    hashes: Hashes, num_words: int,
    keys: Hashes, stamps: Lengths, values: Lengths, mask: int, stamp: Any,
) -> tuple[int, float]:  # fmt: skip
    """The number of different words, and the entropy of their distribution in nats."""
    different = 0
    weighted = 0.0  # sum of c log c over the words' counts c
    for index in range(num_words):
        slot, found = find_slot(keys, stamps, mask, stamp, hashes[index])
        if found:
            count = values[slot]
            values[slot] = count + 1
            weighted += (count + 1) * np.log(count + 1) - count * np.log(count)
        else:
            keys[slot] = hashes[index]
            stamps[slot] = stamp
            values[slot] = 1
            different += 1
    if num_words == 0:
        return 0, 0.0
    return different, max(0.0, np.log(num_words) - weighted / num_words)


@kernel
def top_ngram_length(
    ngrams: Hashes, ends: Lengths, num_ngrams: int, n: int,
    keys: Hashes, stamps: Lengths, values: Lengths, mask: int, stamp: Any,
) -> tuple[int, bool]:  # fmt: skip
    """Occurrences of the commonest n-gram times its length, and whether any occurs twice.

    `ngrams` are hashes; `ends[i]` is the summed length of the first i words. Occurrences may
    overlap. Among equally common n-grams the one that comes first in the text counts.
    """
    best_count = 1
    best_index = 0
    for index in range(num_ngrams):
        slot, found = find_slot(keys, stamps, mask, stamp, ngrams[index])
        if not found:
            keys[slot] = ngrams[index]
            stamps[slot] = stamp
            values[slot] = 1
            continue
        values[slot] += 1
        best_count = max(best_count, values[slot])
    if best_count > 1:
        while True:
            slot, _ = find_slot(keys, stamps, mask, stamp, ngrams[best_index])
            if values[slot] == best_count:
                break
            best_index += 1
    length = ends[best_index + n] - ends[best_index] + n - 1
    return best_count * length, best_count > 1


@kernel
def duplicate_ngram_length(
    ngrams: Hashes, ends: Lengths, num_ngrams: int, n: int,
    keys: Hashes, stamps: Lengths, mask: int, stamp: Any,
) -> int:  # fmt: skip
    """Summed length of the n-grams that repeat an earlier one, none overlapping another."""
    duplicate_length = 0
    index = 0
    while index < num_ngrams:
        slot, found = find_slot(keys, stamps, mask, stamp, ngrams[index])
        if found:
            duplicate_length += ends[index + n] - ends[index]
            index += n
        else:
            keys[slot] = ngrams[index]
            stamps[slot] = stamp
            index += 1
    return duplicate_length


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
    ngrams: Hashes, keys: Hashes, stamps: Lengths, values: Lengths, stamp: Any, counts: Counts,
) -> tuple[Any, float]:  # fmt: skip
    """Fill `counts` (int64, zero) for one document; returns the last stamp and the entropy.

    `ends` (int32 [words + 1]) are summed lengths of the words; lines are as `scan_lines` leaves
    them and are used up; `ngrams` (uint64 [words]), `keys`, `stamps` and `values` are workspace.
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
    stamp += np.int32(1)
    different, entropy = count_words(word_hashes, num_words, keys, stamps, values, mask, stamp)
    counts[DIFFERENT_WORDS] = different
    ngrams[:num_words] = word_hashes[:num_words]
    repeats = different < num_words
    for n in range(2, 11):
        num_ngrams = num_words - n + 1
        if num_ngrams < 1:
            break
        if not repeats:
            # If no n-gram occurs twice, no longer one does.
            if n > 4:
                break
            counts[TOP_NGRAM_CHARACTERS + n - 2] = ends[n] + n - 1
            continue
        for index in range(num_ngrams):
            ngrams[index] = ngrams[index] * _NGRAM_MULTIPLIER + word_hashes[index + n - 1]
        stamp += np.int32(1)
        if n < 5:
            length, repeats = top_ngram_length(
                ngrams, ends, num_ngrams, n, keys, stamps, values, mask, stamp
            )
            counts[TOP_NGRAM_CHARACTERS + n - 2] = length
        else:
            length = duplicate_ngram_length(ngrams, ends, num_ngrams, n, keys, stamps, mask, stamp)
            counts[DUPLICATE_NGRAM_CHARACTERS + n - 5] = length
            repeats = length > 0
    return stamp, entropy
