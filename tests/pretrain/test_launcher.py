"""Whole runs as a user starts them: killed, stopped, alone or after each other."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from launch import torchrun
from launch.errors import LockedError, PreemptedError, UserError
from launch.lock import lock
from launch.manifest import read_manifest
from launch.recipe import Recipe
from pretrain import launcher
from pretrain.contract import open_run, read_metrics, read_result

MakeRecipe = Callable[..., Recipe]

# What a kill, another moment or another machine may change in a result.
TIMES = ("seconds", "tokens_per_second")


def same(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in (*TIMES, "name")}


def losses(directory: Path) -> list[tuple[str, int, float]]:
    events = read_metrics(directory)
    return [(e["event"], e["iteration"], e["loss"]) for e in events if "loss" in e]


def write(recipe: Recipe, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(recipe.to_toml())
    return path


def begin(recipe: Recipe, path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pretrain", "run", str(write(recipe, path))]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(directory: Path, iteration: int, process: "subprocess.Popen[str]") -> None:
    """Until the run has logged `iteration`."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        path = directory / "metrics.jsonl"
        if path.exists() and f'"iteration": {iteration},' in path.read_text():
            return
        time.sleep(0.01)
    raise AssertionError(f"{directory}: iteration {iteration} was not reached in 120 s")


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


