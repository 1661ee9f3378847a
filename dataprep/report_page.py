"""The report as one HTML page: inline style and SVG, no script, no request.

In: the content of report.json. The page shows texts from anywhere, so everything that is not a
number of ours is escaped, control characters are shown as such, and a content security policy
forbids the browser to load or run anything, whatever a text may say.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataprep.report_charts import chart
from dataprep.report_markup import (
    KEY,
    bar,
    count,
    decimal,
    escape,
    row,
    sampled,
    share,
    size,
    table,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_NAMES_MAX = 30
_SECTIONS = (
    ("funnel", "Funnel"),
    ("reasons", "Reasons"),
    ("sources", "Sources and languages"),
    ("duplicates", "Duplicates"),
    ("pii", "Personal data"),
    ("classifiers", "Classifiers"),
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
        _classifiers(report),
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


def _headline(report: Mapping[str, Any]) -> str:
    facts = report["facts"]
    kept, total = facts["kept"], facts["documents_in"]
    limit = report["limit"]
    sample = (
        f"<p><strong>A sample: at most {count(limit)} records were read.</strong></p>"
        if limit
        else ""
    )
    return (
        f"{sample}<p>{count(total)} documents were read and {count(kept)} kept: "
        f"{share(kept, total)} of them. Every other one stands among the dropped with the rule "
        "that dropped it.</p>"
    )


def _tiles(report: Mapping[str, Any]) -> str:
    facts = report["facts"]
    findings = sum(found["findings"] for found in report["pii"].values())
    duplicates = facts["duplicates"]["exact"] + facts["duplicates"]["near"]
    tiles = (
        (count(facts["documents_in"]), "documents in"),
        (count(facts["kept"]), f"kept, {share(facts['kept'], facts['documents_in'])}"),
        (count(facts["documents_in"] - facts["kept"]), "dropped"),
        (count(duplicates), "of the dropped are duplicates"),
        (size(facts["bytes_in"]), "text in"),
        (size(facts["bytes_kept"]), "text kept"),
        (count(findings), "pieces of personal data replaced"),
        (count(facts["quarantined"]), "unreadable records"),
    )
    shown = "".join(
        f'<div class="tile"><b>{number}</b><span>{name}</span></div>' for number, name in tiles
    )
    return f'<div class="tiles">{shown}</div>'


def _funnel(report: Mapping[str, Any]) -> str:
    total = report["facts"]["documents_in"]
    first = row("read", "", "", "", f"#{count(total)}", bar((("kept", total),), total))
    rows = [
        row(
            f"<code>{escape(entry['step'])}</code>",
            f"#{count(entry['documents_dropped'])}",
            f"#{share(entry['documents_dropped'], entry['documents_in'])}",
            f"#{size(entry['bytes_dropped'])}",
            f"#{count(entry['documents_in'] - entry['documents_dropped'])}",
            bar(
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
        f"<code>{escape(step)}</code> {size(num_bytes)}"
        for step, num_bytes in sorted(facts["bytes_removed"].items())
    )
    edits = f"<p>Bytes that steps took out of texts (negative: added): {removed}.</p>"
    intro = (
        "<p>The steps in the order in which a document meets them. A document that one step has "
        "dropped counts in no later one.</p>"
    )
    return intro + KEY + table(heads, [first, *rows]) + (edits if removed else "")


def _reasons(report: Mapping[str, Any]) -> str:
    most = max((entry["documents"] for entry in report["reasons"]), default=0)
    rows = [
        row(
            f"<code>{escape(entry['reason'])}</code>",
            f"#{', '.join(decimal(value) for value in entry['thresholds']) or '–'}",
            f"#{count(entry['documents'])}",
            f"#{share(entry['documents'], report['facts']['documents_in'])}",
            f"#{size(entry['bytes'])}",
            bar((("dropped", entry["documents"]),), most),
        )
        for entry in report["reasons"]
    ]
    intro = "<p>One row per rule that dropped a document, with the thresholds that it applied.</p>"
    heads = ("rule", "#threshold", "#documents", "#of all", "#text", "")
    return intro + table(heads, rows)


def _names(report: Mapping[str, Any]) -> str:
    return "".join(
        f"<h3>{title}</h3>" + (KEY if not index else "") + _tally(title, report[name])
        for index, (title, name) in enumerate((("Source", "sources"), ("Language", "languages")))
    )


def _tally(title: str, tallies: Mapping[str, Mapping[str, int]]) -> str:
    ordered = sorted(tallies.items(), key=lambda item: (-item[1]["documents"], item[0]))
    most = ordered[0][1]["documents"] if ordered else 0
    rows = [
        row(
            f"<code>{escape(name)}</code>",
            f"#{count(tally['documents'])}",
            f"#{count(tally['kept_documents'])}",
            f"#{share(tally['kept_documents'], tally['documents'])}",
            f"#{size(tally['kept_bytes'])}",
            bar(
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
    rest = f"<p>{count(more)} more in report.json.</p>" if more > 0 else ""
    heads = (title.lower(), "#documents", "#kept", "#share kept", "#text kept", "")
    return table(heads, rows) + rest


def _duplicates(report: Mapping[str, Any]) -> str:
    facts = report["facts"]["duplicates"]
    total = report["facts"]["documents_in"]
    rows = [
        row(name, f"#{count(facts[key])}", f"#{share(facts[key], total)}")
        for name, key in (
            ("the same text as a kept document", "exact"),
            ("nearly the same text as a kept document", "near"),
        )
    ]
    numbers = table(("dropped because there is", "#documents", "#of all"), rows)
    figure = _figure(report, "survivor_jaccard", "similarity to the kept document (Jaccard)")
    return numbers + f'<div class="charts">{figure}</div>'


def _pii(report: Mapping[str, Any]) -> str:
    rows = [
        row(
            escape(kind).replace("_", " "),
            f"#{count(found['findings'])}",
            f"#{count(found['documents'])}",
        )
        for kind, found in report["pii"].items()
    ]
    intro = (
        "<p>Found in text, address and metadata of all documents, dropped ones too, and replaced "
        "by placeholders before anything was written.</p>"
    )
    return intro + table(("kind", "#replaced", "#documents"), rows)


def _classifiers(report: Mapping[str, Any]) -> str:
    trained = report["facts"].get("classifiers", {})
    if not trained:
        return "<p>The recipe names none.</p>"
    rows = [
        row(
            f"<code>{escape(name)}</code>",
            f"#{count(sum(facts['training'].values()))}",
            f"#{count(sum(facts['held_out'].values()))}",
            f"#{decimal(facts['evaluation']['auc'])}",
            f"#{decimal(facts['evaluation']['threshold'])}",
            f"#{decimal(facts['evaluation']['precision'])}",
            f"#{decimal(facts['evaluation']['recall'])}",
        )
        for name, facts in trained.items()
    ]
    heads = ("step", "#learnt from", "#held out", "#AUC", "#threshold", "#precision", "#recall")
    intro = "<p>Measured on labelled texts that took no part in training; counts are texts.</p>"
    return intro + table(heads, rows)


def _signals(report: Mapping[str, Any]) -> str:
    names = [name for name in report["histograms"] if name != "survivor_jaccard"]
    figures = "".join(_figure(report, name, "") for name in names)
    intro = (
        "<p>Documents by value. Heights grow with the square root of the number, so that few are "
        "seen beside many; a dashed line is a threshold. Models score only documents that were "
        "still kept when they came to them.</p>"
    )
    return intro + KEY + f'<div class="charts">{figures}</div>'


def _figure(report: Mapping[str, Any], name: str, words: str) -> str:
    if name not in report["histograms"]:
        return ""
    rules = report["signal_thresholds"].get(name, [])
    drawing = chart(report["histograms"][name], sorted({rule["value"] for rule in rules}))
    listed = "<br>".join(f"{escape(rule['reason'])} {decimal(rule['value'])}" for rule in rules)
    head = f"<figcaption><code>{escape(name)}</code> {words}</figcaption>"
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
            f"<details><summary><code>{escape(group)}</code><small>{len(samples)} shown</small>"
            f"</summary>{body}</details>"
        )
    return intro + "".join(groups)


def _sample(sample: Mapping[str, Any]) -> str:
    about = [f"<code>{escape(sample['id'])}</code>", escape(sample["language"])]
    if sample["drop_value"] is not None:
        bound = decimal(sample["drop_threshold"])
        about.append(f"value {decimal(sample['drop_value'])}, threshold {bound}")
    if sample["survivor_id"] is not None:
        about.append(f"kept instead: <code>{escape(sample['survivor_id'])}</code>")
    about.append(f"{count(sample['characters'])} characters")
    cut = " …" if sample["characters"] > len(sample["text"]) else ""
    return (
        f'<div class="sample"><div>{" · ".join(about)}</div>'
        f'<pre dir="auto">{sampled(sample["text"])}{cut}</pre></div>'
    )
