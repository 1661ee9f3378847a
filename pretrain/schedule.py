"""Learning rates and batch sizes: pure functions of the iteration, so that a resumed run needs no
state of them."""

import math

from pretrain.config import Training


def learning_rate(training: Training, iteration: int) -> float:
    """The learning rate of update `iteration`, counted from 0.

    It rises linearly over the warm-up, reaching the peak at its last iteration, then follows the
    schedule:

    - `cosine`: half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983);
    - `linear`: a straight line;
    - `wsd`: the peak, then a straight line over the last `decay_fraction` of all iterations
      (Hu et al. 2024, arXiv:2404.06395);
    - `power`: the peak times (iterations done / those of the warm-up) ** `power_exponent`, then a
      straight line as for `wsd` (Shen et al. 2024, arXiv:2408.13359, where the factor before the
      power is given instead of the peak);
    - `inverse_sqrt`: `power` with the exponent -0.5 and without the line (Vaswani et al. 2017,
      arXiv:1706.03762, section 5.3);
    - `constant`: the peak.

    The first four end at `lr_min`, with the last iteration; `power` and `inverse_sqrt` never fall
    below it.
    """
    assert 0 <= iteration < training.iterations
    peak, low, warmup = training.lr_peak, training.lr_min, training.warmup_iterations
    if iteration < warmup:
        return peak * ((iteration + 1) / warmup)
    if training.schedule == "constant":
        return peak
    if training.schedule == "inverse_sqrt":
        return _power(training, iteration, -0.5)
    start = warmup
    if training.schedule in ("wsd", "power"):
        decay = math.ceil(training.decay_fraction * training.iterations)
        start = max(start, training.iterations - decay)
    if training.schedule == "power":
        if iteration < start:
            return _power(training, iteration, training.power_exponent)
        # The line begins where the power ended, at the last iteration before it.
        peak = _power(training, start - 1, training.power_exponent) if start > warmup else peak
    # `depth` goes from 0 at the last iteration at the peak to 1 at the last of all.
    depth = min(max(iteration - start + 1, 0) / (training.iterations - start), 1.0)
    if training.schedule == "cosine":
        depth = (1 - math.cos(math.pi * depth)) / 2
    return peak - (peak - low) * depth


def _power(training: Training, iteration: int, exponent: float) -> float:
    ratio = (iteration + 1) / max(1, training.warmup_iterations)
    return max(training.lr_min, training.lr_peak * ratio**exponent)


def batch_size(training: Training, iteration: int) -> int:
    """Sequences of iteration `iteration`, counted from 0, over all processes.

    With `batch_ramp_iterations` it grows from `batch_size_start` in equal steps of as much, each
    held for as many iterations as the others to within one, and is `batch_size` from the end of the
    ramp on.
    """
    assert iteration >= 0
    ramp = training.batch_ramp_iterations
    if iteration >= ramp:
        return training.batch_size
    return training.batch_size_start * (1 + iteration * _steps(training) // ramp)


def first_sample(training: Training, iteration: int) -> int:
    """Global index of the first sample of iteration `iteration`: the sum of the batch sizes before
    it. Of iteration `training.iterations`: the samples of the whole run."""
    assert iteration >= 0
    ramp = training.batch_ramp_iterations
    inside = min(iteration, ramp)
    samples = (iteration - inside) * training.batch_size
    if inside:
        steps = _sum_of_floors(inside, ramp, _steps(training))
        samples += training.batch_size_start * (inside + steps)
    return samples


def num_micro_batches(training: Training, data_size: int, iteration: int) -> int:
    """Micro-batches of iteration `iteration` on each of `data_size` data ranks."""
    size, together = batch_size(training, iteration), training.micro_batch_size * data_size
    assert size % together == 0, f"{size} sequences are not divisible by {together}"
    return size // together


def _steps(training: Training) -> int:
    return training.batch_size // training.batch_size_start - 1


def _sum_of_floors(count: int, divisor: int, factor: int) -> int:
    """The sum of i * factor // divisor for i from 0 to count - 1, in logarithmic time.

    Points with whole coordinates below a line, counted from both axes in turn, as in Euclid's
    algorithm.
    """
    total, offset, sign = 0, 0, 1
    while count:
        total += sign * (factor // divisor * count * (count - 1) // 2 + offset // divisor * count)
        factor, offset = factor % divisor, offset % divisor
        height = (factor * (count - 1) + offset) // divisor
        # What lies below the line: the rectangle less what lies left of the line.
        total += sign * height * count
        sign = -sign
        # The points left of the line, seen from the other axis.
        count, divisor, factor, offset = (
            height,
            factor,
            divisor,
            divisor - offset + factor - 1,
        )
    return total
