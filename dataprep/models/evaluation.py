"""How good a classifier is on texts that it has not seen: in all, by category, by language."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]


def evaluate(scores: Scores, labels: Booleans, threshold: float) -> dict[str, float | None]:
    """AUC, and precision and recall of "score >= threshold" as a test for positive.

    AUC is the chance that a positive example scores above a negative one, ties counting half.
    None where it is undefined: no example of a class, or nothing above the threshold.
    """
    found = scores >= np.float32(threshold)
    hits = int((found & labels).sum())
    positives = int(labels.sum())
    return {
        "auc": auc(scores, labels),
        "threshold": threshold,
        "precision": hits / int(found.sum()) if found.any() else None,
        "recall": hits / positives if positives else None,
    }


def auc(scores: npt.NDArray[np.floating[Any]], labels: Booleans) -> float | None:
    """The area under the ROC curve, by ranks; None without examples of both classes."""
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return None
    _, inverse, ties = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[inverse]
    above = ranks[labels].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def by_category(
    scores: Scores,
    labels: Sequence[Mapping[str, bool]],
    languages: Sequence[str | None],
    thresholds: Mapping[str, float],
) -> dict[str, dict[str, Any]]:
    """For each category of `thresholds` (columns of `scores`, in order) what was held out, the
    evaluation, and the same by language where the labels name one. Scores that are NaN count as
    none."""
    found = {}
    for column, (category, threshold) in enumerate(thresholds.items()):
        known = np.array([category in own for own in labels], np.bool_)
        known &= ~np.isnan(scores[:, column])
        positive = np.array([own.get(category, False) for own in labels], np.bool_)
        of_language = {
            language: np.array([own == language for own in languages], np.bool_)
            for language in sorted({own for own in languages if own is not None})
        }
        parts = {"": known, **{name: known & own for name, own in of_language.items()}}
        evaluated = {
            name: {
                "held_out": class_counts(positive[part].tolist()),
                "evaluation": evaluate(scores[part, column], positive[part], threshold),
            }
            for name, part in parts.items()
            if not name or part.any()
        }
        found[category] = {**evaluated.pop(""), "languages": evaluated}
    return found


def class_counts(labels: Sequence[bool]) -> dict[str, int]:
    """How many are positive and how many negative."""
    return {"positive": sum(labels), "negative": len(labels) - sum(labels)}
