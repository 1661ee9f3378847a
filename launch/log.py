"""Messages for people, on stderr; stdout is for data that one could pipe.

One line each: time, level, stage, message. Of a distributed run only rank 0 speaks, unless
`LOG_ALL_RANKS=1`.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def get_logger(stage: str) -> logging.Logger:
    """The logger of a stage, set up on first use."""
    logger = logging.getLogger(f"gristmill.{stage}")
    root = logging.getLogger("gristmill")
    if not root.handlers:
        handler = _StandardError()
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
        root.addHandler(handler)
        root.propagate = False
        rank_zero = os.environ.get("RANK", "0") == "0"
        speaks = rank_zero or os.environ.get("LOG_ALL_RANKS") == "1"
        root.setLevel(logging.INFO if speaks else logging.ERROR)
    return logger


class _StandardError(logging.Handler):
    """Writes to what `sys.stderr` is at that moment: a bar or a test may have put another there."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        stage = record.name.removeprefix("gristmill.")
        return line.replace(record.getMessage(), f"{stage:<9} {record.getMessage()}", 1)


@contextmanager
def timed(directory: Path, stage: str) -> Iterator[None]:
    """Record how long the block took, and whether it ended well, in `logs/durations.jsonl`."""
    start = time.monotonic()
    status = "failed"
    try:
        yield
        status = "done"
    finally:
        record_duration(directory, stage, time.monotonic() - start, status)


def record_duration(directory: Path, stage: str, seconds: float, status: str = "done") -> None:
    """Append one line to `DIRECTORY/logs/durations.jsonl`; the summary reads the last one."""
    path = directory / "logs" / "durations.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        event = {"stage": stage, "seconds": round(seconds, 3), "status": status}
        stream.write(json.dumps(event) + "\n")


def last_duration(directory: Path) -> float | None:
    """Seconds of the last finished build of this directory, all its stages; None: there was none.

    What an interrupted build had done before is not counted: it says how long the last start took.
    """
    path = directory / "logs" / "durations.jsonl"
    if not path.exists():
        return None
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    done = {
        event["stage"]: float(event["seconds"]) for event in events if event["status"] == "done"
    }
    return sum(done.values()) if done else None
