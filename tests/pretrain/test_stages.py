"""A change of mixture and length in mid-run, through the real loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launch.recipe import Recipe

MakeRecipe = Callable[..., Recipe]
STAGES = [
    {"start_iteration": 4, "sequence_length": 64, "weights": {"notes": 0.2, "prose": 0.8}},
    {"start_iteration": 8, "sequence_length": 16},
]


def test_stages_are_the_same_under_a_pipeline(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = {"stages": STAGES}
    one = layouts(make_recipe(data=data), tmp_path, iterations=10)["ok"]
    other = make_recipe(data=data, parallel={"pipeline": 2})
    two = layouts(other, tmp_path, iterations=10)["ok"]
    assert one["losses"] == pytest.approx(two["losses"], rel=1e-5)


def test_a_stage_is_told_once_and_its_tokens_are_counted(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(data={"stages": STAGES}, training={"iterations": 10})
    events = layouts(recipe, tmp_path, faults={})["ok"]["events"]
    told = [e for e in events if e["event"] == "stage"]
    assert [(e["iteration"], e["stage"], e["sequence_length"]) for e in told] == [
        (5, 1, 64), (9, 2, 16),
    ]  # fmt: skip
    assert [e["first_sample"] for e in told] == [32, 64]
    (last,) = [e for e in events if e["event"] == "train" and e["iteration"] == 10]
    assert last["tokens"] == 8 * (4 * 32 + 4 * 64 + 2 * 16)
