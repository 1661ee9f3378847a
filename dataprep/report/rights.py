"""The report's section on licences and opt-outs.

In: written documents, for tallies that add up over parts; then the content of report.json.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.report.markup import KEY, bar, count, details, escape, row, share, size, table
from dataprep.rights import opt_out
from dataprep.rights.decide import EVIDENCE, FAMILY, LICENSE, OPT_OUT
from dataprep.rights.licences import licence_of

TALLIES = ("rights_licenses", "rights_evidence", "rights_opt_outs", "rights_clusters")
_PAIR = "\x1f"
NOT_STATED, NOT_KNOWN = "none stated", "stated, not known"
_SAMPLES = 3
_ROWS_MAX = 60
_PARTS_MAX = 2
_URL_CHARACTERS = 200

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


def names(documents: pa.Table) -> pa.Array:
    """Under which name each document's licence is counted."""
    stated = pc.is_valid(documents["license"])
    named = pc.if_else(stated, shown(documents[LICENSE]), NOT_STATED)
    return named.combine_chunks() if isinstance(named, pa.ChunkedArray) else named


def shown(expressions: pa.ChunkedArray) -> pa.Array:
    """Expressions under the names that they are counted by: those of many licences by family, so
    that there are no more names than licences."""
    encoded = expressions.combine_chunks().dictionary_encode()
    found = []
    for name in encoded.dictionary.to_pylist():
        several = name.count(" AND ") + name.count(" OR ") >= _PARTS_MAX
        found.append(f"several ({licence_of(name).family})" if several else name)
    return pc.fill_null(pa.array(found, pa.string()).take(encoded.indices), NOT_KNOWN)


def tally(documents: pa.Table, text_bytes: Integers, kept: Bools) -> dict[str, Any]:
    """Documents and bytes by source and licence, by evidence, by kind of opt-out; clusters whose
    licence is a copy's; and samples."""
    empty: dict[str, Any] = {name: {} for name in (*TALLIES, "rights_samples")}
    if LICENSE not in documents.schema.names or not documents.num_rows:
        return empty
    licences, families = names(documents), documents[FAMILY]
    pairs = pc.binary_join_element_wise(documents["source"], licences, families, _PAIR)
    # Behind a semicolon stand other licences of the same page.
    evidence = pc.replace_substring_regex(documents[EVIDENCE], ";.*", "")
    return {
        "rights_licenses": _sums(pairs, text_bytes, kept),
        "rights_evidence": _sums(pc.fill_null(evidence, NOT_STATED), text_bytes, kept),
        "rights_opt_outs": _opt_outs(documents, text_bytes, kept),
        "rights_clusters": _clusters(documents),
        "rights_samples": _samples(documents, licences),
    }


def _sums(names: pa.ChunkedArray, text_bytes: Integers, kept: Bools) -> dict[str, dict[str, int]]:
    columns = {
        "name": names,
        "documents": np.ones(len(kept), np.int64),
        "bytes": text_bytes,
        "kept_documents": kept.astype(np.int64),
        "kept_bytes": text_bytes * kept,
    }
    numbers = [name for name in columns if name != "name"]
    grouped = pa.table(columns).group_by("name").aggregate([(name, "sum") for name in numbers])
    return {
        entry["name"]: {name: entry[f"{name}_sum"] for name in numbers}
        for entry in grouped.to_pylist()
    }


def _opt_outs(documents: pa.Table, text_bytes: Integers, kept: Bools) -> dict[str, Any]:
    """By kind and mark (addresses left out); a document counts once for each of its marks."""
    column = documents[OPT_OUT].combine_chunks()
    rows = pc.list_parent_indices(column).to_numpy()
    if not len(rows):
        return {}
    names = [
        f"{opt_out.kind_of(mark) or 'none'}{_PAIR}"
        f"{mark.partition('=')[0] if ':tdm-policy=' in mark else mark}"
        for mark in column.flatten().to_pylist()
    ]
    return _sums(pa.array(names, pa.string()), text_bytes[rows], kept[rows])


def _clusters(documents: pa.Table) -> dict[str, Any]:
    """By licence: survivors that a copy's licence is stricter for, by what is theirs."""
    copied = pc.not_equal(documents["rights_cluster_id"], documents["id"])
    chosen = documents.filter(pc.fill_null(copied, False))
    if not chosen.num_rows:
        return {}
    kept = np.asarray(pc.is_null(chosen["drop_reason"]).to_numpy(), np.bool_)
    sizes = pc.binary_length(chosen["text"]).to_numpy().astype(np.int64)
    own, others = (shown(chosen[name]) for name in (LICENSE, "rights_cluster_license"))
    return _sums(pc.binary_join_element_wise(own, others, _PAIR), sizes, kept)


def _samples(documents: pa.Table, licences: pa.Array) -> dict[str, list[dict[str, Any]]]:
    """By licence, the documents with the smallest content hashes."""
    encoded = licences.dictionary_encode()
    codes = encoded.indices.to_numpy()
    hashes = documents["content_hash"].combine_chunks()
    high = np.frombuffer(b"".join(hashes.to_pylist()), ">u8")[::2]
    order = np.lexsort((high, codes))
    starts = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
    found = {}
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        rows = order[starts[code] : min(starts[code + 1], starts[code] + _SAMPLES)]
        found[name] = [_sample(documents, int(place)) for place in rows]
    return found


