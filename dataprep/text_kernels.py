"""One pass over the characters of a document: counts, words and lines. Compiled by numba.

A *token* is a run of characters without white space; a Han or kana character is a token of its
own, because Chinese and Japanese put no spaces between words. A *word* is a token with a letter or
digit in it. A *line* is what stands between line feeds, trimmed of white space, unless nothing
remains; a *paragraph* is a run of lines with no blank one between them. Lengths are in characters.

The kernels see Arrow's buffers, not Python objects, and release the GIL. Text is valid UTF-8:
`pyarrow` has checked that.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes
from dataprep.characters import HAN, KANA, LETTER, PUNCTUATION, SPACE, TERMINAL, WORD
from dataprep.kernel_cache import kernel

# Columns of the counts that `scan_document` fills.
CHARACTERS = 0
WORDS = 1
WORD_CHARACTERS = 2
TOKENS = 3
ALPHABETIC_TOKENS = 4
NUMBER_SIGNS = 5
ELLIPSES = 6
LINES = 7
BULLET_LINES = 8
ELLIPSIS_LINES = 9
TERMINAL_LINES = 10
NEWLINES = 11
STOP_WORDS_GOPHER = 12
STOP_WORDS_CHINESE = 13
PUNCTUATION_CHARACTERS = 14
HAN_CHARACTERS = 15
NUM_SCAN_COUNTS = 16

# What a list item begins with: Gopher's bullet, the signs of RedPajama-V2's list, and - * ·.
BULLETS = "•‣▶◀◦■□▪▫–-*·"
_BULLET_CODES = tuple(ord(character) for character in BULLETS)
_ELLIPSIS = ord("…")
_FULL_STOP = ord(".")
_NUMBER_SIGN = ord("#")
_LINE_FEED = ord("\n")
_STOP_WORD_BYTES_MAX = 4  # a longer core is no stop word and is not packed

# Types of the arrays, for readers and mypy; numba finds out by itself.
Hashes = npt.NDArray[np.uint64]
Lengths = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

HASH_START = np.uint64(0xCBF29CE484222325)  # FNV-1a, 64 bits
HASH_PRIME = np.uint64(0x100000001B3)


@kernel
def decode(data: Bytes, position: int) -> tuple[int, int]:
    """The code point at `position` and the position after it. `data` is valid UTF-8."""
    first = int(data[position])
    if first < 0x80:
        return first, position + 1
    second = int(data[position + 1]) & 0x3F
    if first < 0xE0:
        return (first & 0x1F) << 6 | second, position + 2
    third = int(data[position + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, position + 3
    fourth = int(data[position + 3]) & 0x3F
    return (first & 0x07) << 18 | second << 12 | third << 6 | fourth, position + 4


@kernel
def finish_hash(value: Any) -> Any:
    """Spread every bit of a 64-bit hash over all others (the finalizer of MurmurHash3)."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    value ^= value >> np.uint64(33)
    return value


