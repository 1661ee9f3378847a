"""The words that a model knows by number, and the characters of which it spells the others.

Known are the commonest words that stand twice at least in the training text; the ones that stand
once are spelled there, by which the model learns what an unknown word looks like. A spelled
character is written `+c`: a sign is a word by itself, so that no word looks like that.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dataprep.arrow_buffers import text_buffers
from dataprep.models.ngram_kernels import (
    NUM_SIGNS,
    SPELLED,
    Symbols,
    all_symbols,
    find_words,
    insert,
)
from dataprep.text.text_kernels import Hashes

SIGNS = ("<unk>", "<s>", "</s>")
_NUM_MIN = 2
# Slots of the hash tables for each entry: enough that most searches end in one cache line.
_SLOTS = 1.5


@dataclass(frozen=True)
class Vocabulary:
    """Symbols in order of their numbers, signs first, and the table by which they are found."""

    symbols: tuple[str, ...]
    table: Hashes


def learn(words: pa.Array, symbols_max: int) -> Vocabulary:
    """The vocabulary of texts as `ngram_words.words` gives them.

    Of the room for symbols a half at most is held back for characters; ties go to what
    comes first in the order of Unicode.
    """
    data, offsets = text_buffers(words)
    nothing = np.zeros(0, np.int64)
    number = find_words(data, offsets, nothing, nothing, np.zeros(0, np.uint64))
    starts, stops = np.empty(number, np.int64), np.empty(number, np.int64)
    hashes = np.empty(number, np.uint64)
    find_words(data, offsets, starts, stops, hashes)
    _, where, counts = np.unique(hashes, return_index=True, return_counts=True)
    found = [
        (-int(counts[place]), bytes(data[starts[at] : stops[at]]).decode())
        for place, at in enumerate(where.tolist())
    ]
    found.sort()
    room = symbols_max - NUM_SIGNS
    alphabet = {character for _, word in found for character in word}
    places = room - min(len(alphabet), room // 2)
    known = [word for times, word in found[:places] if -times >= _NUM_MIN]
    characters: dict[str, int] = {}
    for _, word in found[len(known) :]:
        for character in word:
            characters[character] = characters.get(character, 0) + 1
    commonest = sorted(characters, key=lambda character: (-characters[character], character))
    names = known + [chr(SPELLED) + character for character in commonest[: room - len(known)]]
    return Vocabulary((*SIGNS, *names), table_of(names))


def table_of(names: list[str]) -> Hashes:
    """The hash table of words and spelled characters, numbered from the first after the signs."""
    whole = pa.array([" ".join(names)], pa.large_string())
    data, offsets = text_buffers(whole)
    hashes = np.empty(len(names), np.uint64)
    places = np.empty(len(names), np.int64)
    number = find_words(data, offsets, places, np.empty_like(places), hashes)
    assert number == len(names), "a word has a blank in it"
    table = np.zeros(int(len(names) * _SLOTS) + 8, np.uint64)
    insert(table, hashes, np.arange(NUM_SIGNS, NUM_SIGNS + len(names), dtype=np.uint32))
    table.flags.writeable = False
    return table


def symbols_of(words: pa.Array, vocabulary: Vocabulary) -> Symbols:
    """The symbols of all texts, one sentence after the other (int32)."""
    data, offsets = text_buffers(words)
    room = np.empty(2 * int(offsets[-1] - offsets[0]) + 2 * len(offsets), np.int32)
    return room[: all_symbols(data, offsets, vocabulary.table, room)].copy()
