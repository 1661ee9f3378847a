"""The report's section on evaluation sets: how many documents hold items of each.

In: written documents, for the tally that adds up over parts; then the content of report.json.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dataprep.report.markup import count, escape, row, share, table

_SET = "decontamination_set"
_REASON = "decontamination.match"


def tally(documents: pa.Table) -> dict[str, dict[str, int]]:
    """By the set of a document's best hit: documents with a hit, and those dropped for it."""
    if _SET not in documents.schema.names:
        return {}
    held = documents.select([_SET, "drop_reason"]).filter(pc.is_valid(documents[_SET]))
    dropped = pc.cast(pc.fill_null(pc.equal(held["drop_reason"], _REASON), False), pa.int64())
    sums = pa.table({"set": held[_SET], "dropped": dropped}).group_by("set")
    return {
        found["set"]: {"documents": found["dropped_count"], "dropped": found["dropped_sum"]}
        for found in sums.aggregate([("dropped", "count"), ("dropped", "sum")]).to_pylist()
    }


def contamination(report: Mapping[str, Any]) -> str:
    """One row per evaluation set."""
    sets = report["facts"].get("decontamination")
    if not sets:
        return "<p>No evaluation set was looked for.</p>"
    found = report["contamination"]
    total = report["facts"]["documents_in"]
    rows = [
        row(
            f"<code>{escape(name)}</code>",
            f"#{count(own['items'])}",
            f"#{count(own['too_short'])}",
            f"#{count(found.get(name, {}).get('documents', 0))}",
            f"#{share(found.get(name, {}).get('documents', 0), total)}",
            f"#{count(found.get(name, {}).get('dropped', 0))}",
        )
        for name, own in sets.items()
    ]
    intro = (
        "<p>Documents that have words in a row in common with an item, by the set of the item that "
        "they hold most of. <code>gristmill dataprep review</code> shows the passages.</p>"
    )
    heads = ("set", "#items", "#too short to tell", "#documents", "#of all", "#dropped for it")
    return intro + table(heads, rows)
