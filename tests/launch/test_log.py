"""What a stage took is remembered, the last time of each; a message is one line on stderr."""

import subprocess
import sys
from pathlib import Path

import pytest

from launch.log import last_duration, record_duration, timed


def test_the_last_finished_build_counts(tmp_path: Path) -> None:
    assert last_duration(tmp_path) is None
    record_duration(tmp_path, "train", 5.0)
    record_duration(tmp_path, "train", 2.0)
    record_duration(tmp_path, "train", 9.0, status="failed")
    assert last_duration(tmp_path) == 2.0
    record_duration(tmp_path, "evaluate", 1.0)
    assert last_duration(tmp_path) == 3.0


def test_a_build_that_fails_is_recorded_as_such(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), timed(tmp_path, "train"):
        raise ZeroDivisionError
    assert last_duration(tmp_path) is None
    assert '"failed"' in (tmp_path / "logs/durations.jsonl").read_text()


def speak(**environment: str) -> "subprocess.CompletedProcess[str]":
    code = "from launch.log import get_logger; get_logger('dataprep').info('%d shards', 3)"
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )


def test_messages_go_to_stderr_and_rank_zero_speaks(repository: Path) -> None:
    import os

    inherited = {name: value for name, value in os.environ.items() if name != "RANK"}
    done = speak(**inherited)
    assert done.stdout == ""
    assert done.stderr.endswith("INFO    dataprep  3 shards\n")
    assert speak(**inherited, RANK="1").stderr == ""
    assert "3 shards" in speak(**inherited, RANK="1", LOG_ALL_RANKS="1").stderr
