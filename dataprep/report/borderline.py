"""The documents on either side of a classifier's threshold: where looking tells most.

In: written documents. Out, for each score, the kept ones that came nearest to being dropped, and
the dropped ones that came nearest to being kept; sums of such lists are such lists.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Scores, the prefix of the reasons that they decide, and whether low ones are dropped.
SCORES = {"quality_score": ("quality.", True), "toxicity_score": ("toxicity.", False)}
_SAMPLES = 3
_CHARACTERS = 300


def tally(table: pa.Table) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """By score, `kept` and `dropped`: the nearest first."""
    found = {}
    for column, (prefix, low) in SCORES.items():
        if column not in table.schema.names:
            continue
        scored = pc.is_valid(table[column])
        kept = pc.and_(scored, pc.is_null(table["drop_reason"]))
        own = pc.fill_null(pc.starts_with(table["drop_reason"], prefix), False)
        found[column] = {
            "kept": _nearest(table, column, kept, highest=not low),
            "dropped": _nearest(table, column, pc.and_(scored, own), highest=low),
        }
    return found


def _nearest(
    table: pa.Table, column: str, chosen: pa.ChunkedArray, highest: bool
) -> list[dict[str, Any]]:
    rows = np.flatnonzero(chosen.to_numpy())
    scores = table[column].take(pa.array(rows)).to_numpy()
    if len(rows) > _SAMPLES:
        # Ties at the edge are settled by content hash: so many as could win are looked at.
        edge = np.partition(-scores if highest else scores, _SAMPLES - 1)[_SAMPLES - 1]
        inside = (-scores if highest else scores) <= edge
        rows, scores = rows[inside][:1000], scores[inside][:1000]
    samples = [
        {
            "content_hash": table["content_hash"][row].as_py().hex(),
            "id": table["id"][row].as_py(),
            "score": float(score),
            "text": table["text"][row].as_py()[:_CHARACTERS],
        }
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
    ]
    return _ordered(samples, highest)


def merge(parts: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The nearest of all parts, in whatever order they come."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for column, (_, low) in SCORES.items():
        own = [part[column] for part in parts if column in part]
        if own:
            found[column] = {
                side: _ordered([s for part in own for s in part[side]], highest)
                for side, highest in (("kept", not low), ("dropped", low))
            }
    return found


def _ordered(samples: list[dict[str, Any]], highest: bool) -> list[dict[str, Any]]:
    sign = -1 if highest else 1
    samples.sort(key=lambda one: (sign * one["score"], one["content_hash"], one["id"]))
    return samples[:_SAMPLES]
