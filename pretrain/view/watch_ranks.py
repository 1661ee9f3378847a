"""Signs of life of a run, as its files tell them: of each rank, and of the holder of its lock."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch import lock


@dataclass(frozen=True)
class Beat:
    """The last sign of life of one rank, from `logs/heartbeat-RANK.json`."""

    rank: int
    iteration: int
    phase: str
    age_seconds: float
    ended: bool


def read_beats(directory: Path, now: float | None = None) -> list[Beat]:
    """The last sign of every rank that has given one, by rank."""
    now = time.time() if now is None else now
    found = []
    for path in (directory / "logs").glob("heartbeat-*.json"):
        number = path.stem.removeprefix("heartbeat-")
        content = _content(path)
        if number.isdigit() and content is not None:
            when = float(content.get("time_seconds") or now)
            found.append(
                Beat(
                    rank=int(number),
                    iteration=int(content.get("iteration") or 0),
                    phase=str(content.get("phase", "")),
                    age_seconds=max(0.0, now - when),
                    ended=bool(content.get("ended")),
                )
            )
    return sorted(found, key=lambda beat: beat.rank)


def holder_age_seconds(directory: Path) -> float | None:
    """Time since whoever holds the run's lock gave a sign; None if nobody holds it."""
    content = _content(directory / lock.FILE_NAME)
    if content is None or "heartbeat_seconds" not in content:
        return None
    return max(0.0, time.time() - float(content["heartbeat_seconds"]))


def _content(path: Path) -> Mapping[str, Any] | None:
    # A file that is absent, or being written at this moment, says nothing; the next look will.
    try:
        content = json.loads(path.read_text(encoding="utf-8").rstrip("\0"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None
