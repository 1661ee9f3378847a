"""The writer: the only place where kept and dropped documents part ways.

In: the staged tables of one shard, every row decided. Out: one Parquet part for each of
kept/train, kept/valid and dropped that has a row, each with the full document schema; one scored
part, which says where each row went; and the counts of what was written. The same rows in the same
tables give the same bytes, so that a task done twice changes nothing.
"""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from dataprep.conservation import ConservationError, Counts, count, merge_counts, new_counts
from dataprep.contract import PARTS, document_fields, quarantine_schema, stands_beside
from dataprep.step import alive
from launch.manifest import FileEntry, commit_file

REMOVED_SUFFIX = "_removed_bytes"
READ_BYTES = "read_bytes"
# Rows are gathered to about this size before they become a row group. It is reckoned from the text
# and the number of rows, not from Arrow's buffers, which may hold the same rows in other sizes.
_ROW_GROUP_BYTES = 64 * 2**20
_ROW_BYTES = 1024
_DICTIONARY_COLUMNS = [
    "source", "license", "language", "drop_reason",
    "rights_evidence", "rights_license", "rights_family",
]  # fmt: skip
# Statistics of text would copy whole documents into the file's footer.
_NO_STATISTICS = {"text", "meta", "removed_bytes", "url"}

BooleanArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Written:
    """Files of one shard, and the counts of their rows (a JSON value; see `count`)."""

    files: tuple[FileEntry, ...]
    counts: Counts = field(default_factory=dict)


def is_valid(content_hashes: pa.Array, seed: int, valid_fraction: float) -> BooleanArray:
    """Shape [rows], bool: which documents are set aside for validation.

    A document's content alone decides, with the run's seed: xxh3_64 of its content hash and the
    seed (8 bytes, little endian), as a fraction of 2^64, is below `valid_fraction`.
    """
    suffix = seed.to_bytes(8, "little")
    draws = (xxhash.xxh3_64_intdigest(value.as_py() + suffix) for value in content_hashes)
    bound = valid_fraction * 2.0**64
    return np.fromiter((draw < bound for draw in draws), np.bool_, len(content_hashes))


def output_schema(staged: pa.Schema) -> pa.Schema:
    """The schema of the written documents: the contract's columns, signals after the language."""
    fields = list(document_fields())
    names = {entry.name for entry in fields}
    signals = [
        entry
        for entry in staged
        if entry.name not in names
        and entry.name != READ_BYTES
        and not stands_beside(entry.name)
        and not entry.name.endswith(REMOVED_SUFFIX)
    ]
    position = 1 + next(i for i, entry in enumerate(fields) if entry.name == "language_score")
    return pa.schema([*fields[:position], *signals, *fields[position:]])


def write_shard(
    tables: Iterable[pa.Table],
    directory: Path,
    scratch: Path,
    shard: int,
    *,
    seed: int,
    valid_fraction: float,
) -> Written:
    """Write the documents of one shard below `directory` and count them.

    `tables` hold the columns of the chain's end; columns that deduplication adds may be missing
    and are then null. `scratch` is a directory on the same file system for unfinished files.
    Memory: one incoming table and three row groups. Raises ConservationError if the bytes of a row
    do not add up.
    """
    parts = {
        name: _Part(scratch / f"{name.replace('/', '-')}-{shard:05d}.{secrets.token_hex(6)}.tmp")
        for name in (*PARTS, "scored")
    }
    scratch.mkdir(parents=True, exist_ok=True)
    counts = new_counts()
    try:
        for staged in tables:
            table = _finish(staged)
            valid = is_valid(table["content_hash"].combine_chunks(), seed, valid_fraction)
            codes = np.where(alive(table), valid.astype(np.int8), np.int8(2))
            for code, name in enumerate(PARTS):
                rows = table.filter(pa.array(codes == code))
                parts[name].add(rows)
                counts = merge_counts([counts, count(rows, name)])
            parts["scored"].add_group(_scored(staged, codes))
        files = tuple(
            commit_file(part.path, directory, f"{name}/part-{shard:05d}", ".parquet", part.num_rows)
            for name, part in parts.items()
            if part.close()
        )
    finally:
        for part in parts.values():
            part.discard()
    return Written(files, counts)


def write_quarantine(
    tables: Iterable[pa.Table], directory: Path, scratch: Path, shard: int
) -> tuple[FileEntry, ...]:
    """Write a shard's unreadable records (contract.quarantine_schema); no file if there is none."""
    scratch.mkdir(parents=True, exist_ok=True)
    part = _Part(scratch / f"quarantine-{shard:05d}.{secrets.token_hex(6)}.tmp")
    try:
        for table in tables:
            part.add(table.select(quarantine_schema().names).cast(quarantine_schema()))
        if not part.close():
            return ()
        stem = f"quarantine/part-{shard:05d}"
        return (commit_file(part.path, directory, stem, ".parquet", part.num_rows),)
    finally:
        part.discard()


