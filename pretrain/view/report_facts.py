"""The tables of a report: what the runs are, what happened to them, their curves in numbers.

Everything that is not a number of ours goes through `text`.
"""

import html
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from pretrain.contract import RunResult
from pretrain.view.people import DASH, duration, number, percent, plain, short, size
from pretrain.view.report_curves import Drawn

_EVENTS_MAX = 60
_ROWS = 16
_WORDS = {"intervention": "intervention", "rewind": "rewind", "resume": "resumed",
          "stage": "new stage", "branch": "branched", "straggler": "slow rank"}  # fmt: skip


def text(value: object) -> str:
    """A text from anywhere as content of the page."""
    return html.escape(plain(value), quote=True)


def tiles(run: Drawn) -> str:
    """The numbers of one run that a person asks first."""
    result, course = run.result, run.course
    mfu = course.curve("train", "mfu").y
    known = mfu[np.isfinite(mfu)]
    shown = [
        (number(_known(result.loss_valid, run, "valid", "loss"), 5), "validation loss"),
        (number(_known(result.bits_per_byte_valid, run, "valid", "bits_per_byte")),
         "bits per byte"),
        (number(_known(result.loss_last, run, "train", "loss"), 5), "training loss"),
        (short(course.curve("train", "tokens").last or 0.0), f"of {short(result.tokens)} tokens"),
        (number(_rate(run)), "tokens per second"),
        (percent(float(known.mean())), "of the GPUs' peak") if len(known) else
        (f"{result.flops:.3g}".replace("e+", "e"), "FLOP in all"),
    ]  # fmt: skip
    inner = "".join(f"<div class='tile'><b>{b}</b><span>{name}</span></div>" for b, name in shown)
    return f'<div class="tiles">{inner}</div>'


def facts(runs: Sequence[Drawn]) -> str:
    """One row for each fact, one column for each run; rows that differ are marked."""
    rows: tuple[tuple[str, Callable[[Drawn], str]], ...] = (
        ("status", lambda r: r.result.status.replace("_", " ")),
        ("parameters", lambda r: f"{r.result.parameters_total:,}"),
        ("without embeddings", lambda r: f"{r.result.parameters_nonembedding:,}"),
        ("shape", _shape),
        ("vocabulary, padded", lambda r: f"{r.result.padded_vocab_size:,}"),
        ("layout", _layout),
        ("machine", _machine),
        ("batch", lambda r: f"{r.result.batch_size:,} sequences of {r.result.sequence_length:,}"),
        ("iterations", lambda r: f"{r.result.iterations:,}"),
        ("tokens", lambda r: f"{r.result.tokens:,}, {r.result.epochs:.2f} epochs"),
        ("FLOP", lambda r: f"{r.result.flops:.4g} ({r.result.flops_convention})"),
        ("learning rate", lambda r: f"{r.result.schedule}, peak {r.result.lr_peak:g}"),
        ("seed", lambda r: str(r.result.seed)),
        ("training loss", lambda r: number(_known(r.result.loss_last, r, "train", "loss"), 5)),
        ("validation loss", lambda r: number(_known(r.result.loss_valid, r, "valid", "loss"), 5)),
        ("bits per byte", lambda r: number(
            _known(r.result.bits_per_byte_valid, r, "valid", "bits_per_byte"))),
        ("tokens per second", lambda r: number(_rate(r))),
        ("time", lambda r: duration(r.result.seconds)),
        ("memory", lambda r: size(r.course.curve("train", "memory_bytes").last)),
        ("interventions", lambda r: f"{len(r.course.marks_of('intervention')):,}"),
        ("resumed", lambda r: _count(len(r.course.marks_of("resume")), "time")),
        ("tokenizer", lambda r: _digest(r.result.tokenizer_digest)),
        ("corpus", lambda r: _digest(r.result.tokens_digest)),
        ("recipe", lambda r: _digest(r.result.config_digest)),
    )  # fmt: skip
    body = []
    for name, value in rows:
        values = [value(run) for run in runs]
        differs = ' class="differs"' if len(set(values)) > 1 else ""
        cells = "".join(f"<td>{text(each)}</td>" for each in values)
        body.append(f'<tr{differs}><th scope="row">{name}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{text(run.result.name)}</th>' for run in runs)
    head = f"<thead><tr><td></td>{heads}</tr></thead>" if len(runs) > 1 else ""
    note = "<p>Rows in which the runs differ are marked.</p>" if len(runs) > 1 else ""
    table = f'<table class="facts">{head}<tbody>{"".join(body)}</tbody></table>'
    return f'{note}<div class="scroll">{table}</div>'


