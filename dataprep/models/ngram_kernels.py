"""The compiled loops of n-gram models: words to symbols, and symbols to what they cost.

A model is three arrays. A *symbol* is the number of a word, of a spelled character, or of one of
the three signs below. `vocabulary` and `ngrams` are hash tables with open addresses: a slot is one
uint64, of which the upper half tells who lives there and the lower half is what is known of it. Two
of millions that agree in place and upper half are held for one; that happens in one of some
hundred models of four million.

Costs are whole numbers, 1/4096 of a decimal logarithm, so that sums are exact and the same
everywhere, in whatever order they are made.
"""

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import HASH_PRIME, HASH_START, Counts, Hashes, finish_hash

UNKNOWN = 0
BEGIN = 1
END = 2
NUM_SIGNS = 3
ORDER_MAX = 5
COSTS_PER_DIGIT = 4096
# Before a character that stands for itself in a word that the vocabulary does not hold. As a sign
# is a word by itself, no word looks like that.
SPELLED = 43
# A spelled word is as many units as a model of pieces might cut it into. Were it one, a text's
# perplexity would tell its rare words more than its order: the chance that a shuffled document of
# en_c4 is above a whole one falls from 0.96 to 0.83, at any number above three (2026-11-26).
SPELLED_UNIT = 3

Symbols = npt.NDArray[np.int32]
# Of each symbol its cost in the upper 16 bits and its cost as a context in the lower ones.
Unigrams = npt.NDArray[np.uint32]

_HALF = np.uint64(32)
_LOWER = np.uint64(0xFFFFFFFF)
_BLANK = 32
_LINE_END = 10


@kernel
def hash_bytes(state: np.uint64, data: Bytes, start: int, stop: int) -> np.uint64:
    """FNV-1a of some bytes, going on from `state`; not finished."""
    for position in range(start, stop):
        state = (state ^ np.uint64(data[position])) * HASH_PRIME
    return state


@kernel
def find(table: Hashes, key: np.uint64) -> np.uint64:
    """The lower half of the slot of `key`; 0 where it is not there."""
    size = np.uint64(table.shape[0])
    slot = ((key & _LOWER) * size) >> _HALF
    name = max(key >> _HALF, np.uint64(1))
    while True:
        entry = table[slot]
        if entry == 0:
            return np.uint64(0)
        if entry >> _HALF == name:
            return entry & _LOWER
        slot += np.uint64(1)
        if slot == size:
            slot = np.uint64(0)


@kernel
def insert(table: Hashes, keys: Hashes, values: Unigrams) -> int:
    """Put the keys with their values into the table; how many were held for others and left out.

    The table must have more slots than keys.
    """
    size = np.uint64(table.shape[0])
    num_lost = 0
    for place in range(keys.shape[0]):
        slot = ((keys[place] & _LOWER) * size) >> _HALF
        name = max(keys[place] >> _HALF, np.uint64(1))
        while table[slot] != 0 and table[slot] >> _HALF != name:
            slot += np.uint64(1)
            if slot == size:
                slot = np.uint64(0)
        if table[slot] != 0:
            num_lost += 1
        else:
            table[slot] = name << _HALF | np.uint64(values[place])
    return num_lost


@kernel
def longer(key: np.uint64, symbol: int) -> np.uint64:
    """The key of a run with one symbol more at its left; that of no symbol at all is 0."""
    return finish_hash(key * HASH_PRIME + np.uint64(symbol + 1))


@kernel
def keys_of(runs: Symbols) -> Hashes:
    """Shape [runs], uint64: the key of each row of `runs` (int32 [runs, order])."""
    keys = np.zeros(runs.shape[0], np.uint64)
    for row in range(runs.shape[0]):
        for place in range(runs.shape[1] - 1, -1, -1):
            keys[row] = longer(keys[row], runs[row, place])
    return keys


@kernel
def find_words(data: Bytes, offsets: Offsets, starts: Counts, stops: Counts, hashes: Hashes) -> int:
    """Begin, end and finished hash of every word of texts as `ngram_words.words` gives them.

    Returns their number; nothing is filled where `starts` is empty.
    """
    count = 0
    for row in range(offsets.shape[0] - 1):
        start = offsets[row]
        for position in range(offsets[row], offsets[row + 1] + 1):
            at_end = position == offsets[row + 1]
            if at_end or data[position] == _BLANK or data[position] == _LINE_END:
                if position > start:
                    if starts.shape[0]:
                        starts[count] = start
                        stops[count] = position
                        hashes[count] = finish_hash(hash_bytes(HASH_START, data, start, position))
                    count += 1
                start = position + 1
    return count


