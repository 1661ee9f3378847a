"""One file of documents in, one shard of tokens out: the Ray task of `tokenizer encode`.

Memory is bounded by a row group of the input and a batch of text, whatever the file's size. Every
document is decoded from the ids that are written and compared with its text. A finished shard
leaves a receipt in the work directory, last, so that a later start skips it; a second execution
writes the same bytes under the same names.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep.contract import iterate_tables
from launch.manifest import FileEntry, digest_file, digest_json, write_atomic
from launch.store import Location
from tokenizer.contract import Tokenizer, open_tokenizer
from tokenizer.indexed import Reader, Writer, token_dtype

MAP_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("text_bytes", pa.int64(), nullable=False),
    ]
)
COUNTS = ("documents", "tokens", "text_bytes")

_COLUMNS = ("id", "source", "text")
_DIGEST_PREFIX = "xxh3_128:"


@dataclass(frozen=True)
class Part:
    """One task's work. Paths are absolute: a Ray worker has a working directory of its own."""

    documents_directory: Location
    file: str
    tokenizer_directory: Path
    tokens_directory: Path
    stem: str
    """Where the shard goes below the tokens directory, without digest: `train/shard-00000`."""
    work: Path
    batch_bytes: int

    @property
    def receipt(self) -> Path:
        """The file that says that this part is done."""
        return self.work / f"{self.stem.replace('/', '-')}.json"


def encode_part(part: Part) -> dict[str, Any]:
    """Encode one file of documents and commit its shard; the receipt.

    The receipt holds `files` (entries of the manifest; none if there was no document) and
    `sources`: for each, documents, tokens (EOD included) and bytes of text.
    Raises RuntimeError, naming the document, if one does not decode to its text.
    """
    finished = read_receipt(part)
    if finished is not None:
        return finished
    part.work.mkdir(parents=True, exist_ok=True)
    # Ray may start a task again while a lost first execution still writes.
    temporary = part.work / f"{part.receipt.stem}.{os.getpid()}"
    prefixed = {suffix: Path(f"{temporary}{suffix}") for suffix in (".bin", ".idx", ".parquet")}
    tokenizer = open_tokenizer(part.tokenizer_directory)
    dtype = token_dtype(tokenizer.padded_vocab_size)
    sources: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
    with (
        Writer(prefixed[".bin"], prefixed[".idx"], dtype) as writer,
        pq.ParquetWriter(prefixed[".parquet"], MAP_SCHEMA, compression="zstd") as mapping,
    ):
        # One row group of the map for each of the documents: batches do not show in it.
        for table in iterate_tables(part.documents_directory, [part.file], _COLUMNS):
            rows = [
                _encode_batch(batch, tokenizer, writer, sources)
                for batch in _batches(table, part.batch_bytes)
            ]
            if rows:
                mapping.write_table(pa.concat_tables(rows))
    documents, tokens = writer.num_documents, writer.num_tokens
    assert sum(counts["documents"] for counts in sources.values()) == documents
    assert sum(counts["tokens"] for counts in sources.values()) == tokens
    entries = _commit(part, prefixed, tokenizer, writer) if documents else []
    for path in prefixed.values():
        path.unlink(missing_ok=True)
    receipt = {
        "files": [asdict(entry) for entry in entries],
        "sources": {name: sources[name] for name in sorted(sources)},
    }
    write_atomic(part.receipt, json.dumps(receipt, ensure_ascii=False))
    return receipt


def read_receipt(part: Part) -> dict[str, Any] | None:
    """The receipt of a part that was finished before and whose files are there, else None."""
    try:
        receipt: dict[str, Any] = json.loads(part.receipt.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    for entry in receipt["files"]:
        path = part.tokens_directory / entry["path"]
        if not path.exists() or path.stat().st_size != entry["bytes"]:
            return None
    return receipt


def _batches(table: pa.Table, batch_bytes: int) -> Iterator[pa.Table]:
    """Slices of about `batch_bytes` of text, or of one longer document; text as large_binary."""
    lengths = pc.binary_length(table["text"]).to_numpy()
    # A batch begins with the document whose last byte lies in a new multiple of batch_bytes.
    groups = np.cumsum(lengths) // batch_bytes
    starts = np.flatnonzero(np.diff(groups, prepend=-1)).tolist()
    index = table.schema.get_field_index("text")
    texts = table.set_column(index, "text", table["text"].cast(pa.large_binary()))
    for start, end in pairwise([*starts, table.num_rows]):
        yield texts.slice(start, end - start)


def _encode_batch(
    table: pa.Table, tokenizer: Tokenizer, writer: Writer, sources: dict[str, dict[str, int]]
) -> pa.Table:
    """Append the table's documents to `writer`, add to `sources`; the rows of the map."""
    texts: list[bytes] = table["text"].to_pylist()
    ids: list[str] = table["id"].to_pylist()
    names: list[str] = table["source"].to_pylist()
    encoded = tokenizer.encode_batch(texts)
    lengths = np.empty(len(texts), np.int32)
    # Decoded from the narrowed ids, which are what is written.
    stored = [np.append(tokens, tokenizer.eod_id).astype(writer.dtype) for tokens in encoded]
    for row, back in enumerate(tokenizer.decode_batch(stored)):
        if back != texts[row]:
            raise RuntimeError(f"document {ids[row]} does not survive encoding and decoding")
        writer.add(stored[row])
        lengths[row] = stored[row].size
        counts = sources[names[row]]
        counts["documents"] += 1
        counts["tokens"] += stored[row].size
        counts["text_bytes"] += len(texts[row])
    text_bytes = np.fromiter(map(len, texts), np.int64, len(texts))
    return pa.table(
        [table["id"], table["source"], pa.array(lengths), pa.array(text_bytes)], schema=MAP_SCHEMA
    )


def _commit(
    part: Part, prefixed: dict[str, Path], tokenizer: Tokenizer, writer: Writer
) -> list[FileEntry]:
    """Check what lies on disk and give the three files one lasting name."""
    reader = Reader(Path(str(prefixed[".bin"]).removesuffix(".bin")))
    assert (len(reader), reader.num_tokens) == (writer.num_documents, writer.num_tokens)
    assert bool(np.all(reader.last_tokens == tokenizer.eod_id))
    digests = {suffix: digest_file(path) for suffix, path in prefixed.items()}
    assert digests[".bin"] == writer.bin_digest, "the disk gave back other tokens"
    # Megatron's reader takes one prefix for .bin and .idx, so the three share a digest.
    shared = digest_json(digests).removeprefix(_DIGEST_PREFIX)[:12]
    entries = []
    for suffix, path in prefixed.items():
        target = part.tokens_directory / f"{part.stem}-{shared}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        size = path.stat().st_size
        path.replace(target)
        relative = target.relative_to(part.tokens_directory).as_posix()
        entries.append(FileEntry(relative, len(reader), size, digests[suffix]))
    _sync_directory((part.tokens_directory / part.stem).parent)
    return entries


def _sync_directory(directory: Path) -> None:
    # A rename is durable once its directory is: the receipt must not outlive the shard.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
