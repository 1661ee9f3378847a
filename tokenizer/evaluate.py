"""What a tokenizer does to text that it was not trained on, by language and by source.

Compression (bytes and characters per token), the share of tokens that are single bytes of rare
characters, ids that never occur, and the round trip: every document measured is decoded again, and
one that does not come back as it was is an error.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dataprep.contract import kept_files, open_documents
from launch.log import get_logger
from launch.manifest import Manifest
from launch.recipe import Recipe
from launch.store import Location
from tokenizer.contract import Tokenizer, open_tokenizer
from tokenizer.sample import Document, draw

# Where validation holds less than this, documents of train make up for it (marked as such).
TEXT_BYTES_MIN = 1 << 20
_BATCH_BYTES = 1 << 22


@dataclass(frozen=True)
class Counts:
    """Sums over documents; ratios are made of sums, so that long documents count as such."""

    documents: int = 0
    text_bytes: int = 0
    characters: int = 0
    tokens: int = 0
    byte_tokens: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """The sums of both."""
        return Counts(
            self.documents + other.documents,
            self.text_bytes + other.text_bytes,
            self.characters + other.characters,
            self.tokens + other.tokens,
            self.byte_tokens + other.byte_tokens,
        )

    def to_dict(self) -> dict[str, int | float | None]:
        """Sums and ratios; tokens without EOD; a ratio is null where there are no tokens."""
        return {
            "documents": self.documents,
            "text_bytes": self.text_bytes,
            "tokens": self.tokens,
            "bytes_per_token": _ratio(self.text_bytes, self.tokens),
            "characters_per_token": _ratio(self.characters, self.tokens),
            "tokens_per_document": _ratio(self.tokens, self.documents),
            "byte_fallback_share": _ratio(self.byte_tokens, self.tokens),
        }


def evaluate(
    tokenizer: Tokenizer, directory: Location, documents: Manifest, *, seed: int, bytes_max: int
) -> dict[str, Any]:
    """Measure `tokenizer` on kept documents below `directory`; a JSON object.

    Validation documents are drawn up to `bytes_max` bytes; if they hold less than 1 MiB, train
    documents (which the model may have been trained on) fill it up to that, and `splits` says so.
    Raises RuntimeError, naming the document, if one does not survive the round trip.
    """
    valid = draw(
        directory,
        kept_files(documents, "valid"),
        seed=seed,
        purpose="evaluation",
        bytes_max=bytes_max,
    )
    drawn = {"valid": valid.documents}
    missing = min(bytes_max, TEXT_BYTES_MIN) - sum(d.text_bytes for d in valid.documents)
    if missing > 0:
        train = draw(
            directory,
            kept_files(documents, "train"),
            seed=seed,
            purpose="evaluation",
            bytes_max=missing,
        )
        drawn["train"] = train.documents
    kinds = np.array([tokenizer.kind(index) for index in range(tokenizer.vocab_size)])
    is_byte = kinds == "byte"
    used = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    groups: dict[str, dict[str, Counts]] = {"splits": {}, "languages": {}, "sources": {}}
    total = Counts()
    start = time.monotonic()
    for split, chosen in drawn.items():
        for document, ids in _encoded(tokenizer, chosen):
            used += np.bincount(ids, minlength=tokenizer.vocab_size)
            counts = _count(document, ids, is_byte)
            total = total.plus(counts)
            keys = {"splits": split, "languages": document.language, "sources": document.source}
            for group, key in keys.items():
                groups[group][key] = groups[group].get(key, Counts()).plus(counts)
    seconds = time.monotonic() - start
    get_logger("tokenizer").info(
        "measured on %.1f MB in %d documents: encoded and decoded at %.1f MB/s",
        total.text_bytes / 1e6, total.documents, total.text_bytes / 1e6 / max(seconds, 1e-9),
    )  # fmt: skip
    assert used[tokenizer.unk_id] == 0, "byte pieces leave nothing unknown"
    unused = int((used[kinds == "learned"] == 0).sum())
    return {
        "all": total.to_dict(),
        **{
            name: {key: counts.to_dict() for key, counts in sorted(group.items())}
            for name, group in groups.items()
        },
        "unused_pieces": unused,
        "unused_pieces_share": _ratio(unused, int((kinds == "learned").sum())),
        "round_trip_failures": 0,
    }


def bytes_per_token(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """Bytes per token of an evaluation: `all`, then each language."""
    languages: Mapping[str, Any] = evaluation["languages"]
    return {
        "all": evaluation["all"]["bytes_per_token"],
        **{language: counts["bytes_per_token"] for language, counts in languages.items()},
    }


def run(recipe: Recipe) -> dict[str, Any]:
    """Measure a recipe's finished tokenizer on its documents again and print it as JSON.

    Raises UserError if either does not exist.
    """
    documents = open_documents(recipe.published_documents)
    tokenizer = open_tokenizer(recipe.tokenizer_directory)
    evaluation = evaluate(
        tokenizer,
        recipe.published_documents,
        documents,
        seed=recipe.run.seed,
        bytes_max=recipe.tokenizer.evaluation_bytes,
    )
    print(json.dumps(evaluation, ensure_ascii=False, indent=1))
    return evaluation


def _encoded(
    tokenizer: Tokenizer, documents: tuple[Document, ...]
) -> Iterator[tuple[Document, np.ndarray]]:
    """Each document with its ids, checked to decode to its text."""
    batch: list[Document] = []
    batch_bytes = 0
    for document in documents:
        batch.append(document)
        batch_bytes += document.text_bytes
        if batch_bytes >= _BATCH_BYTES:
            yield from _checked(tokenizer, batch)
            batch, batch_bytes = [], 0
    yield from _checked(tokenizer, batch)


def _checked(tokenizer: Tokenizer, batch: list[Document]) -> Iterator[tuple[Document, np.ndarray]]:
    texts = [b"".join(document.passages) for document in batch]
    encoded = tokenizer.encode_batch(texts)
    for document, text, back in zip(batch, texts, tokenizer.decode_batch(encoded), strict=True):
        if text != back:
            raise RuntimeError(f"document {document.id} does not survive encoding and decoding")
    yield from zip(batch, encoded, strict=True)


def _count(document: Document, ids: np.ndarray, is_byte: np.ndarray) -> Counts:
    text = b"".join(document.passages)
    # A character begins with every byte that is not a continuation (10xxxxxx).
    continuations = (np.frombuffer(text, np.uint8) & 0xC0) == 0x80
    return replace(
        Counts(documents=1),
        text_bytes=len(text),
        characters=len(text) - int(continuations.sum()),
        tokens=len(ids),
        byte_tokens=int(is_byte[ids].sum()),
    )


def _ratio(numerator: int, denominator: int) -> float | None:
    return round(numerator / denominator, 6) if denominator else None
