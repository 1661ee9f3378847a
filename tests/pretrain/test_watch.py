"""The live view: what it says is so, it fits the terminal, and it ends with the run."""

import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from launch.errors import UserError
from pretrain.view.terminal_plot import plot, sparkline
from pretrain.view.watch import watch
from pretrain.view.watch_frame import View, frame, line
from pretrain.view.watch_ranks import Beat, holder_age_seconds, read_beats
from tests.pretrain.made_up import (
    HOSTILE,
    SPIKE,
    course,
    long_run,
    result,
    train,
    write_events,
    write_run,
)


def drawn(view: View, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(frame(view, width))
    return stream.getvalue()


def view(*events: dict[str, Any], beats: tuple[Beat, ...] = (), **changes: Any) -> View:
    return View(result(**changes), course(*events), list(beats), 1.0)


def test_a_frame_says_where_the_run_is() -> None:
    text = drawn(
        view(
            {"event": "start", "iteration": 0, "name": "run", "parameters_total": 1,
             "world_size": 2, "threads": 1, "device": "cpu", "precision": "fp32"},
            *(train(i, 9.0 - i / 200) for i in range(1, 501)),
            {"event": "valid", "iteration": 500, "loss": 5.125, "bits_per_byte": 2.25,
             "tokens": 4, "seconds": 1.0},
            {"event": "checkpoint", "iteration": 500, "seconds": 0.4, "permanent": False,
             "asynchronous": False},
            {"event": "train_source", "iteration": 500, "source": "中文", "loss": 4.5, "tokens": 9},
            SPIKE,
        ), 100,
    )  # fmt: skip
    for words in ("run", "running", "500 of 1,000", "50.0 %", "training 6.5", "5.125",
                  "2.25 bits per byte", "tokens/s", "5,000", "tensor 2, fp32 on cpu", "中文 4.5",
                  "500 in 0.4 s", "loss spike 9 at 8: rewind", "MFU", "400 MB"):  # fmt: skip
        assert words in text, (words, text)


def test_the_time_left_has_its_pauses() -> None:
    """500 of 1,000 iterations, 0.4 s each at 5,000 tokens/s, and as long again in validations."""
    events = [train(i) for i in range(1, 501)]
    assert view(*events).eta == pytest.approx(1_024_000 / 5000)
    pause = {"event": "valid", "iteration": 500, "loss": 5.0, "bits_per_byte": 2.0, "tokens": 4,
             "seconds": 200.0}  # fmt: skip
    assert view(*events, pause).eta == pytest.approx(2 * 1_024_000 / 5000)
    assert view(*events, status="done").eta is None


@settings(deadline=None, max_examples=25)
@given(
    width=st.integers(60, 220),
    losses=st.lists(st.none() | st.floats(-1e30, 1e30), max_size=60),
    ranks=st.integers(0, 300),
    status=st.sampled_from(["running", "done", "preempted", "numerical_stop", "failed"]),
)
def test_a_frame_fits_its_width_whatever_is_in_it(
    width: int, losses: list[float | None], ranks: int, status: str
) -> None:
    events = [train(i, loss) for i, loss in enumerate(losses, start=1)]
    source = {"event": "train_source", "iteration": 1, "source": HOSTILE, "loss": 2.0, "tokens": 4}
    beats = tuple(Beat(rank, rank % 3, HOSTILE, float(rank), False) for rank in range(ranks))
    shown = view(*events, source, {**SPIKE, "kind": HOSTILE}, beats=beats, name=HOSTILE,
                 status=status)  # fmt: skip
    text = drawn(shown, width)
    lines = text.splitlines()
    assert {len(each) for each in lines} == {width}
    assert len(lines) <= 26
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\n" not in line(shown)


def test_a_rank_that_is_silent_or_behind_is_named() -> None:
    beats = tuple(Beat(rank, 500, "forward", 3.0, False) for rank in range(4))
    behind = (*beats, Beat(4, 480, "data", 3.0, False))
    assert "480 (rank 4) to 500, data" in drawn(view(train(500), beats=behind), 120)
    silent = (*beats, Beat(4, 480, "data", 95.0, False))
    assert "no sign for 60 s from 4" in drawn(view(train(500), beats=silent), 120)


def test_a_run_that_nobody_runs_is_told() -> None:
    killed = View(result(), course(train(3)), [], None)
    assert "no process holds the run" in line(killed)
    assert "no process holds the run" in drawn(killed, 100)
    assert "no sign of its process for 5 min" in line(View(result(), course(), [], 301.0))
    assert "process" not in line(View(result(status="done"), course(), [], None))


def test_signs_of_life_are_read_as_they_are_written(tmp_path: Path) -> None:
    assert read_beats(tmp_path) == []
    assert holder_age_seconds(tmp_path) is None
    logs = tmp_path / "logs"
    logs.mkdir()
    for rank in (10, 2):
        sign = {"rank": rank, "iteration": 7, "phase": "save", "time_seconds": 100.0, "host": "h"}
        (logs / f"heartbeat-{rank}.json").write_text(json.dumps(sign))
    (logs / "heartbeat-3.json").write_text('{"ra')  # being written
    assert read_beats(tmp_path, now=103.0) == [
        Beat(2, 7, "save", 3.0, False), Beat(10, 7, "save", 3.0, False),
    ]  # fmt: skip
    from launch.lock import lock

    with lock(tmp_path):
        age = holder_age_seconds(tmp_path)
        assert age is not None
        assert age < 60
    assert holder_age_seconds(tmp_path) is None


def test_it_ends_with_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretrain.view.watch.LOOK_SECONDS", 0.02)
    directory = write_run(tmp_path / "run", status="running")
    watching = threading.Thread(target=watch, args=(directory,), daemon=True)
    watching.start()
    time.sleep(0.1)
    assert watching.is_alive()
    write_events(directory, train(20))
    ended = result("run", status="done").model_dump(mode="json")
    # By rename, as the trainer does it.
    (directory / "new").write_text(json.dumps(ended))
    (directory / "new").replace(directory / "result.json")
    watching.join(10)
    assert not watching.is_alive()
    told = capsys.readouterr().err.splitlines()
    assert "iteration 19 of 1,000" in told[0]
    assert "done, iteration 20 of 1,000" in told[-1]


def test_once_prints_one_frame_and_a_directory_without_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(write_run(tmp_path / "run", status="running"), once=True)
    assert "19 of 1,000" in capsys.readouterr().out
    with pytest.raises(UserError, match="no such file"):
        watch(tmp_path, once=True)


@given(st.lists(st.floats(-1e9, 1e9) | st.just(float("nan")), max_size=300), st.integers(1, 40))
def test_a_line_of_blocks_has_the_lowest_and_the_highest(values: list[float], width: int) -> None:
    text = sparkline(np.array(values), width)
    finite = [value for value in values if value == value]
    assert len(text) <= width
    assert bool(text) == bool(finite)
    if len(set(text)) > 1:
        assert {"▁", "█"} <= set(text)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=100), st.integers(4, 60), st.integers(2, 12)
)
def test_a_plot_has_a_dot_in_the_columns_that_have_values(
    values: list[float], width: int, height: int
) -> None:
    x = np.arange(len(values), dtype=np.float64)
    rows, (low, high) = plot([(x, np.array(values))], width, height, (0.0, float(len(values))))
    assert len(rows) == height
    assert {len(row) for row in rows} == {width}
    slack = 1e-9 * max(map(abs, values)) + 1e-12
    assert min(values) - slack <= low <= high <= max(values) + slack
    assert any(own == 0 for row in rows for _, own in row)
    if high > low:
        assert any(own == 0 for _, own in rows[0])
        assert any(own == 0 for _, own in rows[-1])


def test_a_long_run_is_drawn_at_once() -> None:
    made = View(result(iterations=20_000), long_run(20_000), [], 1.0)
    drawn(made, 100)
    begun = time.process_time()
    drawn(made, 100)
    assert time.process_time() - begun < 1.0
