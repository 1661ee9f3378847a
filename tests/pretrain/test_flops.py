"""Counts against counts made another way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launch.recipe import Recipe
from pretrain import flops
from pretrain.config import Model, Pretrain

# Llama 2 7B (arXiv:2307.09288; 6,738,415,616 parameters in its published weights).
LLAMA_2_7B = Model(
    layers=32, hidden_size=4096, heads=32, kv_heads=32, ffn_size=11008, sequence_length=4096
)
# Llama 3 8B, with grouped-query attention (8,030,261,248).
LLAMA_3_8B = Model(
    layers=32, hidden_size=4096, heads=32, kv_heads=8, ffn_size=14336, sequence_length=8192
)


def test_parameters_of_published_models() -> None:
    assert flops.total_parameters(LLAMA_2_7B, 32_000) == 6_738_415_616
    assert flops.total_parameters(LLAMA_3_8B, 128_256) == 8_030_261_248


def test_flops_of_a_large_model_are_about_six_for_each_parameter_and_token() -> None:
    tokens = 1_000
    counted = flops.training_flops(LLAMA_2_7B, 32_000, tokens)
    without_scores = counted - 12 * 32 * 4096 * 4096 * tokens
    multiplied = flops.total_parameters(LLAMA_2_7B, 32_000) - 32_000 * 4096 - (2 * 32 + 1) * 4096
    assert without_scores == 6 * multiplied * tokens


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"activation": "gelu", "norm": "layer", "qk_norm": True, "tied_embeddings": True},
        {"experts": {"count": 4, "active": 2, "ffn_size": 24}},
        {"experts": {"count": 3, "active": 1}, "activation": "gelu"},
    ],
)
def test_matrix_products_are_those_that_torch_counts(
    layouts: Any, make_recipe: Callable[..., Recipe], tmp_path: Path, shape: dict[str, Any]
) -> None:
    recipe = make_recipe(model=shape)
    found = layouts(recipe, tmp_path / "work", iterations=0, measure="operations")["ok"]
    model = recipe.pretrain.model
    scores = 12 * model.layers * model.hidden_size * model.sequence_length
    counted = flops.training_flops(model, 1024, 1) - scores  # forward and twice that backward
    assert found["operations"] * 3 == counted * model.sequence_length


def test_memory_shrinks_where_the_layout_divides_it() -> None:
    def memory(**parallel: int) -> flops.Memory:
        pretrain = Pretrain.model_validate({"parallel": parallel})
        return flops.estimate_memory(pretrain, 8192)

    one, tensor, data = memory(), memory(tensor=2), memory(data=2)
    assert tensor.weights < 0.51 * one.weights
    assert data.weights == one.weights
    assert data.optimizer == one.optimizer // 2
    assert memory(pipeline=2).weights < one.weights


def test_weights_of_a_single_process_are_those_of_its_parameters() -> None:
    pretrain = Pretrain()
    counted = flops.total_parameters(pretrain.model, 8192) * 4
    assert flops.estimate_memory(pretrain, 8192).weights == counted
