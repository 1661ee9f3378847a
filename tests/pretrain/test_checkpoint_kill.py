"""A whole run with saves beside training, killed inside one of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.recipe import Recipe
from pretrain import launcher
from pretrain.contract import read_metrics
from pretrain.saving import checkpoint_files as files


@pytest.mark.slow
def test_a_run_killed_while_it_writes_beside_training_ends_as_one_that_was_not(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    training = {"iterations": 40, "valid_interval": 0}
    alone = make_recipe(
        name="alone", training=training, checkpoint={"interval_iterations": 4}
    )  # fmt: skip
    beside = {"interval_iterations": 4, "asynchronous": True, "permanent_interval_iterations": 16}
    killed = make_recipe(name="killed", training=training, checkpoint=beside)
    launcher.run(alone)
    path = tmp_path / "killed.toml"
    path.write_text(killed.to_toml())
    command = [sys.executable, "-m", "pretrain", "run", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    checkpoints = killed.run_directory / "checkpoints"
    while process.poll() is None:
        if files.latest(checkpoints) is not None and any(checkpoints.glob(".iteration-*.tmp")):
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.0005)
    assert process.wait() == -signal.SIGKILL
    time.sleep(1.0)  # the trainer dies with the launcher
    name = files.latest(checkpoints)
    assert name is not None
    assert files.broken(checkpoints / name, files.read(checkpoints / name).files) == []
    launcher.run(killed)
    ours, theirs = (read_metrics(recipe.run_directory) for recipe in (killed, alone))
    assert [e["iteration"] for e in ours if e["event"] == "resume"] == [int(name[10:])]
    assert [e["loss"] for e in ours if "loss" in e] == [e["loss"] for e in theirs if "loss" in e]
    saves = [e for e in ours if e["event"] == "checkpoint"]
    assert all(e["asynchronous"] for e in saves)
    assert {e["iteration"] for e in saves if e["permanent"]} == {16, 32}
    assert list(files.checkpoints_in(checkpoints)) == [16, 32, 36, 40]
