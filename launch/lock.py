"""One writer for each directory.

The lock is a kernel lock (`flock`) on a file inside the directory, so that it is gone the moment
its process dies, however it dies; the file's content names the holder for people and for other
hosts. Where the file system does not carry kernel locks between hosts, the heartbeat in the file
does: a holder on another host counts as alive until its heartbeat is 60 s old.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launch.errors import LockedError

FILE_NAME = ".lock"
HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0


@contextlib.contextmanager
def lock(directory: Path, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold the directory's lock, creating the directory if need be.

    `patience_seconds`: how long to wait for a holder on another host, of which nothing but its last
    heartbeat is known: its host may have died a moment ago.

    Raises `LockedError`, naming the holder, if another living process has it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE_NAME
    # Python's descriptors are not inherited, so that no child keeps the lock of a dead parent.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refusal(directory, _read(descriptor)) from None
        deadline = time.monotonic() + patience_seconds
        while _alive_elsewhere(holder := _read(descriptor)) and time.monotonic() < deadline:
            time.sleep(1.0)
        if _alive_elsewhere(holder):
            raise _refusal(directory, holder)
        own = {"host": socket.gethostname(), "pid": os.getpid(), "start_seconds": time.time()}
        stop = threading.Event()
        beat = threading.Thread(target=_beat, args=(descriptor, own, stop), daemon=True)
        _write(descriptor, own)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _beat(descriptor: int, own: dict[str, Any], stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        _write(descriptor, own)


def _write(descriptor: int, own: dict[str, Any]) -> None:
    text = json.dumps({**own, "heartbeat_seconds": time.time()}).encode()
    os.pwrite(descriptor, text.ljust(256), 0)


def _read(descriptor: int) -> dict[str, Any]:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}  # just created, or left by a holder that finished
    return holder if isinstance(holder, dict) else {}


def _alive_elsewhere(holder: dict[str, Any]) -> bool:
    heartbeat = holder.get("heartbeat_seconds", 0.0)
    return (
        holder.get("host", socket.gethostname()) != socket.gethostname()
        and time.time() - float(heartbeat) < STALE_SECONDS
    )


def _refusal(directory: Path, holder: dict[str, Any]) -> LockedError:
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return LockedError(
        f"{directory}: {who} is writing it",
        "wait for it or stop it; the lock goes with its process",
    )
