"""Cautions: what a fit leaves open, said with numbers, so that a summary claims no more.

A law can predict the loss well and still not know how to split compute: on Epoch's 240 runs the
exponent drifts from 0.86 to 0.51 as larger budgets join, while the held-out loss stays within
1.1 % (2026-11-21). So the split and the loss are judged apart.
"""

import numpy as np

from scaling.contract import RunsTable
from scaling.fitted import Fitted, HeldOut

_WIDE_EXPONENT = 0.2
_SHORT_RANGE = 10.0
_FLAT_CONDITION = 1e6
_RARE_OPTIMUM = 0.5
_VALLEY_WIDTH = 0.05


def cautions(fitted: Fitted, runs: RunsTable, tested: tuple[HeldOut, ...]) -> tuple[str, ...]:
    """Statements about the fit of `runs`; none if nothing stands out."""
    law, search, drawn = fitted.law, fitted.search, fitted.bootstrap
    share = f"{100 * fitted.confidence:.0f} %"
    found = []
    exponent = fitted.interval(lambda law: law.a)
    if exponent.high - exponent.low > _WIDE_EXPONENT:
        found.append(
            f"how compute splits is open: the {share} interval of exponent a is "
            f"{exponent.low:.2f} to {exponent.high:.2f}"
        )
    if search["on_bounds"]:
        found.append(f"not determined by these runs (on a bound): {', '.join(search['on_bounds'])}")
    often = {name: s for name, s in drawn["bound_shares"].items() if s > 0.05}
    if often:
        each = ", ".join(f"{name} in {100 * s:.0f} %" for name, s in often.items())
        found.append(f"bootstrap samples that do not determine a coefficient: {each}")
    if drawn["num_failed"] > 0.05 * drawn["num_samples"]:
        found.append(
            f"{drawn['num_failed']} of {drawn['num_samples']} bootstrap samples held too few "
            "different runs and were left out"
        )
    if search["share_at_optimum"] < _RARE_OPTIMUM:
        found.append(
            f"only {100 * search['share_at_optimum']:.0f} % of the polished starts reached the "
            "best objective"
        )
    low, high = search["valley_a"]
    if high - low > _VALLEY_WIDTH:
        found.append(
            f"within 5 % of the best objective exponent a goes from {low:.2f} to {high:.2f}"
        )
    if search["condition_number"] > _FLAT_CONDITION:
        found.append(f"flat valley: condition number {search['condition_number']:.1e}")
    if len(runs) < 4 * len(law.coefficient_names):
        found.append(f"{len(runs)} runs for {len(law.coefficient_names)} coefficients")
    for name, values in (
        ("parameters", runs.parameters(law.parameter_count)),
        ("tokens", runs.tokens),
    ):
        span = float(np.max(values) / np.min(values))
        if span < _SHORT_RANGE:
            found.append(f"{name} span a factor of {span:.1f} only")
    for run in tested:
        if not run.inside:
            found.append(
                f"the held-out run {run.name} lies outside its interval: predicted "
                f"{run.predicted.value:.4f}, measured {run.measured:.4f}"
            )
    return tuple(found)