def _sample(documents: pa.Table, place: int) -> dict[str, Any]:
    names = ("id", "url", "license", EVIDENCE, "drop_reason")
    values = {name: documents[name][place].as_py() for name in names}
    for name in ("url", "license"):
        values[name] = values[name] and values[name][:_URL_CHARACTERS]
    return {"content_hash": documents["content_hash"][place].as_py().hex(), **values}


def merge_samples(parts: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The samples of several summaries, in whatever order they come."""
    merged: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for name, samples in part.get("rights_samples", {}).items():
            together = [*merged.get(name, []), *samples]
            together.sort(key=lambda sample: (sample["content_hash"], sample["id"]))
            merged[name] = together[:_SAMPLES]
    return dict(sorted(merged.items()))


def nested(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What report.json has under `rights`: lists of entries instead of joined names."""

    def entries(name: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {**dict(zip(keys, joined.split(_PAIR), strict=True)), **numbers}
            for joined, numbers in summary.get(name, {}).items()
        ]

    return {
        "licenses": entries("rights_licenses", ("source", "license", "family")),
        "evidence": entries("rights_evidence", ("evidence",)),
        "opt_outs": entries("rights_opt_outs", ("kind", "mark")),
        "clusters": entries("rights_clusters", ("own", "cluster")),
        "samples": summary.get("rights_samples", {}),
    }


def rights(report: Mapping[str, Any]) -> str:
    """Sources and licences, how they are known, what asks to be left out, samples."""
    found = report.get("rights") or nested({})
    parts = [_licences(report, found["licenses"]), _evidence(found["evidence"])]
    parts += [_marks(found["opt_outs"]), _of_copies(found["clusters"])]
    parts += [_samples_of(name, samples) for name, samples in found["samples"].items()]
    return "".join(parts)


def _licences(report: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    if not entries:
        return "<p>No licence was looked for.</p>"
    total = report["facts"]["documents_in"]
    most = max(entry["documents"] for entry in entries)
    ordered = sorted(entries, key=lambda entry: (entry["source"], -entry["documents"]))
    rows = [
        row(
            escape(entry["source"]), f"<code>{escape(entry['license'])}</code>",
            escape(entry["family"]), *_numbers(entry), f"#{share(entry['documents'], total)}",
            bar(
                (
                    ("kept", entry["kept_documents"]),
                    ("dropped", entry["documents"] - entry["kept_documents"]),
                ),
                most,
            ),
        )
        for entry in ordered[:_ROWS_MAX]
    ]  # fmt: skip
    more = len(ordered) - _ROWS_MAX
    rest = f"<p>{count(more)} more stand in report.json.</p>" if more > 0 else ""
    intro = (
        "<p>What each document's licence is taken for, by SPDX's names, in the recipe, the record "
        "or the page. It is what the source says, not a legal opinion.</p>"
    )
    heads = ("source", "licence", "family", *_HEADS, "#of all", "")
    return intro + KEY + table(heads, rows) + rest


_HEADS = ("#documents", "#text", "#kept", "#text kept")


def _numbers(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"#{count(entry['documents'])}",
        f"#{size(entry['bytes'])}",
        f"#{count(entry['kept_documents'])}",
        f"#{size(entry['kept_bytes'])}",
    )


def _evidence(entries: Sequence[Mapping[str, Any]]) -> str:
    rows = [row(f"<code>{escape(entry['evidence'])}</code>", *_numbers(entry)) for entry in entries]
    return table(("known by", *_HEADS), rows) if rows else ""


def _marks(entries: Sequence[Mapping[str, Any]]) -> str:
    if not entries:
        return "<p>No document asks to be left out.</p>"
    rows = [
        row(escape(entry["kind"]), f"<code>{escape(entry['mark'])}</code>", *_numbers(entry))
        for entry in entries[:_ROWS_MAX]
    ]
    return table(("asks to be left out", "mark", *_HEADS), rows)


def _of_copies(entries: Sequence[Mapping[str, Any]]) -> str:
    if not entries:
        return ""
    rows = [
        row(escape(entry["own"]), escape(entry["cluster"]), *_numbers(entry))
        for entry in entries[:_ROWS_MAX]
    ]
    intro = "<p>Documents of which a copy has a more restrictive licence; that one counts.</p>"
    return intro + table(("own licence", "the copy's", *_HEADS), rows)


def _samples_of(name: str, samples: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        row(
            f"<span>{escape(sample['id'])}</span>",
            f"<span>{escape(sample['license'] or '')}</span>",
            f"<code>{escape(sample[EVIDENCE] or '')}</code>",
            f"<code>{escape(sample['drop_reason'] or 'kept')}</code>",
        )
        for sample in samples
    ]
    body = table(("document", "as stated", "known by", "fate"), rows)
    return details(name, f"{count(len(samples))} samples", body)
