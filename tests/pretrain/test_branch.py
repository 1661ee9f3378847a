"""Runs that begin from another's checkpoint, and means of checkpoints."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launch.errors import UserError
from launch.lock import lock
from launch.manifest import read_manifest
from launch.recipe import Recipe
from pretrain import launcher
from pretrain.check import Plan, make_plan
from pretrain.contract import read_metrics
from pretrain.directory import claim
from pretrain.saving import branch
from pretrain.saving import checkpoint_files as files
from pretrain.saving.average import choose
from tests.pretrain.test_checkpoint import do

MakeRecipe = Callable[..., Recipe]


class Runs:
    """Recipes in one root; the run `first` has checkpoints of iterations 2, 4 and 6."""

    def __init__(self, make: MakeRecipe, pool: Any, directory: Path) -> None:
        self._make, self._directory, self._pool = make, directory, pool
        recipe = self.recipe("first")
        self.first = recipe.run_directory
        claim(make_plan(recipe), force=False)
        saves = [do("train", iterations=2), do("save", directory=self.checkpoints, keep=9)]
        self.steps("first", *saves, *saves, *saves)

    @property
    def checkpoints(self) -> str:
        return str(self.first / "checkpoints")

    def steps(self, name: str, *steps: dict[str, Any]) -> list[Any]:
        copies = [dict(step) for step in steps]
        recipe = self.recipe(name)
        answer = self._pool(recipe, self._directory / "work", steps=copies)
        answers: list[Any] = answer["ok"]["answers"]
        return answers

    def recipe(self, name: str, seed: int = 1, **tables: dict[str, Any]) -> Recipe:
        base = self._make(name=name, seed=seed, **{"training": {"iterations": 8}, **tables})
        data = base.to_dict()
        for table in ("branch", "data"):
            data["pretrain"][table] |= tables.get(table, {})
        return Recipe.from_dict(data)

    def branched(self, seed: int = 1, iteration: int = 4, **tables: dict[str, Any]) -> Recipe:
        origin = {"run": str(self.first), "iteration": iteration, **tables.pop("branch", {})}
        return self.recipe("second", seed, branch=origin, **tables)


@pytest.fixture(scope="module")
def runs(
    recipes_below: Callable[[Path], MakeRecipe],
    layouts: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    directory = tmp_path_factory.mktemp("branch")
    return Runs(recipes_below(directory), layouts, directory)


def origin(plan: Plan) -> branch.Origin:
    found = branch.origin(plan.recipe, plan.tokens)
    assert found is not None
    return found


def test_without_a_branch_a_run_begins_anew(runs: Runs) -> None:
    plan = make_plan(runs.recipe("third"))
    assert branch.origin(plan.recipe, plan.tokens) is None


def test_the_checkpoint_is_that_of_the_iteration_or_the_last_one(runs: Runs) -> None:
    assert origin(make_plan(runs.branched())).iteration == 4
    assert origin(make_plan(runs.branched(iteration=0))).iteration == 6
    with pytest.raises(UserError, match=r"got 5, expected .* \(there are: 2, 4, 6\)"):
        make_plan(runs.branched(iteration=5))
    with pytest.raises(UserError, match=r"iterations: got 4, expected more than 4"):
        make_plan(runs.branched(training={"iterations": 4}))
    with pytest.raises(UserError, match=r"branch\.run: got .*first, expected another run"):
        make_plan(runs.recipe("first", branch={"run": str(runs.first)}))


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("run.seed", {"seed": 2}),
        ("pretrain.model.ffn_size", {"model": {"ffn_size": 96}}),
        ("pretrain.model.sequence_length", {"model": {"sequence_length": 16}}),
        ("pretrain.training.batch_size", {"training": {"iterations": 8, "batch_size": 4}}),
        ("pretrain.training.precision", {"training": {"iterations": 8, "precision": "bf16"}}),
        ("pretrain.data.mask_documents", {"data": {"mask_documents": False}}),
        (
            "pretrain.data.stages",
            {"data": {"stages": [{"start_iteration": 2, "sequence_length": 16}]}},
        ),
    ],
)
def test_what_must_agree_is_named_before_anything_starts(
    runs: Runs, key: str, change: dict[str, Any]
) -> None:
    with pytest.raises(UserError) as caught:
        make_plan(runs.branched(**change))
    assert caught.value.message.startswith(f"{key}: got ")
    assert f"as {runs.first} has it up to 4" in caught.value.message


def test_what_comes_later_may_differ(runs: Runs) -> None:
    anneal = {"iterations": 6, "schedule": "linear", "lr_min": 0.0, "micro_batch_size": 4}
    later = {"stages": [{"start_iteration": 4, "sequence_length": 16}]}
    plan = make_plan(runs.branched(training=anneal, data=later, parallel={"data": 2}))
    assert origin(plan).iteration == 4


def test_the_weights_need_the_same_model_only(runs: Runs) -> None:
    weights = {"weights_only": True}
    free = {"iterations": 3, "batch_size": 4, "precision": "bf16"}
    plan = make_plan(
        runs.branched(seed=9, branch=weights, training=free, model={"sequence_length": 16})
    )
    assert origin(plan).weights_only
    with pytest.raises(UserError, match=r"pretrain\.model\.ffn_size: got 96"):
        make_plan(runs.branched(branch=weights, model={"ffn_size": 96}))


def test_what_a_run_was_begun_from_is_recorded_and_an_input(runs: Runs) -> None:
    plan = make_plan(runs.branched(iteration=0))
    claim(plan, force=False)
    recorded = origin(plan)
    directory = plan.recipe.run_directory
    manifest = files.read(runs.first / "checkpoints" / "iteration-00000006")
    assert branch.inputs(recorded)[0].digest == manifest.files_digest
    # Another checkpoint is the last one now, or none is left: the run stays with its own.
    latest = runs.first / "checkpoints" / "latest"
    latest.rename(latest.with_name("aside"))
    try:
        assert origin(make_plan(runs.branched(iteration=0))) == recorded
    finally:
        latest.with_name("aside").rename(latest)
    (directory / branch.RECORD).write_text('{"run": 1}')
    with pytest.raises(UserError, match=r"origin\.json: got unreadable"):
        make_plan(runs.branched(iteration=0))
    (directory / branch.RECORD).unlink()


def test_checkpoints_to_average_are_named_or_counted(runs: Runs) -> None:
    directory = Path(runs.checkpoints)
    assert list(choose(directory, 2, ())) == [4, 6]
    assert list(choose(directory, 0, (6, 2))) == [6, 2]
    for last, iterations, said in (
        (0, (), "neither or both"), (2, (2, 4), "neither or both"), (9, (), "got 9, expected at"),
        (0, (3, 4), "got 3, expected checkpoints of"), (1, (), "1 checkpoint, expected two"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            choose(directory, last, iterations)


def test_the_mean_of_checkpoints_is_a_checkpoint_beside_them(runs: Runs) -> None:
    (said,) = runs.steps("first", do("average", run=str(runs.first), last=3))
    name = said["checkpoint"]
    assert said["iterations"] == [2, 4, 6]
    assert name == "average-00000002-00000006-3"
    assert files.latest(Path(runs.checkpoints)) == "iteration-00000006"
    names = [files.name_of(iteration) for iteration in (2, 4, 6)]
    mean = do("mean_is", directory=runs.checkpoints, name=name, of=names)
    other = do("mean_is", directory=runs.checkpoints, name=name, of=names[1:])
    assert runs.steps("first", mean, other) == [True, False]
    manifest = files.read(Path(runs.checkpoints) / name)
    assert [entry.path for entry in manifest.inputs] == names


@pytest.mark.slow
def test_a_branch_goes_on_as_the_run_that_it_left(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    settings = {"interval_iterations": 4, "permanent_interval_iterations": 4, "keep": 1}
    tables: dict[str, Any] = {"training": {"iterations": 12}, "checkpoint": settings}
    first = make_recipe(name="first", **tables)
    launcher.run(first)

    def branched(name: str, **options: Any) -> Recipe:
        data = make_recipe(name=name, **tables).to_dict()
        data["pretrain"]["branch"] |= {"run": str(first.run_directory), **options}
        data["pretrain"]["parallel"] |= {"data": 2} if name == "wide" else {}
        return Recipe.from_dict(data)

    def losses(recipe: Recipe) -> dict[int, float]:
        events = read_metrics(recipe.run_directory)
        return {e["iteration"]: e["loss"] for e in events if e["event"] == "train"}

    same = branched("same", iteration=8)
    launcher.run(same)
    assert losses(same) == {n: loss for n, loss in losses(first).items() if n > 8}
    events = read_metrics(same.run_directory)
    assert [e["event"] for e in events][:2] == ["start", "branch"]
    assert events[1]["from_iteration"] == 8
    inputs = {entry.path for entry in read_manifest(same.run_directory, "run", 1).inputs}
    assert inputs == {"tokens", "branch"}

    weights = branched("weights", iteration=8, weights_only=True)
    launcher.run(weights)
    assert min(losses(weights)) == 1
    assert losses(weights)[1] < 0.9 * losses(first)[1], "no new weights"

    # Means of the run's checkpoints, measured by name; not while somebody writes the run.
    command = [sys.executable, "-m", "pretrain", "average", str(first.run_directory), "--last=3"]
    with lock(first.run_directory):
        assert subprocess.run(command, capture_output=True).returncode == 6
    name = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["checkpoint"]
    command = [sys.executable, "-m", "pretrain", "evaluate", str(first.run_directory)]
    last, mean = (
        json.loads(subprocess.run([*command, *more], capture_output=True, check=True).stdout)
        for more in ([], ["--checkpoint", name])
    )
    assert last["iteration"] == mean["iteration"] == 12
    assert last["loss"] != mean["loss"]
    assert abs(mean["loss"] - last["loss"]) < 0.5
