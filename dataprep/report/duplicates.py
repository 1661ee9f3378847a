"""The report's section on duplicates: what was dropped for what, clusters by size.

In: written documents, for the tally that adds up over parts; then the content of report.json.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.report.markup import count, row, share, table
from dataprep.report.signals import figure

# Least size of each class of clusters; a cluster has two documents or more.
_CLASSES = (2, 3, 5, 10, 100, 1_000, 10_000)


def tally(documents: pa.Table) -> dict[str, dict[str, int]]:
    """By least size of its class: clusters whose survivor was written, and their documents."""
    own = documents.filter(
        pc.and_(pc.is_null(documents["drop_reason"]), pc.is_valid(documents["cluster_size"]))
    )
    sizes = own["cluster_size"].to_numpy()
    classes = np.searchsorted(_CLASSES, sizes, side="right") - 1
    return {
        str(_CLASSES[found]): {
            "clusters": int(np.count_nonzero(classes == found)),
            "documents": int(sizes[classes == found].sum()),
        }
        for found in np.unique(classes).tolist()
    }


def duplicates(report: Mapping[str, Any]) -> str:
    """Numbers of duplicates, how similar they are to what is kept, clusters, bands."""
    facts, total = report["facts"], report["facts"]["documents_in"]
    clusters = facts["clusters"]
    rows = [
        row(name, f"#{count(clusters[key])}", f"#{share(clusters[key], total)}")
        for name, key in (
            ("the URL of a kept document", "url"),
            ("the same text as a kept document", "text"),
            ("nearly the same text as a kept document", "near"),
        )
    ]
    numbers = table(("dropped because of", "#documents", "#of all"), rows)
    drawing = figure(report, "survivor_jaccard", "similarity to the kept document (Jaccard)")
    return (
        f'{numbers}<div class="charts">{drawing}</div>'
        f"{_clusters(report)}{_bands(facts['band_values'])}"
    )


def _clusters(report: Mapping[str, Any]) -> str:
    found = report["clusters"]
    if not found:
        return ""
    rows = [
        row(
            _class_name(least),
            f"#{count(found[str(least)]['clusters'])}",
            f"#{count(found[str(least)]['documents'])}",
        )
        for least in _CLASSES
        if str(least) in found
    ]
    largest = count(report["facts"]["clusters"]["largest_cluster"])
    intro = (
        "<p>A cluster is a kept document with all that were dropped for it; "
        f"the largest has {largest} documents.</p>"
    )
    return intro + table(("documents in the cluster", "#clusters", "#documents"), rows)


def _class_name(least: int) -> str:
    following = next((other for other in _CLASSES if other > least), None)
    if following is None:
        return f"{count(least)} and more"
    return str(least) if following == least + 1 else f"{count(least)} to {count(following - 1)}"


def _bands(facts: Mapping[str, int]) -> str:
    cut = (
        f" {count(facts['num_hot_groups'])} of them had more documents than "
        "<code>near_duplicates.band_size_max</code> and were compared in parts: duplicates across "
        "two parts of one group may have been missed."
        if facts["num_hot_groups"]
        else ""
    )
    return (
        f"<p>{count(facts['num_groups'])} band values were shared, the commonest by "
        f"{count(facts['largest_group'])} documents.{cut}</p>"
    )
