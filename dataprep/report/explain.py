"""The history of one document: what each step found, what decided, where it lies now.

In: a finished `documents/` directory and an id (or a content hash). Out: a few lines for people.
Everything is read from what was written, so the answer is that of the files, not of a second run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep.config import Dataprep
from dataprep.contract import (
    cuts_files,
    document_fields,
    dropped_files,
    iterate_tables,
    kept_files,
    open_documents,
    quarantine_files,
)
from dataprep.models import classifier
from dataprep.report import explain_rights
from dataprep.report.explain_rules import verdicts
from dataprep.report.perplexity import explained
from launch.config import parse_model
from launch.errors import UserError
from launch.manifest import Manifest
from launch.store import Location, join, open_random

_SAMPLE_CHARACTERS = 300
_PIECE_CHARACTERS = 80
_MEMBERS_MAX = 10


def explain(directory: Location, document: str) -> str:
    """What became of `document`: its id, or its content hash as 32 hexadecimal digits.

    Several documents can share a content hash; each gets its own paragraph. A record that could
    not be read is found by the id that it would have had, `source:path#row`.

    Raises UserError if the directory is not finished or holds no such document.
    """
    manifest = open_documents(directory)
    found = find(directory, manifest, document)
    if found:
        config = _config(manifest)
        return "\n\n".join(
            "\n".join(
                [
                    *_describe(row),
                    *explained(row, manifest.facts.get("perplexity", {})),
                    *_rules(row, config, manifest),
                    *explain_rights.judgement(row, config),
                    *_classifiers(manifest),
                    *_cluster(directory, manifest, row),
                    *_pieces(directory, manifest, row),
                ]
            )
            for row in found
        )
    refused = _find_quarantined(directory, manifest, document)
    if refused:
        return "\n\n".join(_describe_quarantined(row) for row in refused)
    raise UserError(
        str(directory), f"'{document}', which is no document of it", "an id or a content hash",
        "an id is SOURCE:PATH#ROW or SOURCE: and the record's own id; report.html shows some",
    )  # fmt: skip


def find(directory: Location, manifest: Manifest, document: str) -> list[dict[str, Any]]:
    """Rows of the written documents with this id or content hash, each with its `part`.

    Row groups whose statistics exclude it are not read; of the others only the key columns are,
    until there is a match.
    """
    column, wanted = _key(document)
    rows = []
    files = [
        *kept_files(manifest, "train"),
        *kept_files(manifest, "valid"),
        *dropped_files(manifest),
    ]
    for path in files:
        location = str(join(directory, path))
        with open_random(location) as stream, pq.ParquetFile(stream) as file:
            for group in range(file.num_row_groups):
                key = file.read_row_group(group, columns=[column])[column]
                places = pc.indices_nonzero(pc.equal(key, wanted))
                if len(places):
                    table = file.read_row_group(group).take(places)
                    rows += [{"part": path, **row} for row in table.to_pylist()]
    return rows


def _key(document: str) -> tuple[str, pa.Scalar]:
    try:
        content_hash = bytes.fromhex(document)
    except ValueError:
        content_hash = b""
    if len(content_hash) == 16:
        return "content_hash", pa.scalar(content_hash, pa.binary(16))
    return "id", pa.scalar(document, pa.string())


def _find_quarantined(
    directory: Location, manifest: Manifest, document: str
) -> list[dict[str, Any]]:
    source, _, place = document.partition(":")
    path, _, row = place.rpartition("#")
    rows = []
    for name in quarantine_files(manifest):
        with open_random(str(join(directory, name))) as stream:
            table = pq.read_table(stream)
        same_place = pc.and_(pc.equal(table["source"], source), pc.equal(table["path"], path))
        for record in table.filter(same_place).to_pylist():
            if str(record["row"]) == row:
                rows.append({"part": name, **record})
    return rows


def _config(manifest: Manifest) -> Dataprep | None:
    """The configuration that the documents were made with; None where it says nothing."""
    table = manifest.config.get("dataprep")
    return None if table is None else parse_model(Dataprep, table, "dataprep")


def _classifiers(manifest: Manifest) -> list[str]:
    """How good the classifiers are, by which model, and thresholds that stand for a share."""
    lines = []
    for name, facts in manifest.facts.get("classifiers", {}).items():
        if "categories" in facts:
            lines.append(_line("classifier", f"{name}: {classifier.describe(facts)}"))
        found = facts.get("calibration")
        if found is not None:
            told = f"{name} {found['select']} {_number(found['share'])}: threshold "
            told += f"{_number(found['threshold'])} from {found['documents']:,} documents"
            lines.append(_line("calibration", told))
    return lines


def _rules(row: Mapping[str, Any], config: Dataprep | None, manifest: Manifest) -> list[str]:
    """Every rule that judged the document, passed or not."""
    if config is None:
        return []
    found = list(verdicts(row, config, manifest.facts.get("classifiers", {})))
    width = max((len(verdict.reason) for verdict in found), default=0)
    lines = ["  rules that judge it; the first that fails is the reason" if found else "  no rules"]
    for verdict in found:
        bound = "at least" if verdict.minimum else "at most"
        outcome = "fails" if verdict.fails else "passes" if verdict.value is not None else "-"
        threshold = f"{bound} {_number(verdict.threshold)}"
        value = _number(verdict.value)
        lines.append(f"    {verdict.reason:<{width}}  {value:>12}  {threshold:<18} {outcome}")
    return lines


def _cluster(directory: Location, manifest: Manifest, row: Mapping[str, Any]) -> list[str]:
    """The documents that were dropped for the same survivor: the evidence of deduplication."""
    if row["cluster_id"] is None:
        return []
    members = []
    columns = ["id", "cluster_id", "survivor_jaccard"]
    for table in iterate_tables(directory, dropped_files(manifest), columns):
        same = table.filter(pc.equal(table["cluster_id"], row["cluster_id"]))
        members += same.select(["id", "survivor_jaccard"]).to_pylist()
    others = [member for member in members if member["id"] != row["cluster_id"]]
    # Only a rule over licences drops a survivor (`rights.clusters`).
    fate = "is kept" if len(others) == len(members) else "stood for all, and was dropped"
    members = others
    lines = [f"  cluster of {len(members) + 1:,}, of which {row['cluster_id']} {fate}"]
    for member in members[:_MEMBERS_MAX]:
        lines.append(f"    {_number(member['survivor_jaccard']):>6}  {member['id']}")
    if len(members) > _MEMBERS_MAX:
        lines.append(f"    and {len(members) - _MEMBERS_MAX:,} more")
    return lines


def _pieces(directory: Location, manifest: Manifest, row: Mapping[str, Any]) -> list[str]:
    """What was cut out of the document, and where it stays."""
    found = []
    for table in iterate_tables(directory, cuts_files(manifest)):
        found += table.filter(pc.equal(table["id"], row["id"])).to_pylist()
    lines = [f"  pieces cut out: {len(found):,}"] if found else []
    for piece in found[:_MEMBERS_MAX]:
        place = f"{piece['step']}, byte {piece['start']:,}, in {piece['survivor_id']} first"
        lines.append(f"    {place}: {piece['text'].strip()[:_PIECE_CHARACTERS]!r}")
    if len(found) > _MEMBERS_MAX:
        lines.append(f"    and {len(found) - _MEMBERS_MAX:,} more")
    return lines


def _describe(row: Mapping[str, Any]) -> list[str]:
    kept = row["drop_reason"] is None
    split = Path(row["part"]).parent.name
    lines = [row["id"]]
    if kept:
        lines.append(_line("fate", f"kept, in {split}"))
    else:
        lines.append(_line("fate", f"dropped by {row['drop_reason']}"))
        lines.append(_line("because", _because(row)))
    if row["survivor_id"] is not None:
        alike = row["survivor_jaccard"]
        told = "" if alike is None else f" (similarity {alike:.3f})"
        lines.append(_line("kept instead", f"{row['survivor_id']}{told}"))
    elif row["cluster_id"] is not None:
        lines.append(_line("duplicates", "others were dropped in favour of this one"))
    removed = dict(row["removed_bytes"])
    text_bytes = len(row["text"].encode())
    edits = ", ".join(f"{step} {number:+,}" for step, number in _negated(removed)) or "none"
    lines += [
        _line("file", row["part"]),
        _line("content hash", row["content_hash"].hex()),
        _line("source", _joined(row["source"], row["license"], row["url"])),
        *explain_rights.lines(row),
        _line("language", f"{row['language']} ({_number(row['language_score'])})"),
        _line("bytes", f"{text_bytes + sum(removed.values()):,} read, {text_bytes:,} written"),
        _line("edits, bytes", edits),
        _line("personal data", _personal_data(row)),
    ]
    known = {field.name for field in document_fields()} | {"part"}
    signals = {
        name: value
        for name, value in row.items()
        if name not in known
        and not name.startswith(("pii_", "rights_"))
        and not isinstance(value, list)
    }
    width = max(map(len, signals), default=0)
    lines.append("  signals")
    lines += [f"    {name:<{width}}  {_number(value)}" for name, value in signals.items()]
    for hit in row.get("decontamination_passages") or ():
        found = f"{hit['set']}:{hit['item']} {hit['field']}, score {_number(hit['score'])}"
        lines.append(_line("evaluation", f"{found}, bytes {hit['start']:,} to {hit['stop']:,}"))
    lines.append(_line("begins", repr(row["text"][:_SAMPLE_CHARACTERS])))
    return lines


def _because(row: Mapping[str, Any]) -> str:
    if row["drop_value"] is None:
        return "the rule records no value"
    value, threshold = _number(row["drop_value"]), row["drop_threshold"]
    return f"value {value}, threshold {_number(threshold)}"


def _negated(removed: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(step, -number) for step, number in removed.items()]


def _personal_data(row: Mapping[str, Any]) -> str:
    found = [
        f"{value} {name.removeprefix('pii_').replace('_', ' ')}"
        for name, value in row.items()
        if name.startswith("pii_") and value
    ]
    return ", ".join(found) + " replaced" if found else "none found"


def _describe_quarantined(row: Mapping[str, Any]) -> str:
    lines = [
        f"{row['source']}:{row['path']}#{row['row']}",
        _line("fate", f"not read: {row['reason']}"),
        _line("place", f"byte {row['offset']}, {row['length']} bytes"),
        _line("digest", str(row["digest"])),
        _line("file", row["part"]),
    ]
    return "\n".join(lines)


def _line(name: str, value: str) -> str:
    return f"  {name:<14} {value}"


def _joined(*values: str | None) -> str:
    return ", ".join(value for value in values if value)


def _number(value: float | str | None) -> str:
    if value is None:
        return "not computed"
    if isinstance(value, str):
        return value
    whole = isinstance(value, int) or abs(value) >= 1e4
    return f"{value:,.0f}" if whole else f"{value:,.4g}"
