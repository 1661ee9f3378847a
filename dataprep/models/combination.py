"""How the log-odds of several members become one score: weights fitted on held-out texts.

A member that has learnt its training texts by heart is too sure of itself everywhere; a plain mean
would follow it. So a logistic regression on texts that no member has seen finds for each category
one weight a member and a bias, held near "all alike" by a penalty, and with that the score becomes
a probability (Platt 1999; Wolpert 1992, "stacked generalization").
"""

import numpy as np
import numpy.typing as npt

from dataprep.models.model_file import Odds, Scores, combined

# Below so many held-out texts of a class all members weigh the same.
_CLASS_MIN = 20
# Strength of the penalty, in texts.
_PENALTY = 5.0
_STEPS = 50

Labels = npt.NDArray[np.int8]


def fit(odds: Odds, labels: Labels) -> tuple[Odds, Odds]:
    """Weights (float64 [members, categories], none negative) and bias (float64 [categories]).

    `odds` are [members, texts, categories]; `labels` (int8 [texts, categories]) are 1, 0 or -1
    for unknown.
    """
    num_members, _, num_categories = odds.shape
    weights = np.full((num_members, num_categories), 1.0 / num_members)
    bias = np.zeros(num_categories)
    for category in range(num_categories):
        known = labels[:, category] >= 0
        own = labels[known, category].astype(np.float64)
        if min(own.sum(), len(own) - own.sum()) < _CLASS_MIN:
            continue
        values = odds[:, known, category]
        scale = np.maximum(values.std(axis=1), 1e-6)
        found = _logistic((values / scale[:, None]).T, own)
        weights[:, category] = np.maximum(found[:-1], 0.0) / scale
        bias[category] = found[-1]
        if not weights[:, category].any():
            weights[:, category], bias[category] = 1.0 / num_members, 0.0
    return weights, bias


def _logistic(
    values: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Weights of the columns, and a bias, by Newton's method; the penalty draws the weights to one
    value for all, and the bias nowhere."""
    inputs = np.column_stack([values, np.ones(len(values))])
    prior = np.append(np.full(values.shape[1], 2.0 / values.shape[1]), 0.0)
    penalty = np.append(np.full(values.shape[1], _PENALTY), 1e-6)
    found = prior.copy()
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(inputs @ found, -30, 30)))
        gradient = inputs.T @ (chance - labels) + penalty * (found - prior)
        spread = np.maximum(chance * (1.0 - chance), 1e-9)
        curvature = (inputs * spread[:, None]).T @ inputs + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        found = found - np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    # The last digits depend on the machine's linear algebra; the model shall not.
    rounded: npt.NDArray[np.float64] = np.round(found, 6)
    return rounded


def cross_fitted(odds: Odds, labels: Labels) -> Scores:
    """Shape [texts, categories]: scores of the texts, those of each half (by turns) combined with
    the weights that the other half gives, so that no text is judged by weights fitted on it."""
    scores = np.zeros(odds.shape[1:], np.float32)
    for half in (0, 1):
        weights, bias = fit(odds[:, 1 - half :: 2], labels[1 - half :: 2])
        scores[half::2] = combined(odds[:, half::2], weights, bias)
    return scores
