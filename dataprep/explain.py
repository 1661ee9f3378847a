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

from dataprep.contract import (
    document_fields,
    dropped_files,
    kept_files,
    open_documents,
    quarantine_files,
)
from launch.errors import UserError
from launch.manifest import Manifest
from launch.store import Location, join, open_random

_SAMPLE_CHARACTERS = 300


def explain(directory: Location, document: str) -> str:
    """What became of `document`: its id, or its content hash as 32 hexadecimal digits.

    Several documents can share a content hash; each gets its own paragraph. A record that could
    not be read is found by the id that it would have had, `source:path#row`.

    Raises UserError if the directory is not finished or holds no such document.
    """
    manifest = open_documents(directory)
    found = find(directory, manifest, document)
    if found:
        return "\n\n".join(_describe(row) for row in found)
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


def _describe(row: Mapping[str, Any]) -> str:
    kept = row["drop_reason"] is None
    split = Path(row["part"]).parent.name
    lines = [row["id"]]
    if kept:
        lines.append(_line("fate", f"kept, in {split}"))
    else:
        lines.append(_line("fate", f"dropped by {row['drop_reason']}"))
        lines.append(_line("because", _because(row)))
    if row["survivor_id"] is not None:
        alike = f"{row['survivor_jaccard']:.3f}" if row["survivor_jaccard"] is not None else "equal"
        lines.append(_line("kept instead", f"{row['survivor_id']} (similarity {alike})"))
    elif row["cluster_id"] is not None:
        lines.append(_line("duplicates", "others were dropped in favour of this one"))
    removed = dict(row["removed_bytes"])
    text_bytes = len(row["text"].encode())
    edits = ", ".join(f"{step} {number:+,}" for step, number in _negated(removed)) or "none"
    lines += [
        _line("file", row["part"]),
        _line("content hash", row["content_hash"].hex()),
        _line("source", _joined(row["source"], row["license"], row["url"])),
        _line("language", f"{row['language']} ({_number(row['language_score'])})"),
        _line("bytes", f"{text_bytes + sum(removed.values()):,} read, {text_bytes:,} written"),
        _line("edits, bytes", edits),
        _line("personal data", _personal_data(row)),
    ]
    known = {field.name for field in document_fields()} | {"part"}
    signals = {
        name: value
        for name, value in row.items()
        if name not in known and not name.startswith("pii_")
    }
    width = max(map(len, signals), default=0)
    lines.append("  signals")
    lines += [f"    {name:<{width}}  {_number(value)}" for name, value in signals.items()]
    lines.append(_line("begins", repr(row["text"][:_SAMPLE_CHARACTERS])))
    return "\n".join(lines)


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


def _number(value: float | None) -> str:
    if value is None:
        return "not computed"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
