"""The report's tables: funnel, rules, edits, sources, languages.

In: the content of report.json (see `report.build`). Out: markup, whose every text is escaped.
"""

from collections.abc import Mapping
from typing import Any

from dataprep.report.markup import (
    KEY,
    bar,
    count,
    decimal,
    details,
    escape,
    row,
    share,
    size,
    table,
)
from dataprep.report.summarize import KEPT

_NAMES_MAX = 30
_LANGUAGES_IN_MIX = 3
_RULES_BY_LANGUAGE = 12


def funnel(report: Mapping[str, Any]) -> str:
    """The steps in order: what each dropped and what it left."""
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
    intro = (
        "<p>The steps in the order in which a document meets them. A document that one step has "
        "dropped counts in no later one.</p>"
    )
    return intro + KEY + table(heads, [first, *rows])


def rules(report: Mapping[str, Any]) -> str:
    """One row per rule that dropped a document, the most frequent first."""
    most = max((entry["documents"] for entry in report["reasons"]), default=0)
    facts = report["facts"]
    rows = [
        row(
            f"<code>{escape(entry['reason'])}</code>",
            f"#{_thresholds(entry['thresholds'])}",
            f"#{count(entry['documents'])}",
            f"#{share(entry['documents'], facts['documents_in'])}",
            f"#{size(entry['bytes'])}",
            bar((("dropped", entry["documents"]),), most),
        )
        for entry in report["reasons"]
    ]
    intro = (
        "<p>One row per rule that dropped a document, with the thresholds that it applied. A "
        "document counts for the first rule that it fails.</p>"
    )
    heads = ("rule", "#threshold", "#documents", "#of all", "#text", "")
    return intro + table(heads, rows)


def _thresholds(values: list[float]) -> str:
    if len(values) > 3:
        return f"{decimal(values[0])} to {decimal(values[-1])}"
    return ", ".join(decimal(value) for value in values) or "–"


def edits(report: Mapping[str, Any]) -> str:
    """What steps took out of texts that went on."""
    facts = report["facts"]
    rows = [
        row(
            f"<code>{escape(step)}</code>",
            f"#{count(found['documents'])}",
            f"#{share(found['documents'], facts['documents_in'])}",
            f"#{size(found['bytes'])}",
            f"#{share(found['bytes'], facts['bytes_in'])}",
        )
        for step, found in report["edits"].items()
    ]
    if not rows:
        return "<p>No step changed the length of a text.</p>"
    intro = (
        "<p>Bytes that steps took out of texts, dropped ones too; a negative number was added. "
        "Texts whose length stayed the same are not counted.</p>"
    )
    return intro + table(("step", "#texts", "#of all", "#removed", "#of all text"), rows)


def sources(report: Mapping[str, Any]) -> str:
    """Each source before and after: documents, text, mean length, languages."""
    ordered = _by_documents(report["sources"])
    most = ordered[0][1]["documents"] if ordered else 0
    rows = []
    for name, tally in ordered[:_NAMES_MAX]:
        mix = report["source_languages"].get(name, {})
        rows.append(
            row(
                f"<code>{escape(name)}</code>",
                *_before_after(tally),
                _mix(mix, "documents") + "<br>" + _mix(mix, "kept_documents"),
                _kept_bar(tally, most),
            )
        )
    heads = (
        "source", "#documents", "#kept", "#text", "#mean length", "languages", "",
    )  # fmt: skip
    intro = "<p>In each row above what was read, below what was kept.</p>"
    return intro + KEY + table(heads, rows) + _more(ordered)


def languages(report: Mapping[str, Any]) -> str:
    """Each language before and after, and the rules that dropped its documents."""
    ordered = _by_documents(report["languages"])
    most = ordered[0][1]["documents"] if ordered else 0
    rows = [
        row(f"<code>{escape(name)}</code>", *_before_after(tally), _kept_bar(tally, most))
        for name, tally in ordered[:_NAMES_MAX]
    ]
    heads = ("language", "#documents", "#kept", "#text", "#mean length", "")
    by_rule = "".join(
        _rules_of(name, report["language_reasons"].get(name, {}))
        for name, _ in ordered[:_NAMES_MAX]
    )
    titled = f"<h3>Rules by language</h3>{by_rule}" if by_rule else ""
    return KEY + table(heads, rows) + _more(ordered) + titled


def _rules_of(language: str, reasons: Mapping[str, Mapping[str, int]]) -> str:
    documents = sum(tally["documents"] for tally in reasons.values())
    dropped = [(reason, tally) for reason, tally in _by_documents(reasons) if reason != KEPT]
    if not dropped:
        return ""
    rows = [
        row(
            f"<code>{escape(reason)}</code>",
            f"#{count(tally['documents'])}",
            f"#{share(tally['documents'], documents)}",
            f"#{size(tally['bytes'])}",
            bar((("dropped", tally["documents"]),), documents),
        )
        for reason, tally in dropped[:_RULES_BY_LANGUAGE]
    ]
    heads = ("rule", "#documents", "#of the language", "#text", "")
    about = (
        f"{count(sum(tally['documents'] for _, tally in dropped))} of {count(documents)} dropped"
    )
    return details(language, about, table(heads, rows) + _more(dropped, _RULES_BY_LANGUAGE))


def _by_documents(
    tallies: Mapping[str, Mapping[str, int]],
) -> list[tuple[str, Mapping[str, int]]]:
    return sorted(tallies.items(), key=lambda item: (-item[1]["documents"], item[0]))


def _before_after(tally: Mapping[str, int]) -> tuple[str, ...]:
    """Cells: documents, share kept, text, mean length; what was read above what was kept."""
    documents, kept = tally["documents"], tally["kept_documents"]
    read = size(tally["read_bytes"] / documents) if documents else "–"
    left = size(tally["kept_bytes"] / kept) if kept else "–"
    return (
        f"#{count(documents)}<br>{count(kept)}",
        f"#{share(kept, documents)}",
        f"#{size(tally['read_bytes'])}<br>{size(tally['kept_bytes'])}",
        f"#{read}<br>{left}",
    )


def _kept_bar(tally: Mapping[str, int], most: int) -> str:
    kept = tally["kept_documents"]
    return bar((("kept", kept), ("dropped", tally["documents"] - kept)), most)


def _mix(languages: Mapping[str, Mapping[str, int]], key: str) -> str:
    """The commonest languages with their shares, in a line."""
    total = sum(tally[key] for tally in languages.values())
    ordered = sorted(languages.items(), key=lambda item: (-item[1][key], item[0]))
    shown = [
        f"{escape(name)} {100 * tally[key] / total:.0f} %"
        for name, tally in ordered[:_LANGUAGES_IN_MIX]
        if tally[key]
    ]
    return f'<span class="mix">{", ".join(shown) or "–"}</span>'


def _more(names: list[Any], shown: int = _NAMES_MAX) -> str:
    more = len(names) - shown
    return f"<p>{count(more)} more in report.json.</p>" if more > 0 else ""
