"""Substrings: windows of bytes that stand at an earlier place, wherever in the corpus.

A window of `bytes_min` bytes of one document is repeated if the same bytes stand at an earlier
place: an earlier document in survivor order, or before it in the same. All repeated windows of a
document are cut. Lee et al. 2022 (arXiv 2107.06499) find them in a suffix array of the corpus, in
one memory; here windows meet by fingerprint, partition by partition, and only texts around
fingerprints that are there twice are looked at byte by byte:

    survivors ──▶ fingerprints(shard) ──▶ shared(partition) ──▶ runs(shard) ──▶ repeats(partition)

The result is that of a direct scan of the corpus. One partition is in memory at a time: its
fingerprints (25 bytes for each 50 of text), then its runs (about 5 bytes for each byte of text that
is repeated, over all partitions).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.arrow_buffers import text_buffers
from dataprep.dedup.decided import survivors
from dataprep.dedup.exchange import open_exchange, partition_of, read_partition
from dataprep.dedup.substring_kernels import copy_runs, find_fingerprints, find_repeated
from dataprep.dedup.survivor_ranks import ranked
from dataprep.sealed import read_sealed
from dataprep.text.cut_kernels import join
from dataprep.text.cuts import REPEAT_SCHEMA, SUBSTRINGS, CutStep, joined
from dataprep.workspace import ROW_BITS, Workspace

# Stretches of windows of one text that share a fingerprint.
STRETCH_SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.uint64(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("windows", pa.int64(), nullable=False),
        pa.field("several", pa.bool_(), nullable=False),
    ]
)
# Bytes of texts that hold all windows of some stretches.
RUN_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("bytes", pa.large_binary(), nullable=False),
    ]
)
# Text for one partition. Of the most, fingerprints of 128 MB are in memory; less than the least is
# not worth opening files for.
_PARTITION_BYTES_MAX = 1 << 28
_PARTITION_BYTES_MIN = 1 << 24

Integers = npt.NDArray[np.int64]


def num_partitions(wanted: int, text_bytes: int) -> int:
    """Partitions of the exchange for a corpus of `text_bytes`: `wanted`, or more, or fewer."""
    most = -(-text_bytes // _PARTITION_BYTES_MIN)
    return max(1, min(wanted, most), -(-text_bytes // _PARTITION_BYTES_MAX))


def grain_of(bytes_min: int) -> int:
    """Bytes of a run whose hash may be a window's fingerprint."""
    return bytes_min // 2


def write_fingerprints(
    work: Workspace, shard: int, before: Sequence[CutStep], bytes_min: int, partitions: int
) -> None:
    """Task: the fingerprints of a shard's survivors, as the steps `before` have left them."""
    path = work.pieces(SUBSTRINGS, shard)
    with open_exchange(path, STRETCH_SCHEMA, partitions) as writer:
        for rows, texts in survivors(work, shard, before):
            data, offsets = text_buffers(texts)
            found, hashes, several = find_fingerprints(
                data, offsets, bytes_min, grain_of(bytes_min)
            )
            columns = (hashes, rows[found[0]], found[1], found[2], several)
            table = pa.table([pa.array(column) for column in columns], schema=STRETCH_SCHEMA)
            # The smallest of many hashes: only its low half is even.
            writer.add(table, partition_of(hashes << np.uint64(32), partitions))


def find_shared(work: Workspace, partition: int, partitions: int, num_shards: int) -> None:
    """Task: the stretches of one partition whose fingerprint is there more than once, by shard."""
    paths = [work.pieces(SUBSTRINGS, shard) for shard in range(num_shards)]
    table = read_partition(paths, partition, partitions, STRETCH_SCHEMA)
    hashes = table["fingerprint"].to_numpy()
    ascending = np.sort(hashes)
    repeated = np.unique(ascending[1:][ascending[1:] == ascending[:-1]])
    at = np.searchsorted(repeated, hashes)
    at[at == len(repeated)] = 0
    shared = table["several"].to_numpy().copy()
    if len(repeated):
        shared |= repeated[at] == hashes
    table = table.filter(pa.array(shared))
    with open_exchange(work.shared(SUBSTRINGS, partition), STRETCH_SCHEMA, num_shards) as writer:
        writer.add(table, table["row"].to_numpy() >> ROW_BITS)


def write_runs(
    work: Workspace, shard: int, before: Sequence[CutStep], bytes_min: int, partitions: int,
    num_shards: int,
) -> None:  # fmt: skip
    """Task: the bytes of a shard's texts that hold windows with shared fingerprints, each in the
    partition of the fingerprint."""
    runs = _runs(work, shard, bytes_min, partitions, num_shards)
    with open_exchange(work.runs(SUBSTRINGS, shard), RUN_SCHEMA, partitions) as writer:
        for rows, texts in survivors(work, shard, before) if len(runs[0]) else ():
            if not len(rows):
                continue
            first, last = np.searchsorted(runs[0], [rows[0], rows[-1] + 1])
            for part in _bounded(runs[:, first:last]):
                writer.add(_sliced(rows, texts, part), part[3])


