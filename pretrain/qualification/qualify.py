"""`gristmill pretrain qualify`: do this machine's kernels, networks and libraries compute what a
CPU computed?

Golden traces (`golden/*.json`: losses, gradient norms, summaries of every layer's activations,
gradients and weights) were recorded on a CPU in fp32. Here the same tiny models run in every way
that this machine offers, and each trace is compared with its golden one.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from launch.errors import GristmillError
from launch.log import get_logger
from pretrain.qualification.qualify_cases import CASES, GOLDEN, Case, golden_job
from pretrain.qualification.trace_jobs import Job, record_all

GOLDEN_DIRECTORY = Path(__file__).parent / "golden"
# Processes that a machine without GPUs is asked to run at once.
_CPU_PROCESSES = 4
_CASE_SECONDS = 120.0
_MODULE = ("pretrain", "record-traces")
Status = Literal["holds", "fails", "skipped"]


@dataclass(frozen=True)
class Machine:
    """What a machine offers."""

    gpus: int
    fp8: bool
    """Whether the GPUs multiply in 8 bits (compute capability 8.9 or above)"""
    transformer_engine: bool


@dataclass(frozen=True)
class Outcome:
    """How one case ended."""

    case: str
    status: Status
    why: str
    """The first place that differs, what a failed process said, or what is missing"""
    largest: dict[str, float]
    """Relative error by phase; empty if nothing was compared"""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return dict(self.__dict__)


def machine() -> Machine:
    """This machine, asked in a process of its own: torch is not loaded here."""
    code = (
        "import json, torch; n = torch.cuda.device_count(); "
        "c = [torch.cuda.get_device_capability(i) for i in range(n)]; "
        "print(json.dumps([n, bool(c) and min(c) >= (8, 9)]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise GristmillError(f"torch does not start: {last}", "gristmill launch doctor")
    gpus, fp8 = json.loads(answer.stdout.splitlines()[-1])
    return Machine(gpus, fp8, importlib.util.find_spec("transformer_engine") is not None)


def missing(case: Case, machine: Machine) -> str:
    """What `case` needs that the machine lacks; empty if nothing."""
    if case.layers == "transformer-engine":
        if not machine.gpus:
            return "needs a GPU and Transformer Engine"
        if not machine.transformer_engine:
            return "needs Transformer Engine"
    if case.needs_fp8 and not machine.fp8:
        return "needs GPUs with fp8 (compute capability 8.9)"
    available = machine.gpus or _CPU_PROCESSES
    if case.processes > available:
        return f"needs {case.processes} GPUs, there are {available}"
    return ""


def qualify(
    here: Machine, cases: Sequence[Case] = CASES, module: Sequence[str] = _MODULE
) -> list[Outcome]:
    """Run every case that this machine can, and compare it with its golden trace.

    `module` is what records a job's trace, as `python -m` takes it.
    """
    lacks = {case.name: missing(case, here) for case in cases}
    able = [case for case in cases if not lacks[case.name]]
    outcomes = {
        name: Outcome(name, "skipped", reason, {}) for name, reason in lacks.items() if reason
    }
    log = get_logger("pretrain")
    log.info("%d cases, %d of them possible here (%d GPUs)", len(cases), len(able), here.gpus)
    with tempfile.TemporaryDirectory(prefix="gristmill-") as scratch:
        directory = Path(scratch)
        failures = record_all([case.job for case in able], directory, _CASE_SECONDS, module)
        for case in able:
            if case.name in failures:
                outcomes[case.name] = Outcome(case.name, "fails", failures[case.name], {})
            else:
                outcomes[case.name] = judge(case, case.job.file(directory))
    return [outcomes[case.name] for case in cases]


def judge(case: Case, trace: Path) -> Outcome:
    """Compare the trace in a file with the golden one of `case`."""
    from pretrain.qualification.differential import TOLERANCES, compare, largest_errors
    from pretrain.qualification.tensor_trace import load

    golden, ours = load(GOLDEN_DIRECTORY / f"{case.golden}.json"), load(trace)
    tolerance = TOLERANCES[case.precision]
    finding = compare(golden, ours, tolerance, same_modules=case.layers == "local")
    largest = {phase: error for phase, (error, _) in largest_errors(golden, ours).items()}
    status: Status = "holds" if finding is None else "fails"
    return Outcome(case.name, status, "" if finding is None else str(finding), largest)


def record_golden(directory: Path = GOLDEN_DIRECTORY) -> list[Path]:
    """Write every golden trace anew, on the CPU with one thread; the same bytes on one machine.

    Raises `GristmillError` if a run failed; then nothing is replaced.
    """
    jobs: list[Job] = [golden_job(name) for name in GOLDEN]
    directory.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gristmill-", dir=directory.parent) as scratch:
        failures = record_all(jobs, Path(scratch))
        for name, why in failures.items():
            raise GristmillError(f"golden trace {name}: {why}")
        return [job.file(Path(scratch)).replace(job.file(directory)) for job in jobs]


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """The outcomes for a person."""
    width = max(len(outcome.case) for outcome in outcomes)
    lines = []
    for outcome in outcomes:
        text = outcome.why
        if outcome.status == "holds":
            worst = max(outcome.largest, key=lambda phase: outcome.largest[phase])
            text = f"largest error {outcome.largest[worst]:.1e} ({worst})"
        if outcome.status == "fails":
            text = f"at {text}" if outcome.largest else text
        lines.append(f"{outcome.case:<{width}}  {outcome.status:<8} {text}")
    counts = {s: sum(o.status == s for o in outcomes) for s in ("holds", "fails", "skipped")}
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    return "\n".join([*lines, f"{told}; {seconds:.0f} s"])


def main(*, record: bool) -> bool:
    """The command: record golden traces, or qualify this machine; whether nothing failed.

    A table goes to stderr, a JSON object for each case to stdout.
    """
    if record:
        for path in record_golden():
            get_logger("pretrain").info("%s: %d bytes", path.name, path.stat().st_size)
        return True
    start = time.monotonic()
    outcomes = qualify(machine())
    print(table(outcomes, time.monotonic() - start), file=sys.stderr)
    for outcome in outcomes:
        print(json.dumps(outcome.to_dict()))
    return all(outcome.status != "fails" for outcome in outcomes)
