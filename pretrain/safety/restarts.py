"""When the launcher starts a run again by itself, and when it gives up."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# Crashes (also a bug may come from bad memory) and lost or hanging processes. Not what a person
# must mend (2, 4, 6), nor what was wanted (0, 3).
_MENDABLE = (1, 5)
_FRUITLESS = 2


@dataclass(frozen=True)
class Start:
    """One start of the trainers, when it is over."""

    exit_code: int
    message: str
    checkpoint_before: str | None  # what `checkpoints/latest` named when it began
    checkpoint_after: str | None  # and when it ended

    @property
    def was_fruitless(self) -> bool:
        """Whether it ended without a new checkpoint."""
        return self.checkpoint_before == self.checkpoint_after


def starts_again(starts: Sequence[Start], restarts_max: int) -> tuple[bool, str]:
    """Whether the run is started again after these starts, and why, or why not, in one line.

    Two starts in a row that fail without a new checkpoint are a crash loop: the third would fail
    as well, and a fault that takes an hour to show would burn the nodes for days.
    """
    last = starts[-1]
    if last.exit_code not in _MENDABLE:
        return False, f"exit code {last.exit_code} is not mended by another start"
    if len(starts) > restarts_max:
        return False, f"{restarts_max} restarts (pretrain.watch.restarts_max) are used up"
    latest = starts[-_FRUITLESS:]
    if len(latest) == _FRUITLESS and all(start.was_fruitless for start in latest):
        place = last.checkpoint_after or "the beginning"
        return False, (
            f"a crash loop: {_FRUITLESS} starts in a row from {place} ended without a new "
            "checkpoint; a person must look"
        )
    place = last.checkpoint_after or "the beginning"
    return True, f"starting again from {place} (restart {len(starts)} of {restarts_max})"


def note(directory: Path, start: Start) -> None:
    """Append how a start ended to `logs/starts.jsonl`."""
    path = directory / "logs" / "starts.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"time_seconds": round(time.time(), 3), **asdict(start)}) + "\n")


def latest_checkpoint(directory: Path) -> str | None:
    """What `checkpoints/latest` of a run names, as text; None before the first checkpoint."""
    path = directory / "checkpoints" / "latest"
    return path.read_text(encoding="utf-8").strip() if path.exists() else None
