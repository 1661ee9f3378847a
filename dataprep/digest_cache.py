"""Digests of input files, remembered by path, size and time of change.

"Is this stage up to date?" asks for the digest of every input. Reading them all would take a second
for each gigabyte, so `logs/input-digests.json` remembers what was computed; a file whose size or
time of change differs is read again. The file only saves time: without it the answer is the same.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from launch.manifest import digest_file, write_atomic

FILE_NAME = "input-digests.json"


class DigestCache:
    """Answers `digest(path)` as `digest_file` does, reading only what has changed."""

    def __init__(self, known: dict[str, list[Any]]) -> None:
        self.known = known
        self.changed = False

    def digest(self, path: Path) -> str:
        """The file's digest, `xxh3_128:` and 32 hexadecimal digits."""
        status = path.stat()
        # The time of change of the inode too: a tool that restores a file sets its mtime, not this.
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        key = str(path.resolve())
        remembered = self.known.get(key)
        if remembered is not None and remembered[:3] == stamp:
            return str(remembered[3])
        digest = digest_file(path)
        self.known[key] = [*stamp, digest]
        self.changed = True
        return digest


@contextmanager
def digest_cache(directory: Path, *, write: bool) -> Iterator[DigestCache]:
    """The cache of a stage's directory; saved at the end if `write` is set and it has grown."""
    path = directory / "logs" / FILE_NAME
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = {}
    cache = DigestCache(known)
    yield cache
    if write and cache.changed:
        write_atomic(path, json.dumps(cache.known))
