"""`gristmill pretrain check RECIPE gpus=N kind=KIND`: refusals, and what the text says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.check_recipes import write_seventy_billion
from launch.errors import UserError
from launch.recipe import Recipe, load_recipe
from pretrain.check import make_plan
from pretrain.config import Pretrain
from pretrain.planning.check_command import check
from pretrain.planning.check_report import report
from pretrain.planning.curves import batch_segments, curves
from pretrain.planning.fitting import fits, nearest_change
from pretrain.planning.hardware import hardware
from pretrain.planning.machine import (
    Machine,
    check_disk,
    check_gpus,
    check_host_memory,
    parse_machine,
)
from pretrain.planning.meta_build import Built, built_parameters, disagreements

MakeRecipe = Callable[..., Recipe]


def pretrain_of(**tables: dict[str, Any]) -> Pretrain:
    return Pretrain.model_validate_json(json.dumps(tables))


def test_arguments_are_of_the_machine_or_of_the_recipe() -> None:
    machine, overrides = parse_machine(
        ["gpus=64", "run.seed=3", "kind=h100", "price=2.5", "save_gigabytes_per_second=10"]
    )
    assert machine == Machine(64, hardware("h100"), 2.5, None, 10.0)
    assert overrides == ["run.seed=3"]


@pytest.mark.parametrize("argument", ["gpus=0", "gpus=2.5", "price=nan", "price=-1", "kind=H-100"])
def test_a_machine_that_cannot_be_is_refused(argument: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_machine([argument])
    assert caught.value.hint


@pytest.mark.parametrize(
    ("gpus", "hint"),
    [
        (16, "pretrain.parallel.data=4 uses them all"),
        (12, "pretrain.parallel.data=3 uses them all, with a batch_size that 3 divides; the batch "
             "of 8 fits data=2 on 8 GPUs"),
        (10, "a multiple of them: 8 or 12"),
        (3, "one copy of the model takes 4 GPUs, so a multiple of them: 4"),
    ],
)  # fmt: skip
def test_gpus_that_the_layout_does_not_use_are_refused_with_the_data_that_would_fit(
    gpus: int, hint: str
) -> None:
    pretrain = pretrain_of(
        parallel={"tensor": 2, "pipeline": 2, "data": 2}, training={"micro_batch_size": 1}
    )
    with pytest.raises(UserError, match=f"^gpus: got {gpus}, expected tensor 2 x") as caught:
        check_gpus(pretrain, Machine(gpus))
    assert hint in caught.value.hint
    check_gpus(pretrain, Machine(8))


def test_checkpoints_that_have_no_room_are_refused(tmp_path: Path) -> None:
    pretrain = pretrain_of(checkpoint={"keep": 3}, model={"layers": 2})
    absent = tmp_path / "runs" / "not-yet"
    check_disk(pretrain, 1024, absent, Machine())
    with pytest.raises(UserError, match=r"got 0\.0 GB free, expected 0\.1 GB for 4 checkp"):
        check_disk(pretrain, 4096, absent, Machine(disk_gigabytes=0.01))


def test_host_memory_that_does_not_suffice_is_refused() -> None:
    wide = {"layers": 64, "hidden_size": 8192, "heads": 64, "kv_heads": 64, "ffn_size": 32768}
    with pytest.raises(UserError, match=r"^memory: got .* on this machine, expected"):
        check_host_memory(pretrain_of(model=wide), 1024, Machine())
    copied = pretrain_of(model=wide, checkpoint={"asynchronous": True})
    with pytest.raises(UserError, match="asynchronous: got true, a copy of"):
        check_host_memory(copied, 1024, Machine(1, hardware("l40s")))


def test_the_nearest_change_passes_the_rules_and_fits(make_recipe: MakeRecipe) -> None:
    gpu = hardware("a100-40")
    recipe = make_recipe(
        model={"layers": 32, "hidden_size": 2048, "heads": 16, "kv_heads": 16, "ffn_size": 5504,
               "sequence_length": 2048},
        training={"micro_batch_size": 4, "batch_size": 8, "precision": "bf16"},
    )  # fmt: skip
    assert not fits(recipe.pretrain, 32_768, gpu)
    change = nearest_change(recipe, 32_768, gpu)
    assert change is not None
    assert change.gpus == 1
    assert len(change.overrides) == 1  # the smallest that does
    table = recipe.pretrain.model_dump(mode="json")
    for override in change.overrides:
        path, _, value = override.partition("=")
        _, name, key = path.split(".")
        table[name][key] = type(table[name][key])(value)
    assert fits(Pretrain.model_validate_json(json.dumps(table)), 32_768, gpu)


def test_a_model_that_nothing_makes_fit_is_said_to_be_too_large(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(
        model={"layers": 64, "hidden_size": 8192, "heads": 64, "kv_heads": 8, "ffn_size": 28672},
        training={"micro_batch_size": 1, "precision": "bf16"},
    )
    assert nearest_change(recipe, 32_768, hardware("l40s")) is None


def test_curves_show_begin_peak_and_end() -> None:
    training = pretrain_of(training={"iterations": 100, "warmup_iterations": 10}).training
    text = "\n".join(curves(training))
    for words in (
        "         0         0.0002",
        "         9          0.002",
        "        99         0.0002",
    ):
        assert words in text
    assert sum(count for count, _ in batch_segments(training)) == 100


def test_the_report_of_seventy_billion_parameters(tmp_path: Path) -> None:
    arguments = [f"pretrain.parallel.{value}" for value in (
        "virtual_stages=1", "data=1", "sequence=false", "recompute=none")]  # fmt: skip
    plan = make_plan(load_recipe(write_seventy_billion(tmp_path), arguments))
    text = report(plan, Machine(32, hardware("h100"), 2.5), None)
    for words in (
        "does not fit: 113.6 GB", "fits with pretrain.parallel.", "MFU", "GPU hours x $2.5 = $",
        "GB each", "0.10 epochs of its 2,000,000,000", "learning rate", "unverified",
    ):  # fmt: skip
        assert words in text, text


def test_stages_are_built_without_memory_and_agree_with_the_estimate(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(parallel={"tensor": 2, "pipeline": 2})
    built = built_parameters(recipe.pretrain, 1024)
    assert set(built.parameters) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert disagreements(built, recipe.pretrain, 1024) == []
    assert "estimated" in disagreements(Built({(0, 0): 1}, 0.0), recipe.pretrain, 1024)[0]


@pytest.mark.slow
def test_the_command_checks_seventy_billion_parameters(tmp_path: Path) -> None:
    recipe = write_seventy_billion(tmp_path)
    layout = ["pretrain.parallel.virtual_stages=1", "pretrain.parallel.sequence=false",
              "pretrain.parallel.recompute=none", "disk_gigabytes=5000"]  # fmt: skip
    text = check(recipe, ["gpus=64", "kind=h200", *layout])
    assert "32 ranks of 4 stages built on the meta device" in text
    assert "as many as the estimate counts, to the unit" in text
    with pytest.raises(UserError, match="GB free, expected"):
        check(recipe, ["gpus=64", "kind=h200", "disk_gigabytes=100"])
