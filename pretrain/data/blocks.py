"""One source's endless stream: epochs of permuted documents, cut into blocks, packed, shuffled.

Every epoch is a permutation of the source's documents by a hash of (seed, source, epoch). It is cut
at whole documents into equal blocks of at most about `BLOCK_TOKENS`; a block's documents become
sequences, and the sequences are shuffled. No block reaches over the end of an epoch, so that every
token comes once in each.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pretrain.data import order_kernels, packing_kernels
from pretrain.data.documents import Documents
from pretrain.data.related import along_a_path

# Large enough that best fit leaves under 1 % of padding, small enough to be formed in a second.
BLOCK_TOKENS = 1 << 26
# Documents among which a sequence finds those that fit where like ones stay together. On real
# texts 32 left 1.5 to 3.3 % of padding, 128 half of that with a third less of likeness; best fit
# within groups left more at the same likeness (2026-11-26).
_RELATED_WINDOW = 32

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Form:
    """How blocks become sequences: what a recipe says about it."""

    sequence_length: int
    packing: bool
    related: bool
    mask_documents: bool
    block_tokens: int = BLOCK_TOKENS

    def to_dict(self) -> dict[str, Any]:
        """All of it; the name of an index depends on it."""
        return asdict(self)


@dataclass(frozen=True)
class Spans:
    """`lengths[i]` tokens (int32) of document `documents[i]` from its token `begins[i]` (int32)
    on."""

    documents: Numbers
    begins: Numbers
    lengths: Numbers

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def num_tokens(self) -> int:
        """Of all spans."""
        return int(self.lengths.sum(dtype=np.int64))


@dataclass(frozen=True)
class Sequences:
    """Sequences of spans in the order in which they are read: number i holds the spans from
    `starts[i]` to `starts[i + 1]` (int64)."""

    starts: Numbers
    spans: Spans
    tokens: Numbers
    """int64, of each sequence."""
    natural: Numbers
    """int64, of each sequence: its place before they were shuffled."""

    def __len__(self) -> int:
        return len(self.tokens)

    def rest(self, taken: int) -> Spans:
        """What the first `taken` sequences leave, in the order of the documents, joined where one
        span goes on where another ends."""
        left = np.sort(self.natural[taken:])
        order = np.argsort(self.natural, kind="stable")[left]
        picked = [np.arange(self.starts[i], self.starts[i + 1]) for i in order]
        places = np.concatenate([np.empty(0, np.int64), *picked])
        spans = self.spans
        kept = places[spans.lengths[places] > 0]
        by_place = kept[np.lexsort((spans.begins[kept], _rank(spans.documents[kept])))]
        documents, begins, lengths = (
            array[by_place] for array in (spans.documents, spans.begins, spans.lengths)
        )
        count = order_kernels.merged(documents, begins, lengths)
        return Spans(documents[:count], begins[:count], lengths[:count])


@dataclass(frozen=True)
class Cursor:
    """The next block of a source."""

    epoch: int = 0
    block: int = 0
    place: int = 0
    """Documents of the epoch that earlier blocks have taken."""
    tokens: int = 0
    """Their tokens."""


def key_of(*parts: Any) -> np.uint64:
    """64 bits of a JSON list: the same on every machine and in every version."""
    return np.uint64(xxhash.xxh3_64_intdigest(json.dumps(parts, ensure_ascii=False).encode()))


def next_block(
    documents: Documents, number: int, seed: int, block_tokens: int, cursor: Cursor
) -> tuple[Spans, Cursor]:
    """The whole documents of the block at `cursor`, and the cursor after it."""
    members = documents.of_source(number)
    keys = order_kernels.round_keys(key_of(seed, documents.sources[number], cursor.epoch))
    total = documents.source_tokens(number)
    blocks = -(-total // block_tokens)
    until = -(-total * (cursor.block + 1) // blocks)
    taken, tokens = order_kernels.next_documents(
        members, documents.positions, keys, cursor.place, cursor.tokens, until
    )
    lengths = documents.positions[taken + 1] - documents.positions[taken]
    spans = Spans(taken, np.zeros(len(taken), np.int32), lengths.astype(np.int32))
    place = cursor.place + len(taken)
    if place == len(members):
        assert tokens == total, (tokens, total)
        return spans, Cursor(cursor.epoch + 1)
    return spans, Cursor(cursor.epoch, cursor.block + 1, place, int(tokens))


def sequences_of(spans: Spans, form: Form, key: np.uint64, documents: Documents) -> Sequences:
    """A block's spans as sequences, shuffled by `key`."""
    if form.related:
        path = along_a_path(spans.documents, spans.begins, spans.lengths, documents)
        spans = Spans(spans.documents[path], spans.begins[path], spans.lengths[path])
    starts, *parts = _formed(spans, form)
    tokens = packing_kernels.sizes(starts, parts[2])
    order = np.argsort(order_kernels.hashes(key, len(tokens)), kind="stable")
    counts = np.diff(starts)[order]
    shuffled = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    moved = tuple(np.empty_like(part) for part in parts)
    order_kernels.gather(starts, tuple(parts), order, shuffled, np.arange(len(order)), moved)
    return Sequences(shuffled, Spans(*moved), tokens[order], order)


def _formed(spans: Spans, form: Form) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    arrays = (spans.documents, spans.begins, spans.lengths)
    size = form.sequence_length
    if not form.packing:
        look_ahead = not form.mask_documents
        return packing_kernels.cut(*arrays, size, look_ahead)  # type: ignore[no-any-return]
    if not form.related:
        return packing_kernels.pack(*arrays, size)  # type: ignore[no-any-return]
    # Best fit over the whole block would part neighbours.
    return packing_kernels.pack_along(*arrays, size, _RELATED_WINDOW)  # type: ignore[no-any-return]


def _rank(documents: Numbers) -> Numbers:
    """Places of documents by their first occurrence: equal ones get one place."""
    _, first, inverse = np.unique(documents, return_index=True, return_inverse=True)
    return np.asarray(first[inverse])
