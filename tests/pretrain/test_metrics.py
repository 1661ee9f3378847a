"""metrics.jsonl after a kill, a resume, a rewind: nothing twice, nothing half, nothing lost."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launch.errors import UserError
from pretrain.contract import read_metrics
from pretrain.metrics import Metrics, summarize

anywhere = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def train(iteration: int, loss: float | None) -> dict[str, Any]:
    return {
        "tokens": iteration * 10, "loss": loss, "gradient_norm": 1.0, "learning_rate": 1e-3,
        "batch_size": 8, "tokens_per_second": 100.0, "mfu": None, "memory_bytes": None,
        "seconds": 0.5,
    }  # fmt: skip


def saved(seconds: float = 0.1, asynchronous: bool = False) -> dict[str, Any]:
    return {"seconds": seconds, "permanent": False, "asynchronous": asynchronous}


def lines(directory: Path) -> list[tuple[str, int]]:
    return [(event["event"], event["iteration"]) for event in read_metrics(directory)]


def emptied(directory: Path) -> Path:
    (directory / "metrics.jsonl").unlink(missing_ok=True)
    return directory


def run(metrics: Metrics, first: int, last: int, interval: int = 4) -> None:
    """A run of iterations `first + 1` to `last` with a checkpoint every `interval`."""
    for iteration in range(first + 1, last + 1):
        metrics.write("train", iteration, **train(iteration, 9.0 / iteration))
        metrics.write("train_source", iteration, source="a", loss=1.0, tokens=10)
        if iteration % interval == 0:
            metrics.write("checkpoint", iteration, **saved())


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    for iteration in range(1, 8):
        metrics.write("train", iteration, **train(iteration, 9.0 - iteration))
    metrics.write("end", 7, status="done")
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"event": "train", "iterat')  # the line that the kill cut off
    resumed = Metrics(tmp_path)
    resumed.resume(5)
    resumed.write("resume", 5, tensor=1, pipeline=1, data=1, context=1, expert=1)
    resumed.write("train", 6, **train(6, 3.0))
    assert lines(tmp_path) == [*[("train", i) for i in range(1, 6)], ("resume", 5), ("train", 6)]


@anywhere
@given(
    kills=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 150)), max_size=4),
    length=st.integers(1, 30),
)
def test_a_run_killed_anywhere_ends_with_the_lines_of_one_that_was_not(
    tmp_path: Path, kills: list[tuple[int, int]], length: int
) -> None:
    """Each kill leaves the file cut at any byte; the resume begins at the last checkpoint."""
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir(exist_ok=True)
    run(Metrics(emptied(undisturbed)), 0, length)
    path = emptied(tmp_path) / "metrics.jsonl"
    done = 0
    for reached, cut in kills:
        reached = max(done, min(reached, length))
        run(Metrics(tmp_path), done, reached)
        # Lines up to the checkpoint are on the disk before it counts.
        done = reached // 4 * 4
        if path.exists():
            content = path.read_bytes()
            safe = content.rfind(b'"checkpoint"')
            safe = content.find(b"\n", safe) + 1 if safe >= 0 else 0
            path.write_bytes(content[: max(safe, len(content) - cut)])
        Metrics(tmp_path).resume(done)
    run(Metrics(tmp_path), done, length)
    assert path.read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """Events as a run with rewinds and asynchronous checkpoints writes them."""
    events, at = [], 0
    for step in draw(st.lists(st.sampled_from(["on", "on", "on", "late", "rewind"]), max_size=40)):
        if step == "on":
            at += 1
            events.append(("train", at, 0))
        elif step == "late" and at:
            events.append(("checkpoint", draw(st.integers(max(1, at - 3), at)), 0))
        elif step == "rewind" and at:
            to = draw(st.integers(0, at))
            events += [("intervention", at, 0), ("rewind", at, to)]
            at = to
    return events


def put(directory: Path, events: Sequence[tuple[str, int, int]]) -> Path:
    metrics = Metrics(emptied(directory))
    for kind, iteration, to in events:
        values: dict[str, Any] = {
            "train": train(iteration, 1.0), "checkpoint": saved(asynchronous=True),
            "rewind": {"to_iteration": to},
            "intervention": {"kind": "loss_spike", "value": 9.0, "threshold": 3.0,
                             "action": "rewind", "first_sample": 1, "last_sample": 2},
        }[kind]  # fmt: skip
        metrics.write(kind, iteration, **values)
    metrics.close()
    return directory / "metrics.jsonl"


@anywhere
@given(events=histories(), iteration=st.integers(0, 40))
def test_resume_keeps_the_course_up_to_the_checkpoint(
    tmp_path: Path, events: list[tuple[str, int, int]], iteration: int
) -> None:
    path = put(tmp_path, events)
    Metrics(tmp_path).resume(iteration)
    once = path.read_bytes() if path.exists() else b""
    Metrics(tmp_path).resume(iteration)
    assert (path.read_bytes() if path.exists() else b"") == once, "twice is as once"

    # By definition, forward: a rewind to before the checkpoint closes all up to it.
    fixed: list[tuple[str, int, int]] = []
    open_: list[tuple[str, int, int]] = []
    for event in events:
        open_.append(event)
        if event[0] == "rewind" and event[2] < iteration:
            fixed, open_ = fixed + open_, []
    undone = [i for i, event in enumerate(open_) if event[0] == "rewind"]
    open_ = open_[: undone[0]] if undone else open_
    expected = [(kind, i) for kind, i, _ in fixed]
    expected += [(kind, i) for kind, i, _ in open_ if i <= iteration]
    kept = lines(tmp_path)
    assert [k for k in kept if k[0] == "train"] == [e for e in expected if e[0] == "train"]
    assert [k for k in kept if k[0] == "rewind"] == [e for e in expected if e[0] == "rewind"]


def test_a_rewind_after_the_checkpoint_is_undone_with_it(tmp_path: Path) -> None:
    """The checkpoint knows nothing of it, so the run will come to it again."""
    course = [*(("train", i, 0) for i in range(1, 7)), ("intervention", 6, 0), ("rewind", 6, 4)]
    put(tmp_path, [*course, ("train", 7, 0)])
    Metrics(tmp_path).resume(4)
    assert lines(tmp_path) == [("train", i) for i in range(1, 5)]
    put(tmp_path, [*course, ("train", 7, 0), ("checkpoint", 7, 0), ("train", 8, 0)])
    Metrics(tmp_path).resume(7)
    kept = [("intervention", 6), ("rewind", 6), ("train", 7), ("checkpoint", 7)]
    assert lines(tmp_path) == [*(("train", i) for i in range(1, 7)), *kept]


def test_what_is_there_of_this_iteration(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    assert not metrics.has("valid", 4)
    run(metrics, 0, 3)
    metrics.write("valid", 3, loss=2.0, bits_per_byte=1.0, tokens=4, seconds=1.0)
    run(metrics, 3, 4)
    assert metrics.has("checkpoint", 4)
    assert metrics.has("valid", 3)
    assert not metrics.has("valid", 4)


def test_zeros_at_the_end_are_dropped_and_nonsense_before_it_is_named(tmp_path: Path) -> None:
    run(Metrics(tmp_path), 0, 6)
    path = tmp_path / "metrics.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 300)
    Metrics(tmp_path).resume(6)
    assert path.read_bytes() == whole
    path.write_bytes(whole + b"nonsense\n" + b'{"event": "end", "iteration": 6, "status": "x"}\n')
    with pytest.raises(UserError, match="nonsense"):
        Metrics(tmp_path).resume(6)
    with pytest.raises(UserError, match=r"metrics\.jsonl:14"):
        summarize(tmp_path)


def test_a_late_checkpoint_is_kept_among_lines_that_go(tmp_path: Path) -> None:
    put(tmp_path, [*(("train", i, 0) for i in range(1, 7)), ("checkpoint", 4, 0), ("train", 7, 0)])
    Metrics(tmp_path).resume(4)
    assert lines(tmp_path) == [*[("train", i) for i in range(1, 5)], ("checkpoint", 4)]


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.write("train", 1, **train(1, float("nan")))
    metrics.write("train", 2, **train(2, float("-inf")))
    text = (tmp_path / "metrics.jsonl").read_text()
    assert [json.loads(line, parse_constant=pytest.fail)["loss"] for line in text.splitlines()] == [
        None,
        None,
    ]
    assert summarize(tmp_path)["loss_last"] is None


def test_a_long_run_resumes_by_what_it_drops(tmp_path: Path) -> None:
    """A million lines: the cost is that of the lines after the checkpoint."""
    run(Metrics(tmp_path), 0, 1)
    path = tmp_path / "metrics.jsonl"
    one = path.read_bytes()
    path.write_bytes(one * 500_000)
    metrics = Metrics(tmp_path)
    metrics.write("train", 2, **train(2, 1.0))
    begun = time.process_time()
    metrics.resume(1)
    assert time.process_time() - begun < 1.0
    assert path.stat().st_size == len(one) * 500_000


def test_the_summary_is_of_the_logged_losses(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    for iteration in range(1, 21):
        metrics.write("train", iteration, **train(iteration, float(iteration)))
    metrics.write("valid", 20, loss=2.0, bits_per_byte=1.0, tokens=64, seconds=1.0)
    metrics.write("checkpoint", 20, **saved(2.0))
    metrics.write("checkpoint", 20, **saved(50.0, asynchronous=True))
    metrics.write("straggler", 20, rank=1, host="h", seconds=70.0, median_seconds=1.0)
    summary = summarize(tmp_path)
    assert summary["loss_first"] == 1.0
    assert summary["loss_last"] == pytest.approx(15.5)  # 11 to 20
    assert (summary["loss_valid"], summary["bits_per_byte_valid"]) == (2.0, 1.0)
    assert summary["tokens_per_second"] == pytest.approx(100.0)
    assert summary["seconds"] == pytest.approx(13.0), "what goes on beside training is not in it"


def test_losses_that_a_rewind_undid_are_not_in_the_summary(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    for iteration in range(1, 9):
        metrics.write("train", iteration, **train(iteration, 1.0 if iteration <= 4 else 100.0))
    metrics.write("rewind", 8, to_iteration=4)
    metrics.write("train", 5, **train(5, 2.0))
    assert summarize(tmp_path)["loss_last"] == pytest.approx((4 * 1.0 + 2.0) / 5)


def test_other_keys_than_the_contract_are_a_bug(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Metrics(tmp_path).write("checkpoint", 3, duration=1.0)


def test_ranks_that_do_not_write_leave_nothing(tmp_path: Path) -> None:
    metrics = Metrics(None)
    metrics.resume(3)
    metrics.write("end", 3, status="done")
    metrics.sync()
    assert list(tmp_path.iterdir()) == []
