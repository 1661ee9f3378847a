"""A document does not feel its neighbours in the sequence."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from launch.recipe import Recipe
from pretrain.attention import _by_document
from pretrain.batch import MicroBatch
from pretrain.forward import document_mask


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"parallel": {"tensor": 2}},
        {"parallel": {"tensor": 2, "sequence": True}},
        {"parallel": {"pipeline": 2}},
        {"model": {"qk_norm": True, "kv_heads": 4}, "parallel": {"recompute": "selective"}},
        {"parallel": {"recompute": "full"}},
    ],
)
def test_loss_and_gradient_of_a_document_are_those_of_its_own_sequence(
    layouts: Any, make_recipe: Callable[..., Recipe], tmp_path: Path, tables: dict[str, Any]
) -> None:
    recipe = make_recipe(**tables)
    found = layouts(recipe, tmp_path / "work", iterations=0, measure="packings")["ok"]
    assert found["loss"] <= 1e-6
    assert found["gradient"] <= 1e-6


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 31)), st.integers(0, 2**32 - 1))
def test_attention_by_documents_is_that_under_the_dense_mask(cuts: set[int], seed: int) -> None:
    batch, sequence, heads, channels = 2, 16, 3, 8
    generator = torch.Generator().manual_seed(seed)
    shape = (sequence, batch, heads, channels)
    inputs = [torch.randn(shape, generator=generator, requires_grad=True) for _ in range(3)]
    borders = sorted({0, sequence, 2 * sequence} | cuts)
    positions = torch.cat([torch.arange(b - a) for a, b in itertools.pairwise(borders)])
    empty = torch.zeros(batch, sequence)
    micro_batch = MicroBatch(
        empty, empty, empty, positions.view(batch, sequence), torch.tensor(borders), empty, (0, 1)
    )
    mask = document_mask(micro_batch)
    dense = scaled_dot_product_attention(*(t.permute(1, 2, 0, 3) for t in inputs), attn_mask=mask)
    expected = dense.permute(2, 0, 1, 3).reshape(sequence, batch, -1)
    found = _by_document(inputs[0], inputs[1], inputs[2], borders)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    weights = torch.randn(found.shape, generator=generator)
    ours = torch.autograd.grad((found * weights).sum(), inputs)
    theirs = torch.autograd.grad((expected * weights).sum(), inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
