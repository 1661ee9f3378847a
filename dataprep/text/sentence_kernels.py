"""The sentences of a document, and those that MADLAD-400 calls questionable. Compiled by numba.

A sentence ends with a word that ends one (a full stop, say), or with its line. The rules are those
of Kudugunta et al. 2023 (arXiv:2309.04662, section 2.2) that need no list of words: a sentence is
questionable if it is shorter than 20 or longer than 500 characters, if more than a fifth of its
characters are digits or one of `{}+/()>`, or if more than half of its words, twelve at least, begin
with a capital.
"""

import numpy as np

from dataprep.arrow_buffers import Bytes
from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import Counts, Places
from dataprep.text.word_kinds import BEGINS_CAPITAL, ENDS_SENTENCE, IS_PUNCTUATION

# Columns of the counts that `scan_sentences` fills.
SENTENCES = 0
QUESTIONABLE_SENTENCES = 1
ODD_LENGTH_SENTENCES = 2
TECHNICAL_SENTENCES = 3
LIST_SENTENCES = 4
NUM_SENTENCE_COUNTS = 5

_CHARACTERS_MIN = 20
_CHARACTERS_MAX = 500
_LIST_WORDS_MIN = 12
_LINE_FEED = 10
_TECHNICAL = np.array([chr(byte) in "0123456789{}+/()>" for byte in range(256)], np.uint8)


@kernel
def _judge(
    data: Bytes, start: int, end: int, num_words: int, num_capitals: int, length: int,
    counts: Counts,
) -> None:  # fmt: skip
    technical = 0
    for position in range(start, end):
        technical += _TECHNICAL[data[position]]
    odd = length < _CHARACTERS_MIN or length > _CHARACTERS_MAX
    listed = num_words >= _LIST_WORDS_MIN and 2 * num_capitals > num_words
    dense = 5 * technical > length
    counts[SENTENCES] += 1
    counts[ODD_LENGTH_SENTENCES] += odd
    counts[TECHNICAL_SENTENCES] += dense
    counts[LIST_SENTENCES] += listed
    counts[QUESTIONABLE_SENTENCES] += odd or listed or dense


@kernel
def scan_sentences(
    data: Bytes, starts: Places, ends: Places, lengths: Places, kinds: Bytes, num_words: int,
    counts: Counts,
) -> None:  # fmt: skip
    """Count the sentences of one document from its words (see `describe_words`).

    A sentence's length is that of its words and one for each gap between two, in characters.
    """
    first = 0
    capitals = 0
    length = 0
    ended = False
    for index in range(num_words + 1):
        at_end = index == num_words
        new_line = False
        if not at_end and index > first:
            for position in range(ends[index - 1], starts[index]):
                new_line = new_line or data[position] == _LINE_FEED
        begins = ended and not at_end and kinds[index] & (IS_PUNCTUATION | ENDS_SENTENCE) == 0
        if index > first and (at_end or new_line or begins):
            _judge(data, starts[first], ends[index - 1], index - first, capitals, length, counts)
            first = index
            capitals = 0
            length = 0
            ended = False
        if at_end:
            break
        if index > first:
            length += starts[index] > ends[index - 1]
        length += lengths[index]
        capitals += kinds[index] & BEGINS_CAPITAL != 0
        ended = ended or kinds[index] & ENDS_SENTENCE != 0
