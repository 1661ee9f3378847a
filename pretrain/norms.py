"""RMSNorm and LayerNorm that Megatron-core can build without Transformer Engine.

Its own wrapper around torch's norms refuses sequence parallelism: there each tensor rank sees only
its part of the sequence, so a norm's gradient is a sum over the ranks, which Megatron forms for the
parameters that carry `sequence_parallel`. Torch's carry no such mark; these do.
"""

from typing import Any

import torch
from torch.nn.functional import layer_norm, rms_norm

from pretrain.megatron import TransformerConfig


class RMSNorm(torch.nn.Module):
    """Root mean square over the last dimension, times a weight (Zhang and Sennrich 2019,
    arXiv:1910.07467)."""

    def __init__(
        self, config: TransformerConfig, hidden_size: int, eps: float, **_options: Any
    ) -> None:
        super().__init__()
        self.size, self.epsilon = (hidden_size,), eps
        self.weight = _parameter(config, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of `x` [..., hidden size], in its own type; torch sums in float32."""
        return rms_norm(x, self.size, self.weight, self.epsilon)


class LayerNorm(torch.nn.Module):
    """Mean 0 and variance 1 over the last dimension, times a weight, plus a bias (Ba et al. 2016,
    arXiv:1607.06450)."""

    def __init__(
        self, config: TransformerConfig, hidden_size: int, eps: float, **_options: Any
    ) -> None:
        super().__init__()
        self.size, self.epsilon = (hidden_size,), eps
        self.weight = _parameter(config, hidden_size)
        self.bias = _parameter(config, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of `x` [..., hidden size], in its own type; torch sums in float32."""
        return layer_norm(x, self.size, self.weight, self.bias, self.epsilon)


def _parameter(config: TransformerConfig, size: int) -> torch.nn.Parameter:
    """Left empty: `initial_weights` fills every parameter."""
    parameter = torch.nn.Parameter(torch.empty(size, dtype=config.params_dtype))
    parameter.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]
    return parameter