@kernel
def scan_document(
    data: Bytes, start: int, end: int, classes: Bytes, stop_words: Hashes, counts: Counts,
    token_hashes: Hashes, token_lengths: Lengths,
    line_hashes: Hashes, line_lengths: Lengths, line_opens: Flags,
) -> tuple[int, int]:  # fmt: skip
    """Count what one document holds; returns the number of tokens and of lines.

    `data[start:end]` is the text, `classes` the table of `character_classes`. `stop_words` has
    shape [2, n], uint64: words packed by `pack_word`, Gopher's first, padded with 0. `counts`
    (int64, at least NUM_SCAN_COUNTS, zero) receives the counts. The other arrays receive hash
    (uint64) and length (int32) of each token and line, and whether a line opens a paragraph (bool);
    each must hold `(end - start) // 2 + 1` items.
    """
    num_tokens = 0
    token_open = False
    token_hash = HASH_START
    token_length = 0
    token_flags = 0
    core = np.uint64(0)  # the token's bytes from its first word character on, ASCII in lower case
    core_bytes = 0
    core_word = np.uint64(0)  # the same up to its last word character
    core_word_bytes = 0
    stop_seen = np.zeros(2, dtype=np.uint64)

    num_lines = 0
    line_open = False
    line_hash = HASH_START
    line_length = 0
    line_hash_trimmed = HASH_START
    line_length_trimmed = 0
    line_first = 0
    line_last = 0
    line_last_flags = 0
    line_dots = 0  # full stops in a row at its end
    line_gap = False  # white space since its last character
    paragraph_open = False
    dots = 0

    position = start
    while position <= end:
        at_end = position == end
        if at_end:
            code = _LINE_FEED
            following = position + 1
            flags = SPACE
        else:
            code, following = decode(data, position)
            flags = int(classes[code])
            counts[CHARACTERS] += 1
            if flags & PUNCTUATION:
                counts[PUNCTUATION_CHARACTERS] += 1
            if flags & HAN:
                counts[HAN_CHARACTERS] += 1
            if code == _NUMBER_SIGN:
                counts[NUMBER_SIGNS] += 1
            if code == _LINE_FEED:
                counts[NEWLINES] += 1
            if code == _ELLIPSIS:
                counts[ELLIPSES] += 1
            dots = dots + 1 if code == _FULL_STOP else 0
            if dots == 3:
                counts[ELLIPSES] += 1
                dots = 0

        alone = flags & (HAN | KANA) != 0
        if token_open and (alone or flags & SPACE != 0):
            token_open = False
            token_hashes[num_tokens] = finish_hash(token_hash)
            token_lengths[num_tokens] = token_length
            num_tokens += 1
            if token_flags & WORD:
                counts[WORDS] += 1
                counts[WORD_CHARACTERS] += token_length
                if core_word_bytes <= _STOP_WORD_BYTES_MAX:
                    for language in range(2):
                        for index in range(stop_words.shape[1]):
                            if stop_words[language, index] == core_word:
                                stop_seen[language] |= np.uint64(1) << np.uint64(index)
            if token_flags & LETTER:
                counts[ALPHABETIC_TOKENS] += 1

        if flags & SPACE == 0:
            if not token_open:
                token_open = True
                token_hash = HASH_START
                token_length = 0
                token_flags = 0
                core = np.uint64(0)
                core_bytes = 0
                core_word = np.uint64(0)
                core_word_bytes = 0
            if not line_open:
                line_open = True
                line_hash = HASH_START
                line_length = 0
                line_dots = 0
                line_gap = False
                line_first = code
            in_core = core_bytes > 0 or flags & WORD != 0
            for index in range(position, following):
                byte = np.uint64(data[index])
                token_hash = (token_hash ^ byte) * HASH_PRIME
                line_hash = (line_hash ^ byte) * HASH_PRIME
                if in_core:
                    if np.uint64(65) <= byte <= np.uint64(90):
                        byte += np.uint64(32)
                    if core_bytes < _STOP_WORD_BYTES_MAX:
                        core = core << np.uint64(8) | byte
                    core_bytes += 1
            if flags & WORD:
                core_word = core
                core_word_bytes = core_bytes
            token_length += 1
            token_flags |= flags
            line_length += 1
            line_hash_trimmed = line_hash
            line_length_trimmed = line_length
            line_last = code
            line_last_flags = flags
            if line_gap or code != _FULL_STOP:
                line_dots = 0
                line_gap = False
            if code == _FULL_STOP:
                line_dots += 1
            if alone:
                # A token of its own: the next character, whatever it is, begins another.
                token_open = False
                token_hashes[num_tokens] = finish_hash(token_hash)
                token_lengths[num_tokens] = 1
                num_tokens += 1
                counts[WORDS] += 1
                counts[WORD_CHARACTERS] += 1
                counts[ALPHABETIC_TOKENS] += 1
                for index in range(stop_words.shape[1]):
                    if stop_words[1, index] == core_word and core_word_bytes <= 4:
                        stop_seen[1] |= np.uint64(1) << np.uint64(index)
        elif code == _LINE_FEED:
            if line_open:
                line_open = False
                line_hashes[num_lines] = finish_hash(line_hash_trimmed)
                line_lengths[num_lines] = line_length_trimmed
                line_opens[num_lines] = not paragraph_open
                num_lines += 1
                paragraph_open = True
                for bullet in _BULLET_CODES:
                    if line_first == bullet:
                        counts[BULLET_LINES] += 1
                if line_dots >= 3 or line_last == _ELLIPSIS:
                    counts[ELLIPSIS_LINES] += 1
                if line_last_flags & TERMINAL:
                    counts[TERMINAL_LINES] += 1
            else:
                paragraph_open = False
        elif line_open:
            # White space inside a line; it counts only if something follows it there.
            for index in range(position, following):
                line_hash = (line_hash ^ np.uint64(data[index])) * HASH_PRIME
            line_length += 1
            line_gap = True
        position = following

    for language in range(2):
        seen = stop_seen[language]
        while seen:
            seen &= seen - np.uint64(1)
            counts[STOP_WORDS_GOPHER + language] += 1
    counts[TOKENS] = num_tokens
    counts[LINES] = num_lines
    return num_tokens, num_lines


def pack_word(word: str) -> int:
    """A stop word of at most four bytes of UTF-8 as the number that the kernel compares."""
    encoded = word.encode()
    assert 0 < len(encoded) <= _STOP_WORD_BYTES_MAX, f"stop word {word!r} is too long to pack"
    return int.from_bytes(encoded, "big")
