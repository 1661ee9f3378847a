"""Encoded corpora to measure with, in temporary directories that are gone at the end."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from pyarrow import parquet

from benchmarks.documents import texts
from launch.manifest import FileEntry, Manifest, digest_file, write_manifest
from tokenizer.indexed import write_index

SPEED_TOKENS = 40_000_000

Numbers = npt.NDArray[Any]


@cache
def speed_corpus() -> Path:
    """Documents of 20 to 4,000 tokens, log-normal about 600, in one shard."""
    random = np.random.default_rng(1)
    lengths = np.clip(random.lognormal(6.4, 1.0, 200_000), 20, 4_000).astype(np.int64)
    lengths = lengths[np.cumsum(lengths) <= SPEED_TOKENS]
    tokens = random.integers(1, 32_000, lengths.sum(), dtype=np.uint16)
    tokens[np.cumsum(lengths) - 1] = 0
    documents = np.split(tokens, np.cumsum(lengths)[:-1])
    return write_corpus({"only": documents}, 32_000)


@cache
def text_corpus() -> Path:
    """Real texts, their words as tokens: English pages, Chinese documentation, manual pages."""
    sets = {"en": ("en_c4", "en_wiki"), "man": ("en_manpages",), "zh": ("zh_docs",)}
    documents = {
        source: [_as_tokens(text) for name in names for text in texts(name) if text]
        for source, names in sets.items()
    }
    return write_corpus(documents, 65_000)


def _as_tokens(text: str) -> Numbers:
    """Words, or pairs of characters where there are no spaces, as tokens by a hash."""
    if text.isascii():
        pieces = text.split()
    else:
        pieces = [text[place : place + 2] for place in range(0, len(text), 2)]
    found = [1 + xxhash.xxh3_64_intdigest(piece.encode()) % 64_998 for piece in pieces]
    return np.array([*found, 0], np.uint16)


def write_corpus(sources: dict[str, list[Numbers]], vocabulary: int) -> Path:
    """A finished `tokens/` with one shard; it lies in a temporary directory until the end."""
    root = Path(tempfile.mkdtemp(prefix="gristmill-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    directory = root / "tokens"
    (directory / "train").mkdir(parents=True)
    stem = directory / "train" / "shard-00000-0"
    documents = [document for found in sources.values() for document in found]
    lengths = np.array([len(document) for document in documents], np.int32)
    np.concatenate(documents).astype("<u2").tofile(f"{stem}.bin")
    write_index(Path(f"{stem}.idx"), lengths, np.dtype(np.uint16))
    names = [name for name, found in sources.items() for _ in found]
    table = pa.table({
        "id": [f"{name}:{row}" for row, name in enumerate(names)], "source": names,
        "tokens": pa.array(lengths, pa.int32()), "text_bytes": pa.array(lengths.astype(np.int64)),
    })  # fmt: skip
    parquet.write_table(table, f"{stem}.parquet")
    counts = {
        name: {"documents": len(found), "tokens": sum(map(len, found)), "text_bytes": 1}
        for name, found in sources.items()
    }
    nothing = {"documents": 0, "tokens": 0, "text_bytes": 0}
    total = {key: sum(entry[key] for entry in counts.values()) for key in nothing}
    files = tuple(
        FileEntry(f"train/{path.name}", None, path.stat().st_size, digest_file(path))
        for path in sorted((directory / "train").iterdir())
    )
    facts = {
        "tokenizer_digest": "x", "dtype": "uint16", "eod_id": 0, "vocab_size": vocabulary,
        "padded_vocab_size": 65_536, "splits": {"train": total, "valid": nothing},
        "by_source": {"train": dict(sorted(counts.items())), "valid": {}},
    }  # fmt: skip
    write_manifest(directory, Manifest("tokens", 1, {}, (), files, facts))
    return root
