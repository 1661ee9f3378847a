"""SIGKILL of any process at any moment, then the same command again: the same to the bit."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from launch.manifest import read_manifest
from tests.test_pipeline import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

# Start after start: whom to kill as soon as a path below the root is there. A lost Ray worker is
# replaced and the command goes on; any other loss ends it.
STARTS = [
    [("ray worker", "documents/work"), ("driver", "documents/work/*/*")],
    [("raylet", "documents/work")],
    [("driver", "tokenizer/work")],
    [("ray worker", "tokens/work"), ("driver", "tokens/work/*/*")],
    [("trainer", "runs/main/checkpoints/iteration-*")],
    [("torchrun agent", "runs/main/checkpoints/latest")],
    [("driver", "runs/main/checkpoints/latest")],
    [("trainer", "runs/ladder-*/result.json")],
    [("driver", "runs/ladder-*/result.json")],
]
# Long enough to be killed in the middle, with several checkpoints.
LONGER = SMALL.replace("iterations = 12", "iterations = 120").replace(
    "interval_iterations = 6", "interval_iterations = 10"
)


def matches(victim: str, process: psutil.Process, driver: int) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return False
    if victim == "driver":
        return process.pid == driver
    if victim == "ray worker":
        return line.startswith("ray::") and "IDLE" not in line
    if victim == "raylet":
        return "raylet/raylet" in line
    if victim == "torchrun agent":
        return "torch.distributed.run" in line
    return "-m pretrain" in line and "torch.distributed.run" not in line


def start(recipe: Path, log: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "launch.cli", "run", str(recipe)]
    with log.open("ab") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=stream)


def kill_one(driver: "subprocess.Popen[bytes]", victim: str, root: Path, pattern: str) -> bool:
    """Kill one process of that kind; False if the command ended before there was one."""
    while driver.poll() is None:
        family = [psutil.Process(driver.pid)]
        try:
            family += family[0].children(recursive=True)
        except psutil.Error:
            return False
        targets = [process for process in family if matches(victim, process, driver.pid)]
        if targets and any(root.glob(pattern)):
            with contextlib.suppress(psutil.NoSuchProcess):
                targets[-1].send_signal(signal.SIGKILL)
                return True
        time.sleep(0.02)
    return False


def outcome(root: Path) -> dict[str, Any]:
    """Everything that must not depend on how often the work was interrupted."""
    kinds = ("documents", "tokenizer", "tokens")
    digests = {kind: read_manifest(root / kind, kind, 1).files_digest for kind in kinds}
    losses = {}
    for path in sorted(root.glob("runs/*/result.json")):
        result = json.loads(path.read_text())
        assert result["status"] == "done", path
        losses[path.parent.name] = [
            result[key] for key in ("loss_first", "loss_last", "loss_valid", "tokens")
        ]
    fits = (root / "scaling/fit/fit.json").read_text()
    return {**digests, "losses": losses, "fits": fits}


def finish(recipe: Path, log: Path) -> None:
    code = start(recipe, log).wait(timeout=400)
    assert code == 0, log.read_text()[-3000:]


def test_kills_change_nothing(tmp_path: Path) -> None:
    roots = {name: tmp_path / name for name in ("calm", "stormy")}
    recipes = {}
    for name, root in roots.items():
        recipes[name] = tmp_path / f"{name}.toml"
        recipes[name].write_text(LONGER.format(root=root))
    finish(recipes["calm"], tmp_path / "calm.log")

    log = tmp_path / "stormy.log"
    killed = []
    for victims in STARTS:
        driver = start(recipes["stormy"], log)
        for victim, pattern in victims:
            if kill_one(driver, victim, roots["stormy"], pattern):
                killed.append((victim, pattern))
        assert driver.wait(timeout=400) != 2, log.read_text()[-3000:]
    assert len(killed) >= 8, killed
    finish(recipes["stormy"], log)
    assert outcome(roots["stormy"]) == outcome(roots["calm"])


def test_a_second_start_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    recipe = tmp_path / "one.toml"
    recipe.write_text(SMALL.format(root=tmp_path / "root"))
    first = start(recipe, tmp_path / "first.log")
    try:
        while not (tmp_path / "root/documents/.lock").exists():
            assert first.poll() is None
            time.sleep(0.05)
        time.sleep(0.2)
        command = [sys.executable, "-m", "launch.cli", "run", str(recipe)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert second.returncode == 6
        assert f"process {first.pid} on " in second.stderr
        assert len(second.stderr.strip().splitlines()) == 3
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
