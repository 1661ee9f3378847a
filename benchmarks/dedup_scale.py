"""The figure of 100 million band records: from the partitions of the exchange to the drop list.

What the pass would leave is made up: 14 band values each of 7.1 million documents in ten shards,
half of them in clusters of 2 and 3, one cluster of 20,000, a band value of 51,000 strangers,
and linked documents that are not alike. In the place of shingle sets made from texts there are sets
made from numbers. All else are the tasks of a run, on two workers. Memory is the proportional set
size, of any process and of all together, twice a second.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.config import Dataprep
from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup import candidates, exact
from dataprep.dedup.decisions import read_decisions
from dataprep.dedup.deduplicate import deduplicate
from dataprep.dedup.exchange import open_exchange, partition_of
from dataprep.dedup.links import BAND_SCHEMA
from dataprep.dedup.near_duplicates import SHINGLE_SCHEMA
from dataprep.sealed import open_sealed
from dataprep.workspace import ROW_BITS, ROW_MASK, Layout, Workspace
from launch.ray_cluster import ray_session, run_tasks
from launch.recipe import Execution

# GRISTMILL_BENCHMARK_RECORDS scales it down, to try the benchmark itself.
RECORDS = int(os.environ.get("GRISTMILL_BENCHMARK_RECORDS", "100000000"))
BANDS, SHARDS, PARTITIONS, WORKERS = 14, 10, 64, 2
_MEMBERS = 20_000
_SHARED, _OWN = 38, 2  # shingles: any two members of a cluster are 38/42 alike
_BLOCK = 200_000

Numbers = npt.NDArray[np.uint64]


def mixed(numbers: npt.NDArray[np.generic], salt: int) -> Numbers:
    """splitmix64 of each number and a salt (Steele, Lea, Flood 2014)."""
    value = numbers.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)))


def families(documents: Numbers) -> Numbers:
    """The family of each document: a number that documents which are linked share."""
    place = documents % np.uint64(10)
    tens = documents // np.uint64(10) * np.uint64(10)
    family = np.where(place < 2, tens, np.where(place < 5, tens + np.uint64(2), documents))
    return np.where(documents < _MEMBERS, np.uint64(0), family)


def alike(documents: Numbers) -> npt.NDArray[np.bool_]:
    """Which documents resemble their family; the others are only linked with it."""
    return mixed(documents, 901) % np.uint64(5) != 0


def precedences(documents: Numbers) -> npt.NDArray[np.uint8]:
    halves = np.stack((mixed(documents, 902), mixed(documents, 903)), axis=1)
    return halves.astype(">u8").view(np.uint8).reshape(-1, 16)


def binary(values: npt.NDArray[np.uint8]) -> pa.Array:
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(values.shape[1])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def names(documents: Numbers) -> pa.Array:
    return pa.array(documents.astype(np.int64)).cast(pa.string())


def rows_of(documents: Numbers) -> npt.NDArray[np.int64]:
    """Neighbours lie in different shards."""
    shards, rows = documents % np.uint64(SHARDS), documents // np.uint64(SHARDS)
    return ((shards << np.uint64(ROW_BITS)) | rows).astype(np.int64)


def write_exchange(work: Workspace, shard: int, num_documents: int) -> None:
    """Task: texts, ids and bands of one shard."""
    every = np.arange(shard, num_documents, SHARDS, dtype=np.uint64)
    with (
        open_exchange(work.texts(shard), exact.TEXT_SCHEMA, PARTITIONS) as texts,
        open_exchange(work.identifiers(shard), exact.IDENTIFIER_SCHEMA, PARTITIONS) as identifiers,
        open_exchange(work.bands(shard), BAND_SCHEMA, PARTITIONS) as bands,
    ):
        for first in range(0, len(every), _BLOCK):
            documents = every[first : first + _BLOCK]
            rows, order = rows_of(documents), precedences(documents)
            hashes = mixed(documents, 904)
            keys = np.stack((hashes, hashes), axis=1).astype(">u8").view("S16").reshape(-1)
            columns = [
                pa.Array.from_buffers(pa.binary(16), len(keys), [None, pa.py_buffer(keys)]),
                binary(order),
                names(documents),
                pa.array(rows),
                pa.array(np.full(len(rows), _SHARED + _OWN)),
            ]
            texts.add(pa.table(columns, schema=exact.TEXT_SCHEMA), partition_of(hashes, PARTITIONS))
            known = pa.table([hashes, names(documents)], schema=exact.IDENTIFIER_SCHEMA)
            identifiers.add(known, partition_of(hashes, PARTITIONS))
            family = families(documents)
            for band in range(BANDS):
                # Half the bands by chance, and one of fourteen for sure, are the family's.
                shared = mixed(documents, 800 + band) % np.uint64(2) == 0
                shared |= family % np.uint64(BANDS) == band
                values = mixed(np.where(shared, family, documents), band)
                if band == BANDS - 1:
                    values[documents % np.uint64(140) == 5] = np.uint64(7)
                table = pa.table([values, mixed(documents, 902), rows], schema=BAND_SCHEMA)
                bands.add(table, partition_of(values, PARTITIONS))


def write_shingles(
    work: Workspace, layout: Layout, shard: int, num_batches: int, config: Dataprep
) -> None:
    """Task, in the place of `candidates.write_shingles`: sets made from numbers."""
    with open_sealed(work.candidates) as piece:
        chosen = piece.read([shard])
    with open_exchange(work.shingles(shard), SHINGLE_SCHEMA, num_batches) as writer:
        for first in range(0, len(chosen), _BLOCK):
            part = chosen.slice(first, _BLOCK).combine_chunks()
            rows = part["row"].to_numpy()
            documents = ((rows & ROW_MASK) * SHARDS + shard).astype(np.uint64)
            base = np.where(alike(documents), families(documents) * np.uint64(2), documents * 2 + 1)
            sets = [mixed(base, 1000 + i) for i in range(_SHARED)]
            sets += [mixed(documents, 2000 + i) for i in range(_OWN)]
            hashes = np.sort(np.stack(sets, axis=1), axis=1)
            offsets = np.arange(len(rows) + 1) * hashes.shape[1]
            columns = [
                part["component"],
                binary(precedences(documents)),
                names(documents),
                part["row"],
                pa.array(np.full(len(rows), hashes.shape[1])),
                pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes.reshape(-1))),
            ]
            writer.add(pa.table(columns, schema=SHINGLE_SCHEMA), part["batch"].to_numpy())


def truth(num_documents: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row references of the documents to drop, ascending, and those of their survivors."""
    documents = np.arange(num_documents, dtype=np.uint64)
    documents = documents[alike(documents)]
    family = families(documents)
    order = np.lexsort((mixed(documents, 903), mixed(documents, 902), family))
    documents, family = documents[order], family[order]
    first = np.concatenate(([True], family[1:] != family[:-1]))
    survivor = documents[np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))]
    rows, kept = rows_of(documents[~first]), rows_of(survivor[~first])
    by_row = np.argsort(rows)
    return rows[by_row], kept[by_row]


