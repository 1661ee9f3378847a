"""One writer: a second is refused and told who the first is; a dead holder holds nothing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch.errors import LockedError
from launch.lock import FILE_NAME, lock

HOLD = "import sys, time; from pathlib import Path; from launch.lock import lock\n" \
    "with lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"  # fmt: skip


def hold_in_child(directory: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(directory)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_writer_is_refused_and_told_the_first(tmp_path: Path) -> None:
    child = hold_in_child(tmp_path)
    try:
        with pytest.raises(LockedError, match=f"process {child.pid} on ") as caught, lock(tmp_path):
            pass
        assert caught.value.exit_code == 6
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    child = hold_in_child(tmp_path)
    child.send_signal(signal.SIGKILL)
    child.wait()
    with lock(tmp_path):
        pass


def test_it_can_be_taken_again_after_it_was_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path / "new"):
            pass


def test_a_holder_on_another_host_counts_by_its_heartbeat(tmp_path: Path) -> None:
    holder = {"host": "elsewhere", "pid": 7, "heartbeat_seconds": time.time()}
    (tmp_path / FILE_NAME).write_text(json.dumps(holder))
    with pytest.raises(LockedError, match="process 7 on elsewhere"), lock(tmp_path):
        pass
    holder["heartbeat_seconds"] = time.time() - 120
    (tmp_path / FILE_NAME).write_text(json.dumps(holder))
    with lock(tmp_path):
        pass
