"""Limits: what unpacks to too much, records of 200 MB, damaged files."""

import gzip
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dataprep.config import Dataprep
from tests.dataprep.read_everything import (
    everything,
    source,
    table_of_everything,
    write_file,
    write_stream,
)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_unpacks_to_too_much_is_refused_from_there_on(tmp_path: Path, suffix: str) -> None:
    content = b"".join(b'{"text": "number %d"}\n' % n for n in range(100_000)) + b" " * 10**7
    compress = gzip.compress if suffix == ".gz" else zstandard.compress
    (tmp_path / f"x.jsonl{suffix}").write_bytes(compress(content))
    limits = Dataprep(decompressed_bytes_max=1_500_000)
    documents, (refused,) = everything(tmp_path, source("jsonl"), limits)
    assert refused["reason"] == "decompressed_too_long"
    assert 1_200_000 < refused["offset"] <= 1_500_000
    assert [d["text"] for d in documents] == [f"number {n}" for n in range(len(documents))]


HUGE = """
import sys
from pathlib import Path
from dataprep.reading import read
from dataprep.config import Dataprep, Source
from tests.dataprep.peak_memory import peak_bytes
source = Source(name="s", kind=sys.argv[2], paths=(sys.argv[3],))
found = []
for shard in read.shards([source], Path(sys.argv[1])):
    for good, bad in read.read_shard(shard, source, Dataprep()):
        found += good["text"].to_pylist() + bad["reason"].to_pylist()
print(peak_bytes() >> 20)
print(found)
"""


def write_huge(path: Path) -> None:
    """Three records, the one in the middle a text of 200 MB that does not compress well."""
    noise = np.random.default_rng(1).integers(97, 123, 200 * 10**6, np.uint8).tobytes()
    texts = pa.array([b"before", noise, b"after"], pa.large_binary()).view(pa.large_string())
    table = pa.table({"text": texts})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        write_stream(table, path, compression="lz4")
    elif path.suffix == ".feather":
        write_file(table, path)
    elif path.suffix == ".csv":
        path.write_bytes(b'text,n\nbefore,\n"' + noise.replace(b"q", b"\n") + b'",\nafter,\n')
    else:
        lines = b'{"text": "before"}\n{"text": "' + noise + b'"}\n{"text": "after"}\n'
        path.write_bytes(gzip.compress(lines, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["x.parquet", "x.arrow", "x.feather", "x.csv", "x.jsonl.gz"]
)  # fmt: skip
def test_a_record_of_200_megabytes_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    write_huge(tmp_path / name)
    kinds = {".parquet": "parquet", ".csv": "csv", ".gz": "jsonl"}
    kind = kinds.get(Path(name).suffix, "arrow")
    command = [sys.executable, "-c", HUGE, str(tmp_path), kind, name]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    peak_megabytes, found = child.stdout.splitlines()
    reason = "text_too_long" if kind in ("parquet", "arrow") else "line_too_long"
    assert "before" in found
    assert "after" in found
    assert reason in found
    assert int(peak_megabytes) < 1250, f"{peak_megabytes} MB"
    print(name, peak_megabytes)


PASS = """
import sys
from pathlib import Path
from dataprep import shard
from dataprep.reading import read
from dataprep.config import Dataprep, Source
from dataprep.workspace import Workspace
folder = Path(sys.argv[1])
source = Source(name="s", kind="parquet", paths=("x.parquet",))
(part,) = read.shards([source], folder)
shard.process_shard(Workspace(folder / "work"), 0, part, source, Dataprep(), {})
assert '"quarantined": 1' in Workspace(folder / "work").counts(0).read_text()
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
def test_the_whole_pass_over_such_a_record_takes_little_memory(tmp_path: Path) -> None:
    """Parquet, because it takes the most: every step, beside some thousand real documents."""
    noise = np.random.default_rng(2).integers(97, 123, 200 * 10**6, np.uint8).tobytes()
    texts = [text.encode() for text in topics.values()]
    column = pa.array([*texts * 12, noise, *texts], pa.large_binary()).view(pa.large_string())
    pq.write_table(pa.table({"text": column}), tmp_path / "x.parquet")
    del column, noise
    command = [sys.executable, "-c", PASS, str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 1500, f"{child.stdout} MB"


DAMAGED = """
import sys
from pathlib import Path
import numpy as np
from dataprep.reading import read
from dataprep.config import Columns, Dataprep, Source
from launch.errors import UserError
folder, kind, draws = Path(sys.argv[1]), sys.argv[2], np.random.default_rng(int(sys.argv[3]))
whole = (folder / "x").read_bytes()
columns = Columns(text="body.text", id="a.b", url="metadata.url", meta=("metadata", "unused"))
source = Source(name="s", kind=kind, paths=("x",), columns=columns)
refused = 0
for _ in range(300):
    content = bytearray(whole)
    for place in draws.integers(len(content), size=draws.integers(1, 6)):
        content[place] = draws.integers(256)
    length = draws.integers(len(content)) if refused % 7 == 6 else len(content)
    (folder / "x").write_bytes(content[:length])
    try:
        for shard in read.shards([source], folder):
            for good, bad in read.read_shard(shard, source, Dataprep()):
                good.validate(full=True)
                refused += len(bad)
    except UserError:
        pass  # the damage hit the name of a column
assert refused > 20, refused
"""


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["parquet", "stream", "file"])
def test_damaged_files_never_end_the_process(tmp_path: Path, layout: str) -> None:
    """In a process of its own: C++ that is surprised takes its process with it."""
    write = {"parquet": pq.write_table, "stream": write_stream, "file": write_file}[layout]
    write(table_of_everything(), tmp_path / "x")
    for seed in range(3):
        kind = "parquet" if layout == "parquet" else "arrow"
        command = [sys.executable, "-c", DAMAGED, str(tmp_path), kind, str(seed)]
        write(table_of_everything(), tmp_path / "x")
        child = subprocess.run(command, capture_output=True, text=True)
        assert child.returncode == 0, child.stderr
