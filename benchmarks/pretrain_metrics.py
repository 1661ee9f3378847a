"""Figures of a run's measurements: what a line costs, how large the page is.

`python -m benchmarks.pretrain` prints them by itself.
"""

import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from pretrain.contract import Layout, RunResult
from pretrain.metrics import Metrics, summarize
from pretrain.source_losses import SourceLosses
from pretrain.view.course import read_course
from pretrain.view.follow import Tail
from pretrain.view.report import write_report
from pretrain.view.tensorboard_events import TensorBoard
from pretrain.view.watch_frame import View, frame

REPEATS = 5
LINES = 100_000

Value = tuple[Any, Any, bool | None]


def figures() -> Iterator[tuple[str, Callable[[], Value]]]:
    """Name and computation of every figure."""
    yield "metrics_line_microseconds", _line_cost
    yield "metrics_resume_seconds", _resume_cost
    yield "metrics_summary_seconds", _summary_cost
    yield "metrics_look_microseconds", _look_cost
    yield "metrics_frame_milliseconds", _frame_cost
    yield "metrics_page_kilobytes_and_seconds", _page
    yield "metrics_page_kilobytes_small", lambda: (_page_of(1_000)[0], None, None)
    yield "metrics_sources_microseconds", _sources
    yield "metrics_tensorboard_microseconds", _tensorboard


def _train(iteration: int) -> dict[str, Any]:
    noise = math.sin(iteration * 12.9898) * 0.1
    return {
        "tokens": iteration * 2048, "loss": 3 + 6 * math.exp(-iteration / 5_000) + noise,
        "gradient_norm": 1.0 + noise, "learning_rate": 1e-3, "batch_size": 8,
        "tokens_per_second": 5e3 + 1e3 * noise, "mfu": None, "memory_bytes": 400_000_000,
        "seconds": 0.4,
    }  # fmt: skip


def _median(run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(REPEATS))


def _line_cost() -> Value:
    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            metrics = Metrics(Path(folder))
            values = [_train(i) for i in range(20_000)]
            begun = time.perf_counter()
            for iteration, each in enumerate(values):
                metrics.write("train", iteration, **each)
            return (time.perf_counter() - begun) / len(values) * 1e6

    return round(_median(run), 2), None, None


def _million(folder: Path) -> Path:
    metrics = Metrics(folder)
    metrics.write("train", 1, **_train(1))
    metrics.close()
    path = folder / "metrics.jsonl"
    path.write_bytes(path.read_bytes() * 999_000)
    for iteration in range(2, 1_002):
        metrics.write("train", iteration, **_train(iteration))
    return path


def _resume_cost() -> Value:
    with tempfile.TemporaryDirectory() as folder:
        path = _million(Path(folder))
        whole = path.stat().st_size
        tail = path.read_bytes()[-400_000:]

        def run() -> float:
            os.truncate(path, whole - len(tail))
            with path.open("ab") as stream:
                stream.write(tail)
            begun = time.perf_counter()
            Metrics(Path(folder)).resume(1)
            return time.perf_counter() - begun

        return round(_median(run), 4), None, None


def _summary_cost() -> Value:
    with tempfile.TemporaryDirectory() as folder:
        _million(Path(folder))
        begun = time.perf_counter()
        summarize(Path(folder))
        return round(time.perf_counter() - begun, 2), None, None


def _written(folder: Path, lines: int) -> Metrics:
    metrics = Metrics(folder)
    for iteration in range(1, lines + 1):
        metrics.write("train", iteration, **_train(iteration))
    return metrics


def _look_cost() -> Value:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        metrics = _written(folder, LINES)
        tail = Tail(folder)
        while tail.read()[1]:
            pass
        times = []
        for iteration in range(LINES + 1, LINES + 201):
            metrics.write("train", iteration, **_train(iteration))
            begun = time.perf_counter()
            assert len(tail.read()[1]) == 1
            times.append(time.perf_counter() - begun)
        return round(statistics.median(times) * 1e6, 1), None, None


def _result(lines: int) -> RunResult:
    return RunResult(
        name="benchmark", status="done", parameters_total=1, parameters_nonembedding=1,
        padded_vocab_size=1, layers=1, hidden_size=1, heads=1, kv_heads=1, ffn_size=1,
        sequence_length=256, batch_size=8, iterations=lines, tokens=lines * 2048, epochs=1.0,
        flops=1.0, flops_convention="megatron", lr_peak=1e-3, schedule="cosine", seed=1,
        tokenizer_digest="", tokens_digest="", config_digest="",
        layout=Layout(tensor=1, pipeline=1, data=1),
    )  # fmt: skip


def _frame_cost() -> Value:
    with tempfile.TemporaryDirectory() as name:
        _written(Path(name), LINES)
        view = View(_result(LINES), read_course(Path(name)), [], 1.0)

        def run() -> float:
            begun = time.perf_counter()
            frame(view, 100)
            return (time.perf_counter() - begun) * 1e3

        return round(_median(run), 1), None, None


def _page_of(lines: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _written(folder, lines)
        (folder / "result.json").write_text(json.dumps(_result(lines).model_dump(mode="json")))
        begun = time.perf_counter()
        path = write_report([folder])
        seconds = time.perf_counter() - begun
        return round(path.stat().st_size / 1e3, 1), round(seconds, 2)


def _page() -> Value:
    return _page_of(LINES), None, None


def _sources() -> Value:
    losses = SourceLosses([f"source-{i}" for i in range(8)], torch.device("cpu"))
    report = {
        "sums": torch.rand(4), "counts": torch.full((4,), 256.0),
        "sources": torch.tensor([0, 3, 3, 7]),
    }  # fmt: skip

    def run() -> float:
        begun = time.perf_counter()
        for _ in range(2_000):
            losses.add(report)
        return (time.perf_counter() - begun) / 2_000 * 1e6

    return round(_median(run), 1), None, None


def _tensorboard() -> Value:
    with tempfile.TemporaryDirectory() as name:
        board = TensorBoard(Path(name))
        events = [{"event": "train", "iteration": i, **_train(i)} for i in range(2_000)]

        def run() -> float:
            begun = time.perf_counter()
            for event in events:
                board.write(event)
            return (time.perf_counter() - begun) / len(events) * 1e6

        value = _median(run)
        board.close()
        return round(value, 1), None, None
