"""The report as one HTML page: inline style and SVG, no script, no request.

In: the content of report.json. The page shows texts from anywhere, so everything that is not a
number of ours is escaped, control characters are shown as such, and a content security policy
forbids the browser to load or run anything, whatever a text may say.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataprep.report_charts import chart

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NAMES_MAX = 30
_SECTIONS = (
    ("funnel", "Funnel"),
    ("reasons", "Reasons"),
    ("sources", "Sources and languages"),
    ("duplicates", "Duplicates"),
    ("pii", "Personal data"),
    ("signals", "Signals"),
    ("samples", "Samples"),
)


def render(report: Mapping[str, Any]) -> str:
    """The page. Everything shown stands in `report` (see report.build)."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in _SECTIONS)
    bodies = (
        _funnel(report),
        _reasons(report),
        _names(report),
        _duplicates(report),
        _pii(report),
        _signals(report),
        _samples(report),
    )
    sections = "".join(
        f'<h2 id="{name}">{title}</h2>{body}'
        for (name, title), body in zip(_SECTIONS, bodies, strict=True)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Corpus report</title><style>{style}</style></head><body>"
        f"<h1>Corpus report</h1>{_headline(report)}<nav>{links}</nav>{_tiles(report)}{sections}"
        "<footer>Written by gristmill dataprep. Every number stands in report.json; every document "
        "stands in the Parquet parts beside it, with its reason.</footer></body></html>\n"
    )


def _text(value: object) -> str:
    """A value as text of the page, whoever it comes from."""
    shown = _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", str(value))
    return html.escape(shown, quote=True)


def _count(value: float) -> str:
    return f"{value:,}"


