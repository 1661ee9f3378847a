"""Deduplication from the exchange to a decision for each document: the tasks and their order.

    texts, identifiers ──▶ exact(partition)  ──▶ exact_rows
    bands              ──▶ links(partition)  ──▶ candidates (components, batches)
    staged             ──▶ shingles(shard)   ──▶ verified(batch) ──▶ decisions

Each task reads and writes files of the workspace and returns nothing, so that a restart knows from
the files alone what is left. Only numbers and the ids of duplicates reach the driver: about 100
bytes for each duplicate, 32 for each linked document.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep import components, exact, lsh, near_duplicates
from dataprep.config_duplicates import NearDuplicates
from dataprep.exchange import open_exchange, read_partition
from dataprep.shingles import DEFAULT, Shingling, shingle_sets
from dataprep.workspace import ROW_BITS, ROW_MASK, Workspace, committed

Rows = npt.NDArray[np.int64]

BAND_SCHEMA = pa.schema(
    [
        pa.field("band_value", pa.uint64(), nullable=False),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
    ]
)
DECISION_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("survivor_id", pa.string()),
        pa.field("survivor_jaccard", pa.float32()),
        pa.field("drop_reason", pa.string()),
        pa.field("drop_value", pa.float64()),
        pa.field("drop_threshold", pa.float64()),
    ]
)
EXACT_REASON = "exact.duplicate"
NEAR_REASON = "near_duplicates.jaccard"
_HOT_KEYS = ("num_groups", "num_hot_groups", "largest_group")
# Shingles that one verification task holds in memory: 128 MiB of hashes, about as many words.
_BATCH_SHINGLES = 1 << 24


def find_exact(work: Workspace, partition: int, num_partitions: int, num_shards: int) -> None:
    """Task: the exact duplicates of one partition. Raises `UserError` for an id that is there
    twice."""
    shards = range(num_shards)
    paths = [work.identifiers(shard) for shard in shards]
    exact.check_identifiers(
        read_partition(paths, partition, num_partitions, exact.IDENTIFIER_SCHEMA)
    )
    paths = [work.texts(shard) for shard in shards]
    texts = read_partition(paths, partition, num_partitions, exact.TEXT_SCHEMA)
    _write(work.exact(partition), exact.duplicates(texts))


def collect_exact(work: Workspace, num_partitions: int) -> None:
    """Driver: the row references of all exact duplicates, ascending, in one mapped file."""
    paths = [work.exact(partition) for partition in range(num_partitions)]
    rows = [pq.read_table(path, columns=["row"])["row"].to_numpy() for path in paths]
    with committed(work.exact_rows) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.sort(np.concatenate(rows)))


def find_links(
    work: Workspace, partition: int, num_partitions: int, num_shards: int, band_size_max: int
) -> None:
    """Task: a spanning forest of what the band values of one partition link.

    Exact duplicates take no part: the document that survives them stands for them.
    """
    paths = [work.bands(shard) for shard in range(num_shards)]
    bands = read_partition(paths, partition, num_partitions, BAND_SCHEMA)
    rows = bands["row"].to_numpy()
    gone = _contains(np.load(work.exact_rows, mmap_mode="r"), rows)
    found = lsh.links(
        bands["band_value"].to_numpy()[~gone],
        exact.hash_halves(bands["content_hash"])[~gone],
        rows[~gone],
        band_size_max,
    )
    forest = components.spanning_forest(found.edges)
    table = pa.table({"left": forest[:, 0], "right": forest[:, 1]})
    counted = {key: str(getattr(found, key)) for key in _HOT_KEYS}
    _write(work.links(partition), table.replace_schema_metadata(counted))


def collect_candidates(work: Workspace, num_partitions: int, num_shards: int) -> int:
    """Driver: components of all links, cut into batches; returns the number of batches.

    A batch holds whole components and about `_BATCH_SHINGLES` shingles, more only where one
    component alone has more.
    """
    if not work.candidates.exists():
        forests = [pq.read_table(work.links(part)) for part in range(num_partitions)]
        edges = np.concatenate(
            [np.stack((part["left"].to_numpy(), part["right"].to_numpy()), 1) for part in forests]
        )
        rows, component = components.components(edges)
        sizes = _shingle_counts(work, num_shards, rows)
        order = np.argsort(component, kind="stable")
        # The batch of a component is decided by what lies before its first document.
        before = np.cumsum(sizes[order]) - sizes[order]
        starts = np.searchsorted(component[order], component[order])
        batch = np.empty(len(rows), np.int64)
        batch[order] = before[starts] // _BATCH_SHINGLES if len(rows) else before
        table = pa.table({"row": rows, "component": component, "batch": batch})
        _write(work.candidates, table)
    batches = pq.read_table(work.candidates, columns=["batch"])["batch"]
    return 0 if len(batches) == 0 else pc.max(batches).as_py() + 1


def _shingle_counts(work: Workspace, num_shards: int, rows: Rows) -> Rows:
    """Number of shingles of each of `rows` (ascending), read shard by shard."""
    counts = np.zeros(len(rows), np.int64)
    for shard in range(num_shards):
        table = pq.read_table(work.texts(shard), columns=["row", "num_shingles"])
        theirs = table["row"].to_numpy()
        wanted = _contains(rows, theirs)
        counts[np.searchsorted(rows, theirs[wanted])] = table["num_shingles"].to_numpy()[wanted]
    return counts


def write_shingles(
    work: Workspace, shard: int, num_batches: int, shingling: Shingling = DEFAULT
) -> None:
    """Task: the shingle sets of one shard's candidates, each in the partition of its batch."""
    candidates = pq.read_table(work.candidates)
    of_shard = pc.equal(pc.shift_right(candidates["row"], ROW_BITS), shard)
    candidates = candidates.filter(of_shard).combine_chunks()
    wanted = candidates["row"].to_numpy() & ROW_MASK
    with (
        open_exchange(work.shingles(shard), near_duplicates.SHINGLE_SCHEMA, num_batches) as writer,
        pq.ParquetFile(work.staged(shard)) as staged,
    ):
        first = 0
        for group in range(staged.num_row_groups):
            num_rows = staged.metadata.row_group(group).num_rows
            start, stop = np.searchsorted(wanted, [first, first + num_rows])
            if start < stop:
                table = staged.read_row_group(group, columns=["id", "content_hash", "text"])
                table = table.take(pa.array(wanted[start:stop] - first))
                chosen = candidates.slice(start, stop - start)
                writer.add(_with_shingles(table, chosen, shingling), chosen["batch"].to_numpy())
            first += num_rows


