"""metrics.jsonl after a kill: nothing twice, nothing half."""

from pathlib import Path
from typing import Any

import pytest

from pretrain.contract import read_metrics
from pretrain.metrics import Metrics


def train(iteration: int, loss: float) -> dict[str, Any]:
    return {
        "tokens": iteration * 10, "loss": loss, "gradient_norm": 1.0, "learning_rate": 1e-3,
        "batch_size": 8, "tokens_per_second": 100.0, "mfu": None, "memory_bytes": None,
        "seconds": 0.5,
    }  # fmt: skip


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
    events = read_metrics(tmp_path)
    assert [(e["event"], e["iteration"]) for e in events] == [
        *[("train", i) for i in range(1, 6)], ("resume", 5), ("train", 6),
    ]  # fmt: skip
    assert events == resumed.events


def test_the_summary_is_of_the_logged_losses(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    for iteration in range(1, 21):
        metrics.write("train", iteration, **train(iteration, float(iteration)))
    metrics.write("valid", 20, loss=2.0, bits_per_byte=1.0, tokens=64, seconds=1.0)
    summary = metrics.summary()
    assert summary["loss_first"] == 1.0
    assert summary["loss_last"] == pytest.approx(15.5)  # 11 to 20
    assert (summary["loss_valid"], summary["bits_per_byte_valid"]) == (2.0, 1.0)
    assert summary["tokens_per_second"] == pytest.approx(100.0)
    assert summary["seconds"] == pytest.approx(11.0)


def test_other_keys_than_the_contract_are_a_bug(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Metrics(tmp_path).write("checkpoint", 3, duration=1.0)
