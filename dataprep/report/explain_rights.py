"""What `explain` says of a document's licence, its opt-outs, and the record that it came from."""

from collections.abc import Mapping
from typing import Any

from dataprep.config import Dataprep
from dataprep.rights import opt_out, verdicts
from dataprep.rights.licences import licence_of

_VALUE_CHARACTERS = 200


def lines(row: Mapping[str, Any]) -> list[str]:
    """Licence with evidence, opt-outs, and the fields of the record, WARC's date and id among
    them if the recipe keeps them."""
    expression = row.get("rights_license")
    known = "not known" if expression is None else f"{expression} ({row['rights_family']})"
    evidence = row.get("rights_evidence")
    shown = [_line("licence", f"{known}{f', by {evidence}' if evidence else ', none stated'}")]
    cluster = row.get("rights_cluster_license")
    if cluster is not None and row.get("rights_cluster_id") != row["id"]:
        family = licence_of(cluster).family
        shown.append(_line("of its copies", f"{cluster} ({family}), of {row['rights_cluster_id']}"))
    marks = row.get("rights_opt_out") or []
    shown.append(_line("opt-outs", ", ".join(marks) or "none found"))
    for key, value in dict(row.get("meta") or {}).items():
        shown.append(_line("record", f"{key} = {value[:_VALUE_CHARACTERS]}"))
    return shown


def judgement(row: Mapping[str, Any], config: Dataprep | None) -> list[str]:
    """What the recipe's rules say of its licence and marks, in the words of the recipe."""
    if config is None or "rights_family" not in row:
        return []
    rights = verdicts.of_source(config.rights, row["source"])
    marks = [m for m in row["rights_opt_out"] if opt_out.kind_of(m) in rights.opt_out_kinds]
    told = "no mark that counts" if not marks else f"{', '.join(marks)} ({rights.opt_out})"
    shown = [f"    rights.opt_out   {told}"]
    if row["survivor_id"] is not None:
        shown.append(
            "    licence          judged with those of its copies, on the one kept instead"
        )
    else:
        judged = row["rights_cluster_license"] or row["rights_license"]
        reason = verdicts.verdict(rights, judged)
        outcome = "passes" if reason is None else f"fails {reason}"
        lists = f"allow {list(rights.allow)}, deny {list(rights.deny)}"
        shown.append(f"    licence          {judged or 'not known'}: {outcome} ({lists})")
    return ["  rights", *shown]


def _line(name: str, value: str) -> str:
    return f"  {name:<14} {value}"