def _with_shingles(table: pa.Table, chosen: pa.Table, shingling: Shingling) -> pa.Table:
    offsets, hashes = shingle_sets(table["text"], shingling)
    shingles = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes))
    return pa.table(
        {
            "component": chosen["component"],
            "content_hash": table["content_hash"],
            "id": table["id"],
            "row": chosen["row"],
            "shingles": shingles,
        },
        schema=near_duplicates.SHINGLE_SCHEMA,
    )


def verify_batch(
    work: Workspace, batch: int, num_batches: int, num_shards: int, jaccard: float
) -> None:
    """Task: verify the components of one batch."""
    paths = [work.shingles(shard) for shard in range(num_shards)]
    candidates = read_partition(paths, batch, num_batches, near_duplicates.SHINGLE_SCHEMA)
    _write(work.verified(batch), near_duplicates.verify(candidates, jaccard))


def collect_decisions(
    work: Workspace, config: NearDuplicates, num_partitions: int, num_batches: int, num_shards: int
) -> None:
    """Driver: one decision for every dropped duplicate and every survivor of one.

    Every survivor that is named is kept: an exact duplicate whose survivor was itself dropped as a
    near-duplicate names that one's survivor, and the same similarity (their texts are equal).
    A cluster is a survivor with all that was dropped for it; its id is the survivor's.
    """
    copies = _read_all([work.exact(part) for part in range(num_partitions)], exact.DUPLICATE_SCHEMA)
    paths = [work.verified(batch) for batch in range(num_batches)]
    near = _read_all(paths, near_duplicates.VERIFIED_SCHEMA).sort_by("row").combine_chunks()
    copied = copies["survivor_row"].to_numpy()
    moved = _contains(near["row"].to_numpy(), copied)
    onward = near.take(pa.array(np.searchsorted(near["row"].to_numpy(), copied[moved])))
    moved_rows = copies["row"].filter(pa.array(moved))
    onward = onward.set_column(0, near_duplicates.VERIFIED_SCHEMA.field("row"), moved_rows)
    near = pa.concat_tables([near, onward])
    copies = copies.filter(pa.array(~moved))
    dropped = pa.concat_tables(
        [
            _dropped(copies, np.ones(len(copies)), EXACT_REASON, 1.0),
            _dropped(near, near["jaccard"].to_numpy(), NEAR_REASON, config.jaccard),
        ]
    )
    named = pa.concat_tables(
        [table.select(["survivor_row", "survivor_id"]) for table in (copies, near)]
    )
    _, first = np.unique(named["survivor_row"].to_numpy(), return_index=True)
    named = named.take(pa.array(first))
    nothing = {
        field.name: pa.nulls(len(named), field.type) for field in DECISION_SCHEMA if field.nullable
    }
    survivors = {"row": named["survivor_row"], "cluster_id": named["survivor_id"], **nothing}
    decisions = pa.concat_tables([dropped, pa.table(survivors, schema=DECISION_SCHEMA)])
    decisions = decisions.sort_by("row").combine_chunks()
    bounds = np.searchsorted(decisions["row"].to_numpy(), np.arange(num_shards + 1) << ROW_BITS)
    with (
        committed(work.decisions) as temporary,
        pq.ParquetWriter(temporary, DECISION_SCHEMA, compression="zstd") as writer,
    ):
        for shard in range(num_shards):
            part = decisions.slice(bounds[shard], bounds[shard + 1] - bounds[shard])
            writer.write_table(part, row_group_size=max(1, len(part)))


