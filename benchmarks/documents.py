"""Documents to measure with: real ones from the developers' data, and any number made of them."""

import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY.parent / "shared" / "data"

_SENTENCE = re.compile(r"[^.!?\n]{30,400}[.!?](?=\s)")


@cache
def texts(name: str) -> tuple[str, ...]:
    """The texts of one set of the developers' data, in order. Raises FileNotFoundError."""
    paths = sorted((DATA / name).glob("*.jsonl.gz"))
    if not paths:
        raise FileNotFoundError(f"{name}: this set lies in shared/data beside the repository")
    found: list[str] = []
    for path in paths:
        with gzip.open(path, "rb") as lines:
            found += [orjson.loads(line)["text"] for line in lines]
    return tuple(found)


def table_of(chosen: Sequence[str]) -> Any:
    """The texts as a table of the readers' schema."""
    import pyarrow as pa

    from dataprep.reading.records import Batch, Record

    batch = Batch("benchmark")
    for row, text in enumerate(chosen):
        batch.add(Record(f"benchmark:{row}", text, None, None, ()))
    return pa.concat_tables([documents for documents, _ in batch.take()]).combine_chunks()


def write_jsonl(path: Path, chosen: Sequence[str]) -> int:
    """Write the texts as JSON lines; their bytes of UTF-8."""
    with path.open("w", encoding="utf-8") as out:
        for text in chosen:
            out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return sum(len(text.encode()) for text in chosen)


@cache
def sentences() -> tuple[str, ...]:
    """Sentences of English prose, to make new documents of."""
    found: list[str] = []
    for name in ("en_gov_news", "en_c4", "en_wiki", "en_books"):
        for text in texts(name):
            found += _SENTENCE.findall(text)
    return tuple(sentence.strip() for sentence in found)


def made_documents(num_bytes: int, seed: int) -> Iterator[bytes]:
    """JSON lines of about `num_bytes` in all: documents of sentences drawn from everywhere.

    Each is new as a whole, of 3 KB or so in paragraphs, and like no other: near-duplicates are
    rare, as they are in text that was deduplicated within its own crawl.
    """
    pool = [orjson.dumps(sentence)[1:-1] for sentence in sentences()]
    draw = random.Random(seed)
    written = 0
    while written < num_bytes:
        number = draw.choice((8, 12, 16, 24, 40))
        drawn = draw.choices(pool, k=number)
        paragraphs = [b" ".join(drawn[place : place + 4]) for place in range(0, number, 4)]
        line = b'{"text":"' + b"\\n\\n".join(paragraphs) + b'"}\n'
        written += len(line)
        yield line
