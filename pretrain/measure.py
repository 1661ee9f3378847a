"""Numbers derived from a run's counts, as pure functions, without torch."""

import math

from pretrain.config_metrics import Metrics


def tokens_per_second(tokens: int, seconds: float) -> float | None:
    """Rate over one interval of log lines; None if no time has passed."""
    return tokens / seconds if seconds > 0 else None


def mfu(
    flops: float, seconds: float, num_devices: int, peak_teraflops: float | None
) -> float | None:
    """Model FLOP utilisation: the operations that the model needs, over those the devices could do.

    `flops` are those of `seconds` by the convention of `flops.training_flops` (`megatron`), so that
    activations computed again do not count (Chowdhery et al. 2022, arXiv:2204.02311, appendix B).
    None where the peak is not known: on a CPU, or on a GPU without a file in `planning/hardware/`.
    """
    if not peak_teraflops or seconds <= 0:
        return None
    return flops / (seconds * num_devices * peak_teraflops * 1e12)


def peak_of_device(
    config: Metrics, device_type: str, known_teraflops: float | None
) -> float | None:
    """Peak of one device in TFLOP/s: the recipe's, else the `known_teraflops` of a GPU's kind; None
    for a CPU."""
    if config.peak_teraflops:
        return config.peak_teraflops
    return known_teraflops if device_type == "cuda" else None


def eta_seconds(tokens_left: int, rate: float | None, pause_share: float = 0.0) -> float | None:
    """Time to the end at `rate` tokens/s; None without one.

    `pause_share` is the share of the run's time so far that was not training (validations,
    checkpoints); the rest of the run is taken to have as much.
    """
    if not rate:
        return None
    return tokens_left / rate / (1.0 - min(pause_share, 0.95))


def bits_per_byte(loss: float, tokens: float, text_bytes: float) -> float:
    """A loss in nats per token as bits per byte of the text that the tokens stand for (Gao et al.
    2020, arXiv:2101.00027, section 3.1)."""
    return loss / math.log(2) * tokens / text_bytes
