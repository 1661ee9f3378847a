"""Good text for an n-gram model: from the files that a recipe names to what is learnt and held out.

In: JSONL files (also .gz, .zst). Out: every text once, normalized as documents are, in an order
that text and seed decide, never files. A tenth is held out. Of more text than is wanted the first
of that order are taken, which is a random sample; each file is read to its end, and nothing is held
in memory but what may still be taken.
"""

import gzip
import heapq
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import xxhash
import zstandard

from dataprep.config import Normalize
from dataprep.config_perplexity import PerplexityTraining
from dataprep.models.ngram_words import words
from dataprep.text.normalize import normalize
from launch.errors import UserError

HELD_OUT_FRACTION = 0.1
WORDS_MIN = 10_000
# Terciles of fewer say nothing.
HELD_OUT_MIN = 3
_BATCH_BYTES = 1 << 24


@dataclass(frozen=True)
class Texts:
    """Normalized texts (large_string) to learn from, and those held out; how many were given."""

    training: pa.Array
    held_out: pa.Array
    num_given: int


def files(table: PerplexityTraining, where: str) -> list[Path]:
    """The files of a table, each once, in order. Raises UserError for a glob that finds none."""
    found: dict[Path, None] = {}
    for pattern in table.paths:
        # Path.glob takes no absolute pattern.
        paths = sorted(glob(pattern, recursive=True))  # noqa: PTH207
        if not paths:
            raise UserError(f"{where}.paths", f"'{pattern}', which finds no file", "JSONL files")
        found |= dict.fromkeys(map(Path, paths))
    return list(found)


def read_texts(
    table: PerplexityTraining, where: str, seed: int, bytes_max: int, config: Normalize
) -> Texts:
    """The texts of a table, up to `bytes_max` of them.

    Raises UserError for a file that cannot be read, a line that is no JSON object, a column that is
    missing or holds no text, and for too little text.
    """
    suffix = seed.to_bytes(8, "little")
    # By draw, the largest first out; the texts themselves lie beside the heap.
    heap: list[tuple[int, int]] = []
    taken: dict[int, str] = {}
    num_bytes = num_given = 0
    for text in _normalized(table, where, config):
        content = text.encode()
        num_given += 1
        draw = xxhash.xxh3_64_intdigest(content + suffix)
        if draw in taken or (num_bytes >= bytes_max and -draw < heap[0][0]):
            continue
        taken[draw] = text
        heapq.heappush(heap, (-draw, len(content)))
        num_bytes += len(content)
        while num_bytes - heap[0][1] >= bytes_max:
            last, size = heapq.heappop(heap)
            del taken[-last]
            num_bytes -= size
    ordered = [taken[draw] for draw in sorted(taken)]
    num_held_out = int(len(ordered) * HELD_OUT_FRACTION)
    parts = (ordered[num_held_out:], ordered[:num_held_out])
    training, held_out = (pa.array(part, pa.large_string()) for part in parts)
    num_words = count_words(training)
    if num_words < WORDS_MIN or num_held_out < HELD_OUT_MIN:
        least = round(HELD_OUT_MIN / HELD_OUT_FRACTION)
        raise UserError(
            f"{where}.paths", f"{len(ordered):,} different texts with {num_words:,} words",
            f"at least {least} texts and {WORDS_MIN:,} words of '{table.language}'",
        )  # fmt: skip
    return Texts(training, held_out, num_given)


def count_words(texts: pa.Array) -> int:
    """How many words texts have in all."""
    return sum(len(text.split()) for text in words(texts).to_pylist())


def _normalized(table: PerplexityTraining, where: str, config: Normalize) -> Iterator[str]:
    """Every text of the files that is not blank, normalized."""
    batch: list[str] = []
    size = 0
    for path in files(table, where):
        for text in _read(table, path, where):
            batch.append(text)
            size += len(text)
            if size >= _BATCH_BYTES:
                yield from normalize(pa.array(batch, pa.large_string()), config).to_pylist()
                batch, size = [], 0
    if batch:
        yield from normalize(pa.array(batch, pa.large_string()), config).to_pylist()


def _read(table: PerplexityTraining, path: Path, where: str) -> Iterator[str]:
    number = 0
    try:
        with _open(path) as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    text = _text(line, table.text_column, f"{path}:{number}", where)
                    if text.strip():
                        yield text
    except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
        got = f"a file that cannot be read ({error})"
        raise UserError(f"{path}:{number + 1}", got, "JSONL, also .gz and .zst") from None


def _text(line: bytes, column: str, place: str, where: str) -> str:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UserError(place, f"a line that is not JSON ({error})", "an object") from None
    value: Any = record
    whole = isinstance(record, Mapping) and column in record
    for part in [column] if whole else column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = ", ".join(sorted(record)) if isinstance(record, Mapping) else "no object"
            expected = f"the one of {where}.text_column"
            raise UserError(place, f"no field '{column}'", expected, f"here: {known[:200]}")
        value = value[part]
    if not isinstance(value, str):
        raise UserError(place, f"'{column}' = {value!r:.40}", "a text")
    return value


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path))  # type: ignore[arg-type]
    if path.suffix in (".zst", ".zstd"):
        return io.BufferedReader(zstandard.open(path, "rb"))
    return path.open("rb")
