"""The report as one HTML page: inline style and SVG, no script, no request.

In: the content of report.json. The page shows texts from anywhere, so everything that is not a
number of ours is escaped, control characters are shown as such, and a content security policy
forbids the browser to load or run anything, whatever a text may say.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataprep.report import annotator as report_annotator
from dataprep.report import audit as report_audit
from dataprep.report import contamination as report_contamination
from dataprep.report import duplicates as report_duplicates
from dataprep.report import models as report_models
from dataprep.report import perplexity as report_perplexity
from dataprep.report import pieces as report_pieces
from dataprep.report import pii as report_pii
from dataprep.report import rights as report_rights
from dataprep.report import signals as report_signals
from dataprep.report import tables as report_tables
from dataprep.report.markup import count, share, size

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_SECTIONS = (
    ("funnel", "Funnel", report_tables.funnel),
    ("rules", "Rules", report_tables.rules),
    ("edits", "Edits", report_tables.edits),
    ("sources", "Sources", report_tables.sources),
    ("rights", "Licences and opt-outs", report_rights.rights),
    ("languages", "Languages", report_tables.languages),
    ("duplicates", "Duplicates", report_duplicates.duplicates),
    ("pieces", "Pieces", report_pieces.pieces),
    ("audit", "Audit of duplicates", report_audit.audit),
    ("pii", "Personal data", report_pii.pii),
    ("contamination", "Evaluation sets", report_contamination.contamination),
    ("classifiers", "Classifiers", report_models.classifiers),
    ("annotators", "Annotators", report_annotator.annotators),
    ("perplexity", "Perplexity", report_perplexity.perplexity),
    ("signals", "Signals", report_signals.signals),
    ("samples", "Samples", report_signals.samples),
)


def style() -> str:
    """What every page of dataprep looks like."""
    return Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def render(report: Mapping[str, Any]) -> str:
    """The page. Everything shown stands in `report` (see report.build)."""
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in _SECTIONS)
    sections = "".join(
        f'<h2 id="{name}">{title}</h2>{body(report)}' for name, title, body in _SECTIONS
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Corpus report</title><style>{style()}</style></head><body>"
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
