"""Whether an update is applied, decided on the device.

An update whose loss or gradient is not finite is never applied. One that spikes is not, if the
policy says so. What was seen is kept there too, a row for each iteration, until the host reads all
rows at once (`drain`): at a log line and before a checkpoint, and nowhere else.
"""

from dataclasses import dataclass
from typing import Any

import torch

from pretrain.config import Stability, Training
from pretrain.loss_scale import LossScale

_LOSS_NOT_FINITE, _GRADIENT_NOT_FINITE, _LOSS_SPIKE, _GRADIENT_SPIKE, _OVERFLOW = 1, 2, 4, 8, 16
_KINDS = {
    _LOSS_NOT_FINITE: "loss_not_finite",
    _GRADIENT_NOT_FINITE: "gradient_not_finite",
    _LOSS_SPIKE: "loss_spike",
    _GRADIENT_SPIKE: "gradient_spike",
}


@dataclass(frozen=True)
class Verdict:
    """What the optimizer is to do, float32 [] on the device."""

    divisor: torch.Tensor
    """By which the summed gradients are divided"""
    skip: torch.Tensor
    """1 if the update is left out, else 0"""


@dataclass(frozen=True)
class Seen:
    """What an iteration was like, on the host."""

    loss: float
    """Nats per token, mean over the global batch, before the update"""
    gradient_norm: float
    """Of the whole model, before clipping"""
    kind: str
    """Of the worst that was wrong, as in the event `intervention`; empty: nothing"""
    value: float
    """The number that was wrong, else the loss"""
    threshold: float | None
    """Above which it would have been a spike; None where no spike was looked for"""


class Judge:
    """Loss, norm and verdict of each iteration, and the window that spikes are measured against."""

    def __init__(self, stability: Stability, training: Training, device: torch.device) -> None:
        self._stability = stability
        self._clip = training.clip
        self.loss_scale = LossScale(device) if training.precision == "fp16" else None
        window = stability.spike_window
        # Losses and norms of the last updates that were applied, and the number of all those.
        self._window = torch.zeros(2, window, dtype=torch.float64, device=device)
        self._applied = torch.zeros((), dtype=torch.int64, device=device)
        self._places = torch.arange(window, device=device)
        self._rows = torch.zeros(training.log_interval, 5, dtype=torch.float64, device=device)
        self._num_rows = 0
        self._codes = torch.tensor(
            [[_LOSS_NOT_FINITE, _GRADIENT_NOT_FINITE], [_LOSS_SPIKE, _GRADIENT_SPIKE]],
            dtype=torch.float64,
            device=device,
        )
        self._one = torch.ones((), dtype=torch.float64, device=device)

    @torch.no_grad()
    def decide(self, totals: torch.Tensor) -> Verdict:
        """Judge an iteration by its `totals` over all ranks, float64 [3]: the sum of the losses,
        the number of positions that count, the square of the norm of the summed gradients."""
        losses, count, squares = totals.unbind()
        scale = self.loss_scale.scale.double() if self.loss_scale else self._one
        norm = squares.sqrt() / (count * scale)
        values = torch.stack((losses / count, norm))
        finite = torch.isfinite(values)
        thresholds = self._thresholds()
        # No comparison with NaN is true, so that before the window is full nothing is a spike.
        spikes = (values > thresholds) & finite.all()
        skip = ~finite.all()
        codes = (self._codes * torch.stack((~finite, spikes))).sum()
        if self.loss_scale:
            # A gradient too large for fp16 is the scale's fault while the scale can still fall.
            overflow = finite[0] & ~finite[1] & self.loss_scale.can_fall
            codes = torch.where(overflow, _OVERFLOW, codes)
            self.loss_scale.update(~finite[1])
        if self._stability.on_spike != "log":
            skip = skip | spikes.any()
        self._remember(values, skip)
        self._rows[self._num_rows].copy_(torch.cat((values, thresholds, codes.view(1))))
        self._num_rows += 1
        divisor = count * scale
        if self._clip:
            divisor = divisor * ((norm + 1e-6) / self._clip).clamp(min=1.0)
        return Verdict(divisor.float(), skip.float())

    def _thresholds(self) -> torch.Tensor:
        """Float64 [2], for loss and norm; NaN until the window is half full."""
        length = self._stability.spike_window
        there = self._places < self._applied
        number = self._applied.clamp(1, length)
        mean = self._window.sum(dim=1) / number
        offsets = torch.where(there, self._window - mean.unsqueeze(1), 0.0)
        deviation = (offsets.square().sum(dim=1) / number).sqrt()
        limits = mean + self._stability.spike_deviations * deviation
        return torch.where(self._applied * 2 >= length, limits, float("nan"))

    def _remember(self, values: torch.Tensor, skip: torch.Tensor) -> None:
        here = (self._places == self._applied % self._stability.spike_window) & ~skip
        self._window.copy_(torch.where(here, values.unsqueeze(1), self._window))
        self._applied.add_(~skip)

    def drain(self) -> list[Seen]:
        """What was seen since the last call, oldest first; waits for the device."""
        rows = self._rows[: self._num_rows].tolist()
        self._num_rows = 0
        return [_seen(*row) for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint: tensors in host memory; waits for the device."""
        assert self._num_rows == 0, "drain first: what was not read would be lost"
        state = {"window": self._window, "applied": self._applied}
        if self.loss_scale:
            state |= self.loss_scale.to_dict()
        return {name: tensor.to("cpu", copy=True) for name, tensor in state.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint; that of another window length is forgotten."""
        self._num_rows = 0
        if state["window"].shape == self._window.shape:
            self._window.copy_(state["window"])
            self._applied.copy_(state["applied"])
        if self.loss_scale and "loss_scale" in state:
            self.loss_scale.load(state)


def _seen(
    loss: float, norm: float, loss_threshold: float, norm_threshold: float, code: float
) -> Seen:
    kind = next((name for bit, name in _KINDS.items() if int(code) & bit), "")
    of_gradient = kind.startswith("gradient")
    threshold = norm_threshold if of_gradient else loss_threshold
    spiked = kind.endswith("spike")
    return Seen(loss, norm, kind, norm if of_gradient else loss, threshold if spiked else None)
