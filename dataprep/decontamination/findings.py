"""What a review gathers while it goes over the documents, and its page shows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dataprep.config import Dataprep
from dataprep.decontamination.index import Index

# Of the documents that hold an item so many are shown, the best first.
SHOWN = 3


class Passage(NamedTuple):
    """A passage of a document with what stands around it; `marks` are the runs of words that it has
    in common with the item, places in `text`."""

    document: str
    source: str
    drop_reason: str | None
    field: str
    score: float
    text: str
    marks: tuple[tuple[int, int], ...]


@dataclass
class Found:
    """What was found of one item: in how many documents, and the best passages."""

    documents: int = 0
    best: float = 0.0
    passages: list[Passage] = field(default_factory=list)

    def add(self, passage: Passage) -> None:
        """Count a passage; the item's passages of one document come one after the other."""
        if not self.passages or self.passages[-1].document != passage.document:
            self.documents += 1
        self.best = max(self.best, passage.score)
        self.passages.append(passage)
        if len(self.passages) > 16 * SHOWN:
            self.trim()

    def trim(self) -> None:
        """Forget all but the best passages."""
        last = self.passages[-1]
        self.passages.sort(key=lambda passage: (-passage.score, passage.document, passage.field))
        del self.passages[SHOWN:]
        if last not in self.passages:
            self.passages.append(last)


@dataclass
class Review:
    """All that was found, by item (`SET:ID`), and numbers by set and by source.

    `places` are the index's parts by set, item and field.
    """

    config: Dataprep
    index: Index
    places: dict[tuple[str, str, str], int]
    items: dict[str, Found] = field(default_factory=dict)
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def ordered(self) -> list[tuple[str, Found]]:
        """The items that most documents hold first, then by score and name."""
        return sorted(
            self.items.items(), key=lambda entry: (-entry[1].documents, -entry[1].best, entry[0])
        )


def texts_of(index: Index) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """The texts of every item, by `SET:ID`."""
    return {item.name: item.texts for item in index.items}
