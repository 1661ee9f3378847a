"""What an audit does with one file of finished documents, as tasks: draw, look up, compare.

    keys        the smallest sampling keys of a file, by which the driver finds the sample's bound
    take        shingle sets of the sampled documents and of the sampled drops
    compare     every document against the sample, every survivor against its sampled drops

Rows are read one row group at a time; the sample is all that is held beside it. A document was
compared by near-deduplication if it was kept, dropped by it or by what comes later, but not if it
is an exact duplicate: the document that stands for it was.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep.arrow_buffers import Offsets
from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup.shingles import Hashes, jaccard, overlap, shingle_sets, shingling_of

NEAR = "near_duplicates."
# Steps after near-deduplication: their drops were compared, and their edits came afterwards.
PIECES = ("spans", "substrings")
EXAMPLES = 20
_COLUMNS = ["id", "content_hash", "text", "drop_reason", "drop_value", "survivor_id",
            "removed_bytes"]  # fmt: skip
_FILTER_BITS = 22

SAMPLE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("survivor_id", pa.string()),
        pa.field("drop_value", pa.float64()),
        pa.field("of_drops", pa.bool_(), nullable=False),
        pa.field("shingles", pa.large_list(pa.uint64()), nullable=False),
    ]
)


class Keys(NamedTuple):
    """Of one file: the smallest keys of documents and of drops (uint64), and how many there are;
    `cut` counts documents whose text was cut after it had been compared."""

    documents: Hashes
    drops: Hashes
    num_documents: int
    num_drops: int
    cut: int


class Similarity(NamedTuple):
    """A pair of documents; for a drop `left` is dropped and `right` its survivor, else containment
    is 0: nobody asks."""

    left: str
    right: str
    jaccard: float
    containment: float


@dataclass
class Compared:
    """Of one file: partners and missed partners of each sampled document (int64, shape [sample]),
    the most similar missed pairs, and the sampled drops whose survivors stand in it."""

    partners: npt.NDArray[np.int64]
    missed: npt.NDArray[np.int64]
    examples: list[Similarity] = field(default_factory=list)
    drops: list[Similarity] = field(default_factory=list)
    cut_survivors: list[str] = field(default_factory=list)


def keys(path: Path, number: int, seed: int) -> Keys:
    """Task: the `number` smallest keys of a file's documents, and of its near-duplicates."""
    found: list[tuple[Hashes, Hashes]] = []
    totals = np.zeros(3, np.int64)
    columns = ["content_hash", "drop_reason", "removed_bytes"]
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns)
            whole, cut, near = _populations(table)
            drawn = sampling_keys(table["content_hash"], seed)
            found.append((drawn[whole], drawn[whole & near]))
            totals += [len(found[-1][0]), len(found[-1][1]), int(np.count_nonzero(cut))]
    documents, drops = (
        np.sort(np.concatenate([np.zeros(0, np.uint64), *parts]))[:number]
        for parts in (zip(*found, strict=True) if found else ((), ()))
    )
    return Keys(documents, drops, *totals.tolist())


def take(path: Path, bounds: tuple[int, int], near: NearDuplicates, seed: int) -> pa.Table:
    """Task: the sample of one file, `SAMPLE_SCHEMA`: documents with keys up to the first of
    `bounds`, and near-duplicates with keys up to the second (`of_drops`); -1 takes none."""
    parts = [SAMPLE_SCHEMA.empty_table()]
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, _COLUMNS)
            whole, _, dropped = _populations(table)
            drawn = sampling_keys(table["content_hash"], seed)
            for bound, population in zip(bounds, (whole, whole & dropped), strict=True):
                if bound < 0:
                    continue
                chosen = population & (drawn <= np.uint64(bound))
                if chosen.any():
                    of_drops = population is not whole
                    parts.append(_sampled(table, drawn, chosen, of_drops, near))
    return pa.concat_tables(parts).combine_chunks()


def compare(path: Path, sample: Path, near: NearDuplicates) -> Compared:
    """Task: all documents of a file against the sample (a Parquet file of `SAMPLE_SCHEMA`)."""
    table = pq.read_table(sample).combine_chunks()
    of_drops = table["of_drops"].to_numpy()
    index = SampleIndex(table.filter(pa.array(~of_drops)), near.jaccard)
    drops = table.filter(pa.array(of_drops))
    zeros = np.zeros(len(index.ids), np.int64)
    result = Compared(zeros, zeros.copy())
    survivors = pc.unique(drops["survivor_id"])
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, _COLUMNS)
            whole, cut, _ = _populations(rows)
            named = pc.is_in(rows["id"], survivors).to_numpy(zero_copy_only=False)
            result.cut_survivors += rows["id"].filter(pa.array(named & cut)).to_pylist()
            rows = rows.filter(pa.array(whole))
            offsets, hashes = shingle_sets(rows["text"], shingling_of(near))
            index.compare(rows, offsets, hashes, result)
            for at in np.flatnonzero(named[whole]):
                own = hashes[offsets[at] : offsets[at + 1]]
                _compare_drops(drops, rows["id"][int(at)].as_py(), own, result)
    result.examples = sorted({*result.examples}, key=lambda pair: (-pair.jaccard, pair))[:EXAMPLES]
    return result


