"""The index of evaluation items: what every text is searched for.

parts      the texts of the items as units, each text once       (decontamination_parts)
weights    how rare a unit is among the parts; a function word weighs little
anchors    runs of five units, so placed that every run long enough to count holds one
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dataprep.config import Normalize
from dataprep.config_decontamination import Decontamination
from dataprep.config_pii import Pii
from dataprep.decontamination.anchors import (
    LONG_ANCHOR,
    SHORT_ANCHOR,
    anchor_hashes,
    choose_anchors,
    fill_slots,
)
from dataprep.decontamination.items import Item, read_items, set_files
from dataprep.decontamination.parts import Hashes, Numbers, Parts, make_parts

# A run of five units that more parts than these have in common says nothing of any of them.
_HOT_PARTS = 1000
_BITS_PER_ANCHOR = 32


@dataclass(frozen=True)
class Anchors:
    """Hashes of runs of units (`keys`, distinct) and where they stand: part and position of each
    are `postings[posting_offsets[i] : posting_offsets[i + 1]]`, int64 [n, 2].

    `bitmap` (uint64) and `slots` (int32) find a key. `short` says whether some have three units.
    """

    bitmap: Hashes
    slots: npt.NDArray[np.int32]
    keys: Hashes
    posting_offsets: Numbers
    postings: Numbers
    short: bool


@dataclass(frozen=True)
class Index:
    """Items, their parts and anchors; `silent` are the places of items that say too little."""

    items: tuple[Item, ...]
    parts: Parts
    anchors: Anchors
    silent: tuple[int, ...]


def load_index(table: Decontamination, normal: Normalize, pii: Pii) -> Index:
    """The index of a recipe's evaluation sets, built once for each process and state of the files.

    Raises UserError as `read_items` does.
    """
    states = []
    for _, path in set_files(table):
        state = path.stat()
        states.append((str(path), state.st_size, state.st_mtime_ns))
    return _load(table, normal, pii.model_dump_json(), tuple(states))


@lru_cache(maxsize=2)
def _load(
    table: Decontamination, normal: Normalize, pii_json: str,
    states: tuple[tuple[str, int, int], ...],
) -> Index:  # fmt: skip
    pii = Pii.model_validate_json(pii_json)  # as text, because a table with a dict has no hash
    return build_index(read_items(table), table.ngram_words, table.ngram_characters, normal, pii)


def build_index(
    items: Sequence[Item],
    ngram_words: int,
    ngram_characters: int,
    normal: Normalize | None = None,
    pii: Pii | None = None,
) -> Index:
    """The index of `items`, whose texts are normalized, and their personal data replaced, as those
    of documents are."""
    parts, silent = make_parts(items, ngram_words, ngram_characters, normal, pii)
    return Index(tuple(items), parts, _anchors(parts), silent)


def _anchors(parts: Parts) -> Anchors:
    places = choose_anchors(parts.offsets, parts.weights, parts.run_units)
    first = parts.offsets[places[:, 0]] + places[:, 1]
    hashes = np.zeros(len(places), np.uint64)
    for length in (LONG_ANCHOR, SHORT_ANCHOR):
        chosen = places[:, 2] == length
        hashes[chosen] = anchor_hashes(parts.hashes, first[chosen], length)
    keys, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    part = places[:, 0]
    whole = parts.run_units[part] == np.diff(parts.offsets)[part]
    stays = (counts[inverse] <= _HOT_PARTS) | whole
    places, hashes, short = (
        places[stays],
        hashes[stays],
        bool((places[stays, 2] < LONG_ANCHOR).any()),
    )
    order = np.lexsort((places[:, 1], places[:, 0], hashes))
    keys, starts = np.unique(hashes[order], return_index=True)
    bits = max(1 << 14, 1 << int(len(keys) * _BITS_PER_ANCHOR - 1).bit_length())
    slots = max(16, 1 << (4 * len(keys)).bit_length())
    anchors = Anchors(
        bitmap=np.zeros(bits // 64, np.uint64),
        slots=np.full(slots, -1, np.int32),
        keys=keys,
        posting_offsets=np.concatenate([starts, [len(order)]]).astype(np.int64),
        postings=np.ascontiguousarray(places[order, :2]),
        short=short,
    )
    fill_slots(keys, anchors.bitmap, anchors.slots)
    return anchors
