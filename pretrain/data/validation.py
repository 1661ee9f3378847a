"""The validation split, source by source in its own order, as sequences that predict each token
once.

Neither seed nor layout nor length of training plays a part, so that losses of different runs are of
the same tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from launch.manifest import Manifest
from launch.recipe import Recipe
from pretrain.batch import MicroBatch
from pretrain.data import packing_kernels
from pretrain.data.assemble import Part, assemble
from pretrain.data.blocks import Spans
from pretrain.data.documents import open_documents
from pretrain.data.order import Segment


@dataclass(frozen=True)
class ValidationSource:
    """One source of the validation split."""

    name: str
    number: int
    """As `MicroBatch.sources` has it."""
    tokens: int
    """All of them, end-of-document tokens included."""
    predicted: int
    """Those that some sequence predicts: all but the first of each document where documents are
    masked, all but the first of the source otherwise."""
    tokens_per_byte: float
    """Of its text."""


class ValidationSequences:
    """Documents of one source are joined as they lie and cut; a sequence is of one source.

    Documents are masked as in training. The last sequence of a source may be short.
    """

    def __init__(self, recipe: Recipe, tokens: Manifest) -> None:
        data = recipe.pretrain.data
        self._length = recipe.pretrain.model.sequence_length
        self._mask_documents = data.mask_documents
        self._documents = open_documents(recipe, tokens, "valid")
        self._segment = self._cut()
        facts = tokens.facts["by_source"]["valid"]
        self.sources = tuple(self._source(number, facts) for number in self._present())

    def __len__(self) -> int:
        return len(self._segment)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all sources by number."""
        return self._documents.sources

    def batch(self, indices: Sequence[int | None]) -> MicroBatch:
        """The sequences at `indices`, on the host; after them, rows of None, in which nothing
        counts."""
        places = np.array([index for index in indices if index is not None], np.int64)
        assert all(index is None for index in indices[len(places) :])
        return assemble(
            self._documents, [Part(self._segment, places)], len(indices), self._length,
            mask_documents=self._mask_documents, pinned=False,
        )  # fmt: skip

    def chosen(self, most: int) -> list[int]:
        """At most `most` sequences, spread evenly over all."""
        count = min(most, len(self))
        return [index * len(self) // count for index in range(count)]

    def _present(self) -> list[int]:
        counts = np.diff(self._documents.bounds)
        return [number for number, count in enumerate(counts) if count]

    def _cut(self) -> Segment:
        """All sequences of the split, as one segment."""
        documents = self._documents
        parts: list[tuple[int, tuple[np.ndarray, ...]]] = []
        for number in self._present():
            members = np.asarray(documents.of_source(number))
            lengths = documents.positions[members + 1] - documents.positions[members]
            begins = np.zeros(len(members), np.int32)
            look_ahead = not self._mask_documents
            found = packing_kernels.cut(
                members, begins, lengths.astype(np.int32), self._length, look_ahead
            )
            parts.append((number, found))
        starts = np.zeros(1, np.int64)
        for _, (own, *_rest) in parts:
            starts = np.concatenate([starts, own[1:] + starts[-1]])
        spans = Spans(*(np.concatenate([found[column] for _, found in parts])
                        for column in (1, 2, 3)))  # fmt: skip
        sources = np.concatenate([np.full(len(found[0]) - 1, n, np.uint16) for n, found in parts])
        return Segment(0, starts, spans, sources)

    def _source(self, number: int, facts: dict[str, dict[str, int]]) -> ValidationSource:
        name = self._documents.sources[number]
        documents, tokens = facts[name]["documents"], facts[name]["tokens"]
        # A text that is empty has its end-of-document token and no byte.
        per_byte = tokens / max(1, facts[name]["text_bytes"])
        firsts = documents if self._mask_documents else 1
        return ValidationSource(name, number, tokens, tokens - firsts, per_byte)
