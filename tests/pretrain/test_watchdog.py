"""Hangs, seen and named. Ranks here are processes without torch: what a rank does is `time.sleep`,
what it waits in is a file below `torch/distributed`, as in a real stack."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pretrain.config import Watch
from pretrain.safety import ending, heartbeat
from pretrain.safety.interrupt import StopRequest
from pretrain.safety.watchdog import Watchdog

RANK = """
import ctypes, json, sys, threading, time
from pathlib import Path
from pretrain.config import Watch
from pretrain.safety.interrupt import StopRequest
from pretrain.safety.watchdog import Watchdog
directory, what = Path(sys.argv[1]), sys.argv[2]
source = "import time\\ndef wait_for_others():\\n    time.sleep(60)"
exec(compile(source, "/x/torch/distributed/collective.py", "exec"))
watch = Watch(step_timeout_seconds=1.0, start_timeout_seconds=float(sys.argv[3]))
with Watchdog(watch, directory, StopRequest()) as dog:
    dog.beat(0, "step")
    dog.first_iteration_is_done()
    dog.beat(7, "step")
    print("ready", flush=True)
    if what == "wait":
        wait_for_others()
    elif what == "work":
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            time.sleep(0.1)
            dog.beat(7, "step")
        sys.exit(0)
    elif what == "save":
        dog.beat(7, "save")
        time.sleep(1.5)
        sys.exit(0)
    elif what == "threads":
        def run():
            while True:
                json.loads(json.dumps({"a": [1, {"b": 2}]}, indent=1))
        threading.Thread(target=run, daemon=True).start()
        end = time.monotonic() + 2
        while time.monotonic() < end:
            time.sleep(0.1)
            dog.beat(7, "step")
        sys.exit(0)
    elif what == "hold":
        for _ in range(9):  # a signal ends one sleep
            ctypes.PyDLL(None).sleep(60)
    else:
        time.sleep(60)
"""


class Ranks:
    """Starts ranks as torchrun would, this process being the agent."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *doings: str, start_timeout: float = 60.0) -> None:
        for rank, doing in enumerate(doings):
            environment = {
                **os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(len(doings)), "LOCAL_WORLD_SIZE": str(len(doings)),
                ending.STATUS_FILE_VARIABLE: str(self.directory / "status"),
            }  # fmt: skip
            command = [sys.executable, "-c", RANK, str(self.directory), doing, str(start_timeout)]
            self.processes.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            )
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def codes(self) -> list[int]:
        return [process.wait(20) for process in self.processes]

    def said(self) -> ending.Ending:
        said = ending.read(self.directory / "status")
        assert said is not None
        return said


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[Ranks]:
    started = Ranks(tmp_path)
    yield started
    for process in started.processes:
        process.kill()
        process.communicate()


def test_the_rank_that_the_others_wait_for_is_named(ranks: Ranks) -> None:
    ranks.start("wait", "sleep", "wait")
    begun = time.monotonic()
    assert ranks.codes() == [5, 5, 5]
    # The limit of 1 s, 2 s in which those that cannot see all ranks leave the word to the others.
    assert time.monotonic() - begun < 8
    said = ranks.said()
    assert said.exit_code == 5
    assert "rank 1 hangs" in said.message
    assert "step after iteration 7" in said.message
    assert "rank 0" not in said.message
    assert "rank 2" not in said.message
    stacks = (ranks.directory / "logs" / "stacks-0.txt").read_text()
    assert "wait_for_others" in stacks


def test_a_stopped_rank_is_named_and_ended(ranks: Ranks) -> None:
    ranks.start("wait", "wait")
    frozen = ranks.processes[1]
    frozen.send_signal(signal.SIGSTOP)
    assert ranks.codes() == [5, -signal.SIGKILL]
    assert f"rank 1 is stopped (process {frozen.pid} on " in ranks.said().message


@pytest.mark.slow
def test_a_rank_that_holds_the_interpreter_gives_no_sign(ranks: Ranks) -> None:
    ranks.start("wait", "hold")
    assert ranks.codes() == [5, -signal.SIGKILL]
    assert "rank 1 gives no sign of life" in ranks.said().message
    # Its own thread could not run; the signal handler in C could.
    assert "<module>" in (ranks.directory / "logs" / "stacks-1.txt").read_text()


