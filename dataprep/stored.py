"""The documents of a finished directory, shard by shard, in the order in which they were read.

The writer parts the rows of a shard; `scored/` remembers where each went. In: the manifest's files.
Out: tables with the same rows as the batches of the pass had, so that what is made from them again
is the same, byte for byte.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.contract import PARTS
from launch.errors import UserError
from launch.manifest import Manifest

_NUMBERED = re.compile(r"(.+)/part-([0-9]+)-[^/]*\.parquet")
SCORED, QUARANTINE, CUTS = "scored", "quarantine", "cuts"


@dataclass(frozen=True)
class StoredShard:
    """The files of one shard by what they are: a name of `PARTS`, scored, cuts or quarantine."""

    files: dict[str, Path] = field(default_factory=dict)


def stored_shards(directory: Path, manifest: Manifest) -> list[StoredShard]:
    """The files of each shard, in order.

    Raises UserError if the directory has no `scored/`: an older version wrote it.
    """
    if "shards" not in manifest.facts:
        raise UserError(
            str(directory), "no stored scores (an older version wrote it)", "a newer directory",
            "run it again: gristmill dataprep run RECIPE --force",
        )  # fmt: skip
    shards = [StoredShard() for _ in range(manifest.facts["shards"])]
    for entry in manifest.files:
        match = _NUMBERED.fullmatch(entry.path)
        if match is not None:
            shards[int(match[2])].files[match[1]] = directory / entry.path
    return shards


def read_stored(
    shard: StoredShard, columns: Sequence[str] | None = None, scored: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The documents of a shard, one table for each batch of the pass, in the order as read.

    `columns` are those wanted of the documents, `scored` those of `scored/`; None
    means all. Memory: one row group of each part.
    """
    if SCORED not in shard.files:
        return
    names = None if scored is None else ["part", *scored]
    streams = [_Rows(shard.files.get(name), columns) for name in PARTS]
    with pq.ParquetFile(shard.files[SCORED]) as file:
        for group in range(file.num_row_groups):
            batch = file.read_row_group(group, columns=names)
            codes = batch["part"].to_numpy()
            order = np.argsort(codes, kind="stable")
            place = np.empty(len(codes), np.int64)
            place[order] = np.arange(len(codes))
            sizes = np.bincount(codes, minlength=len(PARTS)).tolist()
            taken = [stream.take(size) for stream, size in zip(streams, sizes, strict=True) if size]
            table = pa.concat_tables(taken).take(pa.array(place))
            for name in batch.schema.names[1:]:
                table = table.append_column(batch.schema.field(name), batch[name])
            yield table.combine_chunks()


class _Rows:
    """The rows of one Parquet file, taken in order in pieces of any size."""

    def __init__(self, path: Path | None, columns: Sequence[str] | None) -> None:
        self._tables = iter(()) if path is None else _row_groups(path, columns)
        self._waiting: pa.Table | None = None

    def take(self, num_rows: int) -> pa.Table:
        """The next rows; that there are as many is the manifest's promise."""
        pieces = []
        while num_rows:
            if self._waiting is None or not self._waiting.num_rows:
                self._waiting = next(self._tables)
            piece = self._waiting.slice(0, num_rows)
            self._waiting = self._waiting.slice(piece.num_rows)
            num_rows -= piece.num_rows
            pieces.append(piece)
        return pa.concat_tables(pieces)


def _row_groups(path: Path, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns, use_threads=False)
