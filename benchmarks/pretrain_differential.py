"""Figures of the differential trace: planted faults found, false alarms, seconds of `qualify`.

`python -m benchmarks.pretrain`
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from launch.errors import UserError
from pretrain.config import Pretrain
from pretrain.qualification.trace_jobs import Job, record_all

VOCABULARY = 512
PROCESSES_MAX = 4
_SHAPE: dict[str, Any] = {
    "layers": 4, "hidden_size": 32, "heads": 4, "kv_heads": 4, "ffn_size": 64,
    "sequence_length": 32,
}  # fmt: skip
# Gradients are so clipped, or nothing of it would be tried.
_TRAINING: dict[str, Any] = {
    "iterations": 10, "batch_size": 16, "warmup_iterations": 2, "lr_peak": 1e-3, "clip": 0.2,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "dense": {},
    "variants": {"norm": "layer", "activation": "gelu", "qk_norm": True, "tied_embeddings": True},
    # Without the balancing loss, which is one of each micro-batch: its size is part of the result.
    "experts": {"experts": {"count": 4, "active": 2, "ffn_size": 32, "auxiliary_loss": 0.0}},
}
_WORKER = ("tests.pretrain.fault_worker",)


def tables(
    model: dict[str, Any], parallel: dict[str, Any], micro_batch_size: int = 2, **shape: Any
) -> Pretrain:
    """The tables of a small model under a layout. Raises `UserError` where they make none."""
    from launch.config import parse_model

    training = {**_TRAINING, "micro_batch_size": micro_batch_size}
    table = {"model": {**_SHAPE, **shape, **model}, "training": training, "parallel": parallel}
    return parse_model(Pretrain, table, "pretrain")


def legal_layouts() -> list[tuple[str, Pretrain]]:
    """Every layout of up to four processes that the rules allow, for each of three models.

    All combinations of sizes, sequence, experts, stages (even, virtual, uneven) and recomputation;
    micro-batches and overlapping, which have nothing to do with these, go round among them.
    """
    from pretrain.layout_rules import check_layout

    sizes = [s for s in itertools.product((1, 2, 4), repeat=3) if s[0] * s[1] * s[2] <= 4]
    stages: list[dict[str, int]] = [
        {}, {"virtual_stages": 2}, {"first_stage_layers": 1},
        {"first_stage_layers": 1, "last_stage_layers": 1}, {"last_stage_layers": 1},
    ]  # fmt: skip
    overlaps = [{}, {"overlap_gradients": True},
                {"overlap_gradients": True, "overlap_parameters": True}]  # fmt: skip
    turning = itertools.cycle(itertools.product((2, 1, 4), overlaps))
    found = []
    for model, size, sequence, expert, stage, recompute in itertools.product(
        MODELS, sizes, (False, True), (1, 2, 4), stages, ("none", "selective", "full")
    ):
        tensor, pipeline, data = size
        layout = {"tensor": tensor, "pipeline": pipeline, "data": data, "sequence": sequence,
                  "expert": expert, "recompute": recompute, **stage}  # fmt: skip
        micro_batch_size, overlap = next(turning)
        try:
            pretrain = tables(MODELS[model], layout | overlap, micro_batch_size)
            check_layout(pretrain, VOCABULARY, "cpu")
        except UserError:
            continue
        found.append((model, pretrain))
    return found


@cache
def _faults() -> dict[str, tuple[str, bool, float]]:
    """By fault: what was found, whether at the right place, and the relative error there."""
    from pretrain.qualification.differential import FP32, compare
    from pretrain.qualification.tensor_trace import load
    from tests.pretrain.planted_faults import FAULTS

    models = {name: fault.model for name, fault in FAULTS.items()}
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        references = {}
        for model in models.values():
            name = f"reference {len(references)}"
            references.setdefault(str(model), Job(name, tables(model, {}), VOCABULARY))
        jobs = [Job(name, tables(fault.model, fault.parallel), VOCABULARY)
                for name, fault in FAULTS.items()]  # fmt: skip
        failures = record_all([*references.values(), *jobs], directory, _HANG_SECONDS, _WORKER)
        found = {}
        for job in jobs:
            if job.name in failures:
                found[job.name] = (failures[job.name], False, float("nan"))
                continue
            reference = references[str(models[job.name])]
            finding = compare(load(reference.file(directory)), load(job.file(directory)), FP32)
            right = finding is not None and FAULTS[job.name].is_at(finding.place)
            error = float("nan") if finding is None else finding.relative_error
            found[job.name] = (str(finding), right, error)
        return found


def faults_found() -> tuple[dict[str, Any], str, bool]:
    """Planted faults that a trace finds at the place where they are."""
    found = _faults()
    right = sum(where for _, where, _ in found.values())
    wrong = {name: text for name, (text, where, _) in found.items() if not where}
    value = {
        "planted": len(found),
        "found_at_the_right_place": right,
        "smallest_error": min(error for _, _, error in found.values()),
        "wrong": wrong,
    }
    return value, "all of at least 20", right == len(found) >= 20


def false_alarms(most: int | None = None) -> tuple[dict[str, Any], int, bool]:
    """Differences that a trace reports between a legal layout and one process."""
    from pretrain.qualification.differential import FP32, compare, largest_errors
    from pretrain.qualification.tensor_trace import load

    layouts = legal_layouts()
    layouts = layouts[:: -(-len(layouts) // most)] if most else layouts
    alarms: dict[str, str] = {}
    largest: dict[str, tuple[float, str]] = {}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        references = [Job(name, tables(model, {}), VOCABULARY) for name, model in MODELS.items()]
        record_all(references, directory, _HANG_SECONDS)
        golden = {job.name: load(job.file(directory)) for job in references}
        layouts.sort(key=lambda layout: layout[1].parallel.world_size)
        # Traces of whole tensors are large: some at a time, and only their verdicts are kept.
        jobs = [Job(f"{n} {model}", pretrain, VOCABULARY) for n, (model, pretrain)
                in enumerate(layouts)]  # fmt: skip
        for first in range(0, len(jobs), _AT_A_TIME):
            some = jobs[first : first + _AT_A_TIME]
            failures = record_all(some, directory, _HANG_SECONDS)
            for job in some:
                label = f"{job.name.split()[1]} {_told(job.pretrain)}"
                if job.name in failures:
                    alarms[label] = failures[job.name]
                    continue
                trace = load(job.file(directory))
                job.file(directory).unlink()
                finding = compare(golden[job.name.split()[1]], trace, FP32)
                if finding is not None:
                    alarms[label] = str(finding)
                errors = largest_errors(golden[job.name.split()[1]], trace)
                for phase, (error, place) in errors.items():
                    if error > largest.get(phase, (0.0, ""))[0]:
                        largest[phase] = (error, f"{place}, {label}")
    value = {
        "layouts": len(layouts),
        "false_alarms": len(alarms),
        "largest": largest,
        "alarms": alarms,
        "seconds": round(time.monotonic() - start),
    }
    return value, 0, not alarms


_AT_A_TIME = 60
# A machine that does much else at once needs long for a start.
_HANG_SECONDS = 3_000.0


def _told(pretrain: Pretrain) -> str:
    table = pretrain.parallel.model_dump(exclude_defaults=True)
    words = [f"{key} {value}" for key, value in table.items()]
    return ", ".join([*words, f"micro-batches of {pretrain.training.micro_batch_size}"])


def qualify_seconds() -> tuple[dict[str, Any], str, bool]:
    """What `qualify` finds on a machine without a GPU, and how long it takes."""
    from pretrain.qualification.qualify import Machine, qualify

    start = time.monotonic()
    outcomes = qualify(Machine(gpus=0, fp8=False, transformer_engine=False))
    seconds = round(time.monotonic() - start, 1)
    counts = {status: sum(o.status == status for o in outcomes)
              for status in ("holds", "fails", "skipped")}  # fmt: skip
    failed = {o.case: o.why for o in outcomes if o.status == "fails"}
    value = {**counts, "seconds": seconds, "failed": failed}
    return value, "none fails, 600 s", not failed and seconds < 600


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """Each figure's name, and how it is computed."""
    yield "differential_faults", faults_found
    yield "differential_false_alarms", false_alarms
    yield "qualify_seconds_cpu", qualify_seconds
