"""One rank that records traces: what `trace_jobs.record_all` starts."""

import contextlib
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from launch.process import die_with_parent
from pretrain.qualification.record import record
from pretrain.qualification.tensor_trace import Trace, save
from pretrain.qualification.trace_jobs import Job


def main(listing: Path, trace_of: Callable[[Job], Trace | None] = record) -> int:
    """Record the jobs that `listing` names, in order, beside it; 1 at the first that fails."""
    die_with_parent()
    warnings.filterwarnings("ignore", module=r"(torch|megatron)\.")
    directory = listing.parent
    for table in json.loads(listing.read_text(encoding="utf-8")):
        job = Job.from_dict(table)
        try:
            trace = trace_of(job)
            if trace is not None:
                # A trace is there or not: whoever waits for the file must not see half of it.
                building = job.file(directory).with_stem(f".{job.name}")
                save(trace, building)
                building.rename(job.file(directory))
        except Exception as error:
            rank = os.environ["RANK"]
            lines = str(error).strip().splitlines() or [""]
            text = f"{type(error).__name__} on rank {rank}: {lines[0][:300]}"
            # The first rank to fail is the one to hear; the others fail after it.
            with (
                contextlib.suppress(FileExistsError),
                job.failure(directory).open("x", encoding="utf-8") as file,
            ):
                file.write(text)
            raise
    return 0
