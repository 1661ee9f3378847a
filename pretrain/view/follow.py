"""Readers of metrics.jsonl: they follow the file and pass its events on to somewhere else.

The file is the truth, what a reader made of it can be made again. So a reader keeps no state on
disk: a new one begins at the first line. The trainer starts one as a thread of rank 0 if the recipe
asks for it; `gristmill pretrain follow RUN` is the same from outside, also on another machine.
"""

import contextlib
import importlib.util
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from launch.errors import UserError
from launch.log import get_logger
from launch.recipe import load_recipe
from pretrain.config_metrics import Metrics
from pretrain.contract import read_result
from pretrain.metrics import FILE_NAME, Event, parse_line

POLL_SECONDS = 2.0
END_SECONDS = 10.0
_BLOCK_BYTES = 1 << 22
_TAIL_BYTES = 128


class Sink(Protocol):
    """Somewhere that events go to."""

    def restart(self) -> None:
        """Forget everything: the events come again from the first."""

    def write(self, event: Event) -> None:
        """Take one event."""

    def flush(self) -> None:
        """Make what was taken visible to others."""

    def close(self) -> None:
        """The last call."""


class Tail:
    """Reads what was appended since the last call, whatever happened to the file in between."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._offset = self._number = 0
        self._last = b""

    def read(self) -> tuple[bool, list[Event]]:
        """Whether all earlier events are void, and the new ones, at most some ten thousand.

        They are void when a run was resumed from an earlier checkpoint: then lines that were read
        already are gone, which shows in the bytes before the place reached. Raises `UserError` if
        a line is no event.
        """
        try:
            stream = self._path.open("rb")
        except FileNotFoundError:
            void = self._offset > 0
            self._offset = self._number = 0
            self._last = b""
            return void, []
        with stream:
            stream.seek(self._offset - len(self._last))
            void = stream.read(len(self._last)) != self._last
            if void:
                self._offset = self._number = 0
                self._last = b""
            stream.seek(self._offset)
            data = stream.read(_BLOCK_BYTES)
        data = data[: data.rfind(b"\n") + 1]
        events = []
        for line in data.splitlines():
            self._number += 1
            events.append(parse_line(line, f"{self._path}:{self._number}"))
        self._offset += len(data)
        self._last = (self._last + data)[-_TAIL_BYTES:]
        return void, events


def follow(directory: Path, sinks: Sequence[Sink], stop: threading.Event) -> None:
    """Pass all events of the run on until `stop` is set or the run is done, then close the sinks.

    Lines that are there when `stop` is set still come. Raises what a sink raises.
    """
    tail = Tail(directory)
    try:
        while True:
            stopping = stop.is_set()
            ended = False
            while True:
                void, events = tail.read()
                for sink in sinks:
                    if void:
                        sink.restart()
                    for event in events:
                        sink.write(event)
                if not events:
                    break
                ended = events[-1]["event"] == "end"
            for sink in sinks:
                sink.flush()
            if stopping or ended:
                return
            stop.wait(POLL_SECONDS)
    finally:
        for sink in sinks:
            sink.close()


def check_installed(config: Metrics) -> None:
    """Raise `UserError` if the recipe asks for a reader that needs what is not installed."""
    if config.wandb_project and importlib.util.find_spec("wandb") is None:
        raise UserError(
            "pretrain.metrics.wandb_project", f"'{config.wandb_project}'", "wandb to be installed",
            "pip install 'gristmill[wandb]', or leave the key away",
        )  # fmt: skip


def make_sinks(directory: Path, config: Metrics, name: str) -> list[Sink]:
    """The sinks that the recipe asks for. Raises `UserError` as `check_installed`."""
    check_installed(config)
    sinks: list[Sink] = []
    if config.tensorboard:
        from pretrain.view.tensorboard_events import TensorBoard

        sinks.append(TensorBoard(directory / "logs" / "tensorboard"))
    if config.wandb_project:
        from pretrain.view.wandb_events import WeightsAndBiases

        sinks.append(WeightsAndBiases(directory, config.wandb_project, name))
    return sinks


@contextlib.contextmanager
def following(directory: Path | None, config: Metrics, name: str) -> Iterator[None]:
    """Have a thread follow the run during the block, if the recipe asks for a reader.

    Ranks that write nothing give no directory. A reader that fails does not stop training: it is
    told once, with its traceback, and the file holds everything. At the end it has some seconds
    for the last lines, for a run that was asked to stop must not wait for a network. Raises
    `UserError`, at the beginning, as `check_installed`.
    """
    sinks = [] if directory is None else make_sinks(directory, config, name)
    if directory is None or not sinks:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_follow_safely, args=(directory, sinks, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(END_SECONDS)
        if thread.is_alive():
            _tell(directory, f"has not come to the end in {END_SECONDS:.0f} s")


def follow_run(directory: Path, overrides: Sequence[str]) -> None:
    """Follow a run from outside, as its recipe and `overrides` say, until it is done.

    Raises `UserError` if the directory is not that of a run, or nothing is to be followed.
    """
    read_result(directory)
    recipe = load_recipe(directory / "recipe.toml", overrides)
    sinks = make_sinks(directory, recipe.pretrain.metrics, recipe.run.name)
    if not sinks:
        raise UserError(
            f"{directory}: pretrain.metrics", "no reader", "tensorboard or wandb_project",
            "for instance pretrain.metrics.tensorboard=true behind the directory",
        )  # fmt: skip
    follow(directory, sinks, threading.Event())


def _follow_safely(directory: Path, sinks: Sequence[Sink], stop: threading.Event) -> None:
    try:
        follow(directory, sinks, stop)
    except Exception:
        _tell(directory, f"failed\n{traceback.format_exc()}")


def _tell(directory: Path, what: str) -> None:
    get_logger("pretrain").error(
        "%s: training is not concerned, `gristmill pretrain follow` passes everything on again; a "
        "reader of the metrics %s", directory, what,
    )  # fmt: skip
