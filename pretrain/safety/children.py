"""The processes that the launcher starts: trainers, or torchrun with several, and how they ended.

Imports no torch. Signals to stop reach the launcher alone (its children have a session of their
own) and are passed on once each.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from launch import torchrun
from launch.errors import (
    GristmillError,
    NumericalError,
    PeerLostError,
    PreemptedError,
)
from launch.process import die_with_parent
from pretrain.config import Parallel
from pretrain.safety import ending
from pretrain.safety.ending import Ending
from pretrain.safety.interrupt import SIGNALS

# The module that is started for each rank; a benchmark starts one that is slow on purpose.
MODULE = "pretrain"
# When one rank has ended badly, the others have this long to end by themselves.
_GRACE_SECONDS = 30.0
_ERRORS: dict[int, type[GristmillError]] = {
    3: PreemptedError,
    4: NumericalError,
    5: PeerLostError,
}


class Child:
    """One process to start: a trainer, or torchrun with `processes` of them."""

    def __init__(
        self, arguments: list[str], status: Path, parallel: Parallel, siblings: int = 1
    ) -> None:
        self._status = status
        self._processes = parallel.world_size
        environment = {
            **torchrun.gpu_environment(parallel.tensor > 1 or parallel.context > 1),
            **os.environ,
            **torchrun.environment(self._processes * siblings),
            ending.STATUS_FILE_VARIABLE: str(status),
        }
        module = [MODULE, *arguments]
        if self._processes == 1:
            environment |= torchrun.single_process_environment()
            command = [sys.executable, "-m", *module]
        else:
            command = torchrun.command(self._processes, module)
        self.process = subprocess.Popen(
            command, env=environment, start_new_session=True, preexec_fn=die_with_parent
        )

    def wait(self) -> None:
        """Until it has ended; it is ended once a rank has ended badly and the others do not."""
        descriptor = os.pidfd_open(self.process.pid)
        deadline = None
        try:
            while not select.select([descriptor], [], [], 5.0)[0]:
                said = ending.read(self._status)
                if deadline is None and said is not None and said.exit_code != 0:
                    deadline = time.monotonic() + _GRACE_SECONDS
                if deadline is not None and time.monotonic() > deadline:
                    self.process.kill()
        finally:
            os.close(descriptor)
        self.process.wait()

    def outcome(self, asked: bool) -> Ending:
        """How it ended, once it has; `asked`: it was told to stop."""
        said = ending.read(self._status)
        silent = ending.silent_ranks(self._status, self._processes)
        if said is None and asked:
            return Ending(
                3, "stopped before it could save anything new", "the same command goes on"
            )
        # torchrun asks the other ranks to stop when one is killed: that is no preemption.
        if said is None or (said.exit_code == 3 and silent and not asked):
            ranks = ", ".join(map(str, silent)) or "?"
            how = _words(self.process.returncode) if self._processes == 1 else "ended"
            message = f"rank {ranks} {how} and said nothing: killed, or out of memory"
            return Ending(5, message, "the same command goes on")
        return said


def _words(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


class Signals:
    """Requests to stop that reached the launcher; they are handed on to `children`."""

    def __init__(self) -> None:
        self.asked = False
        self._children: list[Child] = []

    def attend(self, children: list[Child]) -> list[Ending]:
        """Wait for the children, and end what is left of them if waiting is broken off."""
        self._children = children
        if self.asked:
            self._pass_on()  # it came while they were being started
        try:
            for child in children:
                child.wait()
        finally:
            for child in children:
                if child.process.poll() is None:
                    child.process.kill()
                    child.process.wait()
            self._children = []
        return [child.outcome(self.asked) for child in children]

    def came(self) -> None:
        """One has come."""
        self.asked = True
        self._pass_on()

    def check(self) -> None:
        """Raise `PreemptedError` if one has come: nothing is running that could save."""
        if self.asked:
            raise PreemptedError("stopped before it was started", "the same command goes on")

    def _pass_on(self) -> None:
        for child in self._children:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)


@contextmanager
def signals() -> Iterator[Signals]:
    """Take signals to stop as requests within the block."""
    taken = Signals()
    before = {
        number: signal.signal(number, lambda _number, _frame: taken.came()) for number in SIGNALS
    }
    try:
        yield taken
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_first(endings: Sequence[Ending]) -> None:
    """Raise the first that is not a good one, as the error of its exit code."""
    for each in endings:
        if each.exit_code != 0:
            raise as_error(each)


def as_error(ended: Ending) -> GristmillError:
    """The error that ends the command with `ended.exit_code`."""
    error = _ERRORS.get(ended.exit_code, GristmillError)(ended.message, ended.hint)
    error.exit_code = ended.exit_code
    return error
