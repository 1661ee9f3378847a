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
from dataprep.pii import disguise
from dataprep.pii import prefilter_kernels as kernels
from dataprep.pii.kinds import RULE, Kind

MARGIN_BYTES = 768
# Rows in which RE2 found a kind that is not in `SHAPES` are looked at in pieces of this size. More
# stands around them, because a token in a header may have a thousand characters.
_PIECE_BYTES, _PIECE_MARGIN_BYTES = 1024, 1200
# By kind, the shapes of which every finding has one: bits of `prefilter_kernels`.
SHAPES = {
    "credentials": kernels.AT,
    "email": kernels.AT,
    "crypto_wallet": kernels.TOKEN,
    "mac": kernels.COLONS | kernels.GROUPS,
    "ipv6": kernels.COLONS,
    "ipv4": kernels.DOTTED,
    "iban": kernels.DIGITS | kernels.MIXED,
    "cn_id": kernels.DIGITS,
    "cn_id_pattern": kernels.DIGITS,
    "us_ssn": kernels.DIGITS,
    "cn_mobile": kernels.DIGITS,
    "national_id": kernels.DIGITS | kernels.MIXED,
    "card": kernels.DIGITS,
    "phone": kernels.DIGITS,
}
# Kinds whose findings, or the words that decide them, may be far longer than a margin; a row with
# such an anchor is one window. A key in a PEM frame has up to 16,384 characters.
_WHOLE_ROWS = {"secret": "PRIVATE KEY|eyJ"}

BooleanArray = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_NOWHERE = np.empty((0, 3), np.int64)


@dataclass(frozen=True)
class Candidates:
    """Windows, in order: `places` int64 [windows, 3] (row, first and last byte within its value,
    the last excluded), their `texts`, and `kinds` bool [windows, kinds]: which to look for."""

    places: Places
    texts: pa.Array
    kinds: BooleanArray


def candidates(values: pa.Array, kinds: Sequence[Kind]) -> Candidates:
    """The windows of `values` (large_string without nulls) in which one of `kinds` may stand.

    `kinds` have the anchors of the recipe (`kinds.selected`).
    """
    data, offsets = text_buffers(values)
    shapes = np.array([SHAPES.get(kind.name, kernels.OTHER) for kind in kinds], np.uint16)
    shapes |= np.uint16(kernels.DISGUISED)
    places, seen = kernels.find_windows(data, offsets, MARGIN_BYTES, _byte_classes(), _disguised())
    chosen = (seen & np.bitwise_or.reduce(shapes, initial=0)) != 0
    places, seen = places[chosen], seen[chosen]
    others = [kind for kind in kinds if kind.name not in SHAPES]
    found = np.concatenate([_NOWHERE, *(_pieces(values, data, offsets, kind) for kind in others)])
    if len(found):
        places = np.concatenate([places, found])
        seen = np.concatenate([seen, np.full(len(found), kernels.OTHER, np.uint16)])
        order = np.lexsort((places[:, 1], places[:, 0]))
        places, seen = kernels.join_windows(places[order], seen[order])
    texts = _texts(data, places)
    may = (seen[:, None] & shapes[None, :]) != 0
    for column, kind in enumerate(kinds):
        rows = np.flatnonzero(may[:, column])
        if len(rows):  # some patterns take RE2 25 ms to compile
            may[rows, column] = matches(texts.take(pa.array(rows)), kind.anchor)
    hits = np.flatnonzero(may.any(axis=1))
    places = places[hits]
    places[:, 1:] -= offsets[places[:, 0], None]
    return Candidates(places, texts.take(pa.array(hits)), may[hits])


def matches(values: pa.Array, pattern: str) -> BooleanArray:
    """Shape [values], bool: which of them RE2 finds `pattern` in; null counts as no."""
    found = pc.fill_null(pc.match_substring_regex(values, pattern), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _pieces(values: pa.Array, data: Bytes, offsets: Offsets, kind: Kind) -> Places:
    """The pieces of the values that have the anchor of `kind`, with a margin on both sides.

    Disguised characters are not looked for: the compiled pass has seen them.
    """
    own = kind.anchor if kind.name == RULE else kind.anchor.removesuffix(f"|{disguise.ANCHOR}")
    rows = np.flatnonzero(matches(values, own))
    lengths = offsets[rows + 1] - offsets[rows]
    whole = np.full(len(rows), kind.name == RULE)
    if kind.name in _WHOLE_ROWS:
        whole |= matches(values.take(pa.array(rows)), _WHOLE_ROWS[kind.name])
    sizes = np.where(whole, np.maximum(1, lengths), _PIECE_BYTES)
    numbers = np.maximum(1, -(-lengths // sizes))
    owners, size = np.repeat(rows, numbers), np.repeat(sizes, numbers)
    number_in_row = np.arange(len(owners)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    first, last = offsets[owners], offsets[owners + 1]
    start = first + size * number_in_row
    left = np.maximum(first, start - _PIECE_MARGIN_BYTES)
    right = np.minimum(last, start + size + _PIECE_MARGIN_BYTES)
    places = np.stack([owners, left, right], axis=1).astype(np.int64)
    kernels.move_to_characters(data, offsets, places)
    found = np.repeat(whole, numbers)
    found[~found] = matches(_texts(data, places[~found]), own)
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
    flags[[ord(character) for character in re.findall(disguise.ANCHOR, every)]] = True
    return flags


@functools.cache
def _byte_classes() -> npt.NDArray[np.uint8]:
    return kernels.byte_classes(_disguised())
