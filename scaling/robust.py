"""The robust fit: the SUM over runs of the Huber loss of the log residual, from many starts.

Hoffmann et al. 2022, section 3.3, with the two lessons of its replication (Besiroglu et al. 2024):
the mean in place of the sum lets the optimiser stop early, at other exponents (a = 0.45 in place of
0.51 on the same data), and so do loose tolerances. Gradients are analytic.
"""

from dataclasses import dataclass

import numpy as np

from scaling.forms import Floats, Form, Logs

_STARTS_AT_ONCE = 256
_AT_OPTIMUM = 1.01
_VALLEY = 1.05


@dataclass(frozen=True)
class Optimum:
    """The best point, and what the search says about how well it is determined."""

    free: Floats
    objective: float
    """Sum of Huber losses, in squared log units."""
    num_starts: int
    """Grid points that were scored."""
    polished: Floats
    """End points of the polished starts, shape (polished, free numbers)."""
    polished_objectives: Floats
    """Their objectives, shape (polished,)."""
    condition_number: float
    """Of the Gauss-Newton Hessian in centred logarithms; above 1e6 a valley is flat."""

    @property
    def share_at_optimum(self) -> float:
        """Share of the polished starts that ended within 1 % of the best objective."""
        return float(np.mean(self.polished_objectives <= _AT_OPTIMUM * self.objective + 1e-18))

    @property
    def valley(self) -> Floats:
        """Polished end points within 5 % of the best objective, shape (points, free numbers)."""
        return self.polished[self.polished_objectives <= _VALLEY * self.objective + 1e-18]


def objective(
    free: Floats, form: Form, logs: Logs, delta: float, weights: Floats
) -> tuple[Floats, Floats]:
    """Weighted sum of Huber losses, shape (...,), and its gradient, shape (..., free numbers).

    In units of delta squared: numbers near one suit the optimiser's absolute tolerances.
    """
    predicted, derivatives = form.predict(free, logs)
    residual = (predicted - logs.loss) / delta
    pull = np.clip(residual, -1.0, 1.0)
    value = pull * (residual - 0.5 * pull)
    weighted = (weights * pull / delta)[..., None, :]
    return (weights * value).sum(axis=-1), (weighted @ derivatives)[..., 0, :]


def fit_form(form: Form, logs: Logs, delta: float, num_polished: int) -> Optimum:
    """Score the whole grid, polish the best starts, return the best end.

    Deterministic. `num_polished` starts are polished; on the 240 runs of Epoch four already
    find the optimum, the others tell how often it is found.
    """
    weights = np.ones_like(logs.loss)
    grid = form.grid(logs)
    scores = np.concatenate(
        [
            objective(grid[at : at + _STARTS_AT_ONCE], form, logs, delta, weights)[0]
            for at in range(0, len(grid), _STARTS_AT_ONCE)
        ]
    )
    best = np.argsort(scores, kind="stable")[:num_polished]
    ends = [polish(grid[index], form, logs, delta, weights) for index in best]
    polished = np.array([end for end, _ in ends])
    values = np.array([value for _, value in ends])
    winner = int(np.argmin(values))
    free = polished[winner]
    return Optimum(
        free=free,
        objective=float(values[winner]),
        num_starts=len(grid),
        polished=polished,
        polished_objectives=values,
        condition_number=_condition_number(free, form, logs),
    )


def polish(
    start: Floats, form: Form, logs: Logs, delta: float, weights: Floats
) -> tuple[Floats, float]:
    """SLSQP from `start` to tight tolerances; the end and its objective in squared log units.

    Not L-BFGS-B: scipy's keeps every core spinning in BLAS threads on matrices of 20 x 20, at 1 ms
    for a step of 0.05 ms, and a hundred times that beside another job (2026-11-21). SLSQP reaches
    the same objective to 1e-12 in as many evaluations.
    """
    from scipy.optimize import minimize

    free = start
    value = float(objective(free, form, logs, delta, weights)[0])
    # A quasi-Newton search stops where its picture of the curvature is stale; started afresh there
    # it goes on, and a restart that gains nothing is the proof that it had arrived.
    for _ in range(20):
        # Near one at every start: the search begins with the unit matrix as its curvature.
        scale = max(value, 1e-30)

        def scaled(point: Floats, scale: float = scale) -> tuple[float, Floats]:
            found, gradient = objective(point, form, logs, delta, weights)
            return float(found) / scale, gradient / scale

        result = minimize(
            scaled, free, jac=True, method="SLSQP", bounds=form.bounds,
            options={"maxiter": 1_000, "ftol": 1e-15},
        )  # fmt: skip
        reached = float(result.fun) * scale
        gain = value - reached
        if gain > 0.0:
            free, value = result.x, reached
        if gain <= 1e-12 * abs(value):
            break
    return free, value * delta**2


def on_bounds(free: Floats, form: Form) -> tuple[str, ...]:
    """Names of the free numbers that ended on a bound: the data do not determine them."""
    return tuple(
        name
        for name, value, (low, high) in zip(form.free_names, free, form.bounds, strict=True)
        if min(value - low, high - value) < 1e-6
    )


def _condition_number(free: Floats, form: Form, logs: Logs) -> float:
    _, derivatives = form.predict(free, logs)
    singular = np.linalg.svd(derivatives, compute_uv=False)
    if singular[-1] <= singular[0] * 1e-12:
        return float("1e24")
    return float((singular[0] / singular[-1]) ** 2)
