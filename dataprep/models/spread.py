"""Documents spread over a whole shard, at bounded cost: what calibration scores.

    lines, archives    ranges of bytes, evenly spread; a record belongs to the range it begins in
    Parquet            row groups, evenly spread
    single files       files, by hash of their names
    all else           the whole shard: compressed lines, CSV, Arrow, archives in one member

Ranges are as long everywhere, so that a record's chance is the same whether it is long or short and
whatever stands beside it. Of the documents in them those whose content hashes draw the smallest
numbers are taken. Files, recipe and code decide alone: no worker, order or time has a part in it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from dataprep.models.selection import uniform
from dataprep.reading.decompress import is_compressed
from dataprep.reading.read import Shard, read_shard
from dataprep.reading.records import READ_SCHEMA, File
from launch.store import open_random

if TYPE_CHECKING:
    from dataprep.config import Dataprep, Source

# A file is cut into so many parts of equal size; a round takes a range of each. 4 MiB a round.
_PARTS = 16
_RANGE_BYTES = 256 << 10
_ROW_GROUPS_MIN = 16
# Where ranges would be so large a share of the shard, it is read from end to end.
_SHARE_MAX = 0.5
# Text that is held, bytes: of longer documents the sample has fewer.
_TEXT_BYTES_MAX = 256 << 20
_DRAW_SEED = 0


@dataclass(frozen=True)
class Spread:
    """Documents (`records.READ_SCHEMA`), and how many of the shard's each of them stands for."""

    documents: pa.Table
    weight: float


def draw_documents(
    shard: Shard,
    source: "Source",
    limits: "Dataprep",
    documents_max: int,
    records_max: int | None = None,
) -> Spread:
    """At most `documents_max` documents of the shard; of a sample run, which reads its first
    `records_max` records, of those."""
    reservoir = _Reservoir(documents_max)
    if records_max is not None:
        for table, _ in read_shard(shard, source, limits, records_max):
            reservoir.add(table)
        return reservoir.spread(1.0)
    for parts, coverage in _plans(shard, source, documents_max, reservoir):
        for part in parts:
            for table, _ in read_shard(part, source, limits):
                reservoir.add(table)
        reservoir.coverage = coverage
    return reservoir.spread(reservoir.coverage)


class _Reservoir:
    """The documents with the smallest draws so far; the bound only falls, so that what is there is
    always all that was seen below it."""

    def __init__(self, documents_max: int) -> None:
        self.documents_max = documents_max
        self.coverage = 1.0
        self.clear()

    def clear(self) -> None:
        self.num_seen = 0
        self._tables: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._bound = 1.0

    def add(self, table: pa.Table) -> None:
        self.num_seen += table.num_rows
        near = uniform(table["content_hash"], _DRAW_SEED) < self._bound
        if not near.any():
            return
        # A copy: a slice would hold the whole batch.
        table = table.take(pa.array(np.flatnonzero(near)))
        self._tables.append(table)
        self._rows += table.num_rows
        self._bytes += table["text"].nbytes
        if self._rows > 2 * self.documents_max or self._bytes > 2 * _TEXT_BYTES_MAX:
            self._shrink()

    def spread(self, coverage: float) -> Spread:
        self._shrink()
        table = self._tables[0]
        return Spread(table, self.num_seen / coverage / max(1, table.num_rows))

    def _shrink(self) -> None:
        table = pa.concat_tables([READ_SCHEMA.empty_table(), *self._tables]).combine_chunks()
        draws = uniform(table["content_hash"], _DRAW_SEED)
        order = np.argsort(draws, kind="stable")
        sizes = pc.binary_length(table["text"]).to_numpy()[order]
        fitting = int(np.searchsorted(np.cumsum(sizes), _TEXT_BYTES_MAX, "right"))
        keep = min(self.documents_max, max(1, fitting), len(order))
        if keep < len(order):
            self._bound = float(draws[order[keep]])
            # Equal contents draw the same number: all of them stay, or none.
            keep = max(1, int(np.searchsorted(draws[order], self._bound, "left")))
        self._tables = [table.take(pa.array(order[:keep]))]
        self._rows, self._bytes = keep, self._tables[0]["text"].nbytes


