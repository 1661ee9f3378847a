"""The directory `documents/`: what dataprep promises to whoever reads it.

    kept/train/*.parquet    documents to train on
    kept/valid/*.parquet    documents set aside for validation
    dropped/*.parquet       documents with the step, rule, value and threshold that dropped them
    quarantine/*.parquet    records that could not be read: place, digest, reason; no content
    scored/*.parquet        where each document went and what duplicates are found by: for `retune`
    cuts/*.parquet          pieces that were cut out of documents which stay, if the recipe cuts any
    report.json, report.html

`manifest.json` names every file; a file that it does not name does not exist. The functions here
are all that the tokenizer needs to know of dataprep.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from launch.manifest import Manifest, read_manifest
from launch.store import Location, join, open_random

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "documents"
VERSION = 1

# Shingling 2: lower case, `\w+` words in a row joined by one space (five unless the recipe says
# otherwise); for Chinese and Japanese white space removed, characters in a row (five likewise). A
# document with fewer units than a shingle has one shingle, all of them (shingling 1: none, else the
# same). An index of shingles carries its version.
SHINGLING_VERSION = 2

Split = Literal["train", "valid"]
PARTS = ("kept/train", "kept/valid", "dropped")


def document_fields() -> "tuple[pa.Field, ...]":
    """The columns of every kept and dropped document, beside the signals `{step}_{signal}`.

    `content_hash` is xxh3_128 of the UTF-8 text as it was read: it, not the id, decides split,
    draws and ties. `removed_bytes` holds, by step, bytes of text removed (negative: added), so
    that the length of `text` plus all of them is the length as read.
    """
    # Imported here: "is this stage up to date" is answered without loading pyarrow.
    import pyarrow as pa

    return (
        pa.field("id", pa.string(), nullable=False),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("license", pa.string()),
        pa.field("meta", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("language_score", pa.float32(), nullable=False),
        pa.field("cluster_id", pa.string()),
        pa.field("cluster_size", pa.int64()),
        pa.field("cluster_weight", pa.float32()),
        pa.field("survivor_id", pa.string()),
        pa.field("survivor_jaccard", pa.float32()),
        pa.field("rights_cluster_license", pa.string()),
        pa.field("rights_cluster_id", pa.string()),
        pa.field("drop_reason", pa.string()),
        pa.field("drop_value", pa.float64()),
        pa.field("drop_threshold", pa.float64()),
        pa.field("removed_bytes", pa.map_(pa.string(), pa.int64()), nullable=False),
    )


def quarantine_schema() -> "pa.Schema":
    """The columns of quarantine: where a record lies and why it was refused, never what it says.

    `offset` and `length` are bytes in the decompressed file (null where a file has no bytes of its
    own for a row, as in Parquet); `row` counts records of the file from 0.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("path", pa.string(), nullable=False),
            pa.field("offset", pa.int64()),
            pa.field("row", pa.int64()),
            pa.field("length", pa.int64()),
            pa.field("digest", pa.string()),
            pa.field("reason", pa.string(), nullable=False),
        ]
    )


def piece_schema() -> "pa.Schema":
    """The columns of `cuts/`: pieces of text that stand in another document or earlier in the same.

    `row` counts the documents of the shard (its number is the part's) from 0, as `scored/` has
    them; `step` is spans or substrings; `start` counts bytes of the text as that step found it,
    before any of its own cuts; `survivor_id` is the document in which the piece stands first.
    Pieces put back in the order of `start`, substrings before spans, give the text as it was
    compared.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("row", pa.int64(), nullable=False),
            pa.field("step", pa.string(), nullable=False),
            pa.field("start", pa.int64(), nullable=False),
            pa.field("text", pa.large_string(), nullable=False),
            pa.field("survivor_id", pa.string(), nullable=False),
        ]
    )


def stands_beside(column: str) -> bool:
    """Whether a column of the chain is written to `scored/`, not into the documents.

    `signature_*` is what duplicates are found by, null for dropped documents; `*_empty` (bool) says
    which step left nothing of a text. `scored/` holds one row for each document of a shard, in the
    order as read; beside these columns `part` (int8), the place in `PARTS` of where the document
    went, and `text_bytes` (int64). Its row groups are the batches of the pass, so that the shard
    can be put together again as it was.
    """
    return column.startswith("signature_") or column.endswith("_empty")


def open_documents(directory: Location) -> Manifest:
    """The manifest of a finished `documents/` directory, on a disk or in an object store.

    Raises UserError if there is none, if it is of another kind or version, or if a file that it
    names is missing or has another size.
    """
    return read_manifest(directory, KIND, VERSION)


def kept_files(manifest: Manifest, split: Split) -> list[str]:
    """Paths of the kept documents of one split, relative to the directory, in order."""
    return _files_under(manifest, f"kept/{split}/")


def dropped_files(manifest: Manifest) -> list[str]:
    """Paths of the dropped documents, relative to the directory, in order."""
    return _files_under(manifest, "dropped/")


def quarantine_files(manifest: Manifest) -> list[str]:
    """Paths of the quarantine's files, relative to the directory, in order."""
    return _files_under(manifest, "quarantine/")


def scored_files(manifest: Manifest) -> list[str]:
    """Paths of the files of `scored/`, one for each shard, relative to the directory, in order."""
    return _files_under(manifest, "scored/")


def cuts_files(manifest: Manifest) -> list[str]:
    """Paths of the files of `cuts/` (`piece_schema`), relative to the directory, in order."""
    return _files_under(manifest, "cuts/")


def iterate_tables(
    directory: Location, files: Sequence[str], columns: Sequence[str] | None = None
) -> "Iterator[pa.Table]":
    """The rows of `files`, one table per row group, in order; `columns` None means all."""
    import pyarrow.parquet as pq

    for name in files:
        with open_random(str(join(directory, name))) as stream, pq.ParquetFile(stream) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=columns)


def _files_under(manifest: Manifest, prefix: str) -> list[str]:
    return sorted(entry.path for entry in manifest.files if entry.path.startswith(prefix))
