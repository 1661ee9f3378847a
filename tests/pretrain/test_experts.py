"""Mixtures of experts: the same model on every layout, and the losses that balance it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launch.recipe import Recipe
from pretrain import flops

MakeRecipe = Callable[..., Recipe]
EXPERTS = {"count": 4, "active": 2, "ffn_size": 32, "auxiliary_loss": 0.05, "router_z_loss": 0.01}
LAYOUTS: dict[str, dict[str, Any]] = {
    "expert": {"data": 2, "expert": 2},
    "sequence": {"tensor": 2, "sequence": True},
}
FURTHER: dict[str, dict[str, Any]] = {
    "data": {"data": 2},
    "expert-in-tensor": {"tensor": 2, "sequence": True, "expert": 2},
    "four": {"tensor": 2, "sequence": True, "data": 2, "expert": 2},
    "pipeline": {"pipeline": 2, "data": 2, "expert": 2},
    "interleaved": {"pipeline": 2, "virtual_stages": 2},
    "recompute": {"data": 2, "expert": 2, "recompute": "full"},
}
RELATIVE = 1e-5


def relative(ours: list[float], theirs: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


@pytest.fixture(scope="module")
def train(
    layouts: Any,
    recipes_below: Callable[[Path], MakeRecipe],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., dict[str, Any]]:
    directory = tmp_path_factory.mktemp("experts")
    make = recipes_below(directory)

    def run(parallel: dict[str, Any], iterations: int = 20, **command: Any) -> dict[str, Any]:
        recipe = make(
            model={"layers": 4, "experts": EXPERTS}, parallel=parallel,
            training={"lr_peak": 3e-3, "iterations": 40},
        )  # fmt: skip
        answer: dict[str, Any] = layouts(
            recipe, directory / "work", iterations=iterations, **command
        )["ok"]
        answer["counted"] = flops.total_parameters(recipe.pretrain.model, 1024)
        return answer

    return run


@pytest.fixture(scope="module")
def one(train: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return train({})


@pytest.mark.parametrize(
    "layout", [*LAYOUTS, *(pytest.param(name, marks=pytest.mark.slow) for name in FURTHER)]
)
def test_losses_and_gradients_agree_with_one_process(
    train: Callable[..., dict[str, Any]], one: dict[str, Any], layout: str
) -> None:
    other = train((LAYOUTS | FURTHER)[layout])
    assert one["losses"][-1] < 0.9 * one["losses"][0]
    assert relative(other["losses"], one["losses"]) <= RELATIVE
    assert relative(other["norms"], one["norms"]) <= RELATIVE
    assert other["parameters"] == one["parameters"] == one["counted"]


def test_the_comparison_finds_a_loss_of_another_weight(
    train: Callable[..., dict[str, Any]], one: dict[str, Any]
) -> None:
    spoiled = train(LAYOUTS["sequence"], iterations=2, fault="z-loss not shared")
    assert relative(spoiled["norms"], one["norms"][:2]) > RELATIVE


def test_a_checkpoint_is_continued_with_the_experts_divided_otherwise(
    train: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    saved = str(tmp_path / "saved")
    train(LAYOUTS["expert"], iterations=4, save=saved)
    same = train(LAYOUTS["expert"], iterations=3, load=saved)
    other = train({}, iterations=3, load=saved)
    assert relative(other["losses"], same["losses"]) <= RELATIVE
    assert relative(other["norms"], same["norms"]) <= RELATIVE


def test_balancing_follows_its_formulas(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    # Also where a part of the batch does not count: it must not weigh in the means either.
    experts = {"count": 4, "active": 2, "auxiliary_loss": 1.0, "router_z_loss": 0.1}
    recipe = make_recipe(model={"experts": experts})
    found = layouts(recipe, tmp_path / "work", iterations=0, measure="balancing")["ok"]
    assert found["share"] > 0.1, "a gradient too small to be seen"
    assert found["difference"] < 1e-4
