"""Personal data in the report: how much of each kind, and what stands where it stood.

In: written documents, free of personal data already; what they show is marks and substitutes and
the words around them, never a value. Out: samples that add up with those of other parts, and
markup, whose every text is escaped.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.pii.kinds import PLACEHOLDERS
from dataprep.pii.replace import shown_pattern
from dataprep.report.markup import bar, count, details, escape, row, share, table

SAMPLES_PER_KIND = 3
_AROUND_CHARACTERS = 60

Samples = dict[str, list[dict[str, Any]]]


def samples(documents: pa.Table) -> Samples:
    """By kind, the first places in the documents with the smallest content hashes that hold any.

    A place: `id`, `content_hash`, `column` (text, url or meta), what is `shown` in the place of the
    value, and up to 60 characters `before` and `after` it.
    """
    hashes = documents["content_hash"].combine_chunks()
    keys = np.frombuffer(b"".join(hashes.to_pylist()), "S16")
    found: Samples = {}
    for counted in PLACEHOLDERS:
        if f"pii_{counted}" not in documents.schema.names:
            continue
        rows = np.flatnonzero(documents[f"pii_{counted}"].fill_null(0).to_numpy())
        first = rows[np.argsort(keys[rows], kind="stable")][:SAMPLES_PER_KIND]
        places = [place for chosen in first for place in _place(documents, int(chosen), counted)]
        if places:
            found[counted] = places
    return found


def merge(parts: Sequence[Mapping[str, Any]]) -> Samples:
    """The samples of all parts (each a JSON value of `samples`); their order does not matter."""
    merged: Samples = {}
    for counted in sorted({counted for part in parts for counted in part}):
        together = [place for part in parts for place in part.get(counted, [])]
        together.sort(key=lambda place: (place["content_hash"], place["id"]))
        merged[counted] = together[:SAMPLES_PER_KIND]
    return merged


def _place(documents: pa.Table, chosen: int, counted: str) -> Iterator[dict[str, Any]]:
    """The first place in one document where something of a kind was replaced, if it is seen."""
    for column, value in _values(documents, chosen):
        match = shown_pattern(counted).search(value)
        if match:
            start, end = match.span()
            yield {
                "id": documents["id"][chosen].as_py(),
                "content_hash": documents["content_hash"][chosen].as_py().hex(),
                "column": column,
                "before": value[max(0, start - _AROUND_CHARACTERS) : start],
                "shown": match[0],
                "after": value[end : end + _AROUND_CHARACTERS],
            }
            return


def _values(documents: pa.Table, chosen: int) -> Iterator[tuple[str, str]]:
    yield "text", documents["text"][chosen].as_py()
    url = documents["url"][chosen].as_py()
    if url is not None:
        yield "url", url
    for _, value in documents["meta"][chosen].as_py() or ():
        if value is not None:
            yield "meta", value


def pii(report: Mapping[str, Any]) -> str:
    """What was found, what was done with it, and how that looks."""
    there = {kind: found for kind, found in report["pii"].items() if found["findings"]}
    ordered = sorted(there.items(), key=lambda item: (-item[1]["findings"], item[0]))
    most = max((found["findings"] for found in there.values()), default=0)
    total = report["facts"]["documents_in"]
    rows = [
        row(
            escape(kind).replace("_", " "),
            f"#{count(found['findings'])}",
            f"#{count(found['documents'])}",
            f"#{share(found['documents'], total)}",
            bar((("kept", found["findings"]),), most),
        )
        for kind, found in ordered
    ]
    none = [kind.replace("_", " ") for kind in report["pii"] if kind not in there]
    intro = (
        "<p>Looked for in text, address and metadata of all documents, dropped ones too, and "
        f"replaced before anything was written. {_modes(report['pii_modes'])}</p>"
    )
    rest = f"<p>Not found: {escape(', '.join(none))}.</p>" if none else ""
    shown = "".join(
        details(
            kind.replace("_", " "),
            f"{len(report['pii_samples'][kind])} of {count(found['findings'])} shown",
            "".join(map(_sample, report["pii_samples"][kind])),
        )
        for kind, found in ordered
        if report["pii_samples"].get(kind)
    )
    heads = ("kind", "#findings", "#documents", "#of all", "")
    return intro + table(heads, rows) + rest + shown


def _modes(modes: Mapping[str, Any]) -> str:
    told = [f"Mode: {escape(modes.get('mode') or 'placeholder')}"]
    told += [f"{escape(kind)}: {escape(mode)}" for kind, mode in (modes.get("modes") or {}).items()]
    most = modes.get("findings_max")
    dropped = "" if most is None else f" Documents with more than {most:,} findings are dropped."
    return f"{'; '.join(told)}.{dropped}"


def _sample(place: Mapping[str, Any]) -> str:
    return (
        f'<div class="sample"><div><code>{escape(place["id"])}</code> · {escape(place["column"])}'
        f'</div><pre dir="auto">{escape(place["before"])}<mark>{escape(place["shown"])}</mark>'
        f"{escape(place['after'])}</pre></div>"
    )
