"""One rank that records traces with planted faults: `python -m tests.pretrain.fault_worker`.

As `pretrain record-traces`, but a job whose name names a fault gets it.
"""

import contextlib
import sys
from pathlib import Path

from pretrain.qualification import trace_worker
from pretrain.qualification.record import record
from pretrain.qualification.tensor_trace import Trace
from pretrain.qualification.trace_jobs import Job
from tests.pretrain.planted_faults import FAULTS, planted


def record_with_fault(job: Job) -> Trace | None:
    """The trace of `job`, with the fault that its name names, if it does."""
    fault = planted(job.name) if job.name in FAULTS else contextlib.nullcontext()
    with fault:
        return record(job)


if __name__ == "__main__":
    raise SystemExit(trace_worker.main(Path(sys.argv[1]), record_with_fault))
