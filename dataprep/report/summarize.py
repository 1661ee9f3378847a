"""What a written part holds, as a summary of bounded size that adds up with others.

In: one written Parquet part, whose text is free of personal data already. Out: a JSON value with
tallies, histograms and a few samples. The sum of summaries is the same for any order and any number
of parts, so that each part can be summarized where it is written.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.contract import document_fields, iterate_tables
from dataprep.report import borderline as report_borderline
from dataprep.report import contamination as report_contamination
from dataprep.report import duplicates as report_duplicates
from dataprep.report import histogram
from dataprep.report import perplexity as report_perplexity
from dataprep.report import pii as report_pii
from dataprep.report import rights as report_rights

KEPT = "kept"
SAMPLES_PER_GROUP = {KEPT: 6}
SAMPLES_PER_REASON = 3
SAMPLE_CHARACTERS = 600
# Shown in tables of their own, not as signals.
_NO_SIGNALS = {field.name for field in document_fields()} - {"language_score"}

# Joins two names to one key: a control character, which no source and no rule has in its name.
PAIR = "\x1f"
_TALLIES = (
    "groups", "sources", "languages", "source_languages", "language_groups", "edits", "pii",
    "contamination",
    "clusters", "perplexity", *report_rights.TALLIES,
)  # fmt: skip

Summary = dict[str, Any]
IntegerArray = npt.NDArray[np.int64]
BooleanArray = npt.NDArray[np.bool_]


def summarize(directory: Path, path: str) -> Summary:
    """The summary (a JSON value) of one written part, `path` being relative to `directory`.

    Reads one row group at a time.
    """
    summary = merge([])
    for table in iterate_tables(directory, [path]):
        summary = merge([summary, summarize_table(table)])
    return summary


def summarize_table(table: pa.Table) -> Summary:
    """The summary of written documents; bytes are those of the texts as written."""
    text_bytes = pc.binary_length(table["text"]).to_numpy().astype(np.int64)
    kept = np.asarray(pc.is_null(table["drop_reason"]).to_numpy(), np.bool_)
    groups = pc.fill_null(table["drop_reason"], KEPT)
    signals = {
        field.name: table[field.name]
        for field in table.schema
        if field.name not in _NO_SIGNALS
        and not field.name.startswith("pii_")
        and _is_number(field.type)
    }
    histograms = {
        name: histogram.histogram(column.cast(pa.float64()).to_numpy(), kept)
        for name, column in signals.items()
    }
    histograms["text_bytes"] = histogram.histogram(text_bytes.astype(np.float64), kept)
    similarity = table["survivor_jaccard"].cast(pa.float64()).to_numpy()
    histograms["survivor_jaccard"] = histogram.histogram(similarity, kept)
    histograms |= report_perplexity.histograms(table, kept)
    pii = {
        name.removeprefix("pii_"): {
            "documents": int(np.count_nonzero(found)),
            "findings": int(found.sum()),
        }
        for name in table.schema.names
        if name.startswith("pii_")
        for found in [pc.fill_null(table[name], 0).to_numpy()]
    }
    edits, removed = _edits(table)
    read_bytes = text_bytes + removed
    return {
        "groups": _tally(groups, text_bytes, read_bytes, kept),
        "thresholds": _thresholds(table),
        "sources": _tally(table["source"], text_bytes, read_bytes, kept),
        "languages": _tally(table["language"], text_bytes, read_bytes, kept),
        "source_languages": _tally(
            _pairs(table["source"], table["language"]), text_bytes, read_bytes, kept
        ),
        "language_groups": _tally(_pairs(table["language"], groups), text_bytes, read_bytes, kept),
        "edits": edits,
        "histograms": {
            name: {str(position): list(pair) for position, pair in found.items()}
            for name, found in histograms.items()
            if found
        },
        "pii": pii,
        "pii_samples": report_pii.samples(table),
        "contamination": report_contamination.tally(table),
        "clusters": report_duplicates.tally(table),
        "perplexity": report_perplexity.tally(table, kept),
        "borderline": report_borderline.tally(table),
        "samples": _samples(table, groups) | _samples(*report_perplexity.bucketed(table)),
        **report_rights.tally(table, text_bytes, kept),
    }


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _pairs(left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.ChunkedArray:
    """Two names as one; `PAIR` stands in neither."""
    return pc.binary_join_element_wise(left, right, PAIR)


def _edits(table: pa.Table) -> tuple[Summary, IntegerArray]:
    """By step: documents edited and bytes removed, net; and the bytes that each row lost in all."""
    maps = table["removed_bytes"].combine_chunks()
    offsets = maps.offsets.to_numpy()
    items = maps.items[offsets[0] : offsets[-1]].to_numpy()
    flat = {"step": maps.keys[offsets[0] : offsets[-1]], "bytes": items}
    sums = pa.table(flat).group_by("step").aggregate([("bytes", "sum"), ("bytes", "count")])
    edits = {
        row["step"]: {"documents": row["bytes_count"], "bytes": row["bytes_sum"]}
        for row in sums.to_pylist()
    }
    before = np.concatenate(([0], np.cumsum(items)))
    return edits, before[offsets[1:] - offsets[0]] - before[offsets[:-1] - offsets[0]]


def _tally(
    names: pa.ChunkedArray, text_bytes: IntegerArray, read_bytes: IntegerArray, kept: BooleanArray
) -> Summary:
    """By name: documents, bytes as written and as read, and those that are kept."""
    columns = {
        "name": names,
        "documents": np.ones(len(kept), np.int64),
        "bytes": text_bytes,
        "read_bytes": read_bytes,
        "kept_documents": kept.astype(np.int64),
        "kept_bytes": text_bytes * kept,
    }
    sums = [(name, "sum") for name in columns if name != "name"]
    rows = pa.table(columns).group_by("name").aggregate(sums).to_pylist()
    return {
        row["name"]: {name: row[f"{name}_sum"] for name in columns if name != "name"}
        for row in rows
    }


def _thresholds(table: pa.Table) -> dict[str, list[float]]:
    """By drop reason, the thresholds that were applied, ascending."""
    pairs = table.select(["drop_reason", "drop_threshold"]).filter(
        pc.is_valid(table["drop_reason"])
    )
    found: dict[str, set[float]] = {}
    for row in pairs.group_by(["drop_reason", "drop_threshold"]).aggregate([]).to_pylist():
        if row["drop_threshold"] is not None:
            found.setdefault(row["drop_reason"], set()).add(row["drop_threshold"])
    return {reason: sorted(values) for reason, values in found.items()}


def _samples(table: pa.Table, groups: pa.ChunkedArray) -> dict[str, list[dict[str, Any]]]:
    """By group, the documents with the smallest content hashes: a fixed, unchosen choice."""
    encoded = groups.combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    hashes = table["content_hash"].combine_chunks()
    keys = np.frombuffer(b"".join(hashes.to_pylist()), ">u8").reshape(-1, 2)
    order = np.lexsort((keys[:, 1], keys[:, 0], codes))
    starts = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
    samples = {}
    for code, group in enumerate(encoded.dictionary.to_pylist()):
        wanted = SAMPLES_PER_GROUP.get(group, SAMPLES_PER_REASON)
        rows = order[starts[code] : min(starts[code + 1], starts[code] + wanted)]
        samples[group] = [_sample(table, int(row)) for row in rows]
    return samples


def _sample(table: pa.Table, row: int) -> dict[str, Any]:
    text = table["text"][row].as_py()
    names = ("id", "source", "language", "drop_value", "drop_threshold", "survivor_id")
    return {
        "content_hash": table["content_hash"][row].as_py().hex(),
        **{name: table[name][row].as_py() for name in names},
        "characters": len(text),
        "text": text[:SAMPLE_CHARACTERS],
    }


def merge(parts: Sequence[Mapping[str, Any]]) -> Summary:
    """The sum of summaries; the order of the parts does not matter."""
    merged: Summary = {"samples": {}, "histograms": {}, "thresholds": {}}
    merged["rights_samples"] = report_rights.merge_samples(parts)
    for name in _TALLIES:
        merged[name] = {}
        for part in parts:
            for key, numbers in part[name].items():
                known = merged[name].setdefault(key, dict.fromkeys(numbers, 0))
                for number in numbers:
                    known[number] += numbers[number]
        merged[name] = dict(sorted(merged[name].items()))
    for part in parts:
        for reason, values in part["thresholds"].items():
            known = merged["thresholds"].get(reason, [])
            merged["thresholds"][reason] = sorted({*known, *values})
        for name, found in part["histograms"].items():
            merged["histograms"][name] = _add(merged["histograms"].get(name, {}), found)
        for group, samples in part["samples"].items():
            together = [*merged["samples"].get(group, []), *samples]
            together.sort(key=lambda sample: (sample["content_hash"], sample["id"]))
            wanted = SAMPLES_PER_GROUP.get(group, SAMPLES_PER_REASON)
            merged["samples"][group] = together[:wanted]
    merged["pii_samples"] = report_pii.merge([part["pii_samples"] for part in parts])
    merged["borderline"] = report_borderline.merge([part["borderline"] for part in parts])
    for name in ("samples", "histograms", "thresholds"):
        merged[name] = dict(sorted(merged[name].items()))
    return merged


def _add(left: Mapping[str, Sequence[int]], right: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    if not left:
        return dict(right)
    # JSON has only strings for keys.
    numbered = [
        {int(key): (pair[0], pair[1]) for key, pair in part.items()} for part in (left, right)
    ]
    return {str(key): list(pair) for key, pair in histogram.add(*numbered).items()}
