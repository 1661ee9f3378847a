"""Requests to stop in a process of their own, also while its main thread sits in C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pretrain.safety import ending

WAITS = """
import ctypes, sys, time
from pathlib import Path
from pretrain.safety.interrupt import StopRequest
stop = StopRequest()
stop.run_begins(Path(sys.argv[1]))
what = sys.argv[2]
if what == "warm-up":
    print("ready", flush=True)
    # A wait in C that no signal ends, without the GIL, as a collective's: a mutex taken twice.
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)
stop.saves_from_now_on()
print("ready", flush=True)
while not stop.is_set or what == "goes-on":
    ctypes.CDLL(None).usleep(100_000)
print(stop.by, flush=True)
"""


def start(directory: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "RANK": "0", "WORLD_SIZE": "1",
                   ending.STATUS_FILE_VARIABLE: str(directory / "status")}  # fmt: skip
    command = [sys.executable, "-c", WAITS, str(directory), *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_before_there_is_anything_to_save_it_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "STOP").touch()
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        (tmp_path / "status").unlink(missing_ok=True)
        (tmp_path / "status.rank-0").unlink(missing_ok=True)
        process = start(tmp_path, "warm-up")
        process.send_signal(number)
        assert process.wait(20) == 3
        said = ending.read(tmp_path / "status")
        assert said is not None
        assert said.exit_code == 3
        assert said.message.startswith(f"stopped by {number.name} before")


def test_afterwards_it_is_a_flag_and_the_second_ends(tmp_path: Path) -> None:
    process = start(tmp_path, "saves")
    process.send_signal(signal.SIGUSR1)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "SIGUSR1\n")
    process = start(tmp_path, "goes-on")
    for _ in range(3):  # to a group, and forwarded by torchrun: one request
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    assert process.poll() is None
    time.sleep(2.0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM


def test_the_first_to_end_badly_is_who_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    monkeypatch.setenv(ending.STATUS_FILE_VARIABLE, str(status))
    for number, code in (("2", 0), ("1", 5), ("0", 4), ("1", 3)):
        monkeypatch.setenv("RANK", number)
        ending.record(ending.Ending(code, f"rank {number}"))
    assert ending.read(status) == ending.Ending(5, "rank 1")
    assert ending.silent_ranks(status, 4) == [3]
    assert ending.read(tmp_path / "none") is None
