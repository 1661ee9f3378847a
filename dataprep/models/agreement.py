"""How far a classifier agrees with the annotator that it learnt from, on documents new to it.

In: rows with the annotator's answers, and the classifier's scores. Out: numbers as JSON types.
Kappa is Cohen's (1960): agreement beyond that of two who answer by chance, each with their own
share of positives; 0 is chance, 1 is full agreement. Where most documents are of one class it says
more than accuracy does, which is why the accuracy of always naming that class stands beside it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dataprep.models.evaluation import Scores, evaluate

_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 300
_Z95 = 1.959964


def measure(rows: Sequence[Mapping[str, Any]], scores: Scores, threshold: float) -> dict[str, Any]:
    """Agreement of `score >= threshold` with the rows' `positive`, and of both scores' order.

    Rows have id, content_hash, text, answer, score, positive; `scores` has shape [rows]. Undefined
    values are None: kappa and Spearman where one side never varies, all where there is no row.
    """
    positive = np.array([row["positive"] for row in rows], np.bool_)
    said = np.array([row["score"] for row in rows], np.float64)
    found = scores >= np.float32(threshold)
    agree = int((positive == found).sum())
    num = len(rows)
    return {
        "documents": num,
        "threshold": threshold,
        "accuracy": agree / num if num else None,
        "accuracy_interval": interval(agree, num),
        "majority": max(int(positive.sum()), int((~positive).sum())) / num if num else None,
        "kappa": kappa(positive, found),
        "auc": evaluate(scores, positive, threshold)["auc"],
        "spearman": spearman(said, scores.astype(np.float64)),
        "confusion": {
            "both_positive": int((positive & found).sum()),
            "annotator_only": int((positive & ~found).sum()),
            "classifier_only": int((~positive & found).sum()),
            "both_negative": int((~positive & ~found).sum()),
        },
        "by_answer": _by_answer(rows, found),
        "disagreements": _disagreements(rows, scores, positive, found),
    }


def kappa(left: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> float | None:
    """Cohen's kappa of two judgements, shape [documents]; None where chance alone agrees fully."""
    if not len(left):
        return None
    observed = float((left == right).mean())
    shares = float(left.mean()), float(right.mean())
    chance = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1])
    return None if chance == 1 else (observed - chance) / (1 - chance)


def spearman(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float | None:
    """Spearman's rank correlation, ties sharing their mean rank; None where a side never varies."""
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    from scipy.stats import rankdata  # here: every task of a run would wait for it

    return float(np.corrcoef(rankdata(left), rankdata(right))[0, 1])


def interval(hits: int, num: int) -> list[float] | None:
    """Wilson's 95 % interval of a share; None for nothing."""
    if not num:
        return None
    share, z2 = hits / num, _Z95**2
    middle = (share + z2 / (2 * num)) / (1 + z2 / num)
    half = _Z95 * math.sqrt(share * (1 - share) / num + z2 / (4 * num**2)) / (1 + z2 / num)
    return [max(0.0, middle - half), min(1.0, middle + half)]


def _by_answer(
    rows: Sequence[Mapping[str, Any]], found: npt.NDArray[np.bool_]
) -> dict[str, dict[str, int]]:
    """Of each answer (scores to the nearest whole number), how the classifier judged."""
    table: dict[str, dict[str, int]] = {}
    for row, own in zip(rows, found.tolist(), strict=True):
        answer = row["answer"] if isinstance(row["answer"], str) else f"{round(row['answer'])}"
        tally = table.setdefault(answer, {"negative": 0, "positive": 0})
        tally["positive" if own else "negative"] += 1
    return dict(sorted(table.items()))


def _disagreements(
    rows: Sequence[Mapping[str, Any]],
    scores: Scores,
    positive: npt.NDArray[np.bool_],
    found: npt.NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Documents on which the classifier is surest of the contrary, of each side some."""
    examples = []
    for side, sign in ((positive & ~found, 1), (~positive & found, -1)):
        places = sorted(
            np.flatnonzero(side).tolist(),
            key=lambda place: (sign * float(scores[place]), rows[place]["content_hash"]),
        )
        examples += [
            {
                "id": rows[place]["id"],
                "answer": rows[place]["answer"],
                "positive": bool(positive[place]),
                "score": float(scores[place]),
                "begins": rows[place]["text"][:_EXAMPLE_CHARACTERS],
            }
            for place in places[:_EXAMPLES]
        ]
    return examples
