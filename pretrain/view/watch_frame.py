"""One picture of a run for a terminal: pure functions from what is known to what is shown."""

from dataclasses import dataclass

import numpy as np
from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pretrain.contract import RunResult
from pretrain.measure import eta_seconds
from pretrain.view.course import Course
from pretrain.view.people import DASH, duration, number, percent, plain, short, size
from pretrain.view.terminal_plot import Cell, plot, sparkline
from pretrain.view.watch_ranks import Beat

PLOT_ROWS = 9
SILENT_SECONDS = 60.0
_SPARK = 16
_RECENT = 160  # lines of metrics that a line of blocks shows
_RATES = 8  # lines of metrics that the rate shown is the mean of
_STATUS_STYLES = {
    "running": "bold green", "done": "bold cyan", "preempted": "bold yellow",
    "numerical_stop": "bold red", "failed": "bold red",
}  # fmt: skip
_CURVE_STYLES = ("cyan", "bold yellow")  # training, validation
_SOFT = "bright_black"


@dataclass(frozen=True)
class View:
    """What is known of a run at one moment."""

    result: RunResult
    course: Course
    beats: list[Beat]
    holder_age_seconds: float | None  # since the holder of its lock gave a sign; None: nobody

    @property
    def ended(self) -> bool:
        """Whether the run has said how it ended."""
        return self.result.status != "running"

    @property
    def iteration(self) -> int:
        """Updates done, as of the last line of metrics."""
        last = self.course.last.get("train", {})
        return int(last.get("iteration", 0))

    @property
    def rate(self) -> float | None:
        """Tokens per second, mean of the last few lines."""
        values = self.course.curve("train", "tokens_per_second").tail(_RATES)
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else None

    @property
    def eta(self) -> float | None:
        """Seconds left, pauses like those so far included."""
        if self.ended:
            return None
        tokens = self.course.curve("train", "tokens").last or 0.0
        training = float(np.nansum(self.course.curve("train", "seconds").y))
        saves = self.course.marks_of("checkpoint")
        pauses = float(np.nansum(self.course.curve("valid", "seconds").y))
        pauses += sum(mark["seconds"] for mark in saves if not mark["asynchronous"])
        share = pauses / (training + pauses) if training else 0.0
        return eta_seconds(max(0, self.result.tokens - int(tokens)), self.rate, share)


def line(view: View) -> str:
    """The run in one line, for a log."""
    course, result = view.course, view.result
    parts = [
        f"{result.name}: {view.result.status}, iteration {view.iteration:,} of "
        f"{result.iterations:,}",
        f"loss {number(course.curve('train', 'loss').last, 5)}",
        f"{number(view.rate)} tokens/s",
    ]
    if course.curve("valid", "loss").last is not None:
        parts.append(f"validation {number(course.curve('valid', 'loss').last, 5)}")
    if view.eta is not None:
        parts.append(f"about {duration(view.eta)} left")
    silence = _silence(view)
    return ", ".join([*parts, silence] if silence else parts)


def frame(view: View, width: int) -> RenderableType:
    """The run as a panel `width` characters wide and about 20 lines high."""
    result = view.result
    inner = max(width - 4, 40)
    title = Text.assemble(
        (f" {plain(result.name)} ", "bold"),
        (f"{result.status.replace('_', ' ')} ", _STATUS_STYLES[result.status]),
    )
    return Panel(
        Group(_progress(view), Text(), *_plots(view, inner), Text(), _numbers(view), *_notes(view)),
        title=title, title_align="left", subtitle=Text(_model(view), style=_SOFT),
        subtitle_align="right", box=ROUNDED, border_style=_SOFT, padding=(0, 1), width=width,
    )  # fmt: skip


def _model(view: View) -> str:
    start, layout = view.course.last.get("start", {}), view.result.layout
    parts = [f"{short(view.result.parameters_total)} parameters"]
    names = ("tensor", "pipeline", "data", "context", "expert")
    sizes = [f"{name} {getattr(layout, name)}" for name in names if getattr(layout, name) > 1]
    parts.append(" x ".join(sizes) or "one process")
    if start:
        parts.append(f"{start['precision']} on {start['device']}")
    return f" {', '.join(parts)} "


def _progress(view: View) -> RenderableType:
    done, of = view.iteration, view.result.iterations
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True, justify="right")
    right = Text(f"{100 * done / of:.1f} %", style="bold")
    if not view.ended:
        right.append(f"   {duration(view.eta)} left", style="default not bold")
    bar = ProgressBar(total=of, completed=done, complete_style="green", finished_style="cyan")
    row.add_row(Text(f"iteration {done:,} of {of:,}"), bar, right)
    return row


def _plots(view: View, width: int) -> list[Text]:
    course = view.course
    train, valid = course.curve("train", "loss"), course.curve("valid", "loss")
    last = max(view.iteration, 1)
    if not len(train):
        return [Text("no line of metrics yet", style=_SOFT)]
    # The fall of the first iterations would flatten all the rest: it comes in from above.
    settled = [curve.y[curve.x >= 0.1 * last] for curve in (train, valid)]
    settled = [values[np.isfinite(values)] for values in settled]
    most = max((float(values.max()) for values in settled if len(values)), default=None)
    curves = [(curve.x, curve.y) for curve in (train, valid)]
    label = 8
    rows, (low, high) = plot(curves, width - label, PLOT_ROWS, (0.0, float(last)), most)
    texts = []
    for index, cells in enumerate(rows):
        value = high - (high - low) * index / (PLOT_ROWS - 1)
        shown = number(value, 3) if index % 4 == 0 else ""
        texts.append(Text.assemble((f"{shown:>6} ", _SOFT), ("│" if not shown else "┤", _SOFT),
                                   *_styled(cells)))  # fmt: skip
    ends = f"{last:,}"
    axis = f"{'':7}╰{'─' * (width - label)}"
    key = Text.assemble((f"{'':8}0", _SOFT), ("  ── ", _CURVE_STYLES[0]), "training ",
                        (number(train.last, 5), "bold"))  # fmt: skip
    if valid.last is not None:
        key.append("  ── ", _CURVE_STYLES[1])
        key.append("validation ").append(number(valid.last, 5), "bold")
        bits = f", {number(course.curve('valid', 'bits_per_byte').last)} bits per byte"
        if len(key.plain) + len(bits) + len(ends) < width:
            key.append(bits)
    key.append(" " * max(1, width - len(key.plain) - len(ends))).append(ends, _SOFT)
    return [*texts, Text(axis, style=_SOFT), key]


