"""Lists of words found in text: an automaton over Arrow's buffers (Aho and Corasick 1975).

All words of a list become one table of moves; a text is read once, byte by byte, whatever the
number of words. A word counts where no letter or digit stands beside it, unless it is written in a
script that puts no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese): there every
occurrence counts. ASCII letters are compared in lower case; of other words the capitalised form and
the capitals are looked for too.
"""

import functools
import gzip
import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.arrow_buffers import text_buffers
from dataprep.text.characters import character_classes
from dataprep.text.word_list_kernels import FIRST, LONGEST, OVERLAPPING, build, num_nodes, search
from launch.errors import UserError

# Bytes of all words of a list: each is at most one row of the table of moves.
_LIST_BYTES_MAX = 4_000_000
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class Automaton:
    """The moves, and at each node the length of the word that ends there and where else to look.

    `symbols` (uint8 [256]) numbers the bytes that occur in words from 1; `moves` is int32
    [nodes, symbols]; `ends` is int32 [nodes], bytes, 0 for none; `bounded` (bool [nodes]) says if
    that word stands alone; `shorter` (int32 [nodes]) is the node of the next shorter word, or 0.
    """

    symbols: npt.NDArray[np.uint8]
    moves: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    bounded: npt.NDArray[np.bool_]
    shorter: npt.NDArray[np.int32]


def read_list(paths: Sequence[str], where: str) -> tuple[str, ...]:
    """The lines of the files (also .gz), trimmed, without empty ones and comments (`#`), in order.

    Raises UserError if a file cannot be read or is no UTF-8.
    """
    lines: dict[str, None] = {}
    for path in paths:
        try:
            content = Path(path).read_bytes()
            if content.startswith(b"\x1f\x8b"):
                content = gzip.decompress(content)
            text = content.decode("utf-8-sig")
        except OSError as error:
            got = f"'{path}': {error.strerror or error}"
            raise UserError(where, got, "a file of one entry a line") from None
        except (UnicodeDecodeError, EOFError, zlib.error):
            expected = "UTF-8, plain or gzip"
            raise UserError(where, f"'{path}', which cannot be read", expected) from None
        for line in text.split("\n"):
            entry = line.strip()
            if entry and not entry.startswith("#"):
                lines[entry] = None
    return tuple(lines)


def automaton(words: Sequence[str], *, alone: bool = True) -> Automaton:
    """The automaton of `words`; without `alone` they count inside other words too.

    Raises UserError if there are too many.
    """
    forms: dict[bytes, bool] = {}
    for word in words:
        word = unicodedata.normalize("NFC", word).lower()
        spaced = alone and _UNSPACED.search(word) is None
        for form in {word, word.capitalize(), word.upper()}:
            # ASCII letters are folded as they are read.
            folded = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in form.encode())
            if folded:
                forms[folded] = spaced
    total = sum(len(form) for form in forms)
    if total > _LIST_BYTES_MAX:
        expected = f"at most {_LIST_BYTES_MAX:,} bytes of words in a list"
        raise UserError("dataprep", f"a list of {total:,} bytes", expected)
    array = pa.array([form.decode() for form in sorted(forms)], pa.large_string())
    data, offsets = text_buffers(array)
    flags = np.array([forms[form] for form in sorted(forms)], dtype=np.bool_)
    symbols = np.zeros(256, dtype=np.uint8)
    used = np.unique(data[offsets[0] : offsets[-1]])
    symbols[used] = np.arange(1, len(used) + 1)
    capacity = num_nodes(data, offsets)
    moves = np.zeros((capacity, len(used) + 1), dtype=np.int32)
    ends = np.zeros(capacity, dtype=np.int32)
    bounded = np.zeros(capacity, dtype=np.bool_)
    shorter = np.zeros(capacity, dtype=np.int32)
    build(data, offsets, flags, symbols, moves, ends, bounded, shorter)
    return Automaton(symbols, moves, ends, bounded, shorter)


@functools.lru_cache(maxsize=64)
def load(paths: tuple[str, ...], where: str, alone: bool = True) -> Automaton:
    """The automaton of the files' lines; read once in each process."""
    return automaton(read_list(paths, where), alone=alone)


def count(
    text: pa.ChunkedArray | pa.Array, found: Automaton, allowed: Automaton | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Matches of each text (large_string), and the bytes they cover; int64 [rows] each.

    Of words that end at one place the longest counts; matches do not overlap, the first counts.
    What lies wholly inside a match of `allowed` does not count.
    """
    data, offsets = text_buffers(text)
    matches = np.zeros((len(offsets) - 1, 2), dtype=np.int64)
    protected = np.zeros(0, np.uint8)
    if allowed is not None:
        _, starts, ends = find(text, allowed, overlapping=True)
        if len(starts):
            protected = np.zeros(len(data), np.uint8)
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                protected[start:end] = 1
    search(
        data, offsets, character_classes(), found.symbols, found.moves, found.ends,
        found.bounded, found.shorter, FIRST, protected, matches, np.zeros((3, 0), np.int64),
    )  # fmt: skip
    return matches[:, 0], matches[:, 1]


def find(
    text: pa.ChunkedArray | pa.Array, wanted: Automaton, *, overlapping: bool = False
) -> npt.NDArray[np.int64]:
    """Row, start and end of the matches, int64 [3, matches], in order; start and end are places in
    the text's buffer (`text_buffers`). Without `overlapping` the longest of those that overlap.
    """
    data, offsets = text_buffers(text)
    room = 1024
    while True:
        places = np.empty((3, room), np.int64)
        size = search(
            data, offsets, character_classes(), wanted.symbols, wanted.moves, wanted.ends,
            wanted.bounded, wanted.shorter, OVERLAPPING if overlapping else LONGEST,
            np.zeros(0, np.uint8), np.zeros((0, 2), np.int64), places,
        )  # fmt: skip
        if size <= room:
            return places[:, :size]
        room = 2 * size
