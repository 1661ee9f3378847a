"""The report: what happened to the documents, from what was written of them.

In: summaries of the written parts and the manifest's facts. Out: `report.json`, every number, and
`report.html`, one page that shows them and loads nothing. As both are made of sums, they are as
small for a billion documents as for ten.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataprep.report import models as report_models
from dataprep.report import perplexity as report_perplexity
from dataprep.report import rights as report_rights
from dataprep.report.page import render
from dataprep.report.summarize import KEPT, PAIR, Summary, merge, summarize
from dataprep.signals.presets import load_preset
from launch.manifest import (
    FileEntry,
    Manifest,
    commit_file,
    link_for_people,
    write_atomic,
)

__all__ = ["Summary", "build", "merge", "show_audit", "summarize", "write_report"]

JSON_NAME = "report.json"
HTML_NAME = "report.html"
VERSION = 1
# Steps in the order in which a document meets them; between them stand the recipe's presets.
STEPS_BEFORE = ("normalize", "language", "content", "urls", "lines")
STEPS_AFTER = (
    "pii", "decontamination", "quality", "toxicity", "perplexity", "exact", "near_duplicates",
    "rights", "spans", "substrings",
)  # fmt: skip
_SCORES = {
    "language": "language_score",
    "decontamination": "decontamination_score",
    "quality": "quality_score",
    "toxicity": "toxicity_score",
    "perplexity": "perplexity_score",
    "near_duplicates": "survivor_jaccard",
}


def build(
    summaries: Iterable[Mapping[str, Any]],
    facts: Mapping[str, Any],
    config: Mapping[str, Any],
    pieces: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of report.json.

    `facts` are those of `conservation`; `config` is the recipe's table `dataprep` as JSON types,
    from which the thresholds are read. More facts (of classifiers, say) are passed through.
    `pieces` are the commonest that were cut out (`report_pieces`).
    """
    summary = merge([])
    for part in summaries:
        summary = merge([summary, part])
    reasons = {group: tally for group, tally in summary["groups"].items() if group != KEPT}
    ordered = sorted(reasons.items(), key=lambda item: (-item[1]["documents"], item[0]))
    return {
        "kind": "report",
        "version": VERSION,
        "limit": config.get("limit"),
        "facts": dict(facts),
        "pieces": dict(pieces or {}),
        "funnel": _funnel(summary["groups"], config.get("presets", [])),
        "reasons": [
            {
                "reason": reason,
                "documents": tally["documents"],
                "bytes": tally["bytes"],
                "thresholds": summary["thresholds"].get(reason, []),
            }
            for reason, tally in ordered
        ],
        "sources": summary["sources"],
        "languages": summary["languages"],
        "source_languages": _nested(summary["source_languages"]),
        "language_reasons": _nested(summary["language_groups"]),
        "edits": summary["edits"],
        "pii": summary["pii"],
        "pii_samples": summary["pii_samples"],
        "pii_modes": {
            name: config.get("pii", {}).get(name) for name in ("mode", "modes", "findings_max")
        },
        "contamination": summary["contamination"],
        "clusters": summary["clusters"],
        "perplexity": report_perplexity.section(summary),
        "rights": report_rights.nested(summary),
        "borderline": summary["borderline"],
        "histograms": summary["histograms"],
        "signal_thresholds": _signal_thresholds(
            summary["histograms"],
            _thresholds(summary["thresholds"], config, facts.get("classifiers", {})),
            config.get("presets", []),
        ),
        "samples": {
            group: summary["samples"][group]
            for group in [KEPT, *(reason for reason, _ in ordered)]
            if group in summary["samples"]
        },
    }


