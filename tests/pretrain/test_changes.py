"""What a recipe may change between two starts: nothing that the iterations done depend on."""

import json
from typing import Any

import pytest

from launch.errors import UserError
from pretrain.config import Pretrain
from pretrain.safety.changes import first_change

BASE: dict[str, dict[str, Any]] = {
    "training": {
        "iterations": 200, "batch_size": 8, "micro_batch_size": 4, "schedule": "constant",
        "warmup_iterations": 20,
    },
}  # fmt: skip


def pretrain(**tables: dict[str, Any]) -> Pretrain:
    merged = {name: {**BASE.get(name, {}), **table} for name, table in {**BASE, **tables}.items()}
    return Pretrain.model_validate_json(json.dumps(merged))


@pytest.mark.parametrize(
    "tables",
    [
        {"parallel": {"tensor": 2}},
        {"checkpoint": {"interval_iterations": 7, "keep": 5}},
        {"watch": {"restarts_max": 3, "step_timeout_seconds": 5.0}},
        {"metrics": {"tensorboard": True}},
        {"training": {"micro_batch_size": 2}},
        {"training": {"epochs_max": 8.0}},
        {"training": {"deterministic": True}},
        {"data": {"workers": 4}},
        {"stability": {"on_not_finite": "skip", "interventions_max": 50}},
    ],
)
def test_how_a_run_is_computed_and_watched_may_change(tables: dict[str, dict[str, Any]]) -> None:
    assert first_change(pretrain(), pretrain(**tables), 100, "run") is None


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ({"model": {"layers": 6}}, "pretrain.model.layers"),
        ({"training": {"lr_peak": 1e-3}}, "pretrain.training.lr_peak"),
        ({"training": {"batch_size": 16}}, "pretrain.training.batch_size"),
        ({"training": {"log_interval": 1}}, "pretrain.training.log_interval"),
        ({"data": {"packing": False}}, "pretrain.data.packing"),
        ({"stability": {"on_spike": "skip"}}, "pretrain.stability.on_spike"),
    ],
)
def test_what_the_iterations_done_depend_on_may_not(
    tables: dict[str, dict[str, Any]], key: str
) -> None:
    difference = first_change(pretrain(), pretrain(**tables), 100, "run")
    assert difference is not None
    assert difference[0] == key


def test_a_policy_that_has_acted_may_not_change() -> None:
    skipping = pretrain(stability={"on_not_finite": "skip"})
    stopping = pretrain(stability={"on_not_finite": "stop"})
    assert first_change(stopping, skipping, 100, "run") is None
    assert first_change(skipping, stopping, 100, "run") is not None


def with_schedule(schedule: str, iterations: int, **more: Any) -> Pretrain:
    return pretrain(training={"schedule": schedule, "iterations": iterations, **more})


def test_a_run_becomes_longer_where_its_learning_rates_so_far_stay() -> None:
    long = with_schedule("constant", 400)
    assert first_change(with_schedule("constant", 200), long, 200, "run") is None
    # wsd decays over the last fifth: of 200 iterations from 160 on, of 400 from 320 on.
    short, long = with_schedule("wsd", 200), with_schedule("wsd", 400)
    assert first_change(short, long, 160, "run") is None
    with pytest.raises(UserError, match=r"run: pretrain\.training\.iterations: got 400") as caught:
        first_change(short, long, 162, "run")
    assert "its decay began at iteration 160: [pretrain.branch]" in caught.value.hint


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_that_knew_its_end_is_not_made_longer(schedule: str) -> None:
    short, long = with_schedule(schedule, 200), with_schedule(schedule, 400)
    with pytest.raises(UserError, match=r"the learning rate of iteration 199") as caught:
        first_change(short, long, 200, "run")
    assert "'constant' and 'inverse_sqrt'" in caught.value.hint
    # Within the warm-up they do not know it yet.
    assert first_change(short, long, 20, "run") is None


def test_a_run_does_not_become_shorter_than_it_is() -> None:
    with pytest.raises(UserError, match="got 100, expected at least the 150 that are done"):
        first_change(with_schedule("constant", 200), with_schedule("constant", 100), 150, "run")
    shorter = with_schedule("constant", 160)
    assert first_change(with_schedule("constant", 200), shorter, 150, "run") is None


def test_stages_of_the_data_may_be_added_after_what_is_done() -> None:
    old = pretrain(data={"stages": [{"start_iteration": 50, "weights": {"a": 1.0}}]})

    def stages(*starts: int) -> Pretrain:
        tables = [{"start_iteration": start, "weights": {"a": 1.0}} for start in starts]
        return pretrain(data={"stages": tables})

    assert first_change(old, stages(50, 100), 100, "run") is None
    difference = first_change(old, stages(50, 99), 100, "run")
    assert difference is not None
    assert difference[0] == "pretrain.data.stages"
    assert first_change(old, stages(), 100, "run") is not None
    assert first_change(old, stages(), 50, "run") is None
