"""The report of one run or several as one HTML page: inline style, SVG and a script, no request.

The script only reads the values under the pointer; without it the page is the same picture. A
content security policy allows this one script by its digest and nothing else, whatever a run or a
source may be called.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from pretrain.view import report_facts
from pretrain.view.people import short
from pretrain.view.report_chart import Chart, draw
from pretrain.view.report_curves import (
    Axis,
    Drawn,
    choose_axis,
    loss_chart,
    small_charts,
    source_charts,
)
from pretrain.view.report_facts import layout_of, text

_HERE = Path(__file__).parent


def render(runs: Sequence[Drawn]) -> str:
    """The page of these runs, the first one first."""
    style = (_HERE / "report.css").read_text(encoding="utf-8")
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    axis = choose_axis(runs)
    names = ", ".join(run.result.name for run in runs)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(names)}</title><style>{style}</style></head><body>"
        f"<header><h1>{_title(runs)}</h1><p>{_headline(runs)}</p></header>"
        f"{report_facts.tiles(runs[0]) if len(runs) == 1 else ''}"
        f"<main>{_controls(runs, axis)}{_sections(runs, axis)}</main>"
        "<footer>Written by gristmill pretrain. Every point stands in metrics.jsonl, every fact "
        "in result.json and recipe.toml beside it.</footer>"
        f"<script>{script}</script></body></html>\n"
    )


def _title(runs: Sequence[Drawn]) -> str:
    if len(runs) == 1:
        status = runs[0].result.status
        return (
            f"{text(runs[0].result.name)} "
            f'<small class="status {status}">{status.replace("_", " ")}</small>'
        )
    return f"{len(runs)} runs"


def _headline(runs: Sequence[Drawn]) -> str:
    if len(runs) > 1:
        return text(", ".join(run.result.name for run in runs))
    result = runs[0].result
    done = int(runs[0].course.last.get("train", {}).get("iteration", 0))
    return (
        f"{short(result.parameters_total)} parameters, {text(layout_of(result))}; "
        f"{done:,} of {result.iterations:,} iterations."
    )


def _controls(runs: Sequence[Drawn], axis: Axis) -> str:
    """Radio buttons and check boxes that the style sheet alone answers to."""
    chosen = "".join(
        f'<label class="run{index % 8}"><input type="checkbox" id="show{index}" checked>'
        f"<i></i>{text(run.result.name)}</label>"
        for index, run in enumerate(runs)
    )
    several = f"<fieldset><legend>Runs</legend>{chosen}</fieldset>" if len(runs) > 1 else ""
    hidden = "".join(
        f"body:has(#show{index}:not(:checked)) .of{index}{{display:none}}"
        for index in range(len(runs))
    )
    return (
        f"<style>{hidden}</style>"
        f'<form class="controls">{several}<fieldset><legend>{axis.unit.capitalize()}</legend>'
        '<label><input type="radio" name="x" checked>linear</label>'
        '<label><input type="radio" name="x" id="log">logarithmic</label></fieldset></form>'
    )


def _sections(runs: Sequence[Drawn], axis: Axis) -> str:
    loss = loss_chart(runs, axis)
    sources, left = source_charts(runs, axis)
    parts = [("loss", "Loss", _figure(loss, axis, "wide") + _key(runs))]
    if sources:
        more = f"<p>{left:,} sources of fewer tokens are left out.</p>" if left else ""
        body = "".join(_figure(chart, axis) for chart in sources)
        parts.append(("sources", "Loss by source", f'<div class="charts three">{body}</div>{more}'))
    small = "".join(_figure(chart, axis) for chart in small_charts(runs, axis))
    if small:
        parts.append(("training", "Training", f'<div class="charts two">{small}</div>'))
    happened = report_facts.events(runs)
    if happened:
        parts.append(("events", "Events", happened))
    parts.append(("facts", "Facts", report_facts.facts(runs)))
    tables = "".join(
        f"<details><summary>{text(run.result.name)}</summary>{report_facts.numbers(run)}</details>"
        for run in runs
    )
    parts.append(("numbers", "Curves in numbers", tables))
    return "".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>{body}</section>'
        for name, title, body in parts
    )


def _figure(chart: Chart, axis: Axis, kind: str = "") -> str:
    """Both time axes in one figure; the style sheet shows one."""
    caption = "" if kind == "wide" else f"<span>{text(chart.title)}</span>"
    drawings = draw(chart, axis.unit, log_x=False)
    if drawings.startswith("<svg"):
        drawings += draw(chart, axis.unit, log_x=True)
    return (
        f'<figure class="{kind}"><figcaption>{caption}<output></output></figcaption>'
        f"{drawings}</figure>"
    )


def _key(runs: Sequence[Drawn]) -> str:
    kinds = {mark["event"] for run in runs for mark in run.course.marks}
    words = (
        ("intervention", "intervention"), ("rewind", "taken back by a rewind"),
        ("stage", "new stage"), ("branch", "branched"), ("resume", "resumed"),
        ("checkpoint", "checkpoint"),
    )  # fmt: skip
    shown = "".join(f'<span class="{kind}"><i></i>{word}</span>'
                    for kind, word in words if kind in kinds)  # fmt: skip
    return (
        '<p class="key"><span class="line"><i></i>training, smoothed over all its extremes</span>'
        f'<span class="dot"><i></i>validation</span>{shown}</p>'
    )