def _runs(
    work: Workspace, shard: int, bytes_min: int, partitions: int, num_shards: int
) -> Integers:
    """Row, start, end and partition (int64 [4, runs]) of what to send, in the order of rows."""
    found = [np.zeros((4, 0), np.int64)]
    for partition in range(partitions):
        path = work.shared(SUBSTRINGS, partition)
        stretches = read_partition([path], shard, num_shards, STRETCH_SCHEMA)
        rows, starts, stops, runs, _ = _stretches(stretches, bytes_min)
        _, first = np.unique(runs, return_index=True)
        ends = np.maximum.reduceat(stops, first) if len(first) else stops
        of_run = np.full(len(first), partition)
        found.append(np.stack((rows[first], starts[first], ends, of_run)))
    together = np.concatenate(found, axis=1)
    return together[:, np.argsort(together[0], kind="stable")]


def _stretches(
    table: pa.Table, bytes_min: int
) -> tuple[Integers, Integers, Integers, Integers, Integers]:
    """Row, start, end and run of each stretch, by row and start, and its place in the table."""
    rows, starts, windows = (table[name].to_numpy() for name in ("row", "start", "windows"))
    order = np.lexsort((starts, rows))
    rows, starts = rows[order], starts[order]
    stops = starts + windows[order] + bytes_min - 1
    return rows, starts, stops, join(rows, starts, stops, np.zeros_like(rows)), order


def _bounded(runs: Integers) -> Iterator[Integers]:
    """`runs` in parts of about 64 MB."""
    before = np.cumsum(runs[2] - runs[1]) >> 26
    for borders in np.split(np.arange(runs.shape[1]), np.flatnonzero(np.diff(before)) + 1):
        yield runs[:, borders]


def _sliced(rows: Integers, texts: pa.ChunkedArray, runs: Integers) -> pa.Table:
    """The bytes of `runs` of `texts`, whose row references are `rows` (`RUN_SCHEMA`)."""
    data, offsets = text_buffers(texts)
    begins = offsets[np.searchsorted(rows, runs[0])]
    lengths = runs[2] - runs[1]
    ends = np.concatenate(([0], np.cumsum(lengths)))
    copied = copy_runs(data, begins + runs[1], lengths)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(copied)]
    content = pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers)
    return pa.table([pa.array(runs[0]), pa.array(runs[1]), content], schema=RUN_SCHEMA)


def find_repeats(
    work: Workspace, partition: int, bytes_min: int, partitions: int, num_shards: int
) -> None:
    """Task: the repeated windows of one partition, joined where they touch, by shard."""
    stretches = read_sealed(work.shared(SUBSTRINGS, partition)).combine_chunks()
    paths = [work.runs(SUBSTRINGS, shard) for shard in range(num_shards)]
    runs = read_partition(paths, partition, partitions, RUN_SCHEMA)
    repeats = _repeated(work, stretches, runs, bytes_min)
    with open_exchange(work.repeats(SUBSTRINGS, partition), REPEAT_SCHEMA, num_shards) as writer:
        writer.add(repeats, repeats["row"].to_numpy() >> ROW_BITS)


def _repeated(work: Workspace, stretches: pa.Table, runs: pa.Table, bytes_min: int) -> pa.Table:
    rows, starts, _, run_of, place = _stretches(stretches, bytes_min)
    by_place = np.lexsort((runs["start"].to_numpy(), runs["row"].to_numpy()))
    data = np.frombuffer(runs["bytes"].combine_chunks().buffers()[2] or b"", np.uint8)
    # As they were joined where they were sent, so they are joined here.
    run = by_place[run_of]
    offsets = _offsets(runs["bytes"])
    begins = offsets[run] + starts - runs["start"].to_numpy()[run]
    windows = stretches["windows"].to_numpy()[place]
    groups = stretches["fingerprint"].to_numpy()[place]
    documents = ranked(work, rows)
    of_document = documents.places(rows)
    order = np.lexsort((starts, documents.ranks[of_document], groups))
    found = find_repeated(data, groups[order], begins[order], windows[order], bytes_min)
    stretch, survivor = order[found[0]], order[found[3]]
    rows, begins = rows[stretch], starts[stretch] + found[1]
    stops = begins + found[2] + bytes_min - 1
    owners = of_document[survivor]
    rows, begins, ends, owners = joined(rows, begins, stops, owners)
    names = documents.ids.take(pa.array(owners))
    return pa.table([pa.array(rows), pa.array(begins), pa.array(ends), names], schema=REPEAT_SCHEMA)


def _offsets(column: pa.ChunkedArray) -> Integers:
    array = column.combine_chunks()
    if len(array) == 0:
        return np.zeros(1, np.int64)
    return np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
