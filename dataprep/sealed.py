"""Files of the working directory and of indexes: no bit of them can change unnoticed.

A piece is a Parquet file with a table of digests between its last row group and its footer, where
every Parquet reader passes over them:

    row groups | start and xxh3_64 of each | their number | xxh3_64 of this and the footer | footer

Parquet's own page checksums leave page headers and footer out: of 8,664 bits of a small file 9
could be flipped to read other rows without an error (2026-11-24). The digest of a
row group is checked when it is read, that of the footer when the file is opened. Arrays and JSON
values end in a digest of their own.
"""

import itertools
import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from dataprep.workspace import committed
from launch.errors import UserError

_MAGIC = b"PAR1"
_DIGEST_BYTES = 8
_REMOVE = (
    "remove exactly this file and start again: it is made anew, and the run goes on from there"
)


class SealedFile:
    """An open piece: `num_row_groups`, `metadata` of its schema, and rows that are checked.

    `hint` is what to tell the user if it is damaged.
    """

    def __init__(self, path: Path, hint: str = _REMOVE) -> None:
        self._path = path
        self._hint = hint
        with pa.memory_map(str(path)) as stream:
            self._buffer = stream.read_buffer()
        self._view = memoryview(self._buffer)
        self._starts, self._digests = self._table()
        try:
            self._file = pq.ParquetFile(pa.BufferReader(self._buffer))
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, hint) from error
        if self._file.num_row_groups != len(self._digests):
            raise damaged(path, hint)

    def _table(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        view, size = self._view, len(self._view)
        if size < 32 or bytes(view[-4:]) != _MAGIC:
            raise damaged(self._path, self._hint)
        footer = size - 8 - int.from_bytes(view[-8:-4], "little")
        counted = footer - _DIGEST_BYTES - 8
        if counted < 4:
            raise damaged(self._path, self._hint)
        num_groups = int.from_bytes(view[counted : counted + 8], "little")
        first = counted - 16 * num_groups
        if first < 4:
            raise damaged(self._path, self._hint)
        state = xxhash.xxh3_64(view[first : counted + 8])
        state.update(view[footer:])
        if state.digest() != bytes(view[counted + 8 : footer]):
            raise damaged(self._path, self._hint)
        table = np.frombuffer(view[first:counted], "<u8").reshape(-1, 2)
        starts = np.append(table[:, 0], np.uint64(first)).astype(np.int64)
        return starts, table[:, 1]

    @property
    def num_row_groups(self) -> int:
        return len(self._digests)

    @property
    def num_rows(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def parquet_metadata(self) -> pq.FileMetaData:
        return self._file.metadata

    @property
    def metadata(self) -> dict[str, str]:
        found = self._file.schema_arrow.metadata or {}
        return {key.decode(): value.decode() for key, value in found.items()}

    def group_rows(self, group: int) -> int:
        return int(self._file.metadata.row_group(group).num_rows)

    def read(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of these row groups. Raises `UserError` naming the file if it is damaged."""
        for group in groups:
            start, stop = self._starts[group], self._starts[group + 1]
            if xxhash.xxh3_64_intdigest(self._view[start:stop]) != self._digests[group]:
                raise damaged(self._path, self._hint)
        return self._file.read_row_groups(groups, columns=columns, use_threads=False)


@contextmanager
def open_sealed(path: Path) -> Iterator[SealedFile]:
    """The one way to read a piece. Raises `UserError` naming the file if it is damaged."""
    piece = SealedFile(path)
    try:
        yield piece
    finally:
        piece._file.close()


def read_sealed(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    with open_sealed(path) as piece:
        return piece.read(range(piece.num_row_groups), columns)


@contextmanager
def sealed_writer(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """The one way to write a piece; it has its name when the block has ended without an error.

    Read once, soon and whole: speed counts, and hashes and texts make no dictionary.
    """
    chosen = {"compression": "lz4", "use_dictionary": False, "write_statistics": False} | options
    with committed(path) as temporary:
        with pq.ParquetWriter(temporary, schema, **chosen) as writer:
            yield writer
        seal(temporary)


def write_sealed(path: Path, table: pa.Table, **options: Any) -> None:
    with sealed_writer(path, table.schema, **options) as writer:
        writer.write_table(table, row_group_size=max(1, table.num_rows))


def seal(path: Path) -> None:
    """Put the table of digests before the footer of a Parquet file that nobody has named yet."""
    metadata = pq.read_metadata(path)
    with path.open("r+b") as stream:
        stream.seek(-8, 2)
        ending = stream.read()
        footer = stream.tell() - 8 - int.from_bytes(ending[:4], "little")
        stream.seek(footer)
        footer_bytes = stream.read()
        starts = _group_starts(metadata, footer)
        digests = []
        for start, stop in itertools.pairwise([*starts, footer]):
            stream.seek(start)
            state = xxhash.xxh3_64()
            while start < stop:
                block = stream.read(min(stop - start, 1 << 22))
                state.update(block)
                start += len(block)
            digests.append(state.intdigest())
        table = b"".join(struct.pack("<QQ", *pair) for pair in zip(starts, digests, strict=True))
        table += struct.pack("<Q", len(digests))
        stream.seek(footer)
        stream.write(table + xxhash.xxh3_64_digest(table + footer_bytes) + footer_bytes)


def _group_starts(metadata: pq.FileMetaData, footer: int) -> list[int]:
    """Where the bytes of each row group begin; one without rows has none. The first begins with
    the file."""
    starts = [footer] * metadata.num_row_groups
    following = footer
    for group in reversed(range(metadata.num_row_groups)):
        row_group = metadata.row_group(group)
        if row_group.num_rows:
            column = row_group.column(0)
            following = column.data_page_offset
            if column.has_dictionary_page and column.dictionary_page_offset is not None:
                following = min(following, column.dictionary_page_offset)
        starts[group] = following
    return [0, *starts[1:]] if starts else []


def write_array(path: Path, values: npt.NDArray[np.int64]) -> None:
    """A mapped array of int64 and its digest."""
    content = np.ascontiguousarray(values, "<i8").data
    with committed(path) as temporary, temporary.open("wb") as stream:
        stream.write(content)
        stream.write(xxhash.xxh3_64_digest(content))


def map_array(path: Path) -> npt.NDArray[np.int64]:
    """What `write_array` wrote, mapped read-only."""
    with pa.memory_map(str(path)) as stream:
        view = memoryview(stream.read_buffer())
    if len(view) < _DIGEST_BYTES or len(view) % 8:
        raise damaged(path)
    if xxhash.xxh3_64_digest(view[:-_DIGEST_BYTES]) != bytes(view[-_DIGEST_BYTES:]):
        raise damaged(path)
    return np.frombuffer(view[:-_DIGEST_BYTES], "<i8")


def write_json(path: Path, value: Any) -> None:
    """A JSON value and its digest, a line each."""
    content = json.dumps(value).encode()
    with committed(path) as temporary:
        temporary.write_bytes(content + b"\n" + xxhash.xxh3_64_hexdigest(content).encode())


def read_json(path: Path) -> Any:
    content, _, digest = path.read_bytes().rpartition(b"\n")
    if xxhash.xxh3_64_hexdigest(content).encode() != digest:
        raise damaged(path)
    return json.loads(content)


def damaged(path: Path, hint: str = _REMOVE) -> UserError:
    got = "damaged bytes (a failing disk, or somebody changed the file)"
    return UserError(str(path), got, "the bytes that were written", hint)
