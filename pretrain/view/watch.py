"""`gristmill pretrain watch RUN`: the run as it goes, from its files alone.

It reads what was appended since the last look, never the whole file again, and takes no part in
the run: it may be started and ended at any time, on any machine that sees the directory.
"""

import contextlib
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from launch.log import get_logger
from pretrain.contract import read_result
from pretrain.view.course import Course
from pretrain.view.follow import Tail
from pretrain.view.watch_frame import View, frame, line
from pretrain.view.watch_ranks import holder_age_seconds, read_beats

LOOK_SECONDS = 1.0
LINE_SECONDS = 10.0


class Watcher:
    """Keeps the course of a run up to date."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._tail = Tail(directory)
        self._course = Course()

    def look(self) -> View:
        """The run at this moment. Raises `UserError` if it is none."""
        result = read_result(self._directory)  # before the events: at the end nothing is missed
        while True:
            void, events = self._tail.read()
            if void:
                self._course = Course()
            for event in events:
                self._course.add(event)
            if not events:
                break
        return View(
            result, self._course, read_beats(self._directory), holder_age_seconds(self._directory)
        )


def watch(directory: Path, *, once: bool = False) -> None:
    """Show the run until it ends: a live frame on a terminal, else a line now and then.

    `once` prints one frame. Raises `UserError` if the directory is not that of a run.
    """
    watcher = Watcher(directory)
    view = watcher.look()
    console = Console()
    if once:
        console.print(frame(view, console.width))
        return
    if sys.stdout.isatty():
        # A person who ends it has not met with an error.
        with contextlib.suppress(KeyboardInterrupt):
            _show(watcher, console)
        return
    last = -LINE_SECONDS
    while True:
        if view.ended or time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            get_logger("pretrain").info("%s", line(view))
        if view.ended:
            return
        time.sleep(LOOK_SECONDS)
        view = watcher.look()


def _show(watcher: Watcher, console: Console) -> None:
    view = watcher.look()
    with Live(frame(view, console.width), console=console, auto_refresh=False) as live:
        while not view.ended:
            time.sleep(LOOK_SECONDS)
            view = watcher.look()
            live.update(frame(view, console.width), refresh=True)