def found(work: Workspace) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """As `truth`, from the decisions."""
    rows, kept = [], []
    for shard in range(SHARDS):
        table = read_decisions(work, shard)
        table = table.filter(table["drop_reason"].is_valid())
        rows.append(table["row"].to_numpy() + (shard << ROW_BITS))
        kept.append(rows_of(table["survivor_id"].cast(pa.int64()).to_numpy().astype(np.uint64)))
    return np.concatenate(rows), np.concatenate(kept)


class Memory(threading.Thread):
    """Samples the proportional set size of this process and all below it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.largest = self.sum = 0
        self._end = threading.Event()

    def run(self) -> None:
        import psutil

        while not self._end.wait(0.5):
            sizes = [0]
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    sizes.append(process.memory_full_info().pss)
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.largest, self.sum = max(self.largest, *sizes), max(self.sum, sum(sizes))

    def stop(self) -> None:
        self._end.set()
        self.join()


@cache
def measured() -> dict[str, Any]:
    """Seconds, peaks of memory in gigabytes, drops, and whether they are the true ones."""
    num_documents = RECORDS // BANDS
    execution = Execution(workers=WORKERS)
    near = NearDuplicates(bands=BANDS, rows=8, partitions=PARTITIONS)
    config = Dataprep(languages=(), presets=(), signals=False, near_duplicates=near)
    seconds: dict[str, float] = {}

    def run(function: Callable[..., None], tasks: list[tuple[Any, ...]], label: str) -> None:
        start = time.monotonic()
        chosen = write_shingles if function is candidates.write_shingles else function
        run_tasks(chosen, tasks, label=label, execution=execution)
        seconds[label] = round(time.monotonic() - start, 1)

    with tempfile.TemporaryDirectory() as folder, ray_session(execution):
        work = Workspace(Path(folder))
        run(write_exchange, [(work, shard, num_documents) for shard in range(SHARDS)], "making")
        memory = Memory()
        memory.start()
        start = time.monotonic()
        facts = deduplicate(work, config, Layout(SHARDS, PARTITIONS), run)
        total = time.monotonic() - start
        memory.stop()
        rows, kept = found(work)
        used = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    true_rows, true_kept = truth(num_documents)
    right = np.array_equal(rows, true_rows) and np.array_equal(kept, true_kept)
    return {
        "records": num_documents * BANDS,
        "seconds": round(total, 1),
        "largest_process_gigabytes": round(memory.largest / 1e9, 2),
        "all_processes_gigabytes": round(memory.sum / 1e9, 2),
        "disk_gigabytes": round(used / 1e9, 2),
        "dropped": len(rows),
        "right": right,
        "by_tasks": seconds,
        "facts": facts,
    }


def _done() -> tuple[Any, str, bool]:
    value = measured()
    holds = value["right"] and value["all_processes_gigabytes"] < 8
    return value, "the drop list that is true, all processes < 8 GB", holds


FIGURES: dict[str, Callable[[], tuple[Any, str, bool]]] = {"dedup_100_million_bands": _done}

if __name__ == "__main__":
    print(_done())