@kernel
def spell(
    data: Bytes, start: int, stop: int, vocabulary: Hashes, symbols: Symbols, place: int
) -> int:
    """Write a word's characters as symbols from `place` on; the place after them.

    A word of which no character is known is one unknown symbol.
    """
    first = place
    known = False
    while start < stop:
        end = start + 1
        while end < stop and data[end] & 0xC0 == 0x80:
            end += 1
        state = (HASH_START ^ np.uint64(SPELLED)) * HASH_PRIME
        key = finish_hash(hash_bytes(state, data, start, end))
        symbol = find(vocabulary, key)
        known |= symbol != 0
        symbols[place] = symbol
        place += 1
        start = end
    return place if known else first + 1


@kernel
def read_symbols(
    data: Bytes, start: int, stop: int, vocabulary: Hashes, symbols: Symbols, place: int
) -> tuple[int, int]:
    """Write one text's symbols from `place` on; the place after them, and the number of units.

    Each line has BEGIN before and END after it. Units are line ends, words, and of spelled words
    every three characters, a last one or two too.
    `symbols` must have room for twice the text's bytes and two more.
    """
    units = 0
    if start == stop:
        return place, units
    symbols[place] = BEGIN
    place += 1
    state = HASH_START
    begin = start
    for position in range(start, stop + 1):
        byte = _LINE_END if position == stop else data[position]
        if byte != _BLANK and byte != _LINE_END:
            state = (state ^ np.uint64(byte)) * HASH_PRIME
            continue
        symbol = find(vocabulary, finish_hash(state))
        if symbol != 0:
            symbols[place] = symbol
            place += 1
            units += 1
        else:
            first = place
            place = spell(data, begin, position, vocabulary, symbols, place)
            units += (place - first + SPELLED_UNIT - 1) // SPELLED_UNIT
        state = HASH_START
        begin = position + 1
        if byte == _LINE_END:
            symbols[place] = END
            place += 1
            units += 1
            if position < stop:
                symbols[place] = BEGIN
                place += 1
    return place, units


@kernel
def all_symbols(data: Bytes, offsets: Offsets, vocabulary: Hashes, symbols: Symbols) -> int:
    """Write the symbols of all texts; their number."""
    place = 0
    for row in range(offsets.shape[0] - 1):
        place, _ = read_symbols(data, offsets[row], offsets[row + 1], vocabulary, symbols, place)
    return place


@kernel
def score(
    data: Bytes,
    offsets: Offsets,
    vocabulary: Hashes,
    unigrams: Unigrams,
    ngrams: Hashes,
    order: int,
    symbols: Symbols,
    costs: Counts,
    units: Counts,
) -> None:
    """Fill `costs` and `units` (int64 [rows]): what each text costs, and in how many units.

    `symbols` is room for those of the longest text. A symbol costs what its longest known run
    costs, and what the known contexts cost that are longer than that run's (backing off).
    """
    before = np.zeros(ORDER_MAX, np.int64)
    after = np.zeros(ORDER_MAX, np.int64)
    for row in range(offsets.shape[0] - 1):
        num_symbols, units[row] = read_symbols(
            data, offsets[row], offsets[row + 1], vocabulary, symbols, 0
        )
        total = np.int64(0)
        known = 0  # symbols of the longest context that is known
        for place in range(num_symbols):
            symbol = symbols[place]
            entry = np.uint64(unigrams[symbol])
            if symbol == BEGIN:
                before[0] = np.int64(entry & np.uint64(0xFFFF))
                known = 1
                continue
            # No run is known whose context is not.
            longest = min(order, known + 1)
            key = longer(np.uint64(0), symbol)
            matched = 0
            while True:
                after[matched] = np.int64(entry & np.uint64(0xFFFF))
                matched += 1
                cost = np.int64(entry >> np.uint64(16))
                if matched == longest:
                    break
                key = longer(key, symbols[place - matched])
                entry = find(ngrams, key)
                if entry == 0:
                    break
            for length in range(matched, known + 1):
                cost += before[length - 1]
            total += cost
            known = min(matched, order - 1)
            before, after = after, before
        costs[row] = total
