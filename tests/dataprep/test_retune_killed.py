"""A retune that is killed: the documents are the old ones or the new ones, never something else."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from dataprep.contract import open_documents

RECIPE = """
[run]
root = "{root}"
[[sources]]
name = "s"
kind = "jsonl"
paths = ["{folder}/*.jsonl"]
[dataprep]
presets = ["gopher"]
[dataprep.thresholds.gopher]
alphabetic_words_low = 0.5
"""


def command(verb: str, recipe: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "dataprep", verb, str(recipe), *overrides]


@pytest.mark.slow
def test_old_or_new_whenever_it_is_killed(tmp_path: Path) -> None:
    texts = sorted(topics.values())
    for shard in range(3):
        lines = [json.dumps({"text": text[:4000]}) for text in texts[shard::3]]
        (tmp_path / f"{shard}.jsonl").write_text("\n".join(lines) + "\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(root=tmp_path / "run", folder=tmp_path))
    subprocess.run(command("run", recipe), check=True, capture_output=True)
    directory = tmp_path / "run" / "documents"
    old = open_documents(directory)
    change = "dataprep.thresholds.gopher.word_count_low=300"
    for seconds in (1.0, 3.0, 4.5, 6.0, 7.5):
        started = subprocess.Popen(
            command("retune", recipe, change),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(seconds)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        found = open_documents(directory)
        assert found.config["dataprep"] == old.config["dataprep"] or (
            found.config["dataprep"]["thresholds"]["gopher"]["word_count_low"] == 300
        )
    subprocess.run(command("retune", recipe, change), check=True, capture_output=True)
    tuned = open_documents(directory)
    fresh = tmp_path / "fresh.toml"
    fresh.write_text(RECIPE.format(root=tmp_path / "fresh", folder=tmp_path))
    subprocess.run(command("run", fresh, change), check=True, capture_output=True)
    assert tuned.files_digest == open_documents(tmp_path / "fresh" / "documents").files_digest
