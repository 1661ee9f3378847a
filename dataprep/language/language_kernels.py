"""py3langid's classifier over Arrow's buffers: the same model and arithmetic, compiled by numba.

The model is a finite automaton that finds byte n-grams, and a naive Bayes score of what it found
(Lui and Baldwin 2012, langid.py; Barbaresi's fork py3langid). `py3langid` walks the automaton in
Python, one document object at a time; here it is walked over the bytes where they lie.
"""

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.text.characters import HAN, HANGUL, KANA, LETTER
from dataprep.text.text_kernels import decode

# A document is judged by two windows, its beginning and its middle, of so many bytes each.
WINDOW_BYTES = 1024
TABLE_STEP = 2.0**-9  # of the model's logarithms
_LOG1P = np.log1p(np.arange(2 * WINDOW_BYTES + 9, dtype=np.float64))

# Paragraphs are looked for in the beginning of a document, bytes; one of fewer letters (bytes of
# them) tells no language.
PARAGRAPHS_BYTES = 1 << 15
PARAGRAPH_LETTERS_MIN = 40

# Columns of the script counts.
LETTERS = 0
HAN_LETTERS = 1
KANA_LETTERS = 2
HANGUL_LETTERS = 3
NUM_SCRIPTS = 4

Integers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Steps = npt.NDArray[np.int16]


@kernel
def window(data: Bytes, start: int, end: int, index: int) -> tuple[int, int]:
    """Bounds of window 0 or 1 of a document, on character borders; window 1 may be empty."""
    if end - start <= 2 * WINDOW_BYTES:
        return (start, end) if index == 0 else (end, end)
    first = start if index == 0 else start + (end - start) // 2
    last = first + WINDOW_BYTES
    while first < end and data[first] & 0xC0 == 0x80:
        first += 1
    while last < end and data[last] & 0xC0 == 0x80:
        last += 1
    return first, last


@kernel
def count_scripts(data: Bytes, start: int, end: int, classes: Bytes, scripts: Offsets) -> bool:
    """Add the letters of each script to `scripts`; true if a small ASCII letter was seen."""
    small = False
    position = start
    while position < end:
        code, position = decode(data, position)
        flags = classes[code]
        if flags & LETTER:
            scripts[LETTERS] += 1
        if flags & HAN:
            scripts[HAN_LETTERS] += 1
        elif flags & KANA:
            scripts[KANA_LETTERS] += 1
        elif flags & HANGUL:
            scripts[HANGUL_LETTERS] += 1
        if 97 <= code <= 122:
            small = True
    return small


@kernel
def classify(
    data: Bytes, offsets: Offsets, classes: Bytes, moves: Integers, bases: Integers,
    features: Integers, table: Steps, prior: Floats, label_of: Integers,
    labels: Integers, scores: Floats, scripts: Offsets,
) -> None:  # fmt: skip
    """Label and probability of each document of a batch.

    `moves`, `bases` and `features` are the automaton: the next state is `moves[bases[state] +
    byte]`, and a state shows feature `features[state]` unless that is negative. `table` has shape
    [features, columns], `prior` [columns]: logarithms; `label_of[column]` is a label, and the
    columns of one label add up. Results: `labels` int32 [rows], `scores` float32 [rows] in [0, 1],
    `scripts` int64 [rows, NUM_SCRIPTS], which must be zero. As in py3langid, the score is a softmax
    at temperature sqrt(bytes), which keeps long texts from being sure of anything they say.
    """
    num_columns = prior.shape[0]
    num_labels = label_of.max() + 1
    counts = np.zeros(table.shape[0], dtype=np.int32)
    seen = np.empty(2 * WINDOW_BYTES + 8, dtype=np.int32)
    for row in range(offsets.shape[0] - 1):
        num_seen = 0
        num_bytes = 0
        small = False
        for part in range(2):
            start, end = window(data, offsets[row], offsets[row + 1], part)
            small |= count_scripts(data, start, end, classes, scripts[row])
        for part in range(2):
            start, end = window(data, offsets[row], offsets[row + 1], part)
            num_bytes += end - start
            state = 0
            for position in range(start, end):
                byte = np.int64(data[position])
                if not small and 65 <= byte <= 90:
                    byte += 32  # a text all in capitals is read as if it were not
                state = moves[bases[state] + byte]
                feature = features[state]
                if feature >= 0:
                    if counts[feature] == 0:
                        seen[num_seen] = feature
                        num_seen += 1
                    counts[feature] += 1
        logarithms = np.zeros(num_columns, dtype=np.float64)
        if num_seen:
            for column in range(num_columns):
                logarithms[column] = prior[column]
        for index in range(num_seen):
            feature = seen[index]
            # A feature is seen at most once for each byte of the windows.
            weight = _LOG1P[counts[feature]] * TABLE_STEP
            values = table[feature]
            for column in range(num_columns):
                logarithms[column] += weight * values[column]
            counts[feature] = 0
        scale = 1.0 / np.sqrt(max(num_bytes, 1))
        highest = logarithms.max()
        probabilities = np.zeros(num_labels, dtype=np.float64)
        for column in range(num_columns):
            probabilities[label_of[column]] += np.exp((logarithms[column] - highest) * scale)
        probabilities /= probabilities.sum()
        best = probabilities.argmax()
        labels[row] = best
        scores[row] = probabilities[best]


@kernel
def paragraph_end(data: Bytes, start: int, end: int) -> tuple[int, bool]:
    """Where the paragraph at `start` ends, its blank lines included, and if it has letters."""
    letters = 0
    position = start
    blank = False  # the line so far
    parted = False
    while position < end:
        byte = data[position]
        if byte == 10:
            parted |= blank
            blank = True
        elif byte > 32:
            if parted:
                break
            blank = False
            if byte >= 128 or 97 <= byte | 32 <= 122:
                letters += 1
        position += 1
    return position, letters >= PARAGRAPH_LETTERS_MIN


@kernel
def count_paragraphs(data: Bytes, offsets: Offsets) -> int:
    """How many bounds `find_paragraphs` writes, less one."""
    count = 0
    for row in range(offsets.shape[0] - 1):
        position, end = offsets[row], offsets[row + 1]
        last = min(end, position + PARAGRAPHS_BYTES)
        while position < last:
            position, _ = paragraph_end(data, position, end)
            count += 1
        if position < end:
            count += 1
    return count


@kernel
def find_paragraphs(data: Bytes, offsets: Offsets, bounds: Offsets, owners: Offsets) -> None:
    """Bounds (int64 [n + 1]) of all paragraphs, one after another, and the row of each.

    A row of -1 stands for what is not looked at: a paragraph of few letters, a document's rest.
    """
    count = 0
    bounds[0] = offsets[0]
    for row in range(offsets.shape[0] - 1):
        position, end = offsets[row], offsets[row + 1]
        last = min(end, position + PARAGRAPHS_BYTES)
        while position < last:
            position, telling = paragraph_end(data, position, end)
            owners[count] = row if telling else -1
            count += 1
            bounds[count] = position
        if position < end:
            owners[count] = -1
            count += 1
            bounds[count] = end
