"""The sample that a tokenizer is trained on: drawn by content, not by place.

Every kept document gets a number from a hash of its content and the seed; the documents with the
smallest numbers are the sample, in that order. So the sample is the same however the corpus is
laid out in files, and in one pass with memory for twice the sample. A source's weight w divides
the number (-log(u) / w: Efraimidis and Spirakis 2006, weighted sampling without replacement), so
that its documents are drawn w times as readily.

Nothing is lost silently: bytes seen = bytes used + bytes left out, by reason.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dataprep.contract import iterate_tables
from launch.store import Location
from tokenizer.passages import split_passages

# The trainer's unit. SentencePiece drops a longer "sentence" than its limit with only a line in
# its log (4,192 bytes unless told: lossless.py raises it far above this).
PASSAGE_BYTES_MAX = 1 << 16
# SentencePiece uses U+2585 inside and drops every sentence that holds it (0.2.3, tried
# 2026-11-21): passages are cut there, so that only the character itself is left out.
RESERVED_CHARACTER = "▅".encode()

_COLUMNS = ("id", "content_hash", "text", "source", "language")


@dataclass(frozen=True)
class Document:
    """A drawn document; `passages` is all its text, or what the cap per document allows."""

    key: float
    content_hash: bytes
    id: str
    source: str
    language: str
    text_bytes: int
    passages: tuple[bytes, ...]

    @property
    def drawn_bytes(self) -> int:
        """Bytes of the passages."""
        return sum(map(len, self.passages))


@dataclass(frozen=True)
class Draw:
    """What was drawn, smallest key first, and of how much."""

    documents: tuple[Document, ...]
    documents_seen: int
    bytes_seen: int


def draw(
    directory: Location,
    files: Sequence[str],
    *,
    seed: int,
    purpose: str,
    bytes_max: int,
    document_bytes_max: int | None = None,
    weights: Mapping[str, float] | None = None,
) -> Draw:
    """Draw documents from Parquet `files` below `directory` until they hold `bytes_max` bytes.

    The last document may pass the limit by its own length. Of a document longer than
    `document_bytes_max` a random choice of its passages is taken, in their order. `purpose` makes
    draws for different uses independent; sources without a weight have weight 1.
    """
    candidates: list[Document] = []
    candidate_bytes = documents_seen = bytes_seen = 0
    cutoff = math.inf
    tail = seed.to_bytes(8, "little") + purpose.encode()
    for table in iterate_tables(directory, files, _COLUMNS):
        documents_seen += table.num_rows
        bytes_seen += pc.sum(pc.binary_length(table["text"])).as_py() or 0
        hashes: list[bytes] = table["content_hash"].to_pylist()
        sources: list[str] = table["source"].to_pylist()
        weight_of = {source: (weights or {}).get(source, 1.0) for source in set(sources)}
        keys = [
            _key(content_hash + tail, weight_of[source])
            for content_hash, source in zip(hashes, sources, strict=True)
        ]
        chosen = [row for row, key in enumerate(keys) if key <= cutoff]
        rows = table.take(pa.array(chosen, pa.int64()))
        texts = rows["text"].cast(pa.large_binary()).to_pylist()
        ids, languages = rows["id"].to_pylist(), rows["language"].to_pylist()
        for index, row in enumerate(chosen):
            text = texts[index]
            document = Document(
                key=keys[row],
                content_hash=hashes[row],
                id=ids[index],
                source=sources[row],
                language=languages[index],
                text_bytes=len(text),
                passages=_capped(text, hashes[row] + tail, document_bytes_max),
            )
            candidates.append(document)
            candidate_bytes += document.drawn_bytes
        if candidate_bytes > 2 * bytes_max:
            candidates = _first(candidates, bytes_max)
            candidate_bytes = sum(document.drawn_bytes for document in candidates)
            cutoff = candidates[-1].key
    return Draw(tuple(_first(candidates, bytes_max)), documents_seen, bytes_seen)


def sentences(documents: Sequence[Document]) -> Iterator[bytes]:
    """What the trainer is fed: no line ends at the end (its binding strips them), nothing empty."""
    for document in documents:
        for passage in document.passages:
            for part in passage.split(RESERVED_CHARACTER):
                sentence = part.rstrip(b"\r\n")
                if sentence:
                    yield sentence


def describe(drawn: Draw, seed: int) -> dict[str, Any]:
    """The sample's facts: bytes seen, used, and left out by reason; a digest of its text."""
    digest = xxhash.xxh3_128()
    num_sentences = bytes_used = 0
    for sentence in sentences(drawn.documents):
        digest.update(len(sentence).to_bytes(8, "little") + sentence)
        num_sentences += 1
        bytes_used += len(sentence)
    text_bytes = sum(document.text_bytes for document in drawn.documents)
    drawn_bytes = sum(document.drawn_bytes for document in drawn.documents)
    reserved_bytes = sum(
        len(RESERVED_CHARACTER) * passage.count(RESERVED_CHARACTER)
        for document in drawn.documents
        for passage in document.passages
    )
    left_out = {
        "beyond_sample": drawn.bytes_seen - text_bytes,
        "beyond_document_cap": text_bytes - drawn_bytes,
        "reserved_character": reserved_bytes,
        "line_ends_of_passages": drawn_bytes - reserved_bytes - bytes_used,
    }
    assert min(left_out.values()) >= 0, left_out
    assert drawn.bytes_seen == bytes_used + sum(left_out.values()), left_out
    return {
        "seed": seed,
        "documents_seen": drawn.documents_seen,
        "documents_used": len(drawn.documents),
        "bytes_seen": drawn.bytes_seen,
        "bytes_used": bytes_used,
        "bytes_left_out": left_out,
        "sentences": num_sentences,
        "digest": f"xxh3_128:{digest.hexdigest()}",
    }


def _key(content: bytes, weight: float) -> float:
    # Uniform in (0, 1]: 0 has no logarithm.
    uniform = (xxhash.xxh3_64_intdigest(content) + 1) / 2**64
    return -math.log(uniform) / weight


def _capped(text: bytes, salt: bytes, bytes_max: int | None) -> tuple[bytes, ...]:
    if bytes_max is None or len(text) <= bytes_max:
        return tuple(split_passages(text, PASSAGE_BYTES_MAX))
    passages = split_passages(text, min(PASSAGE_BYTES_MAX, bytes_max))
    order = sorted(
        range(len(passages)),
        key=lambda index: xxhash.xxh3_64_intdigest(salt + index.to_bytes(8, "little")),
    )
    taken: list[int] = []
    taken_bytes = 0
    for index in order:
        if taken_bytes + len(passages[index]) <= bytes_max:
            taken.append(index)
            taken_bytes += len(passages[index])
    return tuple(passages[index] for index in sorted(taken))


def _first(documents: list[Document], bytes_max: int) -> list[Document]:
    """The documents of smallest key that together reach `bytes_max`, in order."""
    # Equal texts (exact duplicates kept by the recipe) tie in key and hash; ids are unique.
    documents.sort(key=lambda document: (document.key, document.content_hash, document.id))
    total = 0
    for count, document in enumerate(documents):
        if total >= bytes_max:
            return documents[:count]
        total += document.drawn_bytes
    return documents
