"""Figures of reading: `python -m benchmarks.dataprep_reading`, one JSON object a line.

Rates are megabytes of text as read (UTF-8) for a second of processor time, median of five, on
en_c4 and en_gov_news of the shared data, six times over. Peak memory is that of a process which
reads a file of three records, the one in the middle a text of 200 MB that does not compress.
"""

import csv
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from dataprep.config import Columns, Dataprep, Source
from dataprep.reading import read

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
REPEATS = 5
COPIES = 6
HUGE_BYTES = 200 * 10**6
KINDS = {
    ".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".txt": "text",
}  # fmt: skip
HUGE_NAMES = ("x.jsonl", "x.jsonl.gz", "x.csv", "x.parquet", "x.arrow", "lz4.arrow")

Figure = tuple[Any, float | None, bool | None]


def kind_of(name: str) -> str:
    """The kind of a source by the name of its file."""
    return next(kind for suffix, kind in KINDS.items() if suffix in name)


def documents() -> list[dict[str, str]]:
    """Text and url of every document."""
    found = []
    for folder in ("en_c4", "en_gov_news"):
        for path in sorted((SHARED_DATA / folder).glob("*.jsonl.gz")):
            with gzip.open(path) as lines:
                records = [json.loads(line) for line in lines]
            found += [{"text": r["text"], "url": r.get("url") or ""} for r in records]
    return found * COPIES


def write_formats(folder: Path) -> None:
    """The documents in every format."""
    rows = documents()
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    (folder / "x.jsonl").write_bytes(lines)
    (folder / "x.jsonl.gz").write_bytes(gzip.compress(lines, 6))
    (folder / "x.jsonl.zst").write_bytes(zstandard.compress(lines))
    with (folder / "x.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["text", "url"])
        writer.writeheader()
        writer.writerows(rows)
    table = pa.Table.from_pylist(rows)
    for compression in ("zstd", "snappy"):
        pq.write_table(table, folder / f"{compression}.parquet", compression=compression)
    with pa.ipc.new_file(folder / "x.arrow", table.schema) as out:
        out.write_table(table, max_chunksize=1000)
    for number, row in enumerate(rows[: len(rows) // COPIES]):
        (folder / f"{number}.txt").write_text(row["text"], encoding="utf-8")


def read_all(folder: Path, pattern: str) -> int:
    """Read the files that match; bytes of text."""
    columns = Columns(url=None if pattern.endswith(".txt") else "url")
    source = Source(name="s", kind=kind_of(pattern), paths=(pattern,), columns=columns)
    num_bytes = 0
    for shard in read.number_rows(read.shards([source], folder), [source]):
        for table, _ in read.read_shard(shard, source, Dataprep()):
            num_bytes += int(table["read_bytes"].to_numpy().sum())
    return num_bytes


@cache
def rates() -> dict[str, float]:
    """Megabytes of text a second, by files."""
    patterns = ("x.jsonl", "x.jsonl.gz", "x.jsonl.zst", "x.csv", "zstd.parquet", "snappy.parquet",
                "x.arrow", "*.txt")  # fmt: skip
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_formats(folder)
        for pattern in patterns:
            num_bytes = read_all(folder, pattern)
            seconds = []
            for _ in range(REPEATS):
                start = time.process_time()
                read_all(folder, pattern)
                seconds.append(time.process_time() - start)
            found[pattern] = round(num_bytes / 1e6 / statistics.median(seconds))
    return found


def write_huge(path: Path) -> None:
    """Three records, the one in the middle a text of 200 MB."""
    noise = np.random.default_rng(1).integers(97, 123, HUGE_BYTES, np.uint8).tobytes()
    texts = pa.array([b"before", noise, b"after"], pa.large_binary()).view(pa.large_string())
    table = pa.table({"text": texts, "url": ["a", "b", "c"]})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        options = pa.ipc.IpcWriteOptions(compression="lz4" if path.stem == "lz4" else None)
        with pa.ipc.new_file(path, table.schema, options=options) as out:
            out.write_table(table)
    elif path.suffix == ".csv":
        path.write_bytes(b'text,url\nbefore,a\n"' + noise + b'",b\nafter,c\n')
    else:
        lines = b'{"text": "before"}\n{"text": "' + noise + b'"}\n{"text": "after"}\n'
        path.write_bytes(gzip.compress(lines, 1) if path.suffix == ".gz" else lines)


def peak_gigabytes() -> dict[str, float]:
    """Peak resident memory of a process that reads such a file, by file."""
    program = (
        "import sys; from pathlib import Path; from benchmarks.dataprep_reading import read_all\n"
        "assert read_all(Path(sys.argv[1]), sys.argv[2]) == len('beforeafter')\n"
        "status = Path('/proc/self/status').read_text().split()\n"
        "print(status[status.index('VmHWM:') + 1])"
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in HUGE_NAMES:
            write_huge(Path(folder, name))
            command = [sys.executable, "-c", program, folder, name]
            child = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
            found[name] = round(int(child.stdout) * 1024 / 1e9, 2)
            Path(folder, name).unlink()
    return found


def _jsonl() -> Figure:
    rate = rates()["x.jsonl"]
    return rate, 200.0, rate >= 200


def _parquet() -> Figure:
    rate = rates()["snappy.parquet"]
    return rate, 400.0, rate >= 400


def _peak() -> Figure:
    peaks = peak_gigabytes()
    return peaks, 1.5, max(peaks.values()) <= 1.5


FIGURES: dict[str, Callable[[], Figure]] = {
    "reading JSONL, MB/s and core": _jsonl,
    "reading Parquet, MB/s and core": _parquet,
    "reading by format, MB/s and core": lambda: (rates(), None, None),
    "reading a record of 200 MB, peak GB by format": _peak,
}

if __name__ == "__main__":
    for figure, measure in FIGURES.items():
        value, target, holds = measure()
        line = {"figure": figure, "value": value, "target": target, "holds": holds}
        print(json.dumps(line), flush=True)
