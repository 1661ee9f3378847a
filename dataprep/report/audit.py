"""The report's section on the audit: what `audit.json` says, as tables."""

from collections.abc import Mapping
from typing import Any

from dataprep.report.markup import count, decimal, details, escape, row, table


def audit(report: Mapping[str, Any]) -> str:
    """Precision and recall with their intervals, and examples; of a run, how to get them."""
    found = report["facts"].get("audit")
    if found is None:
        return "<p>Not audited. <code>gristmill dataprep audit RECIPE</code> estimates recall.</p>"
    precision, recall = found["precision"], found["recall"]
    rows = [
        row(
            f"sampled near-duplicates whose survivor is at {found['threshold']:g} or above",
            f"#{count(precision['hold'])} of {count(precision['compared'])}",
            f"#{_interval(precision['interval'])}",
        ),
        row(
            "pairs at the threshold or above of which a side was dropped",
            f"#{count(recall['pairs'] - recall['missed'])} of {count(recall['pairs'])}",
            f"#{_interval(recall['interval'])}",
        ),
        row(
            "sampled documents with a partner of which no pair was missed",
            f"#{count(recall['documents_complete'])} of {count(recall['with_partner'])}",
            f"#{_interval(recall['documents_interval'])}",
        ),
    ]
    listed = [
        row(escape(pair["left"]), escape(pair["right"]), f"#{decimal(pair['similarity'])}")
        for part in (recall, precision)
        for pair in part["examples"]
    ]
    head = f"{count(recall['sampled'])} of {count(found['compared_documents'])} documents"
    apart = f"; {count(found['cut_documents'])} were cut later and left out" * bool(
        found["cut_documents"]
    )
    return (
        f"<p>{head} were sampled (seed {found['seed']}){apart}.</p>"
        + table(("audited", "#found", "#95 %"), rows)
        + details("pairs", f"{len(listed)} missed or below", table(("", "", "#"), listed))
        * bool(listed)
    )


def summary(found: Mapping[str, Any]) -> str:
    """The audit in two lines, for a terminal."""
    precision, recall = found["precision"], found["recall"]
    return (
        f"precision  {precision['hold']:,} of {precision['compared']:,} sampled near-duplicates "
        f"are at {found['threshold']:g} or above (95 %: {_interval(precision['interval'])})\n"
        f"recall     {recall['pairs'] - recall['missed']:,} of {recall['pairs']:,} pairs of "
        f"{recall['sampled']:,} sampled documents lost a side; none was missed of "
        f"{recall['documents_complete']:,} of {recall['with_partner']:,} documents with a partner "
        f"(95 %: {_interval(recall['documents_interval'])})"
    )


def _interval(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}"