def _plans(
    shard: Shard, source: "Source", documents_max: int, reservoir: _Reservoir
) -> Iterator[tuple[Sequence[Shard], float]]:
    """Parts to read one after the other, and the share of the shard that they and those before are.

    What the first parts held decides how many follow.
    """
    whole = [shard], 1.0
    kind, file = source.kind, shard.files[0]
    if kind in ("text", "html", "installed-docs"):
        count = min(len(shard.files), documents_max)
        files = sorted(shard.files, key=lambda own: xxhash.xxh3_64_intdigest(own.name.encode()))[
            :count
        ]
        yield [replace(shard, files=tuple(files))], count / len(shard.files)
    elif kind == "parquet":
        groups, coverage = _row_groups(file, documents_max)
        parts = [replace(file, first=group, stop=group + 1) for group in groups]
        yield ([_part(shard, part) for part in parts], coverage) if parts else whole
    elif not _has_ranges(source.kind, file):
        yield whole
    else:
        num_rounds = (_stop(file) - file.first) // (_PARTS * _RANGE_BYTES)
        if num_rounds * _SHARE_MAX < 1:
            yield whole
            return
        yield [_part(shard, part) for part in _ranges(file, 0, num_rounds)], 1 / num_rounds
        wanted = math.ceil(documents_max / max(1, reservoir.num_seen))
        if not reservoir.num_seen or wanted > num_rounds * _SHARE_MAX:
            reservoir.clear()
            yield whole
        elif wanted > 1:
            rounds = [_ranges(file, number, num_rounds) for number in range(1, wanted)]
            yield [_part(shard, part) for parts in rounds for part in parts], wanted / num_rounds


def _has_ranges(kind: str, file: File) -> bool:
    if kind == "warc":
        return file.path.endswith(".gz") or not is_compressed(file.name)
    return kind == "jsonl" and not is_compressed(file.name)


def _part(shard: Shard, file: File) -> Shard:
    return replace(shard, files=(file,))


def _stop(file: File) -> int:
    return file.first + file.num_bytes if file.stop is None else file.stop


def _ranges(file: File, number: int, num_rounds: int) -> list[File]:
    """The ranges of round `number`, one in each part of the file, at another place in each.

    Places follow one another by the golden section, so that however few rounds are taken, their
    ranges are spread; over `num_rounds` rounds each range comes once.
    """
    step = max(1, round(num_rounds * 0.618))
    while math.gcd(step, num_rounds) != 1:
        step += 1
    size, total = _stop(file) - file.first, _PARTS * num_rounds
    found = []
    for part in range(_PARTS):
        place = part * num_rounds + (number * step + part * num_rounds // _PARTS) % num_rounds
        first, stop = (file.first + size * index // total for index in (place, place + 1))
        found.append(replace(file, first=first, stop=stop, num_bytes=stop - first, first_row=0))
    return found


def _row_groups(file: File, documents_max: int) -> tuple[list[int], float]:
    """Row groups, evenly spread, and the share of all that they are; none if nobody can tell."""
    try:
        with open_random(file.path) as stream, pq.ParquetFile(stream) as opened:
            metadata = opened.metadata
            groups = range(file.first, file.stop or metadata.num_row_groups)
            num_rows = sum(metadata.row_group(group).num_rows for group in groups)
    except (pa.ArrowException, UnicodeDecodeError, OSError):
        return [], 1.0  # whoever reads it says why
    if not num_rows:
        return [], 1.0
    count = max(_ROW_GROUPS_MIN, math.ceil(2 * documents_max * len(groups) / num_rows))
    if count > len(groups) * _SHARE_MAX:
        return [], 1.0
    chosen = [groups[(2 * place + 1) * len(groups) // (2 * count)] for place in range(count)]
    return chosen, count / len(groups)
