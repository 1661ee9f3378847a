"""Learning rates: pure functions of the iteration, so that a resumed run needs no state of them."""

import math

from pretrain.config import Training


def learning_rate(training: Training, iteration: int) -> float:
    """The learning rate of update `iteration`, counted from 0.

    It rises linearly over the warm-up, reaching the peak at its last iteration, then follows the
    schedule so that the last iteration has `lr_min`:

    - `cosine`: half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983);
    - `linear`: a straight line;
    - `wsd`: the peak, then a straight line over the last `decay_fraction` of all iterations
      (Hu et al. 2024, arXiv:2404.06395);
    - `constant`: the peak.
    """
    assert 0 <= iteration < training.iterations
    if iteration < training.warmup_iterations:
        return training.lr_peak * ((iteration + 1) / training.warmup_iterations)
    if training.schedule == "constant":
        return training.lr_peak
    start = training.warmup_iterations
    if training.schedule == "wsd":
        decay = math.ceil(training.decay_fraction * training.iterations)
        start = max(start, training.iterations - decay)
    # `depth` goes from 0 at the last iteration at the peak to 1 at the last of all.
    depth = min(max(iteration - start + 1, 0) / (training.iterations - start), 1.0)
    if training.schedule == "cosine":
        depth = (1 - math.cos(math.pi * depth)) / 2
    return training.lr_peak - (training.lr_peak - training.lr_min) * depth
