"""How a trainer tells how it ended: in a file, because torchrun's own exit code is always 1.

Each rank writes one word of its own, `STATUS.rank-N`, the first of those that ended badly becomes
`STATUS` itself: the others fail after it, and because of it. Nothing here imports torch, so that a
trainer can also be ended while it imports.
"""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

# Names the file; it also says that a launcher holds the run's lock and looks after its result.
STATUS_FILE_VARIABLE = "GRISTMILL_STATUS_FILE"


@dataclass(frozen=True)
class Ending:
    """Exit code of design.md, one line for a person, and what to do about it."""

    exit_code: int
    message: str = ""
    hint: str = ""


def rank_of_environment() -> int:
    """This process's rank, before torch could be asked."""
    return int(os.environ.get("RANK", "0"))


def has_launcher() -> bool:
    """Whether a launcher of ours attends to this trainer."""
    return STATUS_FILE_VARIABLE in os.environ


def record(ending: Ending) -> None:
    """Leave this rank's word for the launcher, if there is one; only its first word counts."""
    path = os.environ.get(STATUS_FILE_VARIABLE)
    if path is None:
        return
    rank = rank_of_environment()
    own = Path(f"{path}.rank-{rank}")
    text = json.dumps(vars(ending))
    try:
        with own.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        return
    if ending.exit_code == 0 and rank != 0:
        return
    # A link fails if the name is taken, so the first to end badly stays.
    with contextlib.suppress(FileExistsError):
        os.link(own, path)


def read(path: Path) -> Ending | None:
    """What the trainers of the status file `path` said; None if they said nothing."""
    try:
        return Ending(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def silent_ranks(path: Path, processes: int) -> list[int]:
    """The ranks that ended without a word, once all have ended: killed, or out of memory."""
    return [rank for rank in range(processes) if not Path(f"{path}.rank-{rank}").exists()]