def _dropped(
    found: pa.Table, similarity: npt.NDArray[np.float64], reason: str, threshold: float
) -> pa.Table:
    columns = {
        "row": found["row"],
        "cluster_id": found["survivor_id"],
        "survivor_id": found["survivor_id"],
        "survivor_jaccard": pa.array(similarity.astype(np.float32)),
        "drop_reason": pa.array([reason] * len(found), pa.string()),
        "drop_value": pa.array(similarity),
        "drop_threshold": pa.array(np.full(len(found), threshold)),
    }
    return pa.table(columns, schema=DECISION_SCHEMA)


def read_decisions(work: Workspace, shard: int) -> pa.Table:
    """The decisions of one shard (`DECISION_SCHEMA`); `row` counts the shard's documents from 0."""
    with pq.ParquetFile(work.decisions) as file:
        table = file.read_row_group(shard)
    rows = pa.array(table["row"].to_numpy() & ROW_MASK)
    return table.set_column(0, DECISION_SCHEMA.field("row"), rows)


def band_facts(work: Workspace, num_partitions: int) -> dict[str, int]:
    """Band values shared by two documents or more, those above the cap, the largest group."""
    found: list[dict[str, Any]] = [
        {key: int(value) for key, value in metadata.items()}
        for metadata in (
            _text_metadata(work.links(partition)) for partition in range(num_partitions)
        )
    ]
    return {
        "num_groups": sum(part["num_groups"] for part in found),
        "num_hot_groups": sum(part["num_hot_groups"] for part in found),
        "largest_group": max(part["largest_group"] for part in found),
    }


def _text_metadata(path: Path) -> dict[str, str]:
    metadata = pq.read_schema(path).metadata or {}
    return {key: metadata[key.encode()].decode() for key in _HOT_KEYS}


def _contains(ascending: npt.NDArray[np.int64], rows: Rows) -> npt.NDArray[np.bool_]:
    """Which of `rows` stand in `ascending`."""
    if len(ascending) == 0:
        return np.zeros(len(rows), np.bool_)
    at = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    return np.asarray(ascending[at] == rows)


def _read_all(paths: list[Path], schema: pa.Schema) -> pa.Table:
    tables = [schema.empty_table(), *(pq.read_table(path, schema=schema) for path in paths)]
    return pa.concat_tables(tables).combine_chunks()


def _write(path: Path, table: pa.Table) -> None:
    with committed(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
