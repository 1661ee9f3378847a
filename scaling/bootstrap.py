"""Bootstrap: how far the coefficients move when the runs are drawn again.

Runs are resampled with replacement, each sample is fitted from the optimum of the full table. The
intervals are percentiles: they say what the choice of runs leaves open, not whether the law holds
beyond them.
"""

from dataclasses import dataclass

import numpy as np

from scaling.forms import Floats, Form, Logs
from scaling.robust import Optimum, on_bounds, polish


@dataclass(frozen=True)
class Bootstrap:
    """The fits of all usable samples."""

    free: Floats
    """Shape (used samples, free numbers)."""
    noise: Floats
    """Shape (used samples,): a log residual for each, for the interval of a single run."""
    num_samples: int
    num_failed: int
    """Samples with too few different runs to determine the law."""
    bound_shares: dict[str, float]
    """Share of the used samples in which a free number ended on its bound, by name."""


def bootstrap(
    form: Form, logs: Logs, optimum: Optimum, delta: float, num_samples: int, seed: int
) -> Bootstrap:
    """Fit `num_samples` resamplings of the runs. Deterministic for a seed.

    A sample with fewer different runs than free numbers is counted as failed and left out.
    """
    generator = np.random.default_rng(seed)
    num_runs, num_free = len(logs.loss), len(optimum.free)
    predicted, _ = form.predict(optimum.free, logs)
    # A fit of p numbers to n runs leaves residuals sqrt((n - p) / n) too small.
    residuals = (logs.loss - predicted) * np.sqrt(num_runs / max(num_runs - num_free, 1))
    ends, noise = [], []
    on_bound = dict.fromkeys(form.free_names, 0)
    for _ in range(num_samples):
        drawn = generator.integers(num_runs, size=num_runs)
        residual = residuals[generator.integers(num_runs)]
        weights = np.bincount(drawn, minlength=num_runs).astype(np.float64)
        if np.count_nonzero(weights) < num_free:
            continue
        free, _ = polish(optimum.free, form, logs, delta, weights)
        ends.append(free)
        noise.append(residual)
        for name in on_bounds(free, form):
            on_bound[name] += 1
    used = len(ends)
    return Bootstrap(
        free=np.array(ends).reshape(used, num_free),
        noise=np.array(noise),
        num_samples=num_samples,
        num_failed=num_samples - used,
        bound_shares={name: count / max(used, 1) for name, count in on_bound.items() if count},
    )
