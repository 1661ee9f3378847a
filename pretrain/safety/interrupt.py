"""Being asked to stop, by a signal or by the file `STOP`, at any moment of a trainer's life.

While there is something to save, a request is a flag that the loop asks for. Before that (imports,
building, loading, the first iteration) it ends the process at once. A second signal always does.

The signals are read by a thread of their own through `signal.set_wakeup_fd`: Python runs handlers
in the main thread between two bytecodes, and that thread may sit in a C++ wait for half an hour.
"""

import os
import signal
import threading
import time
from pathlib import Path

from launch.log import get_logger
from pretrain import directory as run_directory
from pretrain.safety import ending

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
STOPPED_BY_FILE = f"the file {run_directory.STOP_FILE}"
ASKED_BY = (STOPPED_BY_FILE, *(number.name for number in SIGNALS))
"""All that can ask"""
# A scheduler may signal the whole group, and torchrun forwards what it gets: that is still one.
_SAME_SECONDS = 2.0


class StopRequest:
    """Whether this process was asked to stop since it was made (in the main thread, once)."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._by = ""
        self._saves = False
        self._directory: Path | None = None
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        # The handlers do nothing: without one the signal would end the process, and what C writes
        # into the pipe is read below whatever the main thread does.
        for number in SIGNALS:
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(
            target=self._listen, args=(reader,), name="stop-signals", daemon=True
        ).start()

    @property
    def is_set(self) -> bool:
        """True from the first request on."""
        return self._first is not None

    @property
    def by(self) -> str:
        """What asked: the name of a signal, or the stop file."""
        return self._by

    def run_begins(self, directory: Path) -> None:
        """From now on `directory` is this process's run, of which nothing new can be saved yet."""
        self._saves = False
        self._directory = directory

    def saves_from_now_on(self) -> None:
        """From now on a request is left to the loop, which saves and ends."""
        self._saves = True

    def ask(self, by: str) -> None:
        """Ask to stop, as a first signal would."""
        if self._first is None:
            self._first, self._by = time.monotonic(), by
        if not self._saves:
            self._end_at_once()

    def honoured(self) -> None:
        """Remove the stop file: it has had its effect, the next start shall not see it."""
        if self._directory is not None and ending.rank_of_environment() == 0:
            (self._directory / run_directory.STOP_FILE).unlink(missing_ok=True)

    def _listen(self, reader: int) -> None:
        while True:
            for number in os.read(reader, 64):
                if number in SIGNALS:
                    self._came(number)

    def _came(self, number: int) -> None:
        if self._first is not None and time.monotonic() - self._first > _SAME_SECONDS:
            os._exit(128 + number)
        self.ask(signal.Signals(number).name)

    def _end_at_once(self) -> None:
        """Exit with 3. Everything on disk is as the last checkpoint left it: files that were being
        written have names that nobody reads, and the kernel takes the lock back."""
        message = f"stopped by {self._by} before there was anything new to save"
        try:
            ending.record(ending.Ending(3, message, "the same command goes on"))
            if ending.rank_of_environment() == 0:
                get_logger("pretrain").info("%s", message)
                if self._directory is not None:
                    self.honoured()
                    run_directory.close_result(self._directory, 3)
        finally:
            os._exit(3)
