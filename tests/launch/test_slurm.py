"""The Slurm script: golden text, syntax, quoting, and its program run against stand-ins for
Slurm's own commands (the real ones in test_slurm_cluster.py)."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch.errors import UserError
from launch.recipe import Recipe
from launch.slurm import SlurmOptions, render

GOLDEN = Path(__file__).parent / "golden"


def recipe_of(**pretrain: Mapping[str, Any]) -> Recipe:
    return Recipe.from_dict({"run": {"name": "pilot", "root": "runs/pilot"}, "pretrain": pretrain})


LAYOUT = recipe_of(parallel={"tensor": 2, "pipeline": 2, "data": 4})
CASES = {
    "cpu": (recipe_of(), (), SlurmOptions(python=".venv/bin/python")),
    "gpu": (
        LAYOUT,
        ("pretrain.training.precision=bf16", "run.seed=2"),
        SlurmOptions(
            nodes=2, gpus_per_node=8, cpus_per_node=96, partition="gpu", account="lab",
            time_limit="1-00:00:00", python="/opt/gristmill/bin/python",
            setup=("module load cuda/12.8", "export NCCL_SOCKET_IFNAME=ib0"),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_script_is_the_golden_one(name: str) -> None:
    """Written anew with GRISTMILL_GOLDEN=write; read the difference before it is committed."""
    recipe, overrides, options = CASES[name]
    text = render(recipe, "recipes/pilot.toml", overrides, options, "/shared/work")
    path = GOLDEN / f"submit-{name}.slurm"
    if os.environ.get("GRISTMILL_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", sorted(CASES))
def test_bash_can_read_the_script(name: str) -> None:
    recipe, overrides, options = CASES[name]
    text = render(recipe, "recipes/pilot.toml", overrides, options, "/shared/work")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    shellcheck = shutil.which("shellcheck")
    if shellcheck:
        subprocess.run([shellcheck, "-"], input=text, text=True, check=True)


hostile = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1)


@settings(deadline=None, max_examples=10)
@given(path=hostile, override=hostile)
def test_hostile_names_reach_the_program_as_they_are(path: str, override: str) -> None:
    text = render(recipe_of(), path, [override], SlurmOptions(python=path))
    assert "\n#SBATCH" not in text[text.index("set -uo pipefail") :]
    head = text[: text.index("# All stages of one recipe inside one Slurm job.")]
    probe = head + 'printf "%s\\0" "$recipe" "$python" "${overrides[@]}"\n'
    done = subprocess.run(["bash", "-c", probe], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == [path, path, override]


@pytest.mark.parametrize("root", ["with space", "a\n#SBATCH --uid=0", "100%j", 'quo"te'])
def test_a_root_that_sbatch_would_misread_is_refused(root: str) -> None:
    recipe = Recipe.from_dict({"run": {"root": root}})
    with pytest.raises(UserError, match=r"run\.root"):
        render(recipe, "r.toml")


def test_a_layout_that_does_not_divide_is_refused() -> None:
    with pytest.raises(UserError, match=r"slurm\.nodes: got 3, expected a divisor of the 16"):
        render(LAYOUT, "r.toml", (), SlurmOptions(nodes=3))
    with pytest.raises(UserError, match=r"gpus_per_node: got 4, expected at least 8"):
        render(LAYOUT, "r.toml", (), SlurmOptions(nodes=2, gpus_per_node=4))


class FakeSlurm:
    """A directory of stand-ins on PATH: srun runs its command here, scontrol notes what it is
    told, python answers each stage with the exit code that the test wants."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls = directory / "calls"
        self.codes = directory / "codes.json"
        self.run = directory / "runs/pilot/runs/pilot"
        programs = directory / "bin"
        programs.mkdir()
        scontrol = f'if [ "$1" = show ]; then echo localhost; else echo "$@" >> {self.calls}; fi'
        self._program(programs / "scontrol", scontrol)
        # A job that is put back is ended by Slurm; here sleep does it.
        self._program(programs / "sleep", "kill -TERM $PPID; exec /bin/sleep 1")
        self._program(programs / "scancel", f'echo "scancel $@" >> {self.calls}')
        srun = 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"'
        self._program(programs / "srun", srun)
        self._program(programs / "python", f'exec {sys.executable} {directory / "stage.py"} "$@"')
        (directory / "stage.py").write_text(_STAGE)
        self.path = f"{programs}:{os.environ['PATH']}"

    def start(self, number: int = 0, **codes: Any) -> "subprocess.CompletedProcess[str]":
        self.codes.write_text(json.dumps(codes))
        recipe = Recipe.from_dict({"run": {"name": "pilot", "root": "runs/pilot"}})
        (self.directory / "job.slurm").write_text(
            render(recipe, "r.toml", ["run.seed=2"], SlurmOptions(restarts_max=3))
        )
        # Data stages that are finished need no Ray.
        (self.directory / "runs/pilot/tokens").mkdir(parents=True, exist_ok=True)
        (self.directory / "runs/pilot/tokens/manifest.json").touch()
        environment = {
            **os.environ,
            "PATH": self.path,
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "localhost",
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_NODEID": "0",
            "SLURM_CPUS_PER_TASK": "2",
            "SLURM_RESTART_COUNT": str(number),
            "FAKE_SLURM": str(self.directory),
        }
        return subprocess.run(
            ["bash", "job.slurm"], cwd=self.directory, env=environment, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip

    def noted(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    @staticmethod
    def _program(path: Path, body: str) -> None:
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


_STAGE = """
import json, os, pathlib, signal, sys
base = pathlib.Path(os.environ["FAKE_SLURM"])
words = sys.argv[1:]
if words[0] == "-":
    sys.argv = words
    exec(compile(sys.stdin.read(), "code", "exec"))
    sys.exit(0)
name = "train" if "torch.distributed.run" in words else " ".join(words[1:3])
with (base / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
codes = json.loads((base / "codes.json").read_text())
if name == "train":
    run = base / "runs/pilot/runs/pilot"
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    if codes.get("checkpoint"):
        (run / "checkpoints/latest").write_text(codes["checkpoint"])
    if codes.get("signal"):
        os.kill(os.getppid() if codes["signal"] == "parent" else 0, signal.SIGUSR1)
    result = codes.get("result")
    if result:
        (run / "result.json").write_text(json.dumps(result))
        sys.exit(0 if result["status"] == "done" else 1)
sys.exit(codes.get(name, 0))
"""


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    return FakeSlurm(tmp_path)


DONE = {"status": "done", "exit_code": 0}


def test_a_job_runs_all_stages_and_ends(slurm: FakeSlurm) -> None:
    done = slurm.start(result=DONE)
    assert done.returncode == 0, done.stderr
    stages = [line for line in slurm.noted() if line.startswith("-m")]
    assert [line.split(" r.toml")[0].split("-m ")[-1] for line in stages] == [
        "launch doctor", "dataprep run", "tokenizer train", "tokenizer encode",
        "pretrain check", "pretrain run", "launch run",
    ]  # fmt: skip
    assert all("run.seed=2" in line for line in stages[1:])
    torchrun = next(line for line in stages if "torch.distributed.run" in line)
    assert "--rdzv-endpoint=localhost:20056" in torchrun
    assert "is_host=true" in torchrun
    assert not any("requeue" in line for line in slurm.noted())


def test_a_preempted_run_goes_back_into_the_queue(slurm: FakeSlurm) -> None:
    """torchrun says 1 whatever happened; what counts is what the run wrote of itself."""
    slurm.start(result={"status": "preempted", "exit_code": 3}, checkpoint="iteration-10")
    assert "requeue 7" in slurm.noted()


@pytest.mark.parametrize("code", [2, 4, 6])
def test_what_a_person_must_mend_ends_the_job(slurm: FakeSlurm, code: int) -> None:
    done = slurm.start(**{"dataprep run": code})
    assert done.returncode == code
    assert "a person must look" in done.stderr
    assert not any("requeue" in line for line in slurm.noted())


def test_a_numerical_stop_ends_the_job(slurm: FakeSlurm) -> None:
    done = slurm.start(result={"status": "numerical_stop", "exit_code": 4})
    assert done.returncode == 4
    assert not any("requeue" in line for line in slurm.noted())


def test_a_crash_is_tried_again_as_long_as_there_is_progress(slurm: FakeSlurm) -> None:
    crash = {"status": "running", "exit_code": None}
    slurm.start(0, result=crash | {"at": 1}, checkpoint="iteration-10")
    slurm.start(1, result=crash | {"at": 2}, checkpoint="iteration-20")
    assert slurm.noted().count("requeue 7") == 2
    third = slurm.start(2, result=crash | {"at": 3}, checkpoint="iteration-20")
    assert slurm.noted().count("requeue 7") == 2
    assert third.returncode == 5
    assert "ended twice at the same place" in third.stderr


def test_a_job_is_not_put_back_for_ever(slurm: FakeSlurm) -> None:
    crash = {"status": "running", "exit_code": None}
    done = slurm.start(3, result=crash, checkpoint="iteration-99")
    assert done.returncode == 5
    assert "started 4 times" in done.stderr
    assert not any("requeue" in line for line in slurm.noted())
