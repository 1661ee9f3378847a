"""Causal attention on torch's fused kernel, in the place of Megatron's unfused one.

Megatron-core's own `DotProductAttention` writes the scores of every pair of positions to memory
several times; torch's kernel (flash attention: Dao 2023, arXiv:2307.08691, on CPU and GPU) does
not. And with the documents' borders at hand, the pairs across them need not be computed at all.
"""

import itertools
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
        channels].

        `attention_mask` is None: a position sees itself and what lies before it; or bool [batch, 1,
        sequence, sequence], True where one may look; or int32 [documents + 1], the documents'
        borders over all batch x sequence positions: as None, within the own document.
        """
        groups = query.size(2) // key.size(2)
        if groups > 1:
            # torch's fused CPU kernel wants as many key heads as query heads.
            key = key.repeat_interleave(groups, dim=2)
            value = value.repeat_interleave(groups, dim=2)
        sequence, batch = query.size(0), query.size(1)
        if attention_mask is not None and attention_mask.dim() == 1:
            borders: list[int] = attention_mask.tolist()
            if len(borders) > batch + 1:
                return _by_document(query, key, value, borders)
            attention_mask = None  # every sequence is one document
        q, k, v = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
        context = scaled_dot_product_attention(
            q, k, v, attn_mask=attention_mask, is_causal=attention_mask is None
        )
        return context.permute(2, 0, 1, 3).reshape(sequence, batch, -1)


def _by_document(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, borders: list[int]
) -> torch.Tensor:
    """Attention document by document; shapes as in `CausalAttention.forward`.

    Against one call with a mask over whole sequences, forward and backward on one core: 2 x 2,048
    positions, 8 heads of 32, documents of 16, 64, 256, 1,024 positions: 24, 27, 63, 176 ms, with
    the mask 525 ms; 4 x 256 positions, 4 heads, documents of 64: 2.8 against 7.4 ms; one document a
    sequence: equal (2026-11-26).
    """
    sequence, batch, heads, channels = query.shape
    lengths = [end - start for start, end in itertools.pairwise(borders)]
    flat = (
        tensor.permute(2, 1, 0, 3).reshape(1, heads, batch * sequence, channels)
        for tensor in (query, key, value)
    )
    pieces = zip(*(tensor.split(lengths, dim=2) for tensor in flat), strict=True)
    contexts = [scaled_dot_product_attention(q, k, v, is_causal=True) for q, k, v in pieces]
    whole = torch.cat(contexts, dim=2).view(heads, batch, sequence, channels)
    return whole.permute(2, 1, 0, 3).reshape(sequence, batch, -1)
