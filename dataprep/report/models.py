"""The report's section on classifiers: how good they are, whom they wrong, what they let by.

In: the content of report.json (`facts.classifiers`, `borderline`). Out: markup, escaped.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dataprep.report.borderline import SCORES
from dataprep.report.markup import count, decimal, details, escape, row, share, table

_HEADS = (
    "step", "category", "language", "#learnt from", "#held out", "#AUC", "#threshold",
    "#precision", "#recall",
)  # fmt: skip
_BUDGETS = {
    "of_all": "the worst 1 % of all held-out texts dropped",
    "of_harmless": "the worst 1 % of the harmless ones dropped",
}


def thresholds(name: str, config: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, float]:
    """By drop reason, the thresholds of a classifier's step: found for a share, or the recipe's."""
    own = config.get(name) or {}
    low = f"{name}.{'low_score' if name == 'quality' else 'high_score'}"
    found = facts.get("calibration")
    if found is not None:
        return {low: float(found["threshold"])}
    if own.get("select") == "pareto" or own.get("mode") == "cut" or "threshold" not in own:
        return {}
    categories = list(facts.get("categories", {}))
    if len(categories) < 2:
        given = own.get("thresholds", {})
        value = given.get(categories[0], own["threshold"]) if categories else own["threshold"]
        return {low: float(value)}
    return {
        f"{name}.{category}": float(own.get("thresholds", {}).get(category, own["threshold"]))
        for category in categories
    }


def classifiers(report: Mapping[str, Any]) -> str:
    """How good the classifiers are."""
    trained = report["facts"].get("classifiers", {})
    if not trained:
        return "<p>The recipe names none.</p>"
    intro = "<p>Measured on labelled texts that the measured model has not seen; counts are texts."
    intro += "".join(_refit(name, facts) for name, facts in trained.items()) + "</p>"
    rows = [line for name, facts in trained.items() for line in _evaluations(name, facts)]
    parts = [intro + table(_HEADS, rows)]
    for name, facts in trained.items():
        parts.append(_calibration(name, facts))
        parts.append(_subgroups(facts))
    parts.append(_borderline(report.get("borderline", {})))
    return "".join(parts)


def _refit(name: str, facts: Mapping[str, Any]) -> str:
    """Which model the numbers are of, where it is not the one that scored the documents."""
    evaluated, shipped = facts.get("evaluated", {}), facts.get("shipped", {})
    if evaluated.get("model") != "before_refit":
        return ""
    return (
        f" <code>{escape(name)}</code>: of the model before its refit, which had learnt "
        f"{count(evaluated['texts'])} texts; the one that scored the documents has learnt all "
        f"{count(shipped['texts'])}."
    )


def _evaluations(name: str, facts: Mapping[str, Any]) -> Iterator[str]:
    whole = {key: facts.get(key) for key in ("training", "held_out", "evaluation")}
    for category, own in (facts.get("categories") or {name: whole}).items():
        languages = own.get("languages", {})
        shown = {"": own} if len(languages) < 2 else {"": own, **languages}
        only = next(iter(languages), "") if len(languages) == 1 else ""
        for language, part in shown.items():
            found = part["evaluation"]
            learnt = part.get("training")
            yield row(
                f"<code>{escape(name)}</code>",
                escape(category),
                escape(language or only or "all"),
                f"#{count(sum(learnt.values())) if learnt else ''}",
                f"#{count(sum(part['held_out'].values()))}",
                f"#{decimal(found['auc'])}",
                f"#{decimal(found['threshold'])}",
                f"#{decimal(found['precision'])}",
                f"#{decimal(found['recall'])}",
            )


def _calibration(name: str, facts: Mapping[str, Any]) -> str:
    found = facts.get("calibration")
    if found is None:
        return ""
    return (
        f"<p><code>{escape(name)}</code>: {escape(found['select'])} = {found['share']:g} came to "
        f"the threshold {decimal(found['threshold'])}, on {count(found['documents'])} documents of "
        "the recipe's own.</p>"
    )


def _subgroups(facts: Mapping[str, Any]) -> str:
    """Which harmless texts a budget would drop, by what they speak of."""
    found = facts.get("subgroups")
    if not found or not found["texts"]:
        return ""
    parts = []
    for key, title in _BUDGETS.items():
        own = found[key]
        lines = [("all", {**own["average"], "ratio": 1.0}), *own["subgroups"].items()]
        rows = [
            row(
                escape(group.replace("_", " ")),
                f"#{count(entry['harmless'])}",
                f"#{count(entry['dropped'])}",
                f"#{share(entry['dropped'], entry['harmless'])}",
                f"#{100 * entry['low']:.1f} to {100 * entry['high']:.1f} %",
                f"#{decimal(entry['ratio'])}",
            )
            for group, entry in lines
        ]
        heads = ("subgroup", "#harmless", "#dropped", "#share", "#95 % interval", "#over all")
        worst = decimal(own["worst_ratio"])
        parts.append(details(title, f"worst ratio {worst}", table(heads, rows)))
    return (
        "<h3>Harmless texts that would be dropped, by what they speak of</h3><p>Of held-out texts "
        "whose labels call them harmless. Small groups are noise: the worst ratio is that of "
        "groups of which two or more would go at the share of all.</p>" + "".join(parts)
    )


def _borderline(found: Mapping[str, Any]) -> str:
    """Documents as they were written, on either side of a threshold."""
    parts = []
    for column in SCORES:
        rows = [
            row(
                side, f"#{decimal(sample['score'])}", f"<code>{escape(sample['id'])}</code>",
                escape(sample["text"]),
            )
            for side in ("kept", "dropped")
            for sample in found.get(column, {}).get(side, [])
        ]  # fmt: skip
        if rows:
            heads = ("fate", "#score", "id", "begins")
            parts.append(details(column, "nearest to the threshold", table(heads, rows)))
    return "".join(parts)