def test_asking_a_busy_process_where_it_is_does_not_end_it(ranks: Ranks) -> None:
    ranks.start("threads")
    (process,) = ranks.processes
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        process.send_signal(signal.SIGUSR2)
        time.sleep(0.002)
    assert ranks.codes() == [0]
    stacks = (ranks.directory / "logs" / "stacks-0.txt").read_text()
    assert stacks.count("most recent call first") > 50
    assert "<module>" in stacks


@pytest.mark.slow
def test_alone_it_is_ended_from_outside_the_interpreter(ranks: Ranks) -> None:
    ranks.start("hold", start_timeout=1.0)
    assert ranks.codes() == [1]
    assert "Timeout" in (ranks.directory / "logs" / "stacks-0.txt").read_text()


def test_work_and_saving_are_no_hang(ranks: Ranks) -> None:
    ranks.start("work", "save")
    assert ranks.codes() == [0, 0]
    signs = heartbeat.read(ranks.directory, range(2))
    assert [sign.ended for sign in signs.values()] == [True, True]


@pytest.mark.slow
def test_a_run_that_slept_as_a_whole_goes_on(ranks: Ranks) -> None:
    ranks.start("work")
    (process,) = ranks.processes
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    process.send_signal(signal.SIGCONT)
    assert ranks.codes() == [0]


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> StopRequest:
    """A request without signal handlers: those are the whole process's."""
    monkeypatch.setattr(StopRequest, "__init__", _without_signals)
    return StopRequest()


def _without_signals(self: StopRequest) -> None:
    self._first, self._by, self._saves, self._directory = None, "", False, None


def test_the_stop_file_is_seen_and_removed(tmp_path: Path, stop: StopRequest) -> None:
    stop.run_begins(tmp_path)
    with Watchdog(Watch(), tmp_path, stop) as dog:
        dog.first_iteration_is_done()
        (tmp_path / "STOP").touch()
        end = time.monotonic() + 5
        while not stop.is_set and time.monotonic() < end:
            time.sleep(0.05)
        assert stop.by == "the file STOP"
    assert not (tmp_path / "STOP").exists()


def test_many_runs_in_one_process_leave_no_threads(tmp_path: Path, stop: StopRequest) -> None:
    before = threading.active_count()
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for index in range(20):
        with Watchdog(Watch(), tmp_path / str(index), stop) as dog:
            dog.beat(1, "step")
    assert threading.active_count() == before
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == descriptors


def test_own_time_leaves_out_waits(stop: StopRequest, tmp_path: Path) -> None:
    scope: dict[str, Callable[[], None]] = {}
    source = "import time\ndef wait():\n    time.sleep(0.6)"
    exec(compile(source, "/x/torch/distributed/collective.py", "exec"), scope)
    with Watchdog(Watch(), tmp_path, stop) as dog:
        dog.beat(0, "step")
        time.sleep(0.4)
        scope["wait"]()
        own, total = dog.take_own_seconds()
    assert 0.8 < total < 1.5
    assert own < 0.7 * total


def test_a_sign_of_another_version_is_no_sign(tmp_path: Path) -> None:
    path = heartbeat.path_of(tmp_path, 0)
    path.parent.mkdir()
    for text in ("", "{", json.dumps({"rank": 0}), "[]"):
        path.write_text(text)
        assert heartbeat.read(tmp_path, [0, 1]) == {}


def test_a_frame_between_two_lines_is_no_wait(tmp_path: Path) -> None:
    code = SimpleNamespace(co_filename=str(tmp_path / "made_up.py"), co_name="made_up")
    frame = SimpleNamespace(f_code=code, f_lineno=None, f_back=None)
    assert heartbeat._waits(frame) is False  # type: ignore[arg-type]
    assert "made_up" in heartbeat._place(frame)  # type: ignore[arg-type]


def test_a_bug_in_the_watchdog_does_not_end_its_watch(
    tmp_path: Path, stop: StopRequest, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fails(_thread: int) -> bool:
        raise ValueError("made up")

    monkeypatch.setattr(heartbeat, "waits", fails)
    stop.run_begins(tmp_path)
    with Watchdog(Watch(heartbeat_seconds=0.01), tmp_path, stop) as dog:
        dog.beat(0, "step")
        time.sleep(0.3)
        dog.beat(1, "save")  # where it does not fail
        time.sleep(0.3)
        assert heartbeat.read(tmp_path, [0])[0].iteration == 1
    assert capsys.readouterr().err.count("ValueError: made up") == 1
