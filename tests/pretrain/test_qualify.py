"""The qualification pack: golden traces hold here, and a machine that computes wrongly is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pretrain.qualification.differential import FP32, compare
from pretrain.qualification.qualify import (
    GOLDEN_DIRECTORY,
    Machine,
    Outcome,
    judge,
    missing,
    qualify,
    table,
)
from pretrain.qualification.qualify_cases import CASES, GOLDEN, Case, golden_job
from pretrain.qualification.tensor_trace import Place, load, save
from pretrain.qualification.trace_jobs import Job, record_all

CPU = Machine(gpus=0, fp8=False, transformer_engine=False)
_FAULTY = ("tests.pretrain.fault_worker",)


def test_golden_traces_are_small_and_of_every_variant() -> None:
    assert {path.stem for path in GOLDEN_DIRECTORY.glob("*.json")} == set(GOLDEN)
    assert {case.golden for case in CASES} == set(GOLDEN)
    for name in GOLDEN:
        path = GOLDEN_DIRECTORY / f"{name}.json"
        assert path.stat().st_size < 300_000
        places = load(path)
        assert {place.phase for place in places} == {
            "initial", "forward", "backward", "reduction", "update"
        }  # fmt: skip
        assert {place.layer for place in places} == set(range(6))


@pytest.mark.parametrize(
    ("machine", "possible", "reason"),
    [
        (CPU, 17, "needs a GPU and Transformer Engine"),
        (Machine(1, True, False), 7, "needs Transformer Engine"),
        (Machine(1, False, True), 15, "needs GPUs with fp8"),
        (Machine(2, True, True), 27, "needs 4 GPUs, there are 2"),
        (Machine(8, True, True), len(CASES), ""),
    ],
)
def test_what_a_machine_cannot_do_is_skipped_with_the_reason(
    machine: Machine, possible: int, reason: str
) -> None:
    reasons = [missing(case, machine) for case in CASES]
    assert reasons.count("") == possible
    assert any(text.startswith(reason) for text in reasons)


def test_a_trace_is_judged_by_its_golden_one(tmp_path: Path) -> None:
    case = Case("any", "documents")
    assert judge(case, GOLDEN_DIRECTORY / "documents.json").status == "holds"
    place = Place(1, "backward", 2, "qkv")
    trace = load(GOLDEN_DIRECTORY / "documents.json")
    trace[place].summaries[:, 1:] *= 1.01
    save(trace, tmp_path / "wrong.json")
    outcome = judge(case, tmp_path / "wrong.json")
    assert outcome.status == "fails"
    assert outcome.why.startswith("backward layer 2 qkv (iteration 1)")


@pytest.mark.slow
def test_a_fault_makes_a_case_fail_and_names_the_layer() -> None:
    fault = "wrong shard of fc2"
    cases = [Case(name, "documents", parallel={"tensor": 2}) for name in ("tensor 2", fault)]
    right, wrong = qualify(CPU, cases, _FAULTY)
    assert (right.status, wrong.status) == ("holds", "fails")
    assert "forward layer 1 mlp output" in wrong.why
    told = table([right, wrong], 1.0)
    assert "fails    at forward layer 1 mlp output" in told
    assert "1 holds, 1 fails, 0 skipped" in told


@pytest.mark.slow
def test_what_a_cpu_can_do_holds() -> None:
    """Of one and two processes, every other case: `benchmarks.pretrain_differential` has all."""
    cases = [case for case in CASES if not missing(case, CPU) and case.processes <= 2][::2]
    assert {outcome.status for outcome in qualify(CPU, cases)} == {"holds"}


@pytest.mark.slow
def test_golden_traces_are_recorded_again_to_the_byte(tmp_path: Path) -> None:
    jobs = [replace(golden_job("variants"), name=name) for name in ("first", "second")]
    assert record_all(jobs, tmp_path) == {}
    first, second = (job.file(tmp_path) for job in jobs)
    assert first.read_bytes() == second.read_bytes()
    # Another machine's sums are in another order.
    assert compare(load(GOLDEN_DIRECTORY / "variants.json"), load(first), FP32) is None


@pytest.mark.slow
def test_a_job_that_fails_costs_no_other(tmp_path: Path) -> None:
    def job(name: str, **parallel: Any) -> Job:
        return Case(name, "causal", parallel=parallel).job

    jobs = [job("before"), job("fails", context=1, first_stage_layers=3), job("after")]
    failures = record_all(jobs, tmp_path)
    assert set(failures) == {"fails"}
    assert "first_stage_layers" in failures["fails"] or "Error" in failures["fails"]
    assert load(jobs[2].file(tmp_path))


def test_outcomes_are_json() -> None:
    assert Outcome("a", "skipped", "b", {}).to_dict()["status"] == "skipped"
