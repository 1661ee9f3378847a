"""Progress of long work: a bar on a terminal, a line every 10 s elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from launch.log import get_logger

LINE_SECONDS = 10.0


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of newly finished units, of `total` in all."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=total)
            yield lambda count: bar.update(task, advance=count)
        return
    lines = _Lines(label, total)
    yield lines.advance


class _Lines:
    def __init__(self, label: str, total: int) -> None:
        self.stage, _, self.label = label.rpartition(": ")
        self.total, self.done = total, 0
        self.start = self.last = time.monotonic()

    def advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.last < LINE_SECONDS:
            return
        self.last = now
        elapsed = now - self.start
        left = elapsed * (self.total - self.done) / max(self.done, 1)
        get_logger(self.stage or "launch").info(
            "%s: %d of %d, %.0f s, about %.0f s left",
            self.label, self.done, self.total, elapsed, left,
        )  # fmt: skip
