"""A run that cannot work is refused before anything is started, with a way out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launch.errors import UserError
from launch.manifest import read_manifest, write_manifest
from launch.recipe import Recipe
from pretrain.check import check_recipe, describe, make_plan

MakeRecipe = Callable[..., Recipe]


@pytest.mark.parametrize(
    ("tables", "where", "hint"),
    [
        ({"parallel": {"tensor": 3}}, "parallel.tensor", "one of 1, 2, 4"),
        ({"parallel": {"tensor": 4}}, "parallel.tensor", "one of 1, 2"),  # two kv heads
        ({"parallel": {"pipeline": 4}}, "parallel.pipeline", "one of 1, 2"),
        ({"parallel": {"data": 3}}, "training.batch_size", "6 and 12"),
        ({"model": {"ffn_size": 63}, "parallel": {"tensor": 2}}, "parallel.tensor", "one of 1, 3"),
    ],
)
def test_a_layout_that_does_not_divide_the_model_is_refused(
    make_recipe: MakeRecipe, tables: dict[str, Any], where: str, hint: str
) -> None:
    recipe = make_recipe(**tables)
    for check in (check_recipe, make_plan):
        with pytest.raises(UserError, match=f"^pretrain.{where}: got") as caught:
            check(recipe)
        assert hint in caught.value.hint


def test_more_epochs_than_allowed_are_refused_and_fewer_are_stated(
    make_recipe: MakeRecipe,
) -> None:
    long = {"iterations": 100_000}
    with pytest.raises(UserError, match="iterations: got 100,000, which read the") as caught:
        make_plan(make_recipe(training=long))
    most = int(caught.value.hint.split("at most ")[1].split(" ")[0].replace(",", ""))
    plan = make_plan(make_recipe(training={"iterations": most}))
    assert 3.9 < plan.epochs <= 4.0
    with pytest.raises(UserError):
        make_plan(make_recipe(training={"iterations": most + 1}))
    assert f"{plan.epochs:.2f} epochs" in describe(plan)


def test_tokens_that_are_not_there_are_named(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    recipe.tokens.unlink()
    with pytest.raises(UserError, match=str(recipe.tokens)):
        make_plan(recipe)


def test_a_corpus_without_validation_is_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe()
    manifest = read_manifest(recipe.tokens, "tokens", 1)
    recipe.tokens.unlink()
    recipe.tokens.mkdir()
    splits = json.loads(json.dumps(manifest.facts["splits"]))
    splits["valid"]["tokens"] = 0
    bare = type(manifest)("tokens", 1, {}, (), (), {**manifest.facts, "splits": splits})
    write_manifest(recipe.tokens, bare)
    with pytest.raises(UserError, match="valid: got 0 tokens") as caught:
        make_plan(recipe)
    assert "valid_fraction" in caught.value.hint


def test_the_plan_says_what_a_person_asks(make_recipe: MakeRecipe) -> None:
    text = describe(make_plan(make_recipe(parallel={"tensor": 2, "pipeline": 2})))
    for words in ("84,128 parameters", "tensor 2 x pipeline 2 x data 1 = 4 processes", "FLOP",
                  "4 micro-batches of 2", "MB for the largest process", "cosine"):  # fmt: skip
        assert words in text
