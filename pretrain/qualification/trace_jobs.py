"""What to trace, and the processes that do it: this side imports no torch.

Jobs of as many processes share one start of them, because importing torch and Megatron-core takes
longer than a trace. A job that fails, dies or hangs costs its own trace and a new start, no more.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch import torchrun
from launch.config import parse_model
from launch.process import die_with_parent
from pretrain.config import Pretrain

# A port that was free when it was chosen may be taken when the processes meet there.
_PORT_TAKEN = "EADDRINUSE"
_STARTS = 3
# Of what processes said before they failed, the end is shown.
_OUTPUT_CHARACTERS = 4_000


@dataclass(frozen=True)
class Job:
    """One trace to record."""

    name: str
    pretrain: Pretrain
    padded_vocab_size: int
    seed: int = 1
    iterations: int = 2
    documents: bool = True
    """Whether sequences hold several documents, with a mask between them"""
    whole: bool = True
    """Whether tensors are kept, and not their summaries alone"""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of its processes; jobs with others are not done by the same processes"""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; `from_dict` reads it."""
        return self.__dict__ | {"pretrain": self.pretrain.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> "Job":
        """The inverse of `to_dict`."""
        pretrain = parse_model(Pretrain, table["pretrain"], "pretrain")
        environment = tuple(map(tuple, table["environment"]))
        return cls(**{**table, "pretrain": pretrain, "environment": environment})

    def file(self, directory: Path) -> Path:
        """Where its trace lies below `directory`."""
        return directory / f"{self.name}.{'npz' if self.whole else 'json'}"

    def failure(self, directory: Path) -> Path:
        """Where a rank that failed says why."""
        return directory / f"{self.name}.failed"


def record_all(
    jobs: Iterable[Job],
    directory: Path,
    timeout_seconds: float = 300.0,
    module: Sequence[str] = ("pretrain", "record-traces"),
) -> dict[str, str]:
    """Record every job's trace below `directory`; why each that failed did so, by its name.

    A job that takes longer than `timeout_seconds` (the first of a start: with the start) is ended.
    """
    waiting = list(jobs)
    assert len({job.name for job in waiting}) == len(waiting), "names of jobs must differ"
    failures: dict[str, str] = {}
    while waiting:
        together = [job for job in waiting if _processes(job) == _processes(waiting[0])]
        for _ in range(_STARTS):
            how = _start(together, directory, timeout_seconds, module)
            if _PORT_TAKEN not in how:
                break
        for job in together:
            if not job.file(directory).exists():
                # Jobs are done in order: this one ended the start, those behind it have another.
                failures[job.name] = how
                waiting.remove(job)
                break
            waiting.remove(job)
    return failures


def _processes(job: Job) -> tuple[object, ...]:
    return job.pretrain.parallel.world_size, job.environment


def _start(jobs: list[Job], directory: Path, timeout_seconds: float, module: Sequence[str]) -> str:
    """Let processes do the jobs; why they ended before the last, or an empty string."""
    size = jobs[0].pretrain.parallel.world_size
    listing = directory / "jobs.json"
    listing.write_text(json.dumps([job.to_dict() for job in jobs]), encoding="utf-8")
    for job in jobs:
        job.failure(directory).unlink(missing_ok=True)
    environment = {**os.environ, **torchrun.environment(size), **dict(jobs[0].environment)}
    module = [*module, str(listing)]
    if size == 1:
        environment |= torchrun.single_process_environment()
        command = [sys.executable, "-m", *module]
    else:
        command = torchrun.command(size, module)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            hung = not _attend(process, jobs, directory, timeout_seconds)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        said = list(_said(jobs, directory))
        if hung:
            said = [f"no answer for {timeout_seconds:.0f} s"]
        if not said and process.returncode:
            said = [f"a process ended with {process.returncode}"]
        if said and _PORT_TAKEN not in said[0]:
            output.seek(0)
            sys.stderr.write(output.read().decode(errors="replace")[-_OUTPUT_CHARACTERS:])
        return said[0] if said else ""


def _attend(
    process: "subprocess.Popen[bytes]", jobs: list[Job], directory: Path, timeout_seconds: float
) -> bool:
    """Wait for the end; False if no trace came for `timeout_seconds`."""
    done, since = 0, time.monotonic()
    while True:
        try:
            process.wait(timeout=1.0)
            return True
        except subprocess.TimeoutExpired:
            now = sum(job.file(directory).exists() for job in jobs)
            if now > done:
                done, since = now, time.monotonic()
            if time.monotonic() - since > timeout_seconds:
                return False


def _said(jobs: list[Job], directory: Path) -> Iterator[str]:
    for job in jobs:
        path = job.failure(directory)
        if path.exists():
            yield path.read_text(encoding="utf-8")
