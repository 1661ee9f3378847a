"""Perplexity in the report and in `explain`: by language its distribution, buckets and samples.

In: written documents, for tallies and histograms that add up over parts; then the content of
report.json. Out: markup, whose every text is escaped, and lines for `explain`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.report import histogram
from dataprep.report.charts import chart
from dataprep.report.markup import KEY, count, decimal, escape, row, share, table
from dataprep.report.signals import sample

_SCORE = "perplexity_score"
_BUCKET = "perplexity_bucket"
_BUCKETS = ("head", "middle", "tail")
_NONE = "none"
_QUANTILES = (0.1, 1 / 3, 0.5, 2 / 3, 0.9)
# Between the column's name and a language, and between a language and a bucket.
_JOINT = "/"


def tally(documents: pa.Table, kept: npt.NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    """By language and bucket: scored documents, those of them kept, and bytes of text."""
    if _SCORE not in documents.schema.names:
        return {}
    scored = pc.is_valid(documents[_SCORE])
    names = pc.binary_join_element_wise(
        documents["language"], pc.fill_null(documents[_BUCKET], _NONE), _JOINT
    )
    columns = {
        "name": names,
        "documents": np.ones(len(kept), np.int64),
        "kept_documents": kept.astype(np.int64),
        "bytes": pc.binary_length(documents["text"]),
    }
    sums = [(name, "sum") for name in columns if name != "name"]
    rows = pa.table(columns).filter(scored).group_by("name").aggregate(sums).to_pylist()
    return {
        found["name"]: {name: found[f"{name}_sum"] for name in columns if name != "name"}
        for found in rows
    }


def histograms(documents: pa.Table, kept: npt.NDArray[np.bool_]) -> dict[str, histogram.Histogram]:
    """By language (`perplexity_score/en`), the distribution of its scores."""
    if _SCORE not in documents.schema.names:
        return {}
    scores = documents[_SCORE].cast(pa.float64()).to_numpy()
    languages = documents["language"].combine_chunks().dictionary_encode()
    codes = languages.indices.to_numpy()
    found = {}
    for code, language in enumerate(languages.dictionary.to_pylist()):
        own = codes == code
        bins = histogram.histogram(scores[own], kept[own])
        if bins:
            found[f"{_SCORE}{_JOINT}{language}"] = bins
    return found


def bucketed(documents: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
    """The documents that have a bucket, and the name of each one's group of samples."""
    if _BUCKET not in documents.schema.names:
        return documents.slice(0, 0), pa.chunked_array([], pa.string())
    found = documents.filter(pc.is_valid(documents[_BUCKET]))
    return found, pc.binary_join_element_wise(_BUCKET, found[_BUCKET], _JOINT)


def section(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Of a summary, what report.json says of perplexity: by language its documents by bucket and
    the quantiles of its scores, read off the histogram; and samples of each bucket."""
    languages: dict[str, Any] = {}
    for name, numbers in summary["perplexity"].items():
        language, _, bucket = name.rpartition(_JOINT)
        languages.setdefault(language, {"buckets": {}})["buckets"][bucket] = dict(numbers)
    for language, found in languages.items():
        bins = summary["histograms"].get(f"{_SCORE}{_JOINT}{language}", {})
        found["quantiles"] = [[round(at, 4), quantile(bins, at)] for at in _QUANTILES]
    samples = {
        bucket: summary["samples"][name]
        for bucket in _BUCKETS
        if (name := f"{_BUCKET}{_JOINT}{bucket}") in summary["samples"]
    }
    return {"languages": languages, "samples": samples} if languages else {}


def quantile(bins: Mapping[str, Any], at: float) -> float | None:
    """The number below which the share `at` of the documents lies; exact to a bin's width, a
    twelfth of it."""
    total = sum(sum(pair) for pair in bins.values())
    below = 0
    for position, pair in sorted((int(key), sum(pair)) for key, pair in bins.items()):
        if below + pair >= at * total:
            low, high = histogram.upper_edge(position - 1), histogram.upper_edge(position)
            return float(f"{low + (high - low) * (at * total - below) / pair:.4g}")
        below += pair
    return None


def perplexity(report: Mapping[str, Any]) -> str:
    """A row and a drawing for each language, and samples of each bucket."""
    models = report["facts"].get("perplexity")
    if not models:
        return "<p>The recipe has no model for it.</p>"
    found = report.get("perplexity", {})
    languages = found.get("languages", {})
    rows, drawings = [], []
    for language, model in models.items():
        own = languages.get(language, {"buckets": {}, "quantiles": []})
        bounds = model["boundaries"] or []
        buckets = own["buckets"]
        total = sum(numbers["documents"] for numbers in buckets.values())
        quantiles = dict(own["quantiles"])
        cells = [
            f"#{count(numbers['documents'])} ({share(numbers['documents'], total)})"
            if (numbers := buckets.get(bucket))
            else "#0"
            for bucket in _BUCKETS
        ]
        rows.append(
            row(
                f"<code>{escape(language)}</code>",
                escape(_model(model)),
                "#" + (" · ".join(map(decimal, bounds)) or "–"),
                f"#{count(total)}",
                *cells,
                "#" + " · ".join(decimal(quantiles.get(round(at, 4))) for at in _QUANTILES),
            )
        )
        name = f"{_SCORE}{_JOINT}{language}"
        if name in report["histograms"]:
            drawing = chart(report["histograms"][name], bounds)
            drawings.append(
                f"<figure><figcaption><code>{escape(name)}</code></figcaption>{drawing}</figure>"
            )
    intro = (
        "<p>10 to the power of the decimal digits that a word or line end costs on average, under "
        "a model of good text. Boundaries are the largest perplexity of head and of middle; "
        "quantiles those of the scored documents at 10 %, a third, a half, two thirds, 90 %. "
        "To cut this corpus into thirds write its own into <code>dataprep.perplexity.boundaries"
        "</code> and retune.</p>"
    )
    heads = (
        "language", "model", "#boundaries", "#scored", "#head", "#middle", "#tail", "#quantiles",
    )  # fmt: skip
    texts = "".join(
        f"<details><summary><code>{bucket}</code><small>{len(listed)} shown</small></summary>"
        f"{''.join(map(sample, listed))}</details>"
        for bucket, listed in found.get("samples", {}).items()
    )
    charts = f'{KEY}<div class="charts">{"".join(drawings)}</div>' if drawings else ""
    return intro + table(heads, rows) + charts + texts


def explained(document: Mapping[str, Any], models: Mapping[str, Any]) -> list[str]:
    """For `explain`: a document's score and bucket, the boundaries, and which model judged."""
    if not models:
        return []
    language, score = document["language"], document.get(_SCORE)
    model = models.get(language)
    if model is None:
        told = f"no model of {language}"
    elif score is None:
        told = "not scored: it was dropped before, or has no word"
    else:
        bounds = model["boundaries"]
        parts = (
            "no boundaries"
            if bounds is None
            else (f"head up to {bounds[0]:g}, middle up to {bounds[1]:g}")
        )
        told = f"{score:,.4g}, {document.get(_BUCKET) or 'no bucket'} ({parts}); {_model(model)}"
    return [f"  {'perplexity':<14} {told}"]


def _model(model: Mapping[str, Any]) -> str:
    """Which model it is."""
    digest = str(model.get("digest") or "").removeprefix("xxh3_128:")[:12]
    name = f"KenLM {model['file']}" if model["model"] == "kenlm" else "n-gram model"
    return f"{name} {digest}".strip()