def _size(num_bytes: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(num_bytes) >= unit:
            return f"{num_bytes / unit:.1f} {name}"
    return f"{num_bytes:.0f} B"


def _share(part: float, whole: float) -> str:
    if not whole:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent >= 0.05 or not part else "< 0.1 %"


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _bar(parts: Iterable[tuple[str, float]], whole: float) -> str:
    pieces = "".join(
        f'<i class="{name}" style="width:{100 * part / whole:.2f}%"></i>'
        for name, part in parts
        if whole and part
    )
    return f'<td class="bar"><div class="track">{pieces}</div></td>'


def _table(heads: Sequence[str], rows: Iterable[str]) -> str:
    """A table; a head that begins with `#` is that of a column of numbers."""
    cells = "".join(
        f'<th class="number">{head[1:]}</th>' if head.startswith("#") else f"<th>{head}</th>"
        for head in heads
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(*cells: str) -> str:
    """A row; a cell that begins with `#` holds a number, one that is a cell already stays so."""
    return "<tr>" + "".join(_cell(cell) for cell in cells) + "</tr>"


def _cell(cell: str) -> str:
    if cell.startswith("<td"):
        return cell
    return f'<td class="number">{cell[1:]}</td>' if cell.startswith("#") else f"<td>{cell}</td>"


_KEY = '<div class="key"><i class="kept"></i>kept<i class="dropped"></i>dropped</div>'


def _headline(report: Mapping[str, Any]) -> str:
    facts = report["facts"]
    kept, total = facts["kept"], facts["documents_in"]
    return (
        f"<p>{_count(total)} documents were read and {_count(kept)} kept: {_share(kept, total)} "
        "of them. Every other one stands among the dropped with the rule that dropped it.</p>"
    )


def _tiles(report: Mapping[str, Any]) -> str:
    facts = report["facts"]
    findings = sum(found["findings"] for found in report["pii"].values())
    duplicates = facts["duplicates"]["exact"] + facts["duplicates"]["near"]
    tiles = (
        (_count(facts["documents_in"]), "documents in"),
        (_count(facts["kept"]), f"kept, {_share(facts['kept'], facts['documents_in'])}"),
        (_count(facts["documents_in"] - facts["kept"]), "dropped"),
        (_count(duplicates), "of these duplicates"),
        (_size(facts["bytes_in"]), "text in"),
        (_size(facts["bytes_kept"]), "text kept"),
        (_count(findings), "pieces of personal data replaced"),
        (_count(facts["quarantined"]), "unreadable records"),
    )
    shown = "".join(
        f'<div class="tile"><b>{number}</b><span>{name}</span></div>' for number, name in tiles
    )
    return f'<div class="tiles">{shown}</div>'


def _funnel(report: Mapping[str, Any]) -> str:
    total = report["facts"]["documents_in"]
    rows = [
        _row(
            f"<code>{_text(entry['step'])}</code>",
            f"#{_count(entry['documents_dropped'])}",
            f"#{_share(entry['documents_dropped'], entry['documents_in'])}",
            f"#{_size(entry['bytes_dropped'])}",
            f"#{_count(entry['documents_in'] - entry['documents_dropped'])}",
            _bar(
                (
                    ("kept", entry["documents_in"] - entry["documents_dropped"]),
                    ("dropped", entry["documents_dropped"]),
                ),
                total,
            ),
        )
        for entry in report["funnel"]
    ]
    heads = ("step", "#dropped", "#of those it met", "#text dropped", "#documents left", "")
    facts = report["facts"]
    removed = ", ".join(
        f"<code>{_text(step)}</code> {_size(num_bytes)}"
        for step, num_bytes in sorted(facts["bytes_removed"].items())
    )
    edits = f"<p>Bytes that steps took out of texts (negative: added): {removed}.</p>"
    intro = (
        "<p>The steps in the order in which a document meets them. A document that one step has "
        "dropped counts in no later one.</p>"
    )
    return intro + _KEY + _table(heads, rows) + (edits if removed else "")


def _reasons(report: Mapping[str, Any]) -> str:
    most = max((entry["documents"] for entry in report["reasons"]), default=0)
    rows = [
        _row(
            f"<code>{_text(entry['reason'])}</code>",
            f"#{', '.join(_value(value) for value in entry['thresholds']) or '–'}",
            f"#{_count(entry['documents'])}",
            f"#{_share(entry['documents'], report['facts']['documents_in'])}",
            f"#{_size(entry['bytes'])}",
            _bar((("dropped", entry["documents"]),), most),
        )
        for entry in report["reasons"]
    ]
    intro = "<p>One row per rule that dropped a document, with the thresholds that it applied.</p>"
    heads = ("rule", "#threshold", "#documents", "#of all", "#text", "")
    return intro + _table(heads, rows)


def _names(report: Mapping[str, Any]) -> str:
    return "".join(
        f"<h3>{title}</h3>" + (_KEY if not index else "") + _tally(title, report[name])
        for index, (title, name) in enumerate((("Source", "sources"), ("Language", "languages")))
    )


def _tally(title: str, tallies: Mapping[str, Mapping[str, int]]) -> str:
    ordered = sorted(tallies.items(), key=lambda item: (-item[1]["documents"], item[0]))
    most = ordered[0][1]["documents"] if ordered else 0
    rows = [
        _row(
            f"<code>{_text(name)}</code>",
            f"#{_count(tally['documents'])}",
            f"#{_count(tally['kept_documents'])}",
            f"#{_share(tally['kept_documents'], tally['documents'])}",
            f"#{_size(tally['kept_bytes'])}",
            _bar(
                (
                    ("kept", tally["kept_documents"]),
                    ("dropped", tally["documents"] - tally["kept_documents"]),
                ),
                most,
            ),
        )
        for name, tally in ordered[:_NAMES_MAX]
    ]
    more = len(ordered) - len(rows)
    rest = f"<p>{_count(more)} more in report.json.</p>" if more > 0 else ""
    heads = (title.lower(), "#documents", "#kept", "#share kept", "#text kept", "")
    return _table(heads, rows) + rest


def _duplicates(report: Mapping[str, Any]) -> str:
    facts = report["facts"]["duplicates"]
    total = report["facts"]["documents_in"]
    rows = [
        _row(name, f"#{_count(facts[key])}", f"#{_share(facts[key], total)}")
        for name, key in (
            ("the same text as a kept document", "exact"),
            ("nearly the same text as a kept document", "near"),
        )
    ]
    table = _table(("dropped because there is", "#documents", "#of all"), rows)
    figure = _figure(report, "survivor_jaccard", "similarity to the kept document (Jaccard)")
    return table + f'<div class="charts">{figure}</div>'


def _pii(report: Mapping[str, Any]) -> str:
    rows = [
        _row(
            _text(kind).replace("_", " "),
            f"#{_count(found['findings'])}",
            f"#{_count(found['documents'])}",
        )
        for kind, found in report["pii"].items()
    ]
    intro = (
        "<p>Found in text, address and metadata of all documents, dropped ones too, and replaced "
        "by placeholders before anything was written.</p>"
    )
    return intro + _table(("kind", "#replaced", "#documents"), rows)


def _signals(report: Mapping[str, Any]) -> str:
    names = [name for name in report["histograms"] if name != "survivor_jaccard"]
    figures = "".join(_figure(report, name, "") for name in names)
    intro = (
        "<p>Documents by value. Heights grow with the square root of the number, so that few are "
        "seen beside many; a dashed line is a threshold. Models score only documents that were "
        "still kept when they came to them.</p>"
    )
    return intro + _KEY + f'<div class="charts">{figures}</div>'


def _figure(report: Mapping[str, Any], name: str, words: str) -> str:
    if name not in report["histograms"]:
        return ""
    rules = report["signal_thresholds"].get(name, [])
    drawing = chart(report["histograms"][name], sorted({rule["value"] for rule in rules}))
    listed = " · ".join(f"{_text(rule['reason'])} {_value(rule['value'])}" for rule in rules)
    head = f"<figcaption><code>{_text(name)}</code> {words}</figcaption>"
    return f"<figure>{head}{drawing}<figcaption>{listed}</figcaption></figure>"


def _samples(report: Mapping[str, Any]) -> str:
    intro = (
        "<p>The documents of each group with the smallest content hashes: a choice that nobody "
        "made and that stays the same. Long texts are cut.</p>"
    )
    groups = []
    for group, samples in report["samples"].items():
        body = "".join(_sample(sample) for sample in samples)
        groups.append(
            f"<details><summary><code>{_text(group)}</code><small>{len(samples)} shown</small>"
            f"</summary>{body}</details>"
        )
    return intro + "".join(groups)


def _sample(sample: Mapping[str, Any]) -> str:
    about = [f"<code>{_text(sample['id'])}</code>", _text(sample["language"])]
    if sample["drop_value"] is not None:
        bound = _value(sample["drop_threshold"])
        about.append(f"value {_value(sample['drop_value'])}, threshold {bound}")
    if sample["survivor_id"] is not None:
        about.append(f"kept instead: <code>{_text(sample['survivor_id'])}</code>")
    about.append(f"{_count(sample['characters'])} characters")
    cut = " …" if sample["characters"] > len(sample["text"]) else ""
    return (
        f'<div class="sample"><div>{" · ".join(about)}</div>'
        f'<pre dir="auto">{_text(sample["text"])}{cut}</pre></div>'
    )