def trainers(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if "RANK" in p.environ()]


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not alive


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_as_one_that_was_not(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    tables = {
        "parallel": {"tensor": 2},
        "training": {"iterations": 60, "valid_interval": 25, "micro_batch_size": 4},
        "checkpoint": {"interval_iterations": 10},
    }
    undisturbed = launcher.run(make_recipe(name="undisturbed", **tables))
    killed = make_recipe(name="killed", **tables)
    directory = killed.run_directory
    for victim, iteration in (("launcher", 13), ("trainer", 26), ("torchrun", 41)):
        process = begin(killed, tmp_path / "killed.toml")
        wait_for(directory, iteration, process)
        processes = family(process)
        ranks = trainers(processes)
        assert len(ranks) == 2
        agent = ranks[0].parent()
        assert agent is not None
        {"launcher": processes[0], "trainer": ranks[1], "torchrun": agent}[victim].kill()
        process.communicate(timeout=60)
        assert all_gone(processes), "nobody outlives its parent"
        if victim != "launcher":
            assert process.returncode == 5
            assert read_result(directory).status == "failed"
    ended = launcher.run(killed)
    assert same(ended) == same(undisturbed)
    assert losses(directory) == losses(directory.parent / "undisturbed")
    assert len([e for e in read_metrics(directory) if e["event"] == "resume"]) == 3
    assert not (directory / "work").exists()


@pytest.fixture(scope="module")
def alone(
    recipes_below: Callable[[Path], MakeRecipe], tmp_path_factory: pytest.TempPathFactory
) -> tuple[MakeRecipe, dict[str, Any]]:
    """A single-process run as it goes undisturbed."""
    make = recipes_below(tmp_path_factory.mktemp("alone"))
    return make, launcher.run(small(make, "first"))


def small(make: MakeRecipe, name: str, **training: Any) -> Recipe:
    whole = {"valid_interval": 20, "valid_batches": 1_000}
    return make(name=name, training={"iterations": 40, **whole, **training})


def test_what_a_finished_run_leaves(alone: tuple[MakeRecipe, dict[str, Any]]) -> None:
    make, result = alone
    recipe = small(make, "first")
    assert result["status"] == "done"
    assert result["loss_last"] < 0.9 * result["loss_first"]
    assert result["tokens"] == 40 * 8 * 32
    assert result["loss_valid"] > 0
    # The made-up corpus has four bytes to a token.
    assert result["bits_per_byte_valid"] == pytest.approx(
        result["loss_valid"] / 0.6931471805599453 / 4
    )
    assert open_run(recipe.run_directory).model_dump(mode="json") == result
    manifest = read_manifest(recipe.run_directory, "run", 1)
    named = {entry.path.split("/")[0] for entry in manifest.files}
    assert named == {"recipe.toml", "result.json", "checkpoints"}
    kept = sorted(p.name for p in (recipe.run_directory / "checkpoints").iterdir())
    assert kept == ["iteration-00000036", "iteration-00000040", "latest"]


def test_a_saved_model_is_measured_on_the_whole_validation(
    alone: tuple[MakeRecipe, dict[str, Any]],
) -> None:
    make, result = alone
    directory = small(make, "first").run_directory
    command = [sys.executable, "-m", "pretrain", "evaluate", str(directory)]
    measured = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert measured["iteration"] == 40
    # The run's own validations are of the whole split too.
    assert measured["tokens"] == result["valid_tokens"]
    assert measured["loss"] == pytest.approx(result["loss_valid"], rel=1e-6)


def test_the_same_again_is_up_to_date_and_another_is_refused(
    alone: tuple[MakeRecipe, dict[str, Any]],
) -> None:
    make, result = alone
    begun = time.process_time()
    assert launcher.run(small(make, "first")) == result
    assert time.process_time() - begun < 1.0
    with pytest.raises(UserError, match=r"pretrain\.training\.lr_peak: got 0\.02"):
        launcher.run(small(make, "first", lr_peak=0.02))


def test_a_run_that_is_being_written_is_refused(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    with lock(recipe.run_directory), pytest.raises(LockedError):
        launcher.run(recipe)


def test_an_unfinished_run_is_not_resumed_with_another_recipe(make_recipe: MakeRecipe) -> None:
    from pretrain.check import make_plan
    from pretrain.directory import claim

    claim(make_plan(make_recipe()), force=False)
    # How it is computed may change; what is computed may not.
    claim(make_plan(make_recipe(parallel={"data": 2})), force=False)
    with pytest.raises(UserError, match=r"pretrain\.training\.beta2: got 0\.9"):
        claim(make_plan(make_recipe(training={"beta2": 0.9})), force=False)
    with pytest.raises(UserError, match=r"run\.seed: got 2"):
        claim(make_plan(make_recipe(seed=2)), force=False)
    claim(make_plan(make_recipe(seed=2)), force=True)


@pytest.mark.slow
def test_a_stopped_run_saves_says_so_and_goes_on(
    alone: tuple[MakeRecipe, dict[str, Any]], tmp_path: Path
) -> None:
    make, result = alone
    recipe = small(make, "stopped")
    process = begin(recipe, tmp_path / "stopped.toml")
    wait_for(recipe.run_directory, 5, process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == PreemptedError.exit_code, said
    assert "stopped and saved after iteration" in said
    stopped = read_result(recipe.run_directory)
    assert (stopped.status, stopped.exit_code) == ("preempted", 3)
    assert same(launcher.run(recipe)) == same(result)


@pytest.mark.slow
def test_runs_in_one_process_are_those_of_processes_of_their_own(
    alone: tuple[MakeRecipe, dict[str, Any]], tmp_path: Path
) -> None:
    make, result = alone
    recipes = tmp_path / "recipes"
    for name, hidden in (("wide", 48), ("second", 32), ("wide-again", 48)):
        base = small(make, name).to_dict()
        base["pretrain"]["model"]["hidden_size"] = hidden
        write(Recipe.from_dict(base), recipes / f"{name}.toml")
    launcher.run_directory_of_recipes(recipes, workers=1)
    second, wide, again = (
        read_result(small(make, name).run_directory).model_dump(mode="json")
        for name in ("second", "wide", "wide-again")
    )
    # `second` came last, after two runs of another shape, and with as many threads as when alone.
    assert same(second) == same(result)
    assert same(again) == same(wide)
    assert losses(small(make, "second").run_directory) == losses(small(make, "first").run_directory)


def test_a_directory_is_for_single_process_recipes(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write(make_recipe(parallel={"data": 2}), tmp_path / "recipes" / "a.toml")
    with pytest.raises(UserError, match="got 2 processes"):
        launcher.run_directory_of_recipes(tmp_path / "recipes", 2)
    with pytest.raises(UserError, match=r"no \*\.toml"):
        launcher.run_directory_of_recipes(tmp_path, 2)


def started_as_a_rank(path: Path) -> "subprocess.CompletedProcess[str]":
    """As torchrun on a cluster would, without our launcher."""
    variables = torchrun.environment(1) | torchrun.single_process_environment()
    command = [sys.executable, "-m", "pretrain", "run", str(path)]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)


@pytest.mark.slow
def test_without_the_launcher_rank_0_looks_after_the_directory(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(training={"iterations": 3})
    path = write(recipe, tmp_path / "one.toml")
    assert started_as_a_rank(path).returncode == 0
    assert open_run(recipe.run_directory).status == "done"
    again = started_as_a_rank(path)
    assert "up to date" in again.stderr
    two = write(make_recipe(name="two", parallel={"tensor": 2}), tmp_path / "two.toml")
    refused = started_as_a_rank(two)
    assert refused.returncode == 2
    assert "= 2 processes, expected 1" in refused.stderr


def test_a_wrong_recipe_is_refused_in_one_line(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    path = write(make_recipe(), tmp_path / "one.toml")
    command = [sys.executable, "-m", "pretrain", "run", str(path), "pretrain.parallel.tensor=4"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    first = refused.stderr.splitlines()[0]
    assert first.startswith("error: pretrain.parallel.tensor: got 4, expected a divisor")
    assert not make_recipe().run_directory.exists()


def test_a_machine_that_is_too_small_is_refused_before_anything_starts(
    make_recipe: MakeRecipe,
) -> None:
    wide = {"layers": 64, "hidden_size": 8192, "heads": 64, "kv_heads": 64, "ffn_size": 32768}
    recipe = make_recipe(model=wide)
    with pytest.raises(UserError, match=r"GB (free|on this machine), expected [\d,.]+ GB for"):
        launcher.run(recipe)
    assert not (recipe.run_directory / "result.json").exists()


def test_a_dry_run_writes_nothing(
    make_recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe()
    assert launcher.run(recipe, dry_run=True) == {}
    assert "84,128 parameters" in capsys.readouterr().out
    assert not recipe.run_directory.exists()
