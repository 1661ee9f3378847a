"""The laws: loss as a function of parameters and tokens, and what a budget buys under each.

Symbols as in the papers, in this file only: N parameters, D training tokens, C training compute in
FLOP, L cross-entropy in nats per token. Which parameters N counts is part of a law
(`parameter_count`): Kaplan et al. count those outside the embeddings, Hoffmann et al. all of them.

Sources: Kaplan et al. 2020 (arXiv:2001.08361), Hoffmann et al. 2022 (arXiv:2203.15556), Besiroglu
et al. 2024 (arXiv:2404.10102). Several sets of constants go by the name of Chinchilla; they give
plans that differ fivefold at 5.76e23 FLOP, so every set here has a name of its own.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import numpy as np

ParameterCount = Literal["total", "nonembedding"]
FloatOrArray = TypeVar("FloatOrArray", float, np.ndarray)

PF_DAY_FLOP = 8.64e19
"""FLOP in one petaflop-day, the unit of Kaplan et al."""

FLOP_PER_PARAMETER_TOKEN = 6.0
"""C = 6 N D: two for the forward pass, four for the backward pass."""


@dataclass(frozen=True)
class Allocation:
    """What a budget buys: N parameters trained on D tokens, and the loss the law expects."""

    N: float
    D: float
    L: float


@dataclass(frozen=True)
class ChinchillaLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, equation 2).

    E, A, B in nats; N counts all parameters, embeddings included.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    kind: ClassVar[str] = "chinchilla"
    parameter_count: ClassVar[ParameterCount] = "total"
    coefficient_names: ClassVar[tuple[str, ...]] = ("E", "A", "B", "alpha", "beta")

    def loss(self, N: FloatOrArray, D: FloatOrArray) -> FloatOrArray:
        """Expected loss in nats per token; N and D broadcast."""
        N, D = _positive(N), _positive(D)
        return self.E + self.A * N**-self.alpha + self.B * D**-self.beta

    @property
    def a(self) -> float:
        """Exponent of N* in C: beta / (alpha + beta)."""
        return self.beta / (self.alpha + self.beta)

    @property
    def b(self) -> float:
        """Exponent of D* in C: alpha / (alpha + beta)."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def G(self) -> float:
        """The factor in N* = G (C / 6)^a and D* = (C / 6)^b / G (Hoffmann et al., equation 4)."""
        return float(
            (self.alpha * self.A / (self.beta * self.B)) ** (1.0 / (self.alpha + self.beta))
        )

    def optimum(self, C: float) -> Allocation:
        """The split of C = 6 N D with the lowest loss, in closed form."""
        product = _positive(float(C)) / FLOP_PER_PARAMETER_TOKEN
        N = self.G * product**self.a
        D = product / N
        return Allocation(N, D, self.loss(N, D))


@dataclass(frozen=True)
class KaplanLaw:
    """L(N, D) = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D (Kaplan et al., equation 1.5).

    N counts the parameters outside the embeddings. The joint law has constants of its own: those of
    the one-variable laws L(N) and L(D) do not belong here.
    """

    N_c: float
    D_c: float
    alpha_N: float
    alpha_D: float

    kind: ClassVar[str] = "kaplan"
    parameter_count: ClassVar[ParameterCount] = "nonembedding"
    coefficient_names: ClassVar[tuple[str, ...]] = ("N_c", "D_c", "alpha_N", "alpha_D")

    def loss(self, N: FloatOrArray, D: FloatOrArray) -> FloatOrArray:
        """Expected loss in nats per token; N and D broadcast."""
        N, D = _positive(N), _positive(D)
        ratio = self.alpha_N / self.alpha_D
        return ((self.N_c / N) ** ratio + self.D_c / D) ** self.alpha_D

    @property
    def a(self) -> float:
        """Exponent of N* in C under this law: alpha_D / (alpha_N + alpha_D).

        It is 0.575 for the published constants; the 0.73 of Kaplan et al. is for runs that stop
        early, far from convergence, and does not follow from L(N, D).
        """
        return self.alpha_D / (self.alpha_N + self.alpha_D)

    @property
    def b(self) -> float:
        """Exponent of D* in C under this law: alpha_N / (alpha_N + alpha_D)."""
        return self.alpha_N / (self.alpha_N + self.alpha_D)

    def optimum(self, C: float) -> Allocation:
        """The split of C = 6 N D (N outside the embeddings) with the lowest loss."""
        product = _positive(float(C)) / FLOP_PER_PARAMETER_TOKEN
        ratio = self.alpha_N / self.alpha_D
        # dL/dN = 0 of (N_c / N)^ratio + D_c N / product, solved for N; in logarithms because
        # N_c^ratio may lie outside the floats for a badly identified fit.
        log_N = (np.log(ratio * product / self.D_c) + ratio * np.log(self.N_c)) / (1.0 + ratio)
        N = float(np.exp(log_N))
        D = product / N
        return Allocation(N, D, self.loss(N, D))


