"""The laws against what their papers publish, and against their own calculus."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.laws import (
    KAPLAN_MINIMUM_COMPUTE,
    PF_DAY_FLOP,
    PUBLISHED,
    ChinchillaLaw,
    KaplanFrontier,
    KaplanLaw,
    critical_batch_tokens,
    minimum_compute,
    minimum_iterations,
)

# Computed elsewhere from each set's printed digits: set, FLOP, N*, D*, loss.
PLANS = [
    ("besiroglu", 1e21, 2.7785e9, 5.9985e10, 2.30553),
    ("besiroglu", 5.76e23, 7.2249e10, 1.3287e12, 1.97444),
    ("hoffmann_tex", 1e21, 2.2170e9, 7.5178e10, 2.29549),
    ("hoffmann_tex", 5.76e23, 4.0361e10, 2.3785e12, 1.91841),
    ("hoffmann_rounded", 5.76e23, 3.2190e10, 2.9823e12, 1.93075),
    ("epoch_huber", 5.76e23, 7.3186e10, 1.3117e12, 1.97392),
]

chinchilla_laws = st.builds(
    ChinchillaLaw,
    E=st.floats(0.5, 3.0),
    A=st.floats(10.0, 1e4),
    B=st.floats(10.0, 1e4),
    alpha=st.floats(0.1, 0.9),
    beta=st.floats(0.1, 0.9),
)
kaplan_laws = st.builds(
    KaplanLaw,
    N_c=st.floats(1e10, 1e16),
    D_c=st.floats(1e10, 1e16),
    alpha_N=st.floats(0.03, 0.3),
    alpha_D=st.floats(0.03, 0.3),
)


@pytest.mark.parametrize(("name", "budget", "parameters", "tokens", "loss"), PLANS)
def test_published_plans(
    name: str, budget: float, parameters: float, tokens: float, loss: float
) -> None:
    plan = PUBLISHED[name].optimum(budget)
    assert pytest.approx(parameters, rel=5e-5) == plan.N
    assert pytest.approx(tokens, rel=5e-5) == plan.D
    assert pytest.approx(loss, abs=6e-6) == plan.L


@settings(deadline=None)
@given(law=st.one_of(chinchilla_laws, kaplan_laws), budget=st.floats(1e17, 1e25))
def test_the_closed_form_is_the_best_split(law: ChinchillaLaw | KaplanLaw, budget: float) -> None:
    plan = law.optimum(budget)
    assert pytest.approx(budget, rel=1e-9) == 6.0 * plan.N * plan.D
    others = plan.N * np.array([0.5, 0.9, 0.99, 1.01, 1.1, 2.0])
    losses = law.loss(others, budget / (6.0 * others))
    assert (losses >= plan.L * (1.0 - 1e-12)).all()


@settings(deadline=None)
@given(law=st.one_of(chinchilla_laws, kaplan_laws), budget=st.floats(1e17, 1e23))
def test_the_exponents_are_those_of_the_optimum(
    law: ChinchillaLaw | KaplanLaw, budget: float
) -> None:
    small, large = law.optimum(budget), law.optimum(100.0 * budget)
    assert math.log(large.N / small.N) / math.log(100.0) == pytest.approx(law.a, rel=1e-6)
    assert math.log(large.D / small.D) / math.log(100.0) == pytest.approx(law.b, rel=1e-6)
    assert law.a + law.b == pytest.approx(1.0)


def test_kaplans_published_values() -> None:
    joint = PUBLISHED["kaplan_joint"]
    assert joint.loss(1.5e9, 2.3e10) == pytest.approx(2.3101, abs=5e-5)
    # The constants of L(N) and L(D) in the joint form, a common mistake, give another loss.
    mixed = KaplanLaw(N_c=8.8e13, D_c=5.4e13, alpha_N=0.076, alpha_D=0.095)
    assert mixed.loss(1.5e9, 2.3e10) == pytest.approx(2.372, abs=1e-3)
    assert KAPLAN_MINIMUM_COMPUTE.loss(PF_DAY_FLOP) == pytest.approx(2.6581, abs=5e-5)
    assert critical_batch_tokens(3.0) == pytest.approx(1.069e6, rel=1e-3)
    assert critical_batch_tokens(2.5) == pytest.approx(2.547e6, rel=1e-3)
    assert critical_batch_tokens(2.0) == pytest.approx(7.371e6, rel=1e-3)
    assert KaplanFrontier().allocation(PF_DAY_FLOP) == pytest.approx((1.3e9, 2e10))


def test_batch_adjustments_meet_at_the_critical_batch() -> None:
    # At B = B_crit half of the updates and half of the compute would do (Kaplan et al., 5.1).
    assert minimum_iterations(1000.0, 2e6, 2e6) == pytest.approx(500.0)
    assert minimum_compute(1e20, 2e6, 2e6) == pytest.approx(5e19)


def test_an_integer_product_beyond_int64_does_not_wrap() -> None:
    law = PUBLISHED["besiroglu"]
    counts = np.array([70_000_000_000], dtype=np.int64)
    tokens = np.array([1_400_000_000_000], dtype=np.int64)
    assert law.loss(counts, tokens)[0] == pytest.approx(law.loss(7e10, 1.4e12), rel=1e-12)
    assert law.optimum(6 * 70_000_000_000 * 1_400_000_000_000).N > 1e10


def test_our_constants_are_those_of_the_collected_papers(shared_data: Path) -> None:
    papers = json.loads((shared_data / "scaling" / "published_laws.json").read_text())
    hoffmann = papers["hoffmann2022"]
    for name, published in {
        "hoffmann_rounded": hoffmann["rounded"],
        "hoffmann_tex": hoffmann["tex_comment"],
        "hoffmann_sardana": hoffmann["as_used_by_sardana_muennighoff"],
        "besiroglu": papers["besiroglu2024"],
        "kaplan_joint": papers["kaplan2020"]["L_ND"],
    }.items():
        law = PUBLISHED[name]
        for coefficient in law.coefficient_names:
            assert getattr(law, coefficient) == published[coefficient], (name, coefficient)
