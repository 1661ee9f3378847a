"""Causal attention on torch's fused kernel, in the place of Megatron's unfused one.

Megatron-core's own `DotProductAttention` writes the scores of every pair of positions to memory
several times; torch's kernel (flash attention: Dao 2023, arXiv:2307.08691, on CPU and GPU) does
not.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from pretrain.megatron import MegatronModule, TransformerConfig


class CausalAttention(MegatronModule):  # type: ignore[misc]
    """Softmax attention in which a position sees itself and what lies before it."""

    def __init__(self, config: TransformerConfig, **_options: Any) -> None:
        super().__init__(config=config)
        assert config.context_parallel_size == 1
        assert config.attention_dropout == 0.0

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **_options: Any,
    ) -> torch.Tensor:
        """Attend.

        `query` is [sequence, batch, heads, channels], `key` and `value` [sequence, batch, kv heads,
        channels], with the heads of this tensor rank; the answer is [sequence, batch, heads x
        channels]. `attention_mask` is bool [batch, 1, sequence, sequence], True where one may
        look; None: at itself and what lies before it.
        """
        groups = query.size(2) // key.size(2)
        if groups > 1:
            # torch's fused CPU kernel wants as many key heads as query heads.
            key = key.repeat_interleave(groups, dim=2)
            value = value.repeat_interleave(groups, dim=2)
        q, k, v = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
        context = scaled_dot_product_attention(
            q, k, v, attn_mask=attention_mask, is_causal=attention_mask is None
        )
        sequence, batch = query.size(0), query.size(1)
        return context.permute(2, 0, 1, 3).reshape(sequence, batch, -1)