class SampleIndex:
    """Exact search for partners of the sampled documents by prefix filtering.

    A partner of Jaccard t or more has one of any |A| - ceil(t |A|) + 1 shingles of a set A; the
    rarest within the sample are taken, so that what all share leads nowhere.
    """

    def __init__(self, sample: pa.Table, threshold: float) -> None:
        lists = sample["shingles"].combine_chunks()
        self.ids: list[str] = sample["id"].to_pylist()
        self.kept = sample["kept"].to_numpy()
        self.threshold = threshold
        self.offsets: Offsets = lists.offsets.to_numpy()
        self.hashes: Hashes = lists.values.to_numpy()
        _, inverse, counts = np.unique(self.hashes, return_inverse=True, return_counts=True)
        prefixes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        for place in range(len(self.ids)):
            start, stop = self.offsets[place], self.offsets[place + 1]
            size = int(stop - start)
            # A shade below the threshold: rounding can only lengthen the prefix.
            length = min(size, size - int(np.ceil(threshold * size - 1e-9)) + 1)
            rare = np.argsort(counts[inverse[start:stop]], kind="stable")[:length]
            prefixes.append(self.hashes[start:stop][rare])
            owners.append(np.full(length, place))
        prefix, owner = np.concatenate(prefixes), np.concatenate(owners)
        order = np.argsort(prefix, kind="stable")
        self._prefix, self._owner = prefix[order], owner[order]
        self._filter = np.zeros(1 << _FILTER_BITS, np.bool_)
        self._filter[prefix >> np.uint64(64 - _FILTER_BITS)] = True

    def set_of(self, place: int) -> Hashes:
        """The shingles of the sampled document at `place`."""
        return self.hashes[self.offsets[place] : self.offsets[place + 1]]

    def candidates(self, offsets: Offsets, hashes: Hashes) -> list[tuple[int, int]]:
        """Pairs (row, place in the sample) that share a shingle of a prefix."""
        at = np.flatnonzero(self._filter[hashes >> np.uint64(64 - _FILTER_BITS)])
        first = np.searchsorted(self._prefix, hashes[at], "left")
        number = np.searchsorted(self._prefix, hashes[at], "right") - first
        row = np.repeat(np.searchsorted(offsets, at, "right") - 1, number)
        within = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
        place = self._owner[np.repeat(first, number) + within]
        pairs = np.unique(np.stack((row, place), 1), axis=0)
        return [(int(row), int(place)) for row, place in pairs]

    def compare(self, rows: pa.Table, offsets: Offsets, hashes: Hashes, result: Compared) -> None:
        """Count the partners among `rows`, whose sets are given, into `result`."""
        kept = rows["drop_reason"].is_null().to_numpy(zero_copy_only=False)
        for row, place in self.candidates(offsets, hashes):
            own = self.set_of(place)
            similarity = jaccard(own, hashes[offsets[row] : offsets[row + 1]])
            name = rows["id"][row].as_py()
            if similarity < self.threshold or name == self.ids[place]:
                continue
            result.partners[place] += 1
            if kept[row] and self.kept[place]:
                result.missed[place] += 1
                left, right = sorted((self.ids[place], name))
                result.examples.append(Similarity(left, right, similarity, 0.0))


def sampling_keys(content_hashes: pa.ChunkedArray, seed: int) -> Hashes:
    """uint64 [rows]: a mix of content hash and seed, by which a sample is drawn: content decides,
    not place, order or id."""
    column = content_hashes.combine_chunks()
    if len(column) == 0:
        return np.zeros(0, np.uint64)
    halves = np.frombuffer(column.buffers()[1], "<u8").reshape(-1, 2)
    value = halves[column.offset : column.offset + len(column), 0].copy()
    value += np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return np.asarray(value ^ (value >> np.uint64(33)), np.uint64)


def _populations(
    table: pa.Table,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Rows that were compared as they are written; that were cut afterwards; near-duplicates."""
    reason = table["drop_reason"].combine_chunks()
    near = pc.fill_null(pc.starts_with(reason, NEAR), False)
    reached = pc.or_(reason.is_null(), near)
    for step in PIECES:
        reached = pc.or_(reached, pc.fill_null(pc.starts_with(reason, f"{step}."), False))
    removed = table["removed_bytes"].combine_chunks()
    edited = pc.is_in(removed.keys, pa.array(PIECES)).to_numpy(zero_copy_only=False)
    parents = np.repeat(np.arange(len(removed)), np.diff(removed.offsets.to_numpy()))
    cut = np.zeros(len(removed), np.bool_)
    cut[parents[edited]] = True
    compared = reached.to_numpy(zero_copy_only=False)
    return compared & ~cut, compared & cut, near.to_numpy(zero_copy_only=False)


def _sampled(
    table: pa.Table, drawn: Hashes, chosen: npt.NDArray[np.bool_], of_drops: bool,
    near: NearDuplicates,
) -> pa.Table:  # fmt: skip
    rows = table.filter(pa.array(chosen))
    offsets, hashes = shingle_sets(rows["text"], shingling_of(near))
    columns: dict[str, Any] = {
        "id": rows["id"],
        "key": drawn[chosen],
        "kept": rows["drop_reason"].is_null(),
        "survivor_id": rows["survivor_id"],
        "drop_value": rows["drop_value"],
        "of_drops": np.full(len(rows), of_drops),
        "shingles": pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes)),
    }
    return pa.table(columns, schema=SAMPLE_SCHEMA)


def _compare_drops(drops: pa.Table, survivor: str, own: Hashes, result: Compared) -> None:
    """The sampled drops that name `survivor`, whose set is `own`, into `result.drops`."""
    theirs = drops.filter(pc.equal(drops["survivor_id"], survivor)).combine_chunks()
    lists = theirs["shingles"].combine_chunks()
    for place, name in enumerate(theirs["id"].to_pylist()):
        dropped = lists[place].values.to_numpy()
        contained = int(overlap(dropped, own)) / max(1, len(dropped))
        result.drops.append(Similarity(name, survivor, jaccard(dropped, own), contained))