def events(runs: Sequence[Drawn]) -> str:
    """What happened beside training, the newest of each run; empty if nothing did."""
    rows, left = [], 0
    for run in runs:
        marks = [mark for mark in run.course.marks if mark["event"] in _WORDS]
        left += max(0, len(marks) - _EVENTS_MAX)
        for mark in marks[-_EVENTS_MAX:]:
            told = ", ".join(
                f"{key.replace('_', ' ')} {_value(value)}"
                for key, value in mark.items()
                if key not in ("event", "iteration")
            )
            name = [run.result.name] if len(runs) > 1 else []
            rows.append(_row([*name, f"#{mark['iteration']:,}", _WORDS[mark["event"]], told]))
    if not rows:
        return ""
    heads = [*(["run"] if len(runs) > 1 else []), "#iteration", "event", "what"]
    more = f"<p>{left:,} earlier ones are in metrics.jsonl.</p>" if left else ""
    return _table(heads, rows) + more


def numbers(run: Drawn) -> str:
    """Some lines of metrics of a run as a table, for who does not see the curves."""
    course = run.course
    keys = ("tokens", "loss", "gradient_norm", "learning_rate", "tokens_per_second")
    count = len(course.curve("train", "loss"))
    if not count:
        return "<p>No line of metrics was written.</p>"
    chosen = sorted({round(i) for i in np.linspace(0, count - 1, min(count, _ROWS)).tolist()})
    columns = [course.curve("train", key) for key in keys]
    x = course.curve("train", "loss").x
    rows = [
        _row([f"#{x[i]:,.0f}", f"#{short(columns[0].y[i])}",
              *(f"#{number(float(column.y[i]), 5)}" for column in columns[1:])])
        for i in chosen
    ]  # fmt: skip
    heads = ["#iteration", *(f"#{key.replace('_', ' ')}" for key in keys)]
    table = _table(heads, rows)
    valid = course.curve("valid", "loss")
    if len(valid):
        bits = course.curve("valid", "bits_per_byte").y
        rows = [
            _row([f"#{x:,.0f}", f"#{number(loss, 5)}", f"#{number(bit, 5)}"])
            for x, loss, bit in list(zip(valid.x, valid.y, bits, strict=True))[-_ROWS:]
        ]
        table += "<h3>Validations, the last ones</h3>"
        table += _table(["#iteration", "#loss", "#bits per byte"], rows)
    return table


def _known(value: float | None, run: Drawn, event: str, key: str) -> float | None:
    return value if value is not None else run.course.curve(event, key).last


def _rate(run: Drawn) -> float | None:
    values = run.course.curve("train", "tokens_per_second").y
    values = values[np.isfinite(values)]
    return run.result.tokens_per_second or (float(np.median(values)) if len(values) else None)


def _shape(run: Drawn) -> str:
    r = run.result
    return (
        f"{r.layers} layers, width {r.hidden_size}, {r.heads} heads, {r.kv_heads} of keys and "
        f"values, feed-forward {r.ffn_size}"
    )


def layout_of(result: RunResult) -> str:
    """The layout in words."""
    names = ("tensor", "pipeline", "data", "context", "expert")
    sizes = [f"{name} {getattr(result.layout, name)}" for name in names
             if getattr(result.layout, name) > 1]  # fmt: skip
    return " x ".join(sizes) or "one process"


def _layout(run: Drawn) -> str:
    return layout_of(run.result)


def _machine(run: Drawn) -> str:
    start = run.course.last.get("start")
    if start is None:
        return DASH
    return (
        f"{start['world_size']} x {start['device']}, {start['precision']}, "
        f"{_count(start['threads'], 'thread')} each"
    )


def _count(number_of: int, what: str) -> str:
    return f"{number_of:,} {what}{'' if number_of == 1 else 's'}"


def _digest(value: str) -> str:
    return value.rpartition(":")[2][:12]


def _value(value: object) -> str:
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    cells = "".join(
        f'<th scope="col" class="number">{head[1:]}</th>' if head.startswith("#")
        else f'<th scope="col">{head}</th>'
        for head in heads
    )  # fmt: skip
    return (
        f'<div class="scroll"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(cells: Iterable[str]) -> str:
    return "<tr>" + "".join(
        f'<td class="number">{text(cell[1:])}</td>' if cell.startswith("#")
        else f"<td>{text(cell)}</td>"
        for cell in cells
    ) + "</tr>"  # fmt: skip