class PiecesWriter:
    """Takes from a stream of documents the pieces that were cut out of them, and writes them.

    `files` are those that were committed when the stream has ended; none if there was no piece.
    """

    def __init__(self, directory: Path, scratch: Path, shard: int) -> None:
        self._directory = directory
        self._stem = f"cuts/part-{shard:05d}"
        self._path = scratch / f"cuts-{shard:05d}.{secrets.token_hex(6)}.tmp"
        self.files: tuple[FileEntry, ...] = ()

    def passed_by(self, tables: Iterable[tuple[pa.Table, pa.Table]]) -> Iterator[pa.Table]:
        """The first of each pair; the second are pieces (`contract.piece_schema`)."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = _Part(self._path)
        try:
            for table, pieces in tables:
                part.add(pieces)
                yield table
            if part.close():
                number = part.num_rows
                entry = commit_file(self._path, self._directory, self._stem, ".parquet", number)
                self.files = (entry,)
        finally:
            part.discard()


class _Part:
    """One Parquet file that comes to be when its first row does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0

    def add(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        self.num_rows += table.num_rows
        self._waiting.append(table)
        self._waiting_bytes += table.num_rows * _ROW_BYTES
        if "text" in table.schema.names:
            self._waiting_bytes += pc.sum(pc.binary_length(table["text"])).as_py()
        if self._waiting_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def add_group(self, table: pa.Table) -> None:
        """Add a table that is a row group of its own."""
        self._flush()
        self.add(table)
        self._flush()

    def close(self) -> bool:
        """Finish the file; False if there was never a row."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
        return self._writer is not None

    def discard(self) -> None:
        """Remove what was not committed."""
        if self._writer is not None:
            self._writer.close()
        self.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._waiting_bytes = [], 0
        if self._writer is None:
            names = table.schema.names
            self._writer = pq.ParquetWriter(
                self.path,
                table.schema,
                compression="zstd",
                use_dictionary=[name for name in names if name in _DICTIONARY_COLUMNS],
                write_statistics=[name for name in names if name not in _NO_STATISTICS],
                store_schema=True,
            )
        self._writer.write_table(table, row_group_size=table.num_rows)


def _finish(staged: pa.Table) -> pa.Table:
    """The staged rows in the written schema, removed bytes folded into one map column."""
    schema = output_schema(staged.schema)
    removed = _removed_bytes(staged)
    columns = []
    for entry in schema:
        if entry.name == "removed_bytes":
            columns.append(removed)
        elif entry.name in staged.schema.names:
            columns.append(staged[entry.name].cast(entry.type))
        else:
            assert entry.nullable, f"the staged table has no column {entry.name}"
            columns.append(pa.nulls(staged.num_rows, entry.type))
    return pa.table(columns, schema=schema)


def _scored(staged: pa.Table, codes: npt.NDArray[np.int8]) -> pa.Table:
    """The staged rows as they stand in `scored/` (see `contract.stands_beside`)."""
    table = staged.select([name for name in staged.schema.names if stands_beside(name)])
    text_bytes = pc.binary_length(staged["text"])
    for name, column in (("text_bytes", text_bytes), ("part", pa.array(codes))):
        field = pa.field(name, column.type, nullable=False)
        table = table.add_column(0, field, column)
    return table


def _removed_bytes(staged: pa.Table) -> pa.Array:
    """Map column step -> net bytes removed, without zeros, checked against the bytes as read."""
    names = [name for name in staged.schema.names if name.endswith(REMOVED_SUFFIX)]
    values = np.zeros((staged.num_rows, len(names)), np.int64)
    for position, name in enumerate(names):
        values[:, position] = pc.fill_null(staged[name], 0).to_numpy()
    text_bytes = pc.binary_length(staged["text"]).to_numpy()
    missing = staged[READ_BYTES].to_numpy() - text_bytes - values.sum(axis=1)
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        by_step = dict(zip(names, values[row].tolist(), strict=True))
        raise ConservationError(
            f"document {staged['id'][row].as_py()}: read {staged[READ_BYTES][row].as_py()} bytes, "
            f"has {text_bytes[row]}, removed {by_step}: {missing[row]} bytes unaccounted for"
        )
    rows, columns = np.nonzero(values)
    offsets = np.searchsorted(rows, np.arange(staged.num_rows + 1)).astype(np.int32)
    keys = pa.array([name.removesuffix(REMOVED_SUFFIX) for name in names], pa.string())
    return pa.MapArray.from_arrays(
        pa.array(offsets),
        keys.take(pa.array(columns)),
        pa.array(values[rows, columns]),
        type=pa.map_(pa.string(), pa.int64()),
    )
