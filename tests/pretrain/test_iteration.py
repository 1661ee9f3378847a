"""What an iteration asks of the device, and what it makes of half precision and growing batches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from launch.recipe import Recipe
from pretrain.device_reads import DeviceReads

MakeRecipe = Callable[..., Recipe]
LAYOUTS = {
    "one": {},
    "tensor": {"tensor": 2},
    "pipeline": {"pipeline": 2},
    "data": {"data": 2},
}
RELATIVE = 1e-5


def relative(ours: list[float], theirs: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


def test_reads_of_the_device_are_found() -> None:
    numbers = torch.ones(3)
    with DeviceReads() as reads:
        total = numbers.sum() * 2
        assert not reads.found
        asks: list[Callable[[], Any]] = [
            total.item, numbers.tolist, numbers.numpy, numbers.cpu, numbers.nonzero,
            lambda: float(total), lambda: bool(total > 0), lambda: numbers[numbers > 0],
        ]  # fmt: skip
        for ask in asks:
            reads.found.clear()
            ask()
            assert reads.found, ask


@pytest.mark.parametrize(
    "layout",
    ["one", *(pytest.param(n, marks=pytest.mark.slow) for n in ("tensor", "data", "pipeline"))],
)
def test_nothing_is_asked_of_the_device_between_two_log_lines(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path, layout: str
) -> None:
    training = {"iterations": 12, "log_interval": 4, "valid_interval": 0}
    training |= {"tensor": {"optimizer": "muon"}, "data": {"precision": "fp16"}}.get(layout, {})
    recipe = make_recipe(
        parallel=LAYOUTS[layout], training=training, checkpoint={"interval_iterations": 100}
    )
    answer = layouts(recipe, tmp_path, faults={}, count_reads=True)["ok"]
    assert answer["ended"] == "done"
    assert answer["reads"] == [{}, {}, {}, {}]  # lines after iterations 1, 4, 8, 12


@pytest.mark.parametrize(
    "layout", ["tensor", *(pytest.param(n, marks=pytest.mark.slow) for n in ("data", "pipeline"))]
)
def test_muon_moves_whole_matrices_under_every_layout(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path, layout: str
) -> None:
    def run(name: str, **command: Any) -> dict[str, Any]:
        training = {"optimizer": "muon", "lr_peak": 3e-3, "batch_size": 8, "micro_batch_size": 4}
        recipe = make_recipe(training=training, parallel=LAYOUTS[name])
        answer: dict[str, Any] = layouts(recipe, tmp_path / "work", **command)["ok"]
        return answer

    one = run("one", iterations=6, save=str(tmp_path / "saved"))
    other = run(layout, iterations=6)
    assert relative(other["losses"], one["losses"]) <= RELATIVE
    assert relative(other["norms"], one["norms"]) <= RELATIVE
    # And its momentum is cut anew with a checkpoint.
    then = run(layout, iterations=3, load=str(tmp_path / "saved"))
    same = run("one", iterations=3, load=str(tmp_path / "saved"))
    assert then["begun"] == 6
    assert relative(then["losses"], same["losses"]) <= RELATIVE
    assert relative(then["norms"], same["norms"]) <= RELATIVE


def test_fp16_learns_and_resumes_to_the_bit(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    def run(layout: str, precision: str = "fp16", **command: Any) -> dict[str, Any]:
        recipe = make_recipe(training={"precision": precision}, parallel=LAYOUTS[layout])
        answer: dict[str, Any] = layouts(recipe, tmp_path / "work", **command)["ok"]
        return answer

    whole = run("data", iterations=8)
    first = run("data", iterations=4, save=str(tmp_path / "saved"))
    then = run("data", iterations=4, load=str(tmp_path / "saved"))
    assert whole["losses"] == first["losses"] + then["losses"]
    # The scale finds its place in the first iterations, and leaves out an update where it was too
    # large; until then the losses are those of fp32.
    exact = run("one", precision="fp32", iterations=8)["losses"]
    assert relative(whole["losses"][:2], exact[:2]) <= 1e-4
    assert whole["losses"][-1] < 0.95 * whole["losses"][0]


def test_a_growing_batch_is_the_same_under_every_layout(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    training = {
        "iterations": 8, "batch_size": 8, "batch_size_start": 4, "batch_ramp_iterations": 4,
        "micro_batch_size": 2,
    }  # fmt: skip
    answers = [
        layouts(
            make_recipe(training=training, parallel=LAYOUTS[layout]), tmp_path / "work",
            iterations=8,
        )["ok"]
        for layout in ("one", "data")
    ]  # fmt: skip
    assert relative(answers[1]["losses"], answers[0]["losses"]) <= RELATIVE
    constant = layouts(
        make_recipe(training={**training, "batch_size_start": 0, "batch_ramp_iterations": 0}),
        tmp_path / "work", iterations=8,
    )["ok"]  # fmt: skip
    assert constant["losses"] != answers[0]["losses"]