def _nested(pairs: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """Tallies by two names, as two levels."""
    found: dict[str, dict[str, Any]] = {}
    for key, tally in pairs.items():
        left, right = key.split(PAIR)
        found.setdefault(left, {})[right] = dict(tally)
    return found


def _funnel(
    groups: Mapping[str, Mapping[str, int]], rule_sets: Sequence[str]
) -> list[dict[str, Any]]:
    """One entry per step that dropped something: documents and bytes before it, and dropped."""
    steps = {group.partition(".")[0] for group in groups if group != KEPT}
    others = sorted(steps - {*STEPS_BEFORE, *rule_sets, *STEPS_AFTER})
    known = [*STEPS_BEFORE, *rule_sets, *others, *STEPS_AFTER]
    documents = sum(tally["documents"] for tally in groups.values())
    text_bytes = sum(tally["bytes"] for tally in groups.values())
    funnel = []
    for step in known:
        if step not in steps:
            continue
        dropped = [
            tally for group, tally in groups.items() if group.partition(".")[0] == step != KEPT
        ]
        documents_dropped = sum(tally["documents"] for tally in dropped)
        bytes_dropped = sum(tally["bytes"] for tally in dropped)
        funnel.append(
            {
                "step": step,
                "documents_in": documents,
                "documents_dropped": documents_dropped,
                "bytes_in": text_bytes,
                "bytes_dropped": bytes_dropped,
            }
        )
        documents -= documents_dropped
        text_bytes -= bytes_dropped
    return funnel


def _thresholds(
    applied: Mapping[str, Sequence[float]], config: Mapping[str, Any], trained: Mapping[str, Any]
) -> dict[str, list[float]]:
    """Thresholds by reason: those of the recipe, for all languages and for one, those that were
    found for a share (`trained`: facts of classifiers), and what else was applied."""
    found: dict[str, set[float]] = {reason: {*values} for reason, values in applied.items()}
    tables = [config, *config.get("language_rules", {}).values()]
    for table in tables:
        for rule_set, rules in table.get("thresholds", {}).items():
            for rule, value in rules.items():
                found.setdefault(f"{rule_set}.{rule}", set()).add(float(value))
    for name in trained:
        for reason, value in report_models.thresholds(name, config, trained[name]).items():
            found.setdefault(reason, set()).add(value)
    near = config.get("near_duplicates", {})
    if near.get("enabled"):
        reason = f"near_duplicates.{near.get('measure', 'jaccard')}"
        found.setdefault(reason, set()).add(float(near["jaccard"]))
    return {reason: sorted(values) for reason, values in found.items()}


def _signal_thresholds(
    signals: Iterable[str], thresholds: Mapping[str, Sequence[float]], rule_sets: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """By signal, the rules that read it, with their thresholds."""
    read_by = {rule.reason: rule.signal for name in rule_sets for rule in load_preset(name)}
    found: dict[str, list[dict[str, Any]]] = {}
    known = {*signals}
    for reason, values in sorted(thresholds.items()):
        signal = read_by.get(reason, _SCORES.get(reason.partition(".")[0], ""))
        own = reason.replace(".", "_", 1)  # toxicity.threat judges toxicity_threat
        signal = own if own in known else signal
        if signal in known:
            listed = [{"reason": reason, "value": value} for value in values]
            found.setdefault(signal, []).extend(listed)
    return dict(sorted(found.items()))


def write_report(
    directory: Path,
    summaries: Iterable[Mapping[str, Any]],
    facts: Mapping[str, Any],
    config: Mapping[str, Any],
    pieces: Mapping[str, Any] | None = None,
) -> tuple[FileEntry, ...]:
    """Write the report in both forms into `directory`; their entries for the manifest.

    `report.json` and `report.html` are links to the files with digests in their names, so that an
    interrupted build with --force leaves the old manifest's files as they were.
    """
    report = build(summaries, facts, config, pieces)
    contents = {
        JSON_NAME: json.dumps(report, ensure_ascii=False, indent=1) + "\n",
        HTML_NAME: render(report),
    }
    entries = []
    for name, content in contents.items():
        temporary = directory / f".{name}.tmp"
        write_atomic(temporary, content)
        stem, suffix = Path(name).stem, Path(name).suffix
        entry = commit_file(temporary, directory, stem, suffix, rows=None)
        link_for_people(directory, name, entry.path)
        entries.append(entry)
    return tuple(entries)


def show_audit(directory: Path, manifest: Manifest, audit: Mapping[str, Any]) -> None:
    """Write the report with an audit's section under its plain names, over the run's links.

    The report as the run wrote it stays in the file that the manifest names.
    """
    (name,) = (
        entry.path
        for entry in manifest.files
        if entry.path.startswith("report-") and entry.path.endswith(".json")
    )
    report = json.loads((directory / name).read_text(encoding="utf-8"))
    report["facts"]["audit"] = dict(audit)
    write_atomic(directory / HTML_NAME, render(report))
    write_atomic(directory / JSON_NAME, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