def _styled(cells: list[Cell]) -> list[tuple[str, str]]:
    return [(character, _CURVE_STYLES[own] if own >= 0 else "") for character, own in cells]


def _numbers(view: View) -> RenderableType:
    course = view.course
    grid = Table.grid(padding=(0, 2), expand=True)
    for _ in range(2):
        grid.add_column(style=_SOFT, no_wrap=True)
        grid.add_column(no_wrap=True, ratio=1, overflow="crop")
    shown = {
        "tokens/s": number(view.rate),
        "gradient norm": number(course.curve("train", "gradient_norm").last),
        "learning rate": number(course.curve("train", "learning_rate").last),
        "MFU": percent(course.curve("train", "mfu").last),
    }
    keys = ("tokens_per_second", "gradient_norm", "learning_rate", "mfu")
    cells = []
    for (name, value), key in zip(shown.items(), keys, strict=True):
        spark = sparkline(course.curve("train", key).tail(_RECENT), _SPARK)
        cells.append((name, Text.assemble((f"{value:<9}", "bold"), (f" {spark}", "cyan"))))
    tokens = course.curve("train", "tokens").last
    cells.append(("tokens", Text(f"{short(tokens)} of {short(view.result.tokens)}")))
    cells.append(("memory", Text(size(course.curve("train", "memory_bytes").last))))
    for left, right in zip(cells[::2], cells[1::2], strict=True):
        grid.add_row(left[0], left[1], right[0], right[1])
    return grid


def _notes(view: View) -> list[RenderableType]:
    course = view.course
    notes = Table.grid(padding=(0, 2))
    notes.add_column(style=_SOFT, no_wrap=True, min_width=13)
    notes.add_column(no_wrap=True, overflow="ellipsis")
    sources = course.sources()
    if sources:
        text = Text()
        for name in sources[:6]:
            loss = course.curve("train_source", "loss", name).last
            loss = loss or course.curve("valid_source", "loss", name).last
            text.append(f"{plain(name)} ").append(f"{number(loss)}  ", "bold")
        if len(sources) > 6:
            text.append(f"and {len(sources) - 6} more", _SOFT)
        notes.add_row("sources", text)
    saved = course.last.get("checkpoint")
    if saved:
        notes.add_row("checkpoint", f"{saved['iteration']:,} in {duration(saved['seconds'])}")
    resumed = len(course.marks_of("resume"))
    if resumed:
        last = course.last["resume"]["iteration"]
        notes.add_row("resumed", f"{resumed} x, last after iteration {last:,}")
    found = course.marks_of("intervention")
    if found:
        last = found[-1]
        notes.add_row("interventions", Text(
            f"{len(found):,}, last {plain(last['kind']).replace('_', ' ')} "
            f"{number(last['value'])} at {last['iteration']:,}: {plain(last['action'])}",
            style="red"))  # fmt: skip
    if view.beats:
        notes.add_row("ranks", _ranks(view))
    silence = _silence(view)
    if silence:
        notes.add_row("", Text(silence, style="bold red"))
    return [notes] if notes.row_count else []


def _ranks(view: View) -> Text:
    """Each rank as one character, so that one that lags is seen among many."""
    beats, text = view.beats, Text()
    newest = max(beat.iteration for beat in beats)
    for beat in beats[:64]:
        silent = beat.age_seconds > SILENT_SECONDS and not view.ended
        style = "red" if silent else "yellow" if beat.iteration < newest - 1 else "green"
        text.append("×" if silent else "·" if beat.ended else "■", style)
    if len(beats) > 64:
        text.append(f" and {len(beats) - 64} more", _SOFT)
    silent_ranks = [beat.rank for beat in beats if beat.age_seconds > SILENT_SECONDS]
    if view.ended:
        return text
    if silent_ranks:
        listed = ", ".join(map(str, silent_ranks[:8]))
        return text.append(f"  no sign for {SILENT_SECONDS:.0f} s from {listed}", "bold red")
    slowest = min(beats, key=lambda beat: beat.iteration)
    where = f"{slowest.iteration:,}" if slowest.iteration == newest else (
        f"{slowest.iteration:,} (rank {slowest.rank}) to {newest:,}")  # fmt: skip
    oldest = max(beat.age_seconds for beat in beats)
    return text.append(f"  {where}, {plain(slowest.phase) or DASH}, "
                       f"signs at most {duration(oldest)} old")  # fmt: skip


def _silence(view: View) -> str:
    """What to say of a run that calls itself running, but that nobody runs."""
    if view.ended:
        return ""
    if view.holder_age_seconds is None:
        return "no process holds the run: it was killed, or has not begun"
    if view.holder_age_seconds > SILENT_SECONDS:
        return f"no sign of its process for {duration(view.holder_age_seconds)}"
    return ""
