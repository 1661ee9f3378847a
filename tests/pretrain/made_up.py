"""Runs that never were: results, events and directories for the tests of what shows a run."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pretrain.contract import METRICS, Layout, RunResult
from pretrain.metrics import Metrics
from pretrain.view.course import Course

HOSTILE = """</script><script>alert(1)</script>"'<img src=http://evil.example/x>\x1b[2J\u202e"""


def result(name: str = "run", **changes: Any) -> RunResult:
    values: dict[str, Any] = {
        "name": name, "status": "running", "parameters_total": 2_840_000,
        "parameters_nonembedding": 790_000, "padded_vocab_size": 8192, "layers": 4,
        "hidden_size": 128, "heads": 4, "kv_heads": 2, "ffn_size": 352, "sequence_length": 256,
        "batch_size": 8, "iterations": 1000, "tokens": 2_048_000, "epochs": 1.5, "flops": 1e13,
        "flops_convention": "megatron", "lr_peak": 2e-3, "schedule": "cosine", "seed": 1,
        "tokenizer_digest": "xxh3_128:aa", "tokens_digest": "xxh3_128:bb",
        "config_digest": "xxh3_128:cc", "layout": Layout(tensor=2, pipeline=1, data=1), **changes,
    }  # fmt: skip
    return RunResult(**values)


def train(iteration: int, loss: float | None = 3.0, norm: float = 1.0) -> dict[str, Any]:
    return {
        "event": "train", "iteration": iteration, "tokens": iteration * 2048, "loss": loss,
        "gradient_norm": norm, "learning_rate": 1e-3, "batch_size": 8, "tokens_per_second": 5e3,
        "mfu": None, "memory_bytes": 4e8, "seconds": 0.4,
    }  # fmt: skip


def course(*events: dict[str, Any]) -> Course:
    made = Course()
    for event in events:
        made.add(event)
    return made


SPIKE = {
    "event": "intervention", "iteration": 8, "kind": "loss_spike", "value": 9.0, "threshold": 3.0,
    "action": "rewind", "first_sample": 1, "last_sample": 2,
}  # fmt: skip


def long_run(lines: int) -> Course:
    random = np.random.default_rng(3)
    made = Course()
    for i in range(1, lines + 1):
        made.add(train(i, 3 + 6 * math.exp(-i / lines * 20) + float(random.normal(0, 0.1)),
                       float(random.lognormal())))  # fmt: skip
    return made


def write_run(directory: Path, status: str = "done") -> Path:
    directory.mkdir(parents=True)
    content = result(directory.name, status=status).model_dump(mode="json")
    (directory / "result.json").write_text(json.dumps(content))
    write_events(directory, *(train(iteration) for iteration in range(1, 20)))
    return directory


def write_events(directory: Path, *events: dict[str, Any]) -> None:
    """Append events as the trainer does."""
    metrics = Metrics(directory)
    for event in events:
        values = {key: event[key] for key in METRICS[event["event"]]}
        metrics.write(event["event"], event["iteration"], **values)
    metrics.close()
