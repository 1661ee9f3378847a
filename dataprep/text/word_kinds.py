"""What a word is made of: its hash, its length, and its kind. Compiled by numba."""

import numpy as np

from dataprep.arrow_buffers import Bytes
from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import (
    HASH_PRIME,
    HASH_START,
    Hashes,
    Lengths,
    Places,
    Table,
    decode,
    finish_hash,
)
from dataprep.text.word_characters import (
    ALPHABETIC,
    LOWER,
    PUNCTUATION,
    SENTENCE_END,
    SYMBOL,
    UPPER,
)

# Kinds of a word: sums of these.
HAS_LETTER = 1
HAS_NAME = 2  # a character that is no symbol: a word in the sense of Gopher
ENDS_SENTENCE = 4
IS_PUNCTUATION = 8
HAS_SMALL = 16
HAS_CAPITAL = 32
BEGINS_CAPITAL = 64


@kernel
def describe_words(
    data: Bytes, num_words: int, table: Table, starts: Places, ends: Places,
    hashes: Hashes, lengths: Lengths, kinds: Bytes,
) -> None:  # fmt: skip
    """Hash (uint64), length in characters (int32) and kind (uint8) of each word.

    `data` begins where `starts` and `ends` count from.
    """
    for index in range(num_words):
        value = HASH_START
        length = 0
        every = PUNCTUATION
        first_flags = 0
        some = 0
        named = False
        position = int(starts[index])
        stop = int(ends[index])
        while position < stop:
            byte = data[position]
            if byte < 128:
                value = (value ^ np.uint64(byte)) * HASH_PRIME
                flags = int(table[byte])
                position += 1
            else:
                code, following = decode(data, position)
                value = (value ^ np.uint64(code)) * HASH_PRIME
                flags = int(table[code])
                position = following
            every &= flags
            some |= flags
            if length == 0:
                first_flags = flags
            named = named or flags & SYMBOL == 0
            length += 1
        kind = 0
        if some & ALPHABETIC:
            kind |= HAS_LETTER
        if named:
            kind |= HAS_NAME
        if length == 1 and some & SENTENCE_END:
            kind |= ENDS_SENTENCE
        if every & PUNCTUATION and length:
            kind |= IS_PUNCTUATION
        if some & LOWER:
            kind |= HAS_SMALL
        if some & UPPER:
            kind |= HAS_CAPITAL
        if first_flags & UPPER:
            kind |= BEGINS_CAPITAL
        hashes[index] = finish_hash(value)
        lengths[index] = length
        kinds[index] = kind
