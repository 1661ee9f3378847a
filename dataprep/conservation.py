"""What went in equals what came out: counts of written documents, and the laws that they obey.

The readers count what they read, the writer counts what it wrote, each from its own data;
`conservation` compares the two before a manifest may be written. No record and no byte may go
missing between them without a name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dataprep.report import rights as report_rights
from dataprep.rights.decide import LICENSE

Counts = dict[str, Any]


class ConservationError(AssertionError):
    """A record or a byte went missing, or came from nowhere: a bug of ours."""


def new_counts() -> Counts:
    """Counts of nothing. All byte counts are bytes of UTF-8 text."""
    return {
        "documents": 0,
        "kept": 0,
        "dropped": {},
        "bytes_kept": 0,
        "bytes_dropped": 0,
        "bytes_removed": {},
        "splits": {name: {"documents": 0, "bytes": 0} for name in ("train", "valid")},
        "languages": {},
        "sources": {},
        "licenses": {},
    }


def count(table: pa.Table, part: str) -> Counts:
    """Counts of written rows, all of one part: kept/train, kept/valid or dropped."""
    counts = new_counts()
    if not table.num_rows:
        return counts
    text_bytes = pc.sum(pc.binary_length(table["text"])).as_py()
    counts["documents"] = table.num_rows
    if part == "dropped":
        counts["dropped"] = _tally(table["drop_reason"])
        counts["bytes_dropped"] = text_bytes
    else:
        counts["kept"] = table.num_rows
        counts["bytes_kept"] = text_bytes
        split = part.removeprefix("kept/")
        counts["splits"][split] = {"documents": table.num_rows, "bytes": text_bytes}
    removed = table["removed_bytes"].combine_chunks()
    grouped = pa.table({"step": removed.keys, "bytes": removed.items}).group_by("step")
    counts["bytes_removed"] = dict(
        zip(*grouped.aggregate([("bytes", "sum")]).to_pydict().values(), strict=True)
    )
    columns = {"languages": table["language"], "sources": table["source"]}
    if LICENSE in table.schema.names:
        columns["licenses"] = report_rights.names(table)
    for key, column in columns.items():
        kept = 0 if part == "dropped" else 1
        counts[key] = {
            name: {"documents": number, "kept": number * kept}
            for name, number in _tally(column).items()
        }
    return counts


def _tally(column: pa.ChunkedArray) -> dict[str, int]:
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(column).to_pylist()}


def merge_counts(parts: Sequence[Mapping[str, Any]]) -> Counts:
    """The sum of counts, keys sorted, so that the order of the parts does not matter."""
    keys = sorted({key for part in parts for key in part})
    merged: Counts = {}
    for key in keys:
        values = [part[key] for part in parts if key in part]
        merged[key] = merge_counts(values) if isinstance(values[0], Mapping) else sum(values)
    return merged


def conservation(
    counts: Mapping[str, Any],
    *,
    records_read: int,
    documents_in: int,
    quarantined: int,
    bytes_in: int,
    passed_over: int = 0,
) -> dict[str, Any]:
    """The manifest's facts, if what was read equals what was written.

    `counts` are the merged counts of all shards' written rows; the other numbers were counted by
    the readers, independently. The laws: records read = documents in + quarantined; documents in
    = kept + dropped, over all reasons; bytes in = bytes kept + bytes dropped + bytes removed by
    all steps (net: what a step added counts as negative). Records of archives that are no
    documents by their kind were `passed_over`: they are counted beside these laws.

    Raises ConservationError with both sides of the first law that does not hold.
    """
    dropped = sum(counts["dropped"].values())
    removed = sum(counts["bytes_removed"].values())
    documents_out = counts["kept"] + dropped
    bytes_out = counts["bytes_kept"] + counts["bytes_dropped"] + removed
    in_splits = sum(split["documents"] for split in counts["splits"].values())
    for law, left, right in (
        ("records read = documents in + quarantined", records_read, documents_in + quarantined),
        ("documents in = kept + dropped", documents_in, documents_out),
        ("bytes in = kept + dropped + removed", bytes_in, bytes_out),
        ("kept = train + valid", counts["kept"], in_splits),
    ):
        if left != right:
            raise ConservationError(f"{law}: {left} is not {right}; counts: {dict(counts)}")
    by_step: dict[str, int] = {}
    for reason, number in counts["dropped"].items():
        step = reason.partition(".")[0]
        by_step[step] = by_step.get(step, 0) + number
    return {
        "records_read": records_read,
        "documents_in": documents_in,
        "quarantined": quarantined,
        "passed_over": passed_over,
        "kept": counts["kept"],
        "dropped": dict(counts["dropped"]),
        "bytes_in": bytes_in,
        "bytes_kept": counts["bytes_kept"],
        "bytes_dropped": counts["bytes_dropped"],
        "bytes_removed": dict(counts["bytes_removed"]),
        "splits": dict(counts["splits"]),
        "languages": dict(counts["languages"]),
        "sources": dict(counts["sources"]),
        "licenses": dict(counts.get("licenses", {})),
        "duplicates": {
            "exact": by_step.get("exact", 0),
            "near": by_step.get("near_duplicates", 0),
        },
    }
