"""How much of a document repeats itself: lines, paragraphs and word n-grams. Compiled by numba.

Definitions of Gopher (Rae et al. 2021, table A1), with the details that the paper leaves open as
the code of FineWeb settled them (datatrove, `gopher_repetition_filter`): a repeated line counts
from its second occurrence on, and a repeated n-gram of five words or more is skipped as a whole, so
that no character counts twice. Equality is that of 64-bit hashes.
"""

from typing import Any

import numpy as np

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.text_kernels import (
    NUM_SCAN_COUNTS,
    Counts,
    Flags,
    Hashes,
    Lengths,
    finish_hash,
    scan_document,
)

# Columns of the counts, after those of `scan_document`.
DUPLICATE_LINES = NUM_SCAN_COUNTS
DUPLICATE_LINE_CHARACTERS = NUM_SCAN_COUNTS + 1
PARAGRAPHS = NUM_SCAN_COUNTS + 2
DUPLICATE_PARAGRAPHS = NUM_SCAN_COUNTS + 3
DUPLICATE_PARAGRAPH_CHARACTERS = NUM_SCAN_COUNTS + 4
TOP_NGRAM_CHARACTERS = NUM_SCAN_COUNTS + 5  # for n = 2, 3, 4
DUPLICATE_NGRAM_CHARACTERS = NUM_SCAN_COUNTS + 8  # for n = 5 to 10
NUM_COUNTS = NUM_SCAN_COUNTS + 14

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)

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
    hashes: Hashes, lengths: Lengths, num_items: int,
    keys: Hashes, stamps: Lengths, mask: int, stamp: Any,
) -> tuple[int, int]:  # fmt: skip
    """How many of the first `num_items` items repeat an earlier one, and their summed lengths."""
    num_duplicates = 0
    duplicate_length = 0
    for index in range(num_items):
        slot, found = find_slot(keys, stamps, mask, stamp, hashes[index])
        if found:
            num_duplicates += 1
            duplicate_length += lengths[index]
        else:
            keys[slot] = hashes[index]
            stamps[slot] = stamp
    return num_duplicates, duplicate_length


@kernel
def top_ngram_length(
    ngrams: Hashes, ends: Lengths, num_ngrams: int, n: int,
    keys: Hashes, stamps: Lengths, values: Lengths, mask: int, stamp: Any,
) -> int:  # fmt: skip
    """Occurrences of the commonest n-gram times its length; 0 if none occurs twice.

    `ngrams` are hashes; `ends[i]` is the summed length of the first i tokens. Occurrences may
    overlap. Among equally common n-grams the longest counts.
    """
    best_count = 1
    best_length = 0
    for index in range(num_ngrams):
        slot, found = find_slot(keys, stamps, mask, stamp, ngrams[index])
        if not found:
            keys[slot] = ngrams[index]
            stamps[slot] = stamp
            values[slot] = 1
            continue
        values[slot] += 1
        length = ends[index + n] - ends[index]
        if values[slot] > best_count or (values[slot] == best_count and length > best_length):
            best_count = values[slot]
            best_length = length
    return best_count * best_length


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
    line_hashes: Hashes, line_lengths: Lengths, line_opens: Flags, num_lines: int
) -> int:
    """Turn lines into paragraphs, in place; returns the number of paragraphs."""
    num_paragraphs = 0
    for index in range(num_lines):
        if line_opens[index]:
            line_hashes[num_paragraphs] = line_hashes[index]
            line_lengths[num_paragraphs] = line_lengths[index]
            num_paragraphs += 1
        else:
            last = num_paragraphs - 1
            line_hashes[last] = finish_hash(
                line_hashes[last] * _NGRAM_MULTIPLIER + line_hashes[index]
            )
            line_lengths[last] += line_lengths[index]
    return num_paragraphs


@kernel
def measure(
    data: Bytes, offsets: Offsets, classes: Bytes, stop_words: Hashes, counts: Counts
) -> None:
    """Count every document of a batch.

    `data` (uint8) and `offsets` (int64 [rows + 1]) are Arrow's; `classes` and `stop_words` are as
    `scan_document` takes them; `counts` (int64 [rows, NUM_COUNTS], zero) receives the result. The
    workspace is at most 46 bytes for each byte of the longest document.
    """
    num_rows = offsets.shape[0] - 1
    longest = np.int64(0)
    for row in range(num_rows):
        longest = max(longest, offsets[row + 1] - offsets[row])
    capacity = longest // 2 + 1
    token_hashes = np.empty(capacity, dtype=np.uint64)
    ends = np.empty(capacity + 1, dtype=np.int32)
    line_hashes = np.empty(capacity, dtype=np.uint64)
    line_lengths = np.empty(capacity, dtype=np.int32)
    line_opens = np.empty(capacity, dtype=np.bool_)
    token_lengths = np.empty(capacity, dtype=np.int32)
    size = 16
    while size < 2 * capacity:
        size *= 2
    keys = np.empty(size, dtype=np.uint64)
    stamps = np.zeros(size, dtype=np.int32)
    values = np.empty(size, dtype=np.int32)
    stamp = np.int32(0)
    for row in range(num_rows):
        result = counts[row]
        num_tokens, num_lines = scan_document(
            data, offsets[row], offsets[row + 1], classes, stop_words, result,
            token_hashes, token_lengths, line_hashes, line_lengths, line_opens,
        )  # fmt: skip
        # A table that fits the document stays in the cache; its slots may hold older stamps.
        mask = 15
        while mask + 1 < 2 * max(num_tokens, num_lines):
            mask = 2 * mask + 1
        stamp += np.int32(1)
        result[DUPLICATE_LINES], result[DUPLICATE_LINE_CHARACTERS] = count_duplicates(
            line_hashes, line_lengths, num_lines, keys, stamps, mask, stamp
        )
        num_paragraphs = join_paragraphs(line_hashes, line_lengths, line_opens, num_lines)
        result[PARAGRAPHS] = num_paragraphs
        stamp += np.int32(1)
        result[DUPLICATE_PARAGRAPHS], result[DUPLICATE_PARAGRAPH_CHARACTERS] = count_duplicates(
            line_hashes, line_lengths, num_paragraphs, keys, stamps, mask, stamp
        )
        ends[0] = 0
        for index in range(num_tokens):
            ends[index + 1] = ends[index] + token_lengths[index]
        # From here on line_hashes holds the n-grams: there are at most as many as tokens.
        ngrams = line_hashes
        ngrams[:num_tokens] = token_hashes[:num_tokens]
        repeats = True
        for n in range(2, 11):
            num_ngrams = num_tokens - n + 1
            # If no n-gram occurs twice, no longer one does.
            if num_ngrams < 2 or not repeats:
                break
            for index in range(num_ngrams):
                ngrams[index] = ngrams[index] * _NGRAM_MULTIPLIER + token_hashes[index + n - 1]
            stamp += np.int32(1)
            if n < 5:
                length = top_ngram_length(
                    ngrams, ends, num_ngrams, n, keys, stamps, values, mask, stamp
                )
                result[TOP_NGRAM_CHARACTERS + n - 2] = length
            else:
                length = duplicate_ngram_length(
                    ngrams, ends, num_ngrams, n, keys, stamps, mask, stamp
                )
                result[DUPLICATE_NGRAM_CHARACTERS + n - 5] = length
            repeats = length > 0
