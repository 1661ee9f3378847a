"""Readers of metrics.jsonl, read back by TensorBoard's own reader: each point once."""

import importlib.util
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launch.errors import UserError
from launch.recipe import Recipe
from pretrain.config import Metrics as Config
from pretrain.metrics import Event, Metrics
from pretrain.view import follow
from pretrain.view.follow import Tail, following
from pretrain.view.scalars import scalars
from pretrain.view.tensorboard_events import TensorBoard
from tests.pretrain.made_up import write_events, write_run

MakeRecipe = Callable[..., Recipe]


def train(loss: float | None) -> dict[str, Any]:
    return {
        "tokens": 10, "loss": loss, "gradient_norm": 1.0, "learning_rate": 1e-3, "batch_size": 8,
        "tokens_per_second": 100.0, "mfu": None, "memory_bytes": 7, "seconds": 0.5,
    }  # fmt: skip


def write(metrics: Metrics, first: int, last: int, add: float = 0.0) -> None:
    for iteration in range(first, last + 1):
        metrics.write("train", iteration, **train(iteration + add))


def points(directory: Path, tag: str = "train/loss") -> dict[int, float]:
    """What TensorBoard shows: value by step; fails where a step has two."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    # Size 0: all points, none left out by its sampling.
    read = EventAccumulator(str(directory), size_guidance={"scalars": 0}).Reload()
    found = read.Scalars(tag) if tag in read.Tags()["scalars"] else []
    assert len({each.step for each in found}) == len(found), [each.step for each in found]
    return {each.step: each.value for each in found}


def read_all(directory: Path, sink: follow.Sink) -> None:
    stop = threading.Event()
    stop.set()
    follow.follow(directory, [sink], stop)


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    write(metrics, 1, 300)
    metrics.write("train_source", 300, source="中文/wiki", loss=2.5, tokens=9)
    metrics.write("valid", 300, loss=2.0, bits_per_byte=1.0, tokens=4, seconds=1.0)
    metrics.write("train", 301, **train(None))
    read_all(tmp_path, TensorBoard(tmp_path / "board"))
    assert points(tmp_path / "board") == {i: float(i) for i in range(1, 301)}
    assert points(tmp_path / "board", "train_source/loss/中文/wiki") == {300: 2.5}
    assert points(tmp_path / "board", "valid/bits_per_byte") == {300: 1.0}
    assert set(points(tmp_path / "board", "train/memory_bytes")) == set(range(1, 302))


def test_no_point_stands_twice_after_a_resume(tmp_path: Path) -> None:
    board = tmp_path / "board"
    metrics = Metrics(tmp_path)
    write(metrics, 1, 8)
    read_all(tmp_path, TensorBoard(board))
    metrics.resume(5)
    write(metrics, 6, 9, add=0.5)
    read_all(tmp_path, TensorBoard(board))
    assert points(board) == {
        **{i: float(i) for i in range(1, 6)},
        **{i: i + 0.5 for i in (6, 7, 8, 9)},
    }


def test_no_point_stands_twice_after_a_rewind_or_under_a_reader_that_goes_on(
    tmp_path: Path,
) -> None:
    """The run rewinds, then is killed and resumed, while the same reader follows it."""
    board = tmp_path / "board"
    metrics = Metrics(tmp_path)
    sink, tail = TensorBoard(board), Tail(tmp_path)

    def pass_on() -> bool:
        void, events = tail.read()
        if void:
            sink.restart()
        for event in events:
            sink.write(event)
        sink.flush()
        return void

    write(metrics, 1, 8)
    assert not pass_on()
    metrics.write("rewind", 8, to_iteration=6)
    write(metrics, 7, 7, add=0.25)
    assert not pass_on()
    assert points(board) == {**{i: float(i) for i in range(1, 7)}, 7: 7.25}
    metrics.resume(3)
    write(metrics, 4, 20, add=0.5)  # the file is longer again than what was read
    assert pass_on()
    assert points(board) == {**{i: float(i) for i in range(1, 4)},
                             **{i: i + 0.5 for i in range(4, 21)}}  # fmt: skip


def test_the_tail_reads_only_whole_lines_and_each_once(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    assert tail.read() == (False, [])
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"event": "end", "iteration": 1, "status": "done"}\n{"event"')
    assert [event["iteration"] for event in tail.read()[1]] == [1]
    assert tail.read() == (False, [])
    with path.open("a") as stream:
        stream.write(': "end", "iteration": 2, "status": "done"}\n')
    assert [event["iteration"] for event in tail.read()[1]] == [2]
    path.unlink()
    assert tail.read() == (True, [])


def test_the_tail_of_a_long_file_costs_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    line = '{"event": "end", "iteration": 1, "status": "' + "x" * 150 + '"}\n'
    path.write_text(line * 50_000)
    tail, count = Tail(tmp_path), 0
    while events := tail.read()[1]:
        count += len(events)
    assert count == 50_000
    begun = time.process_time()
    for _ in range(100):
        with path.open("a") as stream:
            stream.write(line)
        assert len(tail.read()[1]) == 1
    assert time.process_time() - begun < 0.5


def test_a_thread_follows_during_the_run_and_to_its_last_line(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    with following(tmp_path, Config(tensorboard=True), "run"):
        write(metrics, 1, 50)
    assert set(points(tmp_path / "logs" / "tensorboard")) == set(range(1, 51))
    threads = threading.active_count()
    for directory, config in ((tmp_path, Config()), (None, Config(tensorboard=True))):
        with following(directory, config, "run"):
            assert threading.active_count() == threads


def test_a_reader_that_hangs_does_not_hold_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Hanging(TensorBoard):
        def flush(self) -> None:
            time.sleep(30)

    sinks: list[follow.Sink] = [Hanging(tmp_path / "board")]
    monkeypatch.setattr(follow, "make_sinks", lambda *_: sinks)
    monkeypatch.setattr(follow, "END_SECONDS", 0.1)
    begun = time.monotonic()
    with following(tmp_path, Config(tensorboard=True), "run"):
        write(Metrics(tmp_path), 1, 3)
    assert time.monotonic() - begun < 5
    assert "has not come to the end" in capsys.readouterr().err


def test_a_reader_that_fails_is_told_and_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(TensorBoard):
        def write(self, event: Event) -> None:
            raise OSError("disk full")

    sinks: list[follow.Sink] = [Broken(tmp_path / "board")]
    monkeypatch.setattr(follow, "make_sinks", lambda *_: sinks)
    metrics = Metrics(tmp_path)
    with following(tmp_path, Config(tensorboard=True), "run"):
        write(metrics, 1, 3)
    assert "disk full" in capsys.readouterr().err


def test_a_run_is_followed_from_outside(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    directory = write_run(recipe.run_directory)
    (directory / "recipe.toml").write_text(recipe.to_toml())
    with pytest.raises(UserError, match="no reader"):
        follow.follow_run(directory, [])
    write_events(directory, {"event": "end", "iteration": 19, "status": "done"})
    follow.follow_run(directory, ["pretrain.metrics.tensorboard=true"])
    assert set(points(directory / "logs" / "tensorboard")) == set(range(1, 20))


def test_scalars_leave_out_what_is_no_number() -> None:
    event = {"event": "checkpoint", "iteration": 3, "seconds": 0.5, "permanent": True,
             "asynchronous": False}  # fmt: skip
    assert scalars(event) == {"checkpoint/seconds": 0.5}
    spike = {"event": "intervention", "iteration": 3, "kind": "loss_spike", "value": 9.0,
             "threshold": 3.0, "action": "skip", "first_sample": 1, "last_sample": 2}  # fmt: skip
    assert scalars(spike) == {"intervention/loss_spike": 9.0}
    assert scalars({**spike, "value": None}) == {}


def test_weights_and_biases_is_refused_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with (
        pytest.raises(UserError, match="wandb_project") as refused,
        following(tmp_path, Config(wandb_project="p"), "run"),
    ):
        pass
    assert "gristmill[wandb]" in refused.value.hint


def test_weights_and_biases_gets_each_iteration_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, read back from its own file; only where it is installed (extra `[wandb]`)."""
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    from pretrain.view.wandb_events import WeightsAndBiases

    monkeypatch.setenv("WANDB_MODE", "offline")
    metrics = Metrics(tmp_path)
    write(metrics, 1, 8)
    metrics.write("rewind", 8, to_iteration=6)
    write(metrics, 7, 10, add=0.25)
    read_all(tmp_path, WeightsAndBiases(tmp_path, "project", "run"))
    (path,) = (tmp_path / "logs" / "wandb").glob("offline-run-*/*.wandb")
    found: dict[int, float] = {}

    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        row = {".".join(item.nested_key) or item.key: item.value_json
               for item in record.history.item}  # fmt: skip
        if "train/loss" in row:
            assert int(row["_step"]) not in found
            found[int(row["_step"])] = float(row["train/loss"])
    # The step that was open when the run rewound takes the later value.
    assert found == {**{i: float(i) for i in range(1, 8)}, 8: 8.25, 9: 9.25, 10: 10.25}


def _records(content: bytes) -> Iterator[bytes]:
    """The records of W&B's file: a header of 7 bytes, then blocks as in LevelDB's log."""
    position, record = 7, b""
    while position < len(content):
        left = 32_768 - position % 32_768
        if left < 7:
            position += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, position)
        record += content[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            yield record
            record = b""
