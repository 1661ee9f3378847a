"""The course of a run: its events as curves, for whoever draws them.

Events are added one after another, as a live view gets them. A rewind takes back the points beyond
it and stays as a mark, so that a curve shows each iteration once, as it counted in the end.
"""

from array import array
from bisect import bisect_right
from pathlib import Path

import numpy as np

from pretrain.metrics import FILE_NAME, Event, iterate_events
from pretrain.view.downsample import Numbers

# Events that are shown as marks on the time axis rather than as points of a curve.
_MARKS = ("start", "resume", "branch", "stage", "checkpoint", "intervention", "rewind", "straggler")
_NO_CURVE = frozenset({"event", "iteration", "source"})
# More than anybody would look at, and a bound on memory where every iteration is a spike.
_MARKS_MAX = 10_000


class Curve:
    """Points of one number over iterations, which ascend; NaN where it was not known."""

    def __init__(self) -> None:
        self._iterations = array("q")
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._values)

    @property
    def x(self) -> Numbers:
        """Iterations, float64."""
        return np.array(self._iterations, dtype=np.float64)

    @property
    def y(self) -> Numbers:
        """Values, float64."""
        return np.array(self._values, dtype=np.float64)

    @property
    def last(self) -> float | None:
        """The newest value; None if there is none, or it is not known."""
        value = self._values[-1] if self._values else float("nan")
        return None if value != value else value

    def tail(self, count: int) -> Numbers:
        """The newest `count` values."""
        return np.array(self._values[-count:], dtype=np.float64)

    def add(self, iteration: int, value: float | None) -> None:
        """The next point; one of an iteration that is there already takes its place."""
        if self._iterations and self._iterations[-1] >= iteration:
            self.forget_after(iteration - 1)
        self._iterations.append(iteration)
        self._values.append(float("nan") if value is None else value)

    def forget_after(self, iteration: int) -> None:
        """Take back the points beyond `iteration`."""
        if self._iterations and self._iterations[-1] > iteration:
            keep = bisect_right(self._iterations, iteration)
            del self._iterations[keep:]
            del self._values[keep:]


class Course:
    """Curves by event and key (`curve("train", "loss")`, by source too), and marks."""

    def __init__(self) -> None:
        self._curves: dict[tuple[str, str, str], Curve] = {}
        self.marks: list[Event] = []
        self.last: dict[str, Event] = {}
        self.source_tokens: dict[str, int] = {}

    def add(self, event: Event) -> None:
        """Take the next event."""
        kind, iteration = event["event"], event["iteration"]
        if kind == "rewind":
            for curve in self._curves.values():
                curve.forget_after(event["to_iteration"])
        self.last[kind] = event
        if kind in _MARKS:
            if len(self.marks) < _MARKS_MAX:
                self.marks.append(event)
            return
        source = str(event.get("source", ""))
        if kind == "train_source":
            self.source_tokens[source] = self.source_tokens.get(source, 0) + event["tokens"]
        for key, value in event.items():
            if key not in _NO_CURVE and (value is None or isinstance(value, int | float)):
                name = (kind, key, source)
                if name not in self._curves:
                    self._curves[name] = Curve()
                self._curves[name].add(iteration, value)

    def curve(self, event: str, key: str, source: str = "") -> Curve:
        """The curve of one number; an empty one if nothing was told of it."""
        return self._curves.get((event, key, source)) or Curve()

    def sources(self) -> list[str]:
        """Every source that a loss was told of, that of most training tokens first."""
        names = {source for kind, _, source in self._curves if kind.endswith("_source")}
        return sorted(names, key=lambda name: (-self.source_tokens.get(name, 0), name))

    def marks_of(self, event: str) -> list[Event]:
        """Marks of one kind, in order."""
        return [mark for mark in self.marks if mark["event"] == event]


def read_course(directory: Path) -> Course:
    """The course of a run so far. Raises `UserError` if its metrics cannot be read."""
    course = Course()
    path = directory / FILE_NAME
    for event in iterate_events(path) if path.exists() else ():
        course.add(event)
    return course