Law = ChinchillaLaw | KaplanLaw


@dataclass(frozen=True)
class PowerLaw:
    """L(x) = (scale / x)^exponent, one variable alone (Kaplan et al., equations 1.1 to 1.3)."""

    scale: float
    exponent: float

    def loss(self, x: FloatOrArray) -> FloatOrArray:
        """Expected loss in nats per token; x in the unit of `scale`."""
        return (self.scale / _positive(x)) ** self.exponent


@dataclass(frozen=True)
class KaplanIterationsLaw:
    """L(N, S) = (N_c / N)^alpha_N + (S_c / S_min)^alpha_S (Kaplan et al., equation 1.6)."""

    N_c: float
    S_c: float
    alpha_N: float
    alpha_S: float

    def loss(self, N: FloatOrArray, S_min: FloatOrArray) -> FloatOrArray:
        """Expected loss; S_min is the least number of updates, as of `minimum_iterations`."""
        return (self.N_c / _positive(N)) ** self.alpha_N + (
            self.S_c / _positive(S_min)
        ) ** self.alpha_S


def critical_batch_tokens(
    L: FloatOrArray, B_star_tokens: float = 2e8, alpha_B: float = 0.21
) -> FloatOrArray:
    """Batch in tokens that trades time and compute evenly (Kaplan et al., equation 1.4)."""
    return B_star_tokens / _positive(L) ** (1.0 / alpha_B)


def minimum_iterations(S: float, batch_tokens: float, critical_tokens: float) -> float:
    """S_min = S / (1 + B_crit / B): updates that a very large batch would need (equation 5.4)."""
    return S / (1.0 + critical_tokens / batch_tokens)


def minimum_compute(C: float, batch_tokens: float, critical_tokens: float) -> float:
    """C_min = C / (1 + B / B_crit): compute that a very small batch would need (equation 5.5)."""
    return C / (1.0 + batch_tokens / critical_tokens)


@dataclass(frozen=True)
class KaplanFrontier:
    """Compute-efficient training of Kaplan et al., table 6: N = N_e C^p_N and D = D_e C^p_D.

    C is C_min in petaflop-days (`PF_DAY_FLOP`), N outside the embeddings, D in tokens.
    """

    N_e: float = 1.3e9
    p_N: float = 0.73
    D_e: float = 2e10
    p_D: float = 0.27

    def allocation(self, C: float) -> tuple[float, float]:
        """(N, D) for C FLOP."""
        days = _positive(float(C)) / PF_DAY_FLOP
        return self.N_e * days**self.p_N, self.D_e * days**self.p_D


KAPLAN_PARAMETERS = PowerLaw(scale=8.8e13, exponent=0.076)
"""L(N) of Kaplan et al., converged training; N outside the embeddings, 768 to 1.5e9."""
KAPLAN_TOKENS = PowerLaw(scale=5.4e13, exponent=0.095)
"""L(D) of Kaplan et al., large models stopped early; D from 2.2e7 to 2.3e10 tokens."""
KAPLAN_MINIMUM_COMPUTE = PowerLaw(scale=3.1e8 * PF_DAY_FLOP, exponent=0.050)
"""L(C_min) of Kaplan et al.; C in FLOP here."""
KAPLAN_ITERATIONS = KaplanIterationsLaw(N_c=6.5e13, S_c=2.1e3, alpha_N=0.077, alpha_S=0.76)
"""L(N, S) of Kaplan et al., table 3."""

PUBLISHED: dict[str, Law] = {
    # Hoffmann et al. as printed: rounded so far that the constants no longer fit their own data.
    "hoffmann_rounded": ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28),
    # Hoffmann et al., from a comment in the paper's TeX source.
    "hoffmann_tex": ChinchillaLaw(
        E=1.69337368, A=406.401018, B=410.722827, alpha=0.33917084, beta=0.2849083
    ),
    # As Sardana et al. (arXiv:2401.00448) and Muennighoff et al. (arXiv:2305.16264) use them.
    "hoffmann_sardana": ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.336, beta=0.283),
    # Besiroglu et al. as printed: the least-absolute-deviation optimum, E the Huber one.
    "besiroglu": ChinchillaLaw(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658),
    # Their data under the objective they describe, the sum of Huber losses (our fit, 2026-11-21).
    "epoch_huber": ChinchillaLaw(E=1.81722, A=477.83, B=2143.42, alpha=0.34731, beta=0.36717),
    "kaplan_joint": KaplanLaw(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103),
}
"""Published constants by name. Never mix two sets."""


def _positive(x: FloatOrArray) -> FloatOrArray:
    """As floats: an integer product such as 6 N D leaves the int64 range above 9.2e18."""
    if isinstance(x, np.ndarray):
        assert (x > 0).all(), "a law is defined for positive numbers"
        return x.astype(np.float64)
    assert x > 0, f"a law is defined for positive numbers, got {x}"
    return float(x)
