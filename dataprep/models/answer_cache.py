"""Answers that were paid for, by digest of their question: nothing is ever asked twice.

    DIRECTORY/answers-*.jsonl     one file for each process that asked; lines are only added
    DIRECTORY/quarantine.jsonl    places of lines that are damaged, never their content

A line is `{"key": …, "content": …}`, a tab and the xxh3_64 of what stands before it, written and
synced by one call. As every process has a file of its own, several may ask at once; one that is
killed loses what was on its way, and its last line at most is torn. A line whose digest does not
hold is passed over and named in quarantine: its question is asked again.
"""

import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
import xxhash

from launch.log import get_logger

QUARANTINE_NAME = "quarantine.jsonl"
_LINE_BYTES_MAX = 16 << 20
_DIGITS = 16


class AnswerCache:
    """The answers of a directory, and those that are added to it, all in memory.

    With `read_only` nothing is written, not even the places of damaged lines.
    """

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self._directory = directory
        self._known: dict[str, str] = {}
        self._descriptor: int | None = None
        damaged = []
        for path in sorted(directory.glob("answers-*.jsonl")):
            for offset, line in _lines(path):
                record = _record(line)
                if record is not None:
                    self._known[record["key"]] = record["content"]
                else:
                    damaged.append((path, offset, line))
        self._num_damaged = len(damaged)
        if damaged and not read_only:
            self._quarantine(damaged)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def num_damaged(self) -> int:
        """Lines that could not be read."""
        return self._num_damaged

    def get(self, key: str) -> str | None:
        """What was answered to the question with this digest; None: it was never asked."""
        return self._known.get(key)

    def add(self, answers: Iterable[tuple[str, str]]) -> None:
        """Keep answers (digest of the question, content): on the disk when this returns."""
        lines = bytearray()
        for key, content in answers:
            record = orjson.dumps({"key": key, "content": content})
            lines += record + b"\t" + xxhash.xxh3_64_hexdigest(record).encode() + b"\n"
            self._known[key] = content
        if not lines:
            return
        if self._descriptor is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            # A new file for each process: nobody appends behind another's torn line.
            path = self._directory / f"answers-{os.getpid()}-{secrets.token_hex(6)}.jsonl"
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            self._descriptor = os.open(path, flags, 0o600)
        view = memoryview(lines)
        while view:
            view = view[os.write(self._descriptor, view) :]
        os.fsync(self._descriptor)

    def _quarantine(self, damaged: list[tuple[Path, int, bytes]]) -> None:
        path = self._directory / QUARANTINE_NAME
        known = path.read_bytes() if path.exists() else b""
        rows = []
        for file, offset, line in damaged:
            entry = {
                "file": file.name,
                "offset": offset,
                "length": len(line),
                "digest": f"xxh3_128:{xxhash.xxh3_128_hexdigest(line)}",
                "reason": "digest does not hold" if line.endswith(b"\n") else "torn at its end",
            }
            row = orjson.dumps(entry) + b"\n"
            if row not in known:
                rows.append(row)
        if rows:
            with path.open("ab") as stream:
                stream.write(b"".join(rows))
            get_logger("dataprep").warning(
                "answers: %d lines in %s are damaged and are asked again; places: %s",
                len(rows), self._directory, path,
            )  # fmt: skip


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Offset and content of each line, at most `_LINE_BYTES_MAX` bytes at once."""
    with path.open("rb") as stream:
        offset = 0
        while line := stream.readline(_LINE_BYTES_MAX):
            yield offset, line
            offset += len(line)


def _record(line: bytes) -> dict[str, str] | None:
    """The record of a line whose digest holds; None: damaged."""
    content, _, digest = line.rpartition(b"\t")
    if len(digest) != _DIGITS + 1 or xxhash.xxh3_64_hexdigest(content).encode() != digest[:-1]:
        return None
    record = orjson.loads(content)
    assert isinstance(record, dict)
    return record
