"""The two laws as regression models of log loss, with analytic derivatives.

A form predicts ln(loss) from centred ln(parameters) and ln(tokens) by a vector of free numbers.
Centring matters: with raw logarithms the scale and the exponent of a term are almost collinear,
and the optimiser crawls along that valley (on the 240 runs of Epoch: 70 % of the starts reached
the optimum with raw logarithms and tight tolerances, all of them with centred ones, 2026-11-21).
"""

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scaling.laws import ChinchillaLaw, KaplanLaw, Law, ParameterCount

Floats = NDArray[np.float64]

# Of the loss, what a term may take at the middle run of the table when the search starts.
_TERM_SHARES = (0.02, 0.1, 0.3, 0.6)
_FLOOR_SHARES = (0.05, 0.3, 0.6, 0.8, 0.95)
_EXPONENTS = (0.05, 0.15, 0.3, 0.5, 0.8, 1.3)


@dataclass(frozen=True)
class Logs:
    """A runs table as the forms read it; each array holds one number per run."""

    parameters: Floats
    """ln(parameters) minus `parameters_middle`."""
    tokens: Floats
    """ln(tokens) minus `tokens_middle`."""
    loss: Floats
    """ln(loss in nats per token)."""
    parameters_middle: float
    tokens_middle: float

    @classmethod
    def of(cls, parameters: Floats, tokens: Floats, loss: Floats) -> "Logs":
        """Logarithms of raw counts and losses."""
        x, y = np.log(parameters), np.log(tokens)
        return cls(x - x.mean(), y - y.mean(), np.log(loss), float(x.mean()), float(y.mean()))


class ChinchillaForm:
    """ln L = logsumexp(e, a - alpha x, b - beta y); free numbers e, a, b, alpha, beta."""

    kind: ClassVar[str] = "chinchilla"
    parameter_count: ClassVar[ParameterCount] = ChinchillaLaw.parameter_count
    free_names: ClassVar[tuple[str, ...]] = ("ln E", "ln A'", "ln B'", "alpha", "beta")
    # Wide enough for any table seen so far, narrow enough that no term leaves the floats; a fit
    # that ends on one of them is reported as such.
    bounds: ClassVar[tuple[tuple[float, float], ...]] = (
        (-6.0, 6.0), (-12.0, 12.0), (-12.0, 12.0), (0.005, 4.0), (0.005, 4.0),
    )  # fmt: skip

    @staticmethod
    def predict(free: Floats, logs: Logs) -> tuple[Floats, Floats]:
        """ln L, shape (..., runs), and its derivatives, shape (..., runs, 5), for free (..., 5)."""
        # Within the bounds no exponential leaves the floats, so that no maximum need be taken off.
        floor = np.exp(free[..., 0, None])
        by_parameters = np.exp(free[..., 1, None] - free[..., 3, None] * logs.parameters)
        by_tokens = np.exp(free[..., 2, None] - free[..., 4, None] * logs.tokens)
        loss = floor + by_parameters + by_tokens
        derivatives = np.empty((*loss.shape, 5))
        derivatives[..., 0] = floor / loss
        derivatives[..., 1] = by_parameters / loss
        derivatives[..., 2] = by_tokens / loss
        derivatives[..., 3] = -derivatives[..., 1] * logs.parameters
        derivatives[..., 4] = -derivatives[..., 2] * logs.tokens
        return np.log(loss), derivatives

    @staticmethod
    def grid(logs: Logs) -> Floats:
        """Starting points, shape (2,880, 5): shares of the loss and exponents, free of units."""
        lowest, middle = float(logs.loss.min()), float(np.median(logs.loss))
        terms = [middle + np.log(share) for share in _TERM_SHARES]
        floors = [lowest + np.log(share) for share in _FLOOR_SHARES]
        return np.array(list(product(floors, terms, terms, _EXPONENTS, _EXPONENTS)))

    @staticmethod
    def law(free: Floats, logs: Logs) -> ChinchillaLaw:
        """The law in its own constants."""
        e, a, b, alpha, beta = (float(value) for value in free)
        return ChinchillaLaw(
            E=float(np.exp(e)),
            A=float(np.exp(a + alpha * logs.parameters_middle)),
            B=float(np.exp(b + beta * logs.tokens_middle)),
            alpha=alpha,
            beta=beta,
        )


class KaplanForm:
    """ln L = alpha_D logaddexp(u - ratio x, v - y); free numbers u, v, ratio, alpha_D.

    ratio = alpha_N / alpha_D.
    """

    kind: ClassVar[str] = "kaplan"
    parameter_count: ClassVar[ParameterCount] = KaplanLaw.parameter_count
    free_names: ClassVar[tuple[str, ...]] = ("ln N_c'", "ln D_c'", "alpha_N/alpha_D", "alpha_D")
    # ratio >= 0.05 and |u| <= 30 keep N_c = exp(u / ratio + ...) within the floats.
    bounds: ClassVar[tuple[tuple[float, float], ...]] = (
        (-30.0, 30.0), (-30.0, 60.0), (0.05, 20.0), (0.005, 4.0),
    )  # fmt: skip

    @staticmethod
    def predict(free: Floats, logs: Logs) -> tuple[Floats, Floats]:
        """ln L, shape (..., runs), and its derivatives, shape (..., runs, 4), for free (..., 4)."""
        u, v, ratio, exponent = (free[..., i, None] for i in range(4))
        first, second = u - ratio * logs.parameters, v - logs.tokens
        total = np.logaddexp(first, second)
        derivatives = np.empty((*total.shape, 4))
        derivatives[..., 0] = exponent * np.exp(first - total)
        derivatives[..., 1] = exponent - derivatives[..., 0]
        derivatives[..., 2] = -derivatives[..., 0] * logs.parameters
        derivatives[..., 3] = total
        return exponent * total, derivatives

    @staticmethod
    def grid(logs: Logs) -> Floats:
        """Starting points, shape (120, 4).

        u and v follow from how the middle run's loss is shared between the two terms.
        """
        middle = float(np.median(logs.loss))
        points = []
        for share, exponent in product(_FLOOR_SHARES, (0.03, 0.07, 0.15, 0.3)):
            total = middle / exponent
            for ratio in _EXPONENTS:
                shared = (total + np.log(share), total + np.log1p(-share))
                points.append((*shared, ratio, exponent))
        return np.array(points)

    @staticmethod
    def law(free: Floats, logs: Logs) -> KaplanLaw:
        """The law in its own constants."""
        u, v, ratio, exponent = (float(value) for value in free)
        return KaplanLaw(
            N_c=float(np.exp(u / ratio + logs.parameters_middle)),
            D_c=float(np.exp(v + logs.tokens_middle)),
            alpha_N=ratio * exponent,
            alpha_D=exponent,
        )


Form = type[ChinchillaForm] | type[KaplanForm]
FORMS: tuple[Form, ...] = (ChinchillaForm, KaplanForm)


def law_of(form: Form, free: Floats, logs: Logs) -> Law:
    """`form.law` with its constants to ten significant digits.

    More a fit cannot mean; fewer would leave the optimum (Hoffmann et al. printed two, and their
    law misses their own data). What is used is thereby exactly what `fit.json` says.
    """
    law: Law = form.law(free, logs)
    constants = {name: significant(getattr(law, name)) for name in law.coefficient_names}
    return type(law)(**constants)


def significant(value: float, digits: int = 10) -> float:
    """`value` to that many significant digits."""
    return float(f"{value:.{digits}g}")
