"""The report's drawings and texts: a histogram for each signal, samples of each group.

In: the content of report.json (see `report.build`). Out: markup, whose every text is escaped.
"""

from collections.abc import Mapping
from typing import Any

from dataprep.report.charts import chart
from dataprep.report.markup import KEY, count, decimal, details, escape, sampled


def signals(report: Mapping[str, Any]) -> str:
    """A histogram for each signal: those that rules read, then the others, folded by step."""
    read_by = report["signal_thresholds"]
    names = [name for name in report["histograms"] if name != "survivor_jaccard"]
    judged = "".join(figure(report, name, "") for name in names if name in read_by)
    others: dict[str, list[str]] = {}
    for name in names:
        if name not in read_by:
            others.setdefault(name.partition("_")[0], []).append(name)
    folded = "".join(
        details(
            step,
            f"{len(group)} more, which no rule reads",
            f'<div class="charts">{"".join(figure(report, name, "") for name in group)}</div>',
        )
        for step, group in others.items()
    )
    intro = (
        "<p>Documents by value. Heights grow with the square root of the number, so that few are "
        "seen beside many; a dashed line is a threshold. Models score only documents that were "
        "still kept when they came to them.</p>"
    )
    return intro + KEY + f'<div class="charts">{judged}</div>' + folded


def figure(report: Mapping[str, Any], name: str, words: str) -> str:
    """The histogram of one signal, with the thresholds of the rules that read it."""
    if name not in report["histograms"]:
        return ""
    rules = report["signal_thresholds"].get(name, [])
    drawing = chart(report["histograms"][name], sorted({rule["value"] for rule in rules}))
    listed = "<br>".join(f"{escape(rule['reason'])} {decimal(rule['value'])}" for rule in rules)
    head = f"<figcaption><code>{escape(name)}</code> {words}</figcaption>"
    return f"<figure>{head}{drawing}<figcaption>{listed}</figcaption></figure>"


def samples(report: Mapping[str, Any]) -> str:
    """A few texts of every group."""
    intro = (
        "<p>The documents of each group with the smallest content hashes: a choice that nobody "
        "made and that stays the same. Long texts are cut.</p>"
    )
    groups = [
        details(group, f"{len(found)} shown", "".join(sample(one) for one in found))
        for group, found in report["samples"].items()
    ]
    return intro + "".join(groups)


def sample(shown: Mapping[str, Any]) -> str:
    """One text with what became of it."""
    about = [f"<code>{escape(shown['id'])}</code>", escape(shown["language"])]
    if shown["drop_value"] is not None:
        bound = decimal(shown["drop_threshold"])
        about.append(f"value {decimal(shown['drop_value'])}, threshold {bound}")
    if shown["survivor_id"] is not None:
        about.append(f"kept instead: <code>{escape(shown['survivor_id'])}</code>")
    about.append(f"{count(shown['characters'])} characters")
    cut = " …" if shown["characters"] > len(shown["text"]) else ""
    return (
        f'<div class="sample"><div>{" · ".join(about)}</div>'
        f'<pre dir="auto">{sampled(shown["text"])}{cut}</pre></div>'
    )
