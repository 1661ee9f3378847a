"""Whole runs that are stopped, hang, crash or get longer; each starts torch, hence slow."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from launch.errors import GristmillError, PeerLostError, PreemptedError
from launch.recipe import Recipe
from pretrain import launcher
from pretrain.contract import read_metrics, read_result
from pretrain.safety import children, heartbeat

MakeRecipe = Callable[..., Recipe]


def begin(recipe: Recipe, path: Path, module: str = "pretrain") -> "subprocess.Popen[str]":
    path.write_text(recipe.to_toml())
    command = [sys.executable, "-m", module, "run", str(path)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(recipe: Recipe, phase: str, iteration: int, process: "subprocess.Popen[str]") -> None:
    """Until rank 0 says that it is in `phase`, with at least `iteration` updates done."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        sign = heartbeat.read(recipe.run_directory, [0]).get(0)
        if sign is not None and sign.phase == phase and sign.iteration >= iteration:
            return
        time.sleep(0.01)
    raise AssertionError(f"{phase} {iteration} was not reached in 120 s")


def losses(recipe: Recipe) -> list[tuple[str, int, float]]:
    events = read_metrics(recipe.run_directory)
    return [(e["event"], e["iteration"], e["loss"]) for e in events if "loss" in e]


@pytest.mark.slow
def test_an_evaluation_is_broken_off_and_made_up_for(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    # An evaluation of some seconds: the file is looked for once a second.
    tables: dict[str, Any] = {
        "parallel": {"data": 2},
        "model": {"layers": 16, "sequence_length": 16},
        "training": {"iterations": 6, "valid_interval": 3, "valid_batches": 1_000,
                     "micro_batch_size": 1},
        "watch": {"heartbeat_seconds": 0.05},
    }  # fmt: skip
    undisturbed = make_recipe(name="undisturbed", **tables)
    launcher.run(undisturbed)
    stopped = make_recipe(name="stopped", **tables)
    process = begin(stopped, tmp_path / "stopped.toml")
    wait_for(stopped, "evaluation", 3, process)
    (stopped.run_directory / "STOP").touch()  # no signal reaches it: only the file
    _, said = process.communicate(timeout=60)
    assert process.returncode == PreemptedError.exit_code, said
    assert "(the file STOP)" in said
    assert not (stopped.run_directory / "STOP").exists()
    launcher.run(stopped)
    assert losses(stopped) == losses(undisturbed)


@pytest.mark.slow
def test_a_crash_is_started_again_until_it_loops(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(
        training={"iterations": 100_000, "epochs_max": 1e9, "valid_interval": 0},
        checkpoint={"interval_iterations": 10, "keep": 1},
        watch={"restarts_max": 5, "heartbeat_seconds": 0.05},
    )
    process = begin(recipe, tmp_path / "crash.toml")
    wait_for(recipe, "step", 12, process)
    trainer = psutil.Process(process.pid).children()[0]
    trainer.kill()
    # It comes back from a checkpoint by itself.
    wait_for(recipe, "step", 30, process)
    broken = psutil.Process(process.pid).children()[0]
    assert broken.pid != trainer.pid
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "was ended by SIGKILL" in said
    assert "restart 1 of 5" in said
    lines = (recipe.run_directory / "logs" / "starts.jsonl").read_text().splitlines()
    assert [json.loads(line)["exit_code"] for line in lines] == [5, 3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGKILL, "gone"), (signal.SIGSTOP, "stopped")]
)
def test_a_lost_rank_is_named_within_the_step_timeout(
    make_recipe: MakeRecipe, tmp_path: Path, number: signal.Signals, word: str
) -> None:
    recipe = make_recipe(
        parallel={"data": 2},
        training={"iterations": 100_000, "epochs_max": 1e9, "valid_interval": 0},
        # A wait in a save has the long limit.
        checkpoint={"interval_iterations": 100_000},
        watch={"step_timeout_seconds": 5.0, "heartbeat_seconds": 0.05},
    )
    process = begin(recipe, tmp_path / "lost.toml")
    wait_for(recipe, "step", 3, process)
    below = psutil.Process(process.pid).children(recursive=True)
    (rank,) = [child for child in below if child.environ().get("RANK") == "1"]
    rank.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == PeerLostError.exit_code, said
    assert f"rank 1 is {word} (process {rank.pid} on " in said
    assert read_result(recipe.run_directory).status == "failed"


def test_a_crash_loop_ends(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    # A module that ends without a word: each start fails in a tenth of a second.
    monkeypatch.setattr(children, "MODULE", "this")
    recipe = make_recipe(watch={"restarts_max": 9})
    with pytest.raises(GristmillError) as caught:
        launcher.run(recipe)
    assert caught.value.exit_code == 5
    assert "rank 0 ended with 0 and said nothing" in caught.value.message
    lines = (recipe.run_directory / "logs" / "starts.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert read_result(recipe.run_directory).status == "failed"


@pytest.mark.slow
def test_a_finished_run_goes_on_in_its_place(make_recipe: MakeRecipe) -> None:
    def of(iterations: int, **watch: Any) -> Recipe:
        training = {"iterations": iterations, "schedule": "constant", "valid_interval": 0}
        return make_recipe(training=training, watch=watch)

    launcher.run(of(6))
    first = losses(of(6))
    # How it is watched is no matter of the result: nothing to do.
    begun = time.process_time()
    assert launcher.run(of(6, restarts_max=3))["iterations"] == 6
    assert time.process_time() - begun < 1.0
    longer = launcher.run(of(10, restarts_max=3))
    assert (longer["status"], longer["iterations"], longer["tokens"]) == ("done", 10, 10 * 8 * 32)
    assert losses(of(10))[: len(first)] == first
    events = read_metrics(of(10).run_directory)
    assert [e["iteration"] for e in events if e["event"] == "train"] == list(range(1, 11))
    assert [e["event"] for e in events].count("end") == 1
    assert launcher.run(of(10)) == longer


@pytest.mark.slow
def test_a_rank_whose_storage_is_slow_is_reported(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(
        name="straggler",
        parallel={"data": 2},
        training={"iterations": 8, "valid_interval": 0, "log_interval": 2},
    )
    # Each batch of rank 1 comes 1.2 s late.
    process = begin(recipe, tmp_path / "slow.toml", "benchmarks.pretrain_safety_slow")
    process.communicate(timeout=300)
    assert process.returncode == 0
    found = [e for e in read_metrics(recipe.run_directory) if e["event"] == "straggler"]
    assert [event["rank"] for event in found] == [1]
    assert found[0]["seconds"] > 1.2
    assert found[0]["seconds"] > 1.5 * found[0]["median_seconds"]
    assert found[0]["host"] == heartbeat.read(recipe.run_directory, [0])[0].host
