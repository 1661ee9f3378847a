"""The factor that keeps fp16 gradients away from zero, adapted on the device.

The loss is multiplied by it before the backward pass, the gradients are divided by it in the update
(Micikevicius et al. 2018, arXiv:1710.03740, section 3.2). It halves when a gradient overflowed and
doubles after `_GROWTH_ITERATIONS` iterations in which none did.
"""

from typing import Any

import torch

_GROWTH_ITERATIONS = 1_000
# Losses are sums over the tokens of a micro-batch here, not means, so the scale may be small.
_START, _LEAST, _MOST = 2.0**12, 2.0**-12, 2.0**24


class LossScale:
    """A dynamic loss scale; nothing but `to_dict` waits for the device."""

    def __init__(self, device: torch.device) -> None:
        self.scale = torch.full((), _START, dtype=torch.float32, device=device)
        self._good = torch.zeros((), dtype=torch.int64, device=device)

    def multiply(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss that goes backward."""
        return loss * self.scale

    @property
    def can_fall(self) -> torch.Tensor:
        """Bool []: whether the scale is above its least."""
        return self.scale > _LEAST

    def update(self, overflow: torch.Tensor) -> None:
        """Adapt to an iteration; `overflow` is bool [], whether its gradient was not finite."""
        self._good.copy_(torch.where(overflow, 0, self._good + 1))
        grows = self._good >= _GROWTH_ITERATIONS
        factor = torch.where(overflow, 0.5, torch.where(grows, 2.0, 1.0))
        self.scale.copy_((self.scale * factor).clamp(_LEAST, _MOST))
        self._good.copy_(torch.where(grows, 0, self._good))

    def to_dict(self) -> dict[str, torch.Tensor]:
        """The state, on the device."""
        return {"loss_scale": self.scale, "loss_scale_good": self._good}

    def load(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        self.scale.copy_(state["loss_scale"])
        self._good.copy_(state["loss_scale_good"])
