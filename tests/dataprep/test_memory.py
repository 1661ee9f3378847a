"""The memory of one worker, whatever the shard: many documents of the largest size, a huge line."""

import json
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import pytest

PEAK_BYTES_MAX = 1_500_000_000

# The tasks of one shard in one process; the peak of memory after each, in bytes.
MEASURE = """
import sys
from pathlib import Path
from dataprep.config import Dataprep, Source
from dataprep.dedup.deduplicate import deduplicate
from dataprep.tasks import in_turn
from dataprep.reading.read import number_rows, shards
from dataprep.shard import process_shard, write_documents
from dataprep.workspace import Layout, Workspace
from tests.dataprep.peak_memory import peak_bytes

def peak(name):
    print(name, peak_bytes())

folder = Path(sys.argv[1])
source = Source(name="s", kind="jsonl", paths=("big.jsonl",))
config, work = Dataprep(presets=(), quarantine_share_max=1.0), Workspace(folder / "work")
parts = number_rows(shards([source], folder), [source])
peak("start")
for index, part in enumerate(parts):
    process_shard(work, index, part, source, config, {})
peak("pass")
count = len(parts)
deduplicate(work, config, Layout(count, config.near_duplicates.partitions), in_turn)
peak("verify")
for index in range(count):
    write_documents(work, index, folder / "documents", 1, 0.01)
peak("write")
"""


@pytest.mark.slow
def test_large_documents_and_a_line_of_200_megabytes_fit(tmp_path: Path) -> None:
    prose = " ".join(topics.values())
    words = prose.split(" ")
    with (tmp_path / "big.jsonl").open("w") as stream:
        for number in range(24):
            # Every fifth word is another: no two are near-duplicates but the last two.
            own = [word if i % 5 else f"{number % 23}{word}" for i, word in enumerate(words)]
            text = " ".join(own)
            stream.write(json.dumps({"text": (text * 12)[:8_388_000]}) + "\n")
            if number == 3:
                stream.write(json.dumps({"text": "x" * 200_000_000}) + "\n")
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    peaks = {name: int(value) for name, value in map(str.split, finished.stdout.splitlines())}
    # 2026-11-23: 0.73 GB after the pass, 0.95 GB after the writing.
    assert max(peaks.values()) < PEAK_BYTES_MAX, peaks
