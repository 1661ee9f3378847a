"""metrics.jsonl: the events of a run, written by rank 0, one line each.

The file is append-only: a line is one `write` to a descriptor, so that a killed process leaves at
most its last line cut off, which every reader passes over. Nothing is kept in memory, however long
the run. A resumed run drops the events after its checkpoint, because it is about to write them
again: the file of a run that was killed and resumed holds the same losses as that of one that was
not.
"""

import json
import math
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from launch.errors import UserError
from launch.manifest import write_atomic
from pretrain.contract import METRICS

Event = dict[str, Any]

FILE_NAME = "metrics.jsonl"
_LAST = 10
_BLOCK_BYTES = 1 << 16
# Events that are rare, and that a person would miss after a power failure. A checkpoint's is among
# them, so that what lies before a checkpoint is on the disk soon after it. A kill of the process
# loses no line in any case: the page cache outlives it.
_SYNCED = frozenset(METRICS) - {"train", "train_source", "valid_source", "straggler"}


class Metrics:
    """Appends events; on ranks that do not write (`directory` None) it does nothing."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / FILE_NAME
        self._descriptor = -1

    def resume(self, iteration: int) -> None:
        """Drop what was written after `iteration`, and half a line at the end.

        The cost is that of what is dropped, not of the whole file: it is read from its end. Raises
        `UserError` if there is an unreadable line before the end.
        """
        if self._path is None or not self._path.exists():
            return
        self.close()
        cut, kept = _find_cut(self._path, iteration)
        if not kept:
            with self._path.open("r+b") as stream:
                stream.truncate(cut)
                os.fsync(stream.fileno())
            return
        # Seldom: a checkpoint that was reported late stands among lines that go.
        with self._path.open("rb") as stream:
            write_atomic(self._path, stream.read(cut) + b"".join(kept))

    def write(self, event: str, iteration: int, **values: Any) -> None:
        """Append one event; its keys are those of `contract.METRICS`.

        A number that is not finite becomes null: JSON has none.
        """
        assert tuple(values) == METRICS[event], (event, tuple(values))
        if self._path is None:
            return
        line = {"event": event, "iteration": iteration}
        for key, value in values.items():
            bad = isinstance(value, float) and not math.isfinite(value)
            line[key] = None if bad else value
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._descriptor = os.open(self._path, flags, 0o644)
        data = (json.dumps(line) + "\n").encode()
        written = os.write(self._descriptor, data)
        while written < len(data):
            written += os.write(self._descriptor, data[written:])
        if event in _SYNCED:
            os.fsync(self._descriptor)

    def has(self, event: str, iteration: int) -> bool:
        """Whether there is an event of one kind of the iteration that the run is at, or was at a
        few lines ago; it is read from the file's end."""
        if self._path is None or not self._path.exists():
            return False
        for _, line in _lines_from_end(self._path):
            found = _parsed(line)
            if found is None:
                continue
            if found["event"] == event and found["iteration"] == iteration:
                return True
            if found["event"] == "train" and found["iteration"] < iteration:
                return False
        return False

    def summary(self) -> dict[str, Any]:
        """`summarize` of this run; it reads the whole file, once, at the end."""
        assert self._path is not None
        return summarize(self._path.parent)

    def sync(self) -> None:
        """Wait until every line is on the disk."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Give the file back; a later `write` opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def iterate_events(path: Path) -> Iterator[Event]:
    """The events of the file in order, a line in memory at a time, without one that is cut off.

    Raises `UserError` naming the line that cannot be read.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            yield parse_line(line, f"{path}:{number}")


def parse_line(line: bytes, where: str) -> Event:
    """One event. Raises `UserError` if it is none."""
    event = _parsed(line)
    if event is None:
        shown = line[:60].decode(errors="replace").rstrip("\n")
        hint = "cut the file before it; what follows would be missing from curves only"
        raise UserError(where, f"'{shown}'", "an event of a run, one JSON object a line", hint)
    return event


def summarize(directory: Path) -> dict[str, Any]:
    """What `result.json` says about the course of the run, from one pass over its events.

    After a rewind the losses beyond it count no longer; the seconds that they took do.
    """
    first: float | None = None
    last: deque[tuple[int, float]] = deque(maxlen=_LAST)
    valid: Event = {}
    train_seconds = passed = seconds = 0.0
    path = directory / FILE_NAME
    for event in iterate_events(path) if path.exists() else ():
        kind = event["event"]
        if kind in ("train", "valid") or (kind == "checkpoint" and not event["asynchronous"]):
            seconds += event["seconds"]
        if kind == "train":
            if event["loss"] is not None:
                first = event["loss"] if first is None else first
                last.append((event["iteration"], event["loss"]))
            if event["tokens_per_second"] is not None:
                train_seconds += event["seconds"]
                passed += event["tokens_per_second"] * event["seconds"]
        elif kind == "valid":
            valid = event
        elif kind == "rewind":
            kept = [pair for pair in last if pair[0] <= event["to_iteration"]]
            last = deque(kept, maxlen=_LAST)
    return {
        "loss_first": first,
        "loss_last": sum(loss for _, loss in last) / len(last) if last else None,
        "loss_valid": valid.get("loss"),
        "bits_per_byte_valid": valid.get("bits_per_byte"),
        "valid_tokens": valid.get("tokens"),
        "tokens_per_second": passed / train_seconds if train_seconds else None,
        "seconds": seconds,
    }


def _parsed(line: bytes) -> Event | None:
    try:
        event = orjson.loads(line)
    except ValueError:
        return None
    ours = isinstance(event, dict) and event.get("event") in METRICS and "iteration" in event
    return event if ours else None


def _find_cut(path: Path, iteration: int) -> tuple[int, list[bytes]]:
    """Where the file is cut for a run that goes on after `iteration`, and lines behind that stay.

    Read from the end. Iterations grow but for rewinds, and but for events that are told late (an
    asynchronous checkpoint); a `train` event is never late, so that everything before one that
    stays, stays. A rewind to before the checkpoint stays, with all before it: the checkpoint was
    written after it. One to the checkpoint itself or later is undone with what followed it.
    """
    cut = path.stat().st_size
    kept: list[tuple[int, bytes]] = []
    readable = False
    for offset, line in _lines_from_end(path):
        event = _parsed(line) if line.endswith(b"\n") else None
        if event is None:
            if readable:
                parse_line(line, f"{path}: byte {offset}")
            cut = offset  # cut off by a kill, or zeros left by a power failure
            continue
        readable = True
        rewound = event["event"] == "rewind"
        reached = event["to_iteration"] + 1 if rewound else event["iteration"]
        if reached > iteration or event["event"] == "end":
            cut = offset
        elif event["event"] in ("train", "rewind"):
            break
        else:
            kept.append((offset, line))
    return cut, [line for offset, line in reversed(kept) if offset > cut]


def _lines_from_end(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every line with its offset, the last one first."""
    with path.open("rb") as stream:
        end = position = stream.seek(0, os.SEEK_END)
        text = b""  # from `position` to `end`
        while position:
            size = min(_BLOCK_BYTES, position)
            position -= size
            stream.seek(position)
            text = stream.read(size) + text
            # The line break at the very end belongs to the last line.
            while (found := text.rfind(b"\n", 0, len(text) - 1)) >= 0:
                yield position + found + 1, text[found + 1 :]
                text = text[: found + 1]
        if end:
            yield 0, text
