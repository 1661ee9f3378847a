"""Exact duplicates: documents of one URL, and documents whose text, after all edits, is the same.

Both are compared by xxh3_128, under which 10^10 different documents hold an equal pair with
probability 10^-19. Of equal documents the first in survivor order stays (`survivors`), then the
one with the smallest id: a rule that no order of input can change. Documents of an index are
before all others, and are never dropped.
"""

import itertools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dataprep.arrow_buffers import text_buffers
from dataprep.text.hash_kernels import hash_slices
from dataprep.workspace import INDEX_ROW
from launch.errors import UserError

KEY_SCHEMA = pa.schema(
    [
        pa.field("key_hash", pa.binary(16), nullable=False),
        pa.field("precedence", pa.binary(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
    ]
)
TEXT_SCHEMA = KEY_SCHEMA.append(pa.field("num_shingles", pa.int64(), nullable=False))
IDENTIFIER_SCHEMA = pa.schema(
    [
        pa.field("id_hash", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
    ]
)
DUPLICATE_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("survivor_row", pa.int64(), nullable=False),
        pa.field("survivor_id", pa.string(), nullable=False),
    ]
)


def text_hashes(texts: pa.ChunkedArray | pa.Array) -> pa.Array:
    """xxh3_128 of each text's UTF-8 bytes, big-endian, as fixed-size binary of 16 bytes."""
    data, offsets = text_buffers(texts)
    view = data.data
    digests = [
        xxhash.xxh3_128_digest(view[start:stop])
        for start, stop in itertools.pairwise(offsets.tolist())
    ]
    return pa.array(digests, pa.binary(16))


def hash_halves(hashes: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.uint64]:
    """Shape [rows, 2], uint64: 16-byte hashes as two big-endian halves, in the same order."""
    column = hashes.combine_chunks() if isinstance(hashes, pa.ChunkedArray) else hashes
    assert column.null_count == 0, "hashes are never null"
    words = np.frombuffer(column.buffers()[1], ">u8").astype(np.uint64)
    return words.reshape(-1, 2)[column.offset :][: len(column)]


def identifier_hashes(identifiers: pa.Array) -> npt.NDArray[np.uint64]:
    """Shape [rows], uint64: xxh64 of each id."""
    data, offsets = text_buffers(identifiers.cast(pa.large_string()))
    return hash_slices(offsets, data)


def check_identifiers(identifiers: pa.Table) -> None:
    """Raise `UserError` naming an id that stands on more than one row (`IDENTIFIER_SCHEMA`)."""
    repeated = np.sort(identifiers["id_hash"].to_numpy())
    repeated = np.unique(repeated[1:][repeated[1:] == repeated[:-1]])
    if len(repeated) == 0:
        return
    suspects = identifiers.filter(pc.is_in(identifiers["id_hash"], pa.array(repeated)))
    counts = suspects.group_by("id").aggregate([("id", "count")]).sort_by("id")
    for name, count in zip(*(column.to_pylist() for column in counts.columns), strict=True):
        if count > 1:
            source, _, identifier = name.partition(":")
            raise UserError(
                f"sources.{source}.columns.id",
                f"'{identifier}' on {count} documents",
                "a different id for each record",
                "leave columns.id out: then the file's path and the row make the id",
            )


def duplicates(documents: pa.Table) -> pa.Table:
    """The documents (`KEY_SCHEMA`) that another one of their key survives (`DUPLICATE_SCHEMA`).

    All documents with one key must be in the table.
    """
    # Few keys are there twice: only theirs are sorted in full.
    high = hash_halves(documents["key_hash"])[:, 0]
    order = np.argsort(high)
    same = high[order][1:] == high[order][:-1]
    shared = np.zeros(len(order), np.bool_)
    shared[1:] |= same
    shared[:-1] |= same
    documents = documents.take(pa.array(np.sort(order[shared])))
    fixed = documents["row"].to_numpy() >= INDEX_ROW
    documents = documents.append_column("run", pa.array((~fixed).astype(np.int8)))
    keys = ("key_hash", "run", "precedence", "id", "row")
    documents = documents.sort_by([(name, "ascending") for name in keys]).combine_chunks()
    halves = hash_halves(documents["key_hash"])
    same = np.zeros(len(halves), np.bool_)
    same[1:] = (halves[1:] == halves[:-1]).all(axis=1)
    # The position of each row's group's first row, which survives.
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(same))))
    dropped = same & (documents["row"].to_numpy() < INDEX_ROW)
    survivors = documents.take(pa.array(first[dropped]))
    return pa.table(
        {
            "row": documents["row"].filter(pa.array(dropped)),
            "survivor_row": survivors["row"],
            "survivor_id": survivors["id"],
        },
        schema=DUPLICATE_SCHEMA,
    ).combine_chunks()
