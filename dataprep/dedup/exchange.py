"""The exchange: one Parquet file per shard, cut into partitions by row group.

A task that maps a shard writes rows for all partitions; a task that reduces a partition reads its
part of every shard's file and nothing else. A file holds rounds of exactly `num_partitions` row
groups, in order, so that row group g belongs to partition g mod num_partitions. One file per shard
is one rename per shard, and S + P open files instead of S x P.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.sealed import open_sealed, sealed_writer

_ROUND_BYTES = 64 * 2**20


def partition_of(hashes: npt.NDArray[np.uint64], num_partitions: int) -> npt.NDArray[np.uint64]:
    """The partition of each 64-bit hash: ranges of equal width, ascending."""
    return ((hashes >> np.uint64(32)) * np.uint64(num_partitions)) >> np.uint64(32)


class ExchangeWriter:
    """Takes rows of known partition and writes them round by round, in bounded memory."""

    def __init__(self, writer: pq.ParquetWriter, num_partitions: int) -> None:
        self._writer = writer
        self._num_partitions = num_partitions
        self._tables: list[pa.Table] = []
        self._partitions: list[npt.NDArray[np.generic]] = []
        self._bytes = 0

    def add(self, table: pa.Table, partitions: npt.NDArray[np.generic]) -> None:
        """Take rows, with the partition (0 to num_partitions - 1, shape [rows]) of each."""
        assert table.num_rows == len(partitions), "one partition for each row"
        # Numbers of 16 bits are sorted by radix, ten times as fast.
        small = np.uint16 if self._num_partitions <= 1 << 16 else np.int64
        self._tables.append(table)
        self._partitions.append(partitions.astype(small))
        self._bytes += table.nbytes
        if self._bytes >= _ROUND_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was taken as one round of row groups."""
        if not self._tables:
            return
        table = pa.concat_tables(self._tables)
        partitions = np.concatenate(self._partitions)
        self._tables, self._partitions, self._bytes = [], [], 0
        order = np.argsort(partitions, kind="stable")
        table = table.take(pa.array(order))
        sizes = np.bincount(partitions, minlength=self._num_partitions)
        ends = np.concatenate(([0], np.cumsum(sizes)))
        for start, stop in itertools.pairwise(ends.tolist()):
            part = table.slice(start, stop - start)
            self._writer.write_table(part, row_group_size=max(1, part.num_rows))


@contextmanager
def open_exchange(path: Path, schema: pa.Schema, num_partitions: int) -> Iterator[ExchangeWriter]:
    """A writer of `path`; the file has its name when the block has ended without an error."""
    with sealed_writer(path, schema) as parquet:
        writer = ExchangeWriter(parquet, num_partitions)
        yield writer
        writer.flush()


def read_partition(
    paths: Iterable[Path],
    partition: int,
    num_partitions: int,
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The rows of one partition from every file, in the order of the paths; `columns` None means
    all. Raises `UserError` naming a file that is damaged."""
    names = schema.names if columns is None else columns
    tables = [schema.empty_table().select(names)]
    tables += iterate_partition(paths, partition, num_partitions, names)
    return pa.concat_tables(tables).combine_chunks()


def iterate_partition(
    paths: Iterable[Path], partition: int, num_partitions: int, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """As `read_partition`, one row group at a time."""
    for path in paths:
        with open_sealed(path) as piece:
            for group in range(partition, piece.num_row_groups, num_partitions):
                if piece.group_rows(group):
                    yield piece.read([group], columns)
