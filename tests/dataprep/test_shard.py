"""The pass over one shard: bounded memory, and what it leaves for those after it."""

import json
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.config import Dataprep, Source
from dataprep.reading.read import shards
from dataprep.shard import process_shard, step_names
from dataprep.stage import read_counts
from dataprep.workspace import ROW_BITS, Workspace
from launch.errors import UserError

# Prints the peak of memory before and after the pass, in bytes.
MEASURE = """
import sys, tempfile
from pathlib import Path
from dataprep.config import Dataprep, Source
from dataprep.reading.read import shards
from dataprep.rehearsal import rehearse
from dataprep.shard import process_shard
from dataprep.workspace import Workspace
from tests.dataprep.peak_memory import peak_bytes

folder = Path(sys.argv[1])
with tempfile.TemporaryDirectory() as other:
    rehearse(Path(other))
before = peak_bytes()
source = Source(name="s", kind="jsonl", paths=("big.jsonl",))
(only,) = shards([source], folder)
process_shard(Workspace(folder / "work"), 0, only, source, Dataprep(), {})
print(before, peak_bytes())
"""


def test_steps_are_in_the_documented_order() -> None:
    expected = ["normalize", "language", "content", "signals", "chinese"]
    expected += ["lines", "rules", "pii", "rights", "signature"]
    assert step_names(Dataprep()) == expected


def test_a_region_without_phone_numbers_is_refused_before_anything_starts() -> None:
    config = Dataprep.model_validate({"pii": {"phone_regions": ("XX",)}})
    with pytest.raises(UserError, match="phone_regions"):
        step_names(config)


def test_row_references_say_where_a_document_lies(tmp_path: Path) -> None:
    texts = [text for text in topics.values() if len(text) > 1000][:9]
    lines = [json.dumps({"text": text}) for text in texts]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    source = Source(name="s", kind="jsonl", paths=("a.jsonl",))
    (only,) = shards([source], tmp_path)
    work = Workspace(tmp_path / "work")
    process_shard(work, 5, only, source, Dataprep(presets=()), {})
    staged = pq.read_table(work.staged(5))
    assert staged["id"].to_pylist() == [f"s:a.jsonl#{row}" for row in range(9)]
    exchanged = pq.read_table(work.texts(5)).sort_by("row")
    assert exchanged["row"].to_pylist() == [(5 << ROW_BITS) + row for row in range(9)]
    assert exchanged["id"].equals(staged["id"])
    bands = pq.read_table(work.bands(5))
    assert np.unique(bands["row"], return_counts=True)[1].tolist() == [24] * 9
    counted = read_counts(work, [5])
    text_bytes = sum(len(text.encode()) for text in texts)
    assert counted == {
        "records_read": 9, "documents_in": 9, "quarantined": 0, "bytes_in": text_bytes,
            "passed_over": 0,
    }  # fmt: skip


@pytest.mark.slow
def test_a_large_shard_with_a_line_of_50_megabytes_takes_bounded_memory(tmp_path: Path) -> None:
    texts = [text[:6000] for text in topics.values() if len(text) > 2000]
    with (tmp_path / "big.jsonl").open("w") as stream:
        for number in range(150_000_000 // 6000):
            text = f"{number} " + texts[number % len(texts)]
            stream.write(json.dumps({"text": text}) + "\n")
            if number == 1000:
                stream.write(json.dumps({"text": "x" * 50_000_000}) + "\n")
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    before, after = map(int, finished.stdout.split())
    counted = read_counts(Workspace(tmp_path / "work"), [0])
    assert counted["quarantined"] == 1
    assert counted["documents_in"] == 25_000
    # The shard is 150 MB and more; a batch is 16 MB of text and what the steps make of it.
    assert after - before < 400 * 2**20, (before, after)
