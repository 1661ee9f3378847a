"""Learning rates and batch sizes as laws, and by hand."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pretrain.config import Training
from pretrain.schedule import batch_size, first_sample, learning_rate, num_micro_batches

SCHEDULES = ["cosine", "wsd", "linear", "power", "inverse_sqrt", "constant"]

trainings = st.builds(
    lambda iterations, warmup, schedule, fraction: Training(
        iterations=iterations, warmup_iterations=min(warmup, iterations), schedule=schedule,
        decay_fraction=fraction, lr_peak=1e-2, lr_min=1e-3,
    ),
    st.integers(1, 300), st.integers(0, 50),
    st.sampled_from(SCHEDULES), st.floats(0.01, 1.0),
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
    elif training.schedule == "inverse_sqrt":
        assert training.lr_min <= last <= training.lr_peak
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


def test_power_and_inverse_square_root_are_those_of_the_papers() -> None:
    shared = {"iterations": 1000, "warmup_iterations": 100, "lr_peak": 1e-2, "lr_min": 1e-4}
    inverse = Training(**shared, schedule="inverse_sqrt")
    assert math.isclose(learning_rate(inverse, 399), 1e-2 / 2)  # 400 = 4 x 100 iterations done
    assert math.isclose(learning_rate(inverse, 899), 1e-2 / 3)
    power = Training(**shared, schedule="power", power_exponent=-0.51, decay_fraction=0.1)
    # Shen et al.: eta = min(eta_max, a * n ** b); here `a` is such that the warm-up meets it.
    factor = 1e-2 / 100**-0.51
    for iteration in (100, 399, 899):
        expected = factor * (iteration + 1) ** -0.51
        assert math.isclose(learning_rate(power, iteration), expected, rel_tol=1e-12)
    start = learning_rate(power, 899)
    assert math.isclose(learning_rate(power, 949), (start + 1e-4) / 2, rel_tol=1e-12)
    assert math.isclose(learning_rate(power, 999), 1e-4, rel_tol=1e-12)


def test_they_never_fall_below_the_least() -> None:
    for schedule in ("inverse_sqrt", "power"):
        training = Training(iterations=5000, warmup_iterations=2, schedule=schedule, lr_peak=1e-2,
                            lr_min=2e-3)  # fmt: skip
        assert min(rates(training)[2:]) == 2e-3


def test_the_batch_grows_in_equal_steps() -> None:
    training = Training(batch_size=32, batch_size_start=8, batch_ramp_iterations=6,
                        micro_batch_size=4)  # fmt: skip
    sizes = [batch_size(training, i) for i in range(8)]
    assert sizes == [8, 8, 16, 16, 24, 24, 32, 32]
    assert [num_micro_batches(training, 2, i) for i in (0, 2, 7)] == [1, 2, 4]
    assert first_sample(training, 0) == 0
    assert first_sample(training, 7) == 8 + 8 + 16 + 16 + 24 + 24 + 32


def test_without_a_ramp_the_batch_is_constant() -> None:
    training = Training(batch_size=12)
    assert batch_size(training, 0) == batch_size(training, 10**6) == 12
    assert first_sample(training, 10**6) == 12 * 10**6


@given(st.integers(1, 12), st.integers(2, 60), st.integers(1, 500), st.integers(0, 700))
def test_the_first_sample_follows_all_samples_before(
    start: int, levels: int, ramp: int, iteration: int
) -> None:
    training = Training(batch_size=start * levels, batch_size_start=start, micro_batch_size=1,
                        batch_ramp_iterations=ramp)  # fmt: skip
    sizes = [batch_size(training, i) for i in range(iteration)]
    assert first_sample(training, iteration) == sum(sizes)
    assert all(later >= earlier for earlier, later in pairwise(sizes))
    assert all(size % start == 0 for size in sizes)
