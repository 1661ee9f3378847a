"""Bad numbers in the real loop: never applied, recorded, answered as the recipe says, by all ranks
alike, and the same again after a kill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from launch.recipe import Recipe
from pretrain.config import Stability, Training
from pretrain.judge import Judge

MakeRecipe = Callable[..., Recipe]
LAYOUTS = {"one": {}, "two": {"tensor": 2}}


def recipe(make: MakeRecipe, layout: str, **tables: Any) -> Recipe:
    made = make(
        parallel=LAYOUTS[layout],
        training={
            "iterations": 24, "log_interval": 4, "valid_interval": 0, "lr_peak": 1e-2,
            "micro_batch_size": 4,
        }
        | tables.pop("training", {}),
        checkpoint={"interval_iterations": 8},
    ).to_dict()  # fmt: skip
    made["pretrain"]["stability"].update(tables)
    return Recipe.from_dict(made)


def named(made: Recipe, name: str, **stability: Any) -> Recipe:
    """The same under another name, and perhaps another policy."""
    tables = made.to_dict()
    tables["run"]["name"] = name
    tables["pretrain"]["stability"].update(stability)
    return Recipe.from_dict(tables)


def events(answer: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [e for e in answer["events"] if e["event"] == kind]


@pytest.mark.parametrize("layout", ["one", pytest.param("two", marks=pytest.mark.slow)])
def test_what_is_not_finite_stops_the_run_and_touches_nothing(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path, layout: str
) -> None:
    made = recipe(make_recipe, layout)
    answer = layouts(made, tmp_path, faults={"9": "nan"})["ok"]
    assert answer["ended"] == "NumericalError"
    assert "iteration 10" in answer["message"]
    (event,) = events(answer, "intervention")
    assert (event["iteration"], event["kind"], event["action"]) == (10, "loss_not_finite", "stop")
    assert (event["first_sample"], event["last_sample"]) == (72, 79)
    # The last checkpoint is the state before it, and the same command would stop there again.
    assert [e["iteration"] for e in events(answer, "checkpoint")] == [8]
    again = layouts(made, tmp_path, faults={"9": "nan"})["ok"]
    assert again["message"] == answer["message"]
    assert again["iterations"][0] == 8


def test_a_save_in_flight_is_finished_before_the_stop(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    tables = recipe(make_recipe, "one", training={"log_interval": 1}).to_dict()
    tables["pretrain"]["checkpoint"]["asynchronous"] = True
    answer = layouts(Recipe.from_dict(tables), tmp_path, faults={"8": "nan"})["ok"]
    assert answer["ended"] == "NumericalError"
    assert [e["iteration"] for e in events(answer, "checkpoint")] == [8]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_skipping_leaves_the_weights_and_counts(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path, layout: str
) -> None:
    made = recipe(make_recipe, layout, on_not_finite="skip", interventions_max=2)
    # The very first and the last iteration, where there is no window and no later line.
    answer = layouts(made, tmp_path, faults={"0": "nan", "23": "nan"})["ok"]
    assert (answer["ended"], answer["done"], answer["interventions"]) == ("done", 24, 2)
    found = events(answer, "intervention")
    assert [(e["iteration"], e["action"]) for e in found] == [(1, "skip"), (24, "skip")]
    assert answer["weights"] == answer["weights"], "not a number"
    many = layouts(named(made, "many"), tmp_path, faults=dict.fromkeys("567", "nan"))["ok"]
    assert many["ended"] == "NumericalError"
    assert "after 2 interventions" in many["message"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_spike_is_logged_or_skipped(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path, layout: str
) -> None:
    policy = {"spike_window": 8, "spike_deviations": 4.0}
    made = recipe(make_recipe, layout, on_spike="log", **policy)
    logged = layouts(made, tmp_path, faults={"17": "spike"})["ok"]
    (event,) = events(logged, "intervention")
    assert (event["iteration"], event["action"]) == (18, "log")
    assert event["kind"] in ("loss_spike", "gradient_spike")
    assert event["value"] > event["threshold"]
    assert (logged["ended"], logged["interventions"]) == ("done", 0)
    other = named(made, "skipped", on_spike="skip")
    skipped = layouts(other, tmp_path, faults={"17": "spike"})["ok"]
    assert skipped["interventions"] == 1
    before = [e["loss"] for e in events(logged, "train") if e["iteration"] <= 16]
    assert before == [e["loss"] for e in events(skipped, "train") if e["iteration"] <= 16]
    assert skipped["weights"] != logged["weights"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_going_back_passes_over_what_came_since_the_checkpoint(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path, layout: str
) -> None:
    made = recipe(make_recipe, layout, on_not_finite="rewind")
    answer = layouts(made, tmp_path, faults={"9": "nan"})["ok"]
    assert (answer["ended"], answer["interventions"]) == ("done", 1)
    assert answer["passed_over"] == [[8, 10]]
    # Found at the line after iteration 12; the model of iteration 8 goes on with batch 10.
    assert answer["iterations"] == [*range(12), *range(10, 24)]
    (event,) = events(answer, "intervention")
    assert (event["first_sample"], event["last_sample"]) == (64, 79)
    (back,) = events(answer, "rewind")
    assert (back["iteration"], back["to_iteration"]) == (10, 8)
    # At the very beginning there is the model that the run began with, at the end it is saved.
    ends = layouts(named(made, "edges"), tmp_path, faults={"1": "nan", "23": "nan"})["ok"]
    assert ends["passed_over"] == [[0, 2], [16, 24]]
    assert [e["iteration"] for e in events(ends, "checkpoint")] == [0, 8, 16, 24]


@pytest.mark.slow
def test_after_a_kill_the_same_is_decided_again(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    policy = {"on_not_finite": "skip", "on_spike": "rewind", "spike_window": 8,
              "spike_deviations": 6.0}  # fmt: skip
    whole = recipe(make_recipe, "two", **policy)
    faults = {"5": "nan", "14": "spike", "18": "nan"}
    undisturbed = layouts(whole, tmp_path, faults=faults)["ok"]
    assert undisturbed["passed_over"] == [[8, 15]]
    assert undisturbed["interventions"] == 3
    killed = named(whole, "killed")
    for moment in ("7", "15", "20"):
        answer = layouts(killed, tmp_path, faults={**faults, moment: "die"})["ok"]
        assert answer["ended"] == "Killed"
    ended = layouts(killed, tmp_path, faults=faults)["ok"]
    for key in ("done", "weights", "passed_over", "interventions"):
        assert ended[key] == undisturbed[key], key
    without = [
        [{**e, "name": ""} for e in answer["events"] if e["event"] != "resume"]
        for answer in (ended, undisturbed)
    ]
    assert without[0] == without[1]


def test_a_signal_to_one_rank_stops_all_after_the_same_iteration(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    made = recipe(make_recipe, "two")
    answer = layouts(made, tmp_path, faults={}, stop_after=5)["ok"]
    assert (answer["ended"], answer["done"]) == ("PreemptedError", 6)
    assert [e["iteration"] for e in events(answer, "checkpoint")] == [6]
    rest = layouts(made, tmp_path, faults={})["ok"]
    assert rest["iterations"] == list(range(6, 24))


def judged(judge: Judge, rows: list[tuple[float, float]]) -> list[float]:
    """Whether each update was left out, of losses and norms of one token."""
    skips = []
    for loss, norm in rows:
        verdict = judge.decide(torch.tensor([loss, 1.0, norm**2], dtype=torch.float64))
        skips.append(float(verdict.skip))
    return skips


def test_spikes_are_measured_against_the_updates_that_were_applied() -> None:
    stability = Stability(on_spike="skip", spike_window=8, spike_deviations=3.0)
    judge = Judge(stability, Training(log_interval=100), torch.device("cpu"))
    calm = [(2.0 + 0.1 * (-1) ** i, 1.0 + 0.1 * (-1) ** i) for i in range(8)]
    # A spike before half of the window is filled cannot be told from the beginning of a run.
    assert judged(judge, [*calm[:3], (9.0, 1.0), *calm]) == [0.0] * 12
    # The window now holds the calm eight: mean 2, deviation 0.1.
    assert judged(judge, [(2.29, 1.0)]) == [0.0]
    assert judged(judge, [(9.0, 1.0), (9.0, 1.0), (2.0, 9.0)]) == [1.0, 1.0, 1.0]
    assert judged(judge, [(2.0, 1.0)]) == [0.0], "what was left out is not in the window"
    kinds = [seen.kind for seen in judge.drain()]
    assert kinds[-5:] == ["", "loss_spike", "loss_spike", "gradient_spike", ""]


def test_the_window_survives_a_checkpoint() -> None:
    stability = Stability(on_spike="skip", spike_window=8, spike_deviations=3.0)
    first = Judge(stability, Training(log_interval=100), torch.device("cpu"))
    judged(first, [(2.0 + 0.01 * i, 1.0 + 0.01 * i) for i in range(11)])
    first.drain()
    second = Judge(stability, Training(log_interval=100), torch.device("cpu"))
    second.load(first.to_dict())
    rows = [(2.05, 1.0), (2.3, 1.0), (2.05, 1.4), (2.06, 1.05)]
    assert judged(first, rows) == judged(second, rows)
    assert first.drain() == second.drain()


def test_clipping_is_a_divisor() -> None:
    judge = Judge(Stability(), Training(clip=1.0), torch.device("cpu"))
    # Ten tokens, norm of the sum 40: of the mean 4, so that a quarter is left.
    verdict = judge.decide(torch.tensor([20.0, 10.0, 1600.0], dtype=torch.float64))
    assert float(verdict.divisor) == pytest.approx(40.0, rel=1e-6)
    (seen,) = judge.drain()
    assert (seen.loss, seen.gradient_norm, seen.kind) == (2.0, 4.0, "")
