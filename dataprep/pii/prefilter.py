"""Where in a column personal data may stand: windows of text, and the kinds to look for in each.

In: a column. Out: the places that deserve Python. One compiled pass sees shapes (`@`, runs of
digits, colons, long tokens) byte by byte; only around them, and only for the kinds that have such a
shape, RE2 looks for the kinds' own anchors. A kind that is not in `SHAPES` (one that is known by
words) is looked for by its anchor in the whole column, and then in the pieces of rows that have it.

That is the same as looking at whole texts because a finding has its shape in or beside it and is
decided from at most `MARGIN_BYTES` around it (kinds look at some 50 characters); the tests compare.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import Bytes, Offsets, text_buffers
from dataprep.pii import prefilter_kernels as kernels
from dataprep.pii.kinds import Kind

MARGIN_BYTES = 640
# Rows of other kinds are looked at in pieces of this size.
_PIECE_BYTES = 2048
# By kind, the shapes of which every finding has one: bits of `prefilter_kernels`.
SHAPES = {
    "email": kernels.AT,
    "ipv4": kernels.DOTTED,
    "ipv6": kernels.COLONS,
    "card": kernels.DIGITS,
    "phone": kernels.DIGITS,
}
# Characters that hide an address from a pattern and not from a reader.
_DISGUISED = "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\uff10-\uff19\uff20-\uff3a]"

BooleanArray = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Windows, in order: `places` int64 [windows, 3] (row, first and last byte within its value,
    the last excluded), their `texts`, and `kinds` bool [windows, kinds]: which to look for."""

    places: Places
    texts: pa.Array
    kinds: BooleanArray


def candidates(values: pa.Array, kinds: Sequence[Kind]) -> Candidates:
    """The windows of `values` (large_string without nulls) in which one of `kinds` may stand."""
    data, offsets = text_buffers(values)
    known = np.array([SHAPES.get(kind.name, kernels.OTHER) for kind in kinds], np.uint8)
    disguised = _disguised()
    places, seen = kernels.find_windows(data, offsets, MARGIN_BYTES, _byte_classes(), disguised)
    wanted = np.bitwise_or.reduce(known, initial=0) | kernels.DISGUISED
    chosen = (seen & wanted) != 0
    places, seen = places[chosen], seen[chosen]
    others = [kind.anchor for kind in kinds if kind.name not in SHAPES]
    found = _pieces_with(values, data, offsets, others)
    if len(found):
        places = np.concatenate([places, found])
        seen = np.concatenate([seen, np.full(len(found), kernels.OTHER, np.uint8)])
        order = np.lexsort((places[:, 1], places[:, 0]))
        places, seen = kernels.join_windows(places[order], seen[order])
    texts = _texts(data, places)
    may = ((seen[:, None] & (known | kernels.DISGUISED)[None, :]) != 0) & (known != 0)
    for column, kind in enumerate(kinds):
        rows = np.flatnonzero(may[:, column])
        if len(rows):
            part = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
            may[rows, column] = matches(part, kind.anchor)
    hits = np.flatnonzero(may.any(axis=1))
    places = places[hits] - np.stack(
        [np.zeros(len(hits), np.int64), *[offsets[places[hits, 0]]] * 2], axis=1
    )
    return Candidates(places, texts.take(pa.array(hits)), may[hits])


def matches(values: pa.Array, pattern: str) -> BooleanArray:
    """Shape [values], bool: which of them RE2 finds `pattern` in; null counts as no."""
    found = pc.fill_null(pc.match_substring_regex(values, pattern), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _pieces_with(values: pa.Array, data: Bytes, offsets: Offsets, anchors: Sequence[str]) -> Places:
    """Pieces of the values that have one of `anchors`, with the margin on both sides."""
    having = np.zeros(len(values), np.bool_)
    for anchor in anchors:
        rest = np.flatnonzero(~having)
        having[rest] = (
            matches(values.take(pa.array(rest)), anchor)
            if having.any()
            else matches(values, anchor)
        )
    rows = np.flatnonzero(having)
    lengths = offsets[rows + 1] - offsets[rows]
    numbers = np.maximum(1, -(-lengths // _PIECE_BYTES))
    owners = np.repeat(rows, numbers)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    first, last = offsets[owners], offsets[owners + 1]
    start = first + within * _PIECE_BYTES
    places = np.stack(
        [
            owners,
            np.maximum(first, start - MARGIN_BYTES),
            np.minimum(last, start + _PIECE_BYTES + MARGIN_BYTES),
        ],
        axis=1,
    )
    kernels.move_to_characters(data, offsets, places)
    texts = _texts(data, places)
    found = np.zeros(len(places), np.bool_)
    for anchor in anchors:
        found |= matches(texts, anchor)
    return places[found]


def _texts(data: Bytes, places: Places) -> pa.Array:
    content, offsets = kernels.gather(data, places)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_string(), len(places), buffers)


@functools.cache
def _disguised() -> BooleanArray:
    """By code point, whether a character is disguised."""
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    flags = np.zeros(0x110000, dtype=np.bool_)
    flags[[ord(character) for character in re.findall(_DISGUISED, every)]] = True
    return flags


@functools.cache
def _byte_classes() -> npt.NDArray[np.uint8]:
    return kernels.byte_classes(_disguised())
