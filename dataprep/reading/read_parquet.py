"""Parquet files, or runs of their row groups, in record batches; the rows are `arrow_rows`' matter.

A page is decompressed whole, and a page holds at least one value: memory is that of the largest
page and of one batch. Reasons of refusal beside those of the rows: corrupt, unreadable.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.config import Columns
from dataprep.reading.arrow_rows import Rows, check_buffers, find_columns, pick, string_columns
from dataprep.reading.records import BATCH_BYTES, File, Refusal
from launch.store import open_random

_ROWS_MAX = 8192
# Parquet may store once what many rows share. Row groups up to this size are read as dictionaries,
# so that it stays shared (which is faster too); a huge value would be copied twice on the way, so
# larger ones are written out instead, few rows at a time.
_DICTIONARY_BYTES_MAX = 128 << 20
_ROWS_MAX_PLAIN = 64
# Column chunks are read in pieces of this size instead of whole, bytes.
_BUFFER_BYTES = 1 << 20


def read_rows(file: File, columns: Columns) -> Iterator[Rows | Refusal]:
    """The rows of a file. One that breaks is refused from that row on, as one record.

    Raises UserError if the file does not fit the recipe's columns (`arrow_rows.find_columns`).
    """
    row = 0
    try:
        with open_random(file.path) as stream:
            opened = pq.ParquetFile(stream)
            metadata = opened.metadata
            groups = list(range(file.first, file.stop or metadata.num_row_groups))
            row = sum(metadata.row_group(group).num_rows for group in range(file.first))
            places = find_columns(opened.schema_arrow, columns, file.name)
            leaves = [".".join(place) for place in places.values()]
            strings = string_columns(opened.schema_arrow, places)
            row_bytes = _row_bytes(metadata, groups)
            if _largest_group_bytes(metadata, groups) <= _DICTIONARY_BYTES_MAX:
                rows_max, shared = _ROWS_MAX, strings
            else:
                rows_max, shared = _ROWS_MAX_PLAIN, []
            reader = pq.ParquetFile(
                stream, metadata=metadata, read_dictionary=shared, buffer_size=_BUFFER_BYTES
            )
            rows = max(1, min(rows_max, BATCH_BYTES // max(row_bytes, 1)))
            batches = reader.iter_batches(rows, groups, leaves, use_threads=False)
            for batch in batches if shared else _joined(batches):
                picked = pick(batch, places)
                check_buffers(picked)
                yield Rows(row, picked)
                row += batch.num_rows
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        unreadable = isinstance(error, OSError) and error.errno is not None
        reason = "unreadable" if unreadable else "corrupt"
        yield Refusal(file.name, None, row, None, None, reason)


def runs(location: str, file_bytes: int, run_bytes: int) -> list[tuple[int, int, int]]:
    """Runs of row groups of about `run_bytes` each: first, stop and their share of the file.

    Empty if the file cannot be read: whoever reads it then says why.
    """
    try:
        with open_random(location) as stream, pq.ParquetFile(stream) as file:
            metadata = file.metadata
    except (pa.ArrowException, UnicodeDecodeError, OSError):
        return []
    sizes = [metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)]
    scale = file_bytes / max(1, sum(sizes))
    found, first, run_size = [], 0, 0
    for index, size in enumerate(sizes):
        run_size += int(size * scale)
        if run_size >= run_bytes or index == len(sizes) - 1:
            found.append((first, index + 1, run_size))
            first, run_size = index + 1, 0
    return found


def _joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Small batches joined to about BATCH_BYTES; a large one stays alone, uncopied."""
    waiting: list[pa.RecordBatch] = []
    waiting_bytes = 0
    for batch in batches:
        if waiting and waiting_bytes + batch.nbytes > BATCH_BYTES:
            yield pa.concat_batches(waiting) if len(waiting) > 1 else waiting[0]
            waiting, waiting_bytes = [], 0
        waiting.append(batch)
        waiting_bytes += batch.nbytes
    if waiting:
        yield pa.concat_batches(waiting) if len(waiting) > 1 else waiting[0]


def _row_bytes(metadata: pq.FileMetaData, groups: list[int]) -> int:
    """Mean bytes of a row in the row group where they are most, by the file's own sizes."""
    chosen = [metadata.row_group(index) for index in groups]
    return max((g.total_byte_size // max(g.num_rows, 1) for g in chosen), default=0)


def _largest_group_bytes(metadata: pq.FileMetaData, groups: list[int]) -> int:
    """Decompressed bytes of the largest row group.

    Not of its columns: pyarrow 26 ends the whole process where a column's metadata is broken.
    """
    return max((metadata.row_group(index).total_byte_size for index in groups), default=0)
