"""The directory of annotations: what was answered, in files that a classifier learns from.

    training-*.jsonl.zst      documents with their answers, to learn from
    held_out-*.jsonl.zst      the same, never learnt from: agreement is measured on them
    unanswered-*.jsonl.zst    documents without an answer, and why
    manifest.json             kind "annotations"; facts: counts, by answer and by reason

Which documents are held out is decided by their words as a classifier sees them, so that one that
is learnt from has no twin there.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import xxhash
import zstandard

from dataprep.models.annotation_answers import Answer
from dataprep.models.annotation_sample import Sampled
from dataprep.models.labelled import prepare
from launch.manifest import FileEntry, Input, Manifest, commit_file, write_manifest

KIND = "annotations"
VERSION = 1
TRAINING, HELD_OUT, UNANSWERED = "training", "held_out", "unanswered"
_SALT = b"held out"
_SUFFIX = ".jsonl.zst"


def write(
    directory: Path,
    answers: Sequence[tuple[Sampled, Answer]],
    unanswered: Sequence[tuple[Sampled, str]],
    seed: int,
    held_out_fraction: float,
    config: dict[str, Any],
    inputs: Sequence[Input],
) -> Manifest:
    """Write the files and the manifest; the caller holds the directory's lock."""
    rows: dict[str, list[dict[str, Any]]] = {TRAINING: [], HELD_OUT: [], UNANSWERED: []}
    held_out = _are_held_out([document.text for document, _ in answers], seed, held_out_fraction)
    for (document, answer), apart in zip(answers, held_out, strict=True):
        rows[HELD_OUT if apart else TRAINING].append(
            {
                "id": document.id,
                "content_hash": document.content_hash.hex(),
                "text": document.text,
                "answer": answer.value,
                "score": answer.score,
                "positive": answer.positive,
            }
        )
    rows[UNANSWERED] = [
        {"id": document.id, "content_hash": document.content_hash.hex(), "reason": reason}
        for document, reason in unanswered
    ]
    entries = tuple(_write_rows(directory, name, own) for name, own in rows.items())
    facts = {
        "documents": len(answers) + len(unanswered),
        "answered": len(answers),
        "positive": sum(answer.positive for _, answer in answers),
        "answers": _ordered(_bin(answer.value) for _, answer in answers),
        "unanswered": _ordered(reason for _, reason in unanswered),
    }
    manifest = Manifest(KIND, VERSION, config, tuple(inputs), entries, facts)
    write_manifest(directory, manifest)
    return manifest


def part(manifest: Manifest, directory: Path, name: str) -> Path:
    """The file of one part: TRAINING, HELD_OUT or UNANSWERED."""
    (found,) = (entry.path for entry in manifest.files if entry.path.startswith(f"{name}-"))
    return directory / found


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a part."""
    with io.BufferedReader(zstandard.open(path, "rb")) as stream:
        for line in stream:
            yield orjson.loads(line)


def words_of(texts: Sequence[str]) -> list[str]:
    """Texts as a classifier sees them: prepared, one blank between words."""
    prepared = prepare(pa.array(texts, pa.large_string())).to_pylist()
    return [" ".join(text.split()) for text in prepared]


def _are_held_out(texts: Sequence[str], seed: int, fraction: float) -> list[bool]:
    suffix = seed.to_bytes(8, "little") + _SALT
    bound = fraction * 2.0**64
    return [xxhash.xxh3_64_intdigest(words.encode() + suffix) < bound for words in words_of(texts)]


def _write_rows(directory: Path, name: str, rows: Sequence[dict[str, Any]]) -> FileEntry:
    temporary = directory / f".{name}.tmp"
    with zstandard.open(temporary, "wb") as stream:
        for row in rows:
            stream.write(orjson.dumps(row) + b"\n")
    return commit_file(temporary, directory, name, _SUFFIX, len(rows))


def _bin(value: float | str) -> str:
    """An answer as people count it: a class, or a score rounded to a whole number."""
    return value if isinstance(value, str) else f"{round(value)}"


def _ordered(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
