"""Signs of life: in `logs/heartbeat-RANK.json` each rank says what it is doing; and who is late.

A sign is written by the rank's watchdog thread, never by the loop, and replaced by rename, so that
a reader sees a whole one. Nothing here imports torch.
"""

import json
import linecache
import os
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

# Where a thread is that waits for other ranks: inside torch's collectives, or at a line that waits
# for one that was started before (Megatron-core's pipeline and overlapped reductions).
_COLLECTIVES = f"{os.sep}torch{os.sep}distributed{os.sep}"
_OUTWARDS = 3  # frames looked at, from the innermost


@dataclass(frozen=True)
class Sign:
    """What one rank was doing."""

    rank: int
    host: str
    pid: int
    parent_pid: int
    count: int  # signs so far: two readings show whether the rank lives, whatever its clock says
    time_seconds: float  # of the rank's host, since 1970
    iteration: int  # updates done
    phase: str
    quiet_seconds: float  # since its last progress
    where: str  # file, line and function of its main thread
    waits: bool  # whether it was waiting for other ranks there
    ended: bool = False  # it left the run by itself, well or badly


def path_of(directory: Path, rank: int) -> Path:
    """The file of one rank, below a run's directory."""
    return directory / "logs" / f"heartbeat-{rank}.json"


def write(directory: Path, sign: Sign) -> None:
    """Replace the rank's sign. Not synced to disk: after a power cut nobody asks for it."""
    path = path_of(directory, sign.rank)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(sign)), encoding="utf-8")
    temporary.replace(path)


def read(directory: Path, ranks: Iterable[int]) -> dict[int, Sign]:
    """The signs of these ranks; a rank without one that can be read now is left out."""
    signs = {}
    for rank in ranks:
        try:
            signs[rank] = Sign(**json.loads(path_of(directory, rank).read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError):
            continue
    return signs


def clear(directory: Path) -> None:
    """Forget the signs of an earlier start: its processes are not those of the next one."""
    for path in (directory / "logs").glob("heartbeat-*.json"):
        path.unlink(missing_ok=True)


def whereabouts(thread: int) -> tuple[str, bool]:
    """Where a thread of this process is, as `file:line function`, and whether it waits for others.

    The place is the innermost line, and before it the innermost one of our own.
    """
    frame = sys._current_frames().get(thread)
    if frame is None:
        return "", False
    return _place(frame), _waits(frame)


def waits(thread: int) -> bool:
    """Whether a thread of this process waits for other ranks at this moment."""
    frame = sys._current_frames().get(thread)
    return frame is not None and _waits(frame)


def _waits(frame: FrameType) -> bool:
    # Python's own `threading` is left out by this: it waits for another thread of this process.
    # A frame seen from another thread may be between two lines, and then has no number.
    number = frame.f_lineno or 0
    if ".wait(" in linecache.getline(frame.f_code.co_filename, number):
        return not frame.f_code.co_filename.endswith("threading.py")
    outer: FrameType | None = frame
    for _ in range(_OUTWARDS):
        if outer is None:
            return False
        if _COLLECTIVES in outer.f_code.co_filename:
            return True
        outer = outer.f_back
    return False


def _place(frame: FrameType) -> str:
    innermost = _words(frame)
    own: FrameType | None = frame
    while own is not None and f"{os.sep}pretrain{os.sep}" not in own.f_code.co_filename:
        own = own.f_back
    return innermost if own is None or own is frame else f"{_words(own)}, in {innermost}"


def _words(frame: FrameType) -> str:
    short = "/".join(Path(frame.f_code.co_filename).parts[-2:])
    return f"{short}:{frame.f_lineno} {frame.f_code.co_name}"


def process_state(sign: Sign) -> str:
    """`gone`, `stopped` or `alive`; of a process on another host `unknown`."""
    if sign.host != socket.gethostname():
        return "unknown"
    try:
        text = Path(f"/proc/{sign.pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    # After the name in brackets, which may hold anything: state, then the parent.
    state, parent = text.rpartition(")")[2].split()[:2]
    if state in "ZX" or int(parent) != sign.parent_pid:
        return "gone"  # a zombie that its parent has not yet asked for, or the number is another's
    return "stopped" if state in "Tt" else "alive"


def late(before: dict[int, Sign], now: dict[int, Sign], world_size: int) -> dict[int, str]:
    """The ranks that the others wait for, each with the reason, by two readings of all signs.

    `before` was read at least two periods of the heartbeat before `now`. Ranks that are gone or
    give no sign come before those that live but are busy with something of their own.
    """
    dead: dict[int, str] = {}
    for rank in range(world_size):
        sign = now.get(rank)
        if sign is None:
            dead[rank] = "never gave a sign of life"
        elif not sign.ended:
            state = process_state(sign)
            told = f"last seen in {describe(sign)}"
            if state == "gone":
                dead[rank] = f"is gone (process {sign.pid} on {sign.host}), {told}"
            elif state == "stopped":
                dead[rank] = f"is stopped (process {sign.pid} on {sign.host}), {told}"
            elif rank in before and before[rank].count == sign.count:
                dead[rank] = f"gives no sign of life (process {sign.pid} on {sign.host}), {told}"
    if dead:
        return dead
    alive = {rank: sign for rank, sign in now.items() if not sign.ended}
    busy = {rank: sign for rank, sign in alive.items() if not sign.waits}
    if busy:
        # Where ranks are in different iterations, the one that is furthest behind.
        least = min(sign.iteration for sign in busy.values())
        busy = {rank: sign for rank, sign in busy.items() if sign.iteration == least}
        return {
            rank: f"hangs (process {sign.pid} on {sign.host}) in {describe(sign)}"
            for rank, sign in busy.items()
        }
    return {}


def gone(directory: Path, world_size: int, patience_seconds: float = 2.0) -> dict[int, str]:
    """The ranks of this host whose process is gone without having said that it ends.

    A connection breaks a moment before the kernel counts its process as ended: the answer is waited
    for up to `patience_seconds`. Ranks on other hosts cannot be told from here.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        found = {
            rank: f"is gone (process {sign.pid} on {sign.host}), last seen in {describe(sign)}"
            for rank, sign in read(directory, range(world_size)).items()
            if not sign.ended and process_state(sign) == "gone"
        }
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def describe(sign: Sign) -> str:
    """Phase, iteration and place for a person."""
    place = f" at {sign.where}" if sign.where else ""
    return f"{sign.phase} after iteration {sign.iteration}{place}"
