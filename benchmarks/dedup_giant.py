"""The figure of one huge component: 200,000 linked documents of 400 shingles, in one process.

Half of them are in families of twenty that are alike, half are alone, and a quarter of every set is
a header that all of them share. The sets are mapped from a file, and the same batch is verified
once more with all sets in memory: the drops must be equal, and those that were made.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.dedup_scale import binary, mixed, names, precedences
from benchmarks.documents import REPOSITORY
from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup import verification
from dataprep.dedup.exchange import open_exchange
from dataprep.dedup.near_duplicates import SHINGLE_SCHEMA

DOCUMENTS = int(os.environ.get("GRISTMILL_BENCHMARK_COMPONENT", "200000"))
_HEADER, _FAMILY, _OWN = 100, 290, 10
_BLOCK = 20_000
_SHARDS = 4


def family(documents: np.ndarray) -> np.ndarray:
    """Of every forty documents twenty are one family; a number beyond all documents for each."""
    block = documents // np.uint64(40)
    return np.where(documents % np.uint64(40) < 20, block, documents + np.uint64(DOCUMENTS))


def write(path: Path, shard: int) -> None:
    every = np.arange(shard, DOCUMENTS, _SHARDS, dtype=np.uint64)
    with open_exchange(path, SHINGLE_SCHEMA, 1) as writer:
        for first in range(0, len(every), _BLOCK):
            documents = every[first : first + _BLOCK]
            of_family = family(documents)
            sets = [mixed(np.zeros_like(documents), i) for i in range(_HEADER)]
            sets += [mixed(of_family, 1000 + i) for i in range(_FAMILY)]
            sets += [mixed(documents, 2000 + i) for i in range(_OWN)]
            hashes = np.sort(np.stack(sets, axis=1), axis=1)
            offsets = np.arange(len(documents) + 1) * hashes.shape[1]
            columns = [
                pa.array(np.zeros(len(documents), np.int64)),
                binary(precedences(documents)),
                names(documents),
                pa.array(documents.astype(np.int64)),
                pa.array(np.full(len(documents), hashes.shape[1])),
                pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes.reshape(-1))),
            ]
            table = pa.table(columns, schema=SHINGLE_SCHEMA)
            writer.add(table, np.zeros(len(documents), np.int64))


def verify(folder: Path, in_memory: bool) -> None:
    """Verify in this process; prints seconds, peaks of memory in gigabytes, and the drops."""
    if in_memory:
        verification._MEMORY_SHINGLES = 1 << 40
    paths = [folder / f"{shard}.parquet" for shard in range(_SHARDS)]
    start = time.monotonic()
    found = verification.verify(paths, 0, 1, NearDuplicates(), folder)
    seconds = time.monotonic() - start
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    rows, kept = found["row"].to_numpy(), found["survivor_row"].to_numpy()
    # In every family the first in survivor order stays.
    documents = np.arange(DOCUMENTS, dtype=np.uint64)
    documents = documents[documents % np.uint64(40) < 20]
    order = np.lexsort((mixed(documents, 903), mixed(documents, 902), family(documents)))
    ordered = documents[order].astype(np.int64)
    first = np.concatenate(([True], np.diff(family(documents[order])) != 0))
    survivor = ordered[np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))]
    true = dict(zip(ordered[~first].tolist(), survivor[~first].tolist(), strict=True))
    right = true == dict(zip(rows.tolist(), kept.tolist(), strict=True))
    value = {"seconds": round(seconds, 1), "peak_gigabytes": round(int(peak) * 1024 / 1e9, 2)}
    print(json.dumps(value | {"dropped": len(rows), "right": right}))


def _component() -> tuple[Any, str, bool]:
    with tempfile.TemporaryDirectory() as name:
        for shard in range(_SHARDS):
            write(Path(name) / f"{shard}.parquet", shard)
        value: dict[str, Any] = {"documents": DOCUMENTS}
        for kind in ("mapped", "memory"):
            command = [sys.executable, "-m", "benchmarks.dedup_giant", name, kind]
            done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
            value[kind] = json.loads(done.stdout)
    holds = value["mapped"]["peak_gigabytes"] < 4
    holds &= value["mapped"]["right"] and value["memory"]["right"]
    return value, "the true drops both ways, < 4 GB", holds


FIGURES: dict[str, Callable[[], tuple[Any, str, bool]]] = {
    "dedup_component_200_thousand": _component
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        verify(Path(sys.argv[1]), sys.argv[2] == "memory")
    else:
        print(_component())
