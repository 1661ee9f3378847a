"""Learning rates as laws."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pretrain.config import Training
from pretrain.schedule import learning_rate

trainings = st.builds(
    lambda iterations, warmup, schedule, fraction: Training(
        iterations=iterations, warmup_iterations=min(warmup, iterations), schedule=schedule,
        decay_fraction=fraction, lr_peak=1e-2, lr_min=1e-3,
    ),
    st.integers(1, 300), st.integers(0, 50),
    st.sampled_from(["cosine", "wsd", "linear", "constant"]), st.floats(0.01, 1.0),
)  # fmt: skip


def rates(training: Training) -> list[float]:
    return [learning_rate(training, i) for i in range(training.iterations)]


@given(trainings)
def test_rises_over_the_warm_up_and_never_after(training: Training) -> None:
    values, warmup = rates(training), training.warmup_iterations
    assert all(later > earlier for earlier, later in pairwise(values[:warmup]))
    assert all(later <= earlier for earlier, later in pairwise(values[max(0, warmup - 1) :]))
    assert all(0 < value <= training.lr_peak for value in values)
    if warmup:
        assert values[warmup - 1] == training.lr_peak


@given(trainings)
def test_ends_where_the_schedule_says(training: Training) -> None:
    last = rates(training)[-1]
    if training.warmup_iterations == training.iterations or training.schedule == "constant":
        assert last == training.lr_peak
    else:
        assert math.isclose(last, training.lr_min, rel_tol=1e-9)


def test_wsd_stays_at_the_peak_until_its_decay() -> None:
    training = Training(iterations=100, warmup_iterations=10, schedule="wsd", decay_fraction=0.2,
                        lr_peak=1e-2, lr_min=0.0)  # fmt: skip
    values = rates(training)
    assert values[9:80] == [1e-2] * 71
    assert math.isclose(values[89], 5e-3)  # ten of the twenty iterations of decay are done


def test_cosine_is_half_way_down_in_the_middle() -> None:
    training = Training(iterations=100, warmup_iterations=0, lr_peak=1e-2, lr_min=2e-3)
    assert math.isclose(learning_rate(training, 49), 6e-3)
