"""`gristmill launch submit`: which keys go where, and what is refused."""

from pathlib import Path

import pytest

from launch.errors import UserError
from launch.submit import split_options, submit

RECIPE = '[run]\nname = "pilot"\nroot = "runs/pilot"\n'


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pilot.toml").write_text(RECIPE)
    return tmp_path


def test_options_of_the_job_and_changes_of_the_recipe() -> None:
    options, changes = split_options(
        ["slurm.nodes=4", "run.seed=2", "slurm.partition=gpu", 'slurm.setup=["a b"]'], "slurm"
    )
    assert options == {"nodes": 4, "partition": "gpu", "setup": ["a b"]}
    assert changes == ["run.seed=2"]


def test_a_dry_run_prints_the_script_and_leaves_nothing(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(Path("pilot.toml"), ["slurm.time_limit=2:00:00", "run.seed=2"], to="slurm", dry_run=True)
    printed = capsys.readouterr().out
    assert printed.startswith("#!/bin/bash\n")
    assert "#SBATCH --time=2:00:00\n" in printed
    assert "overrides=(run.seed=2)" in printed
    assert f"#SBATCH --chdir={work}\n" in printed
    assert [path.name for path in work.iterdir()] == ["pilot.toml"]


def test_ray_prints_one_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(Path("pilot.toml"), ["ray.address=http://head:8265"], to="ray", dry_run=True)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert printed.startswith("ray job submit --address=http://head:8265 -- env ")


@pytest.mark.parametrize(
    ("arguments", "to", "message"),
    [
        ((), "lsf", r"--to: got 'lsf', expected slurm or ray"),
        (("slurm.node=2",), "slurm", r"slurm\.node: got an unknown key"),
        (("slurm.nodes=two",), "slurm", r"slurm\.nodes"),
        (("slurm.partition=gpu; rm -rf /",), "slurm", r"slurm\.partition"),
        (("ray.gpus=2",), "slurm", r"an option of ray, expected slurm\.KEY=VALUE"),
        (("run.sed=2",), "slurm", r"run\.sed: got an unknown key"),
    ],
)
def test_what_is_wrong_is_refused(
    work: Path, arguments: tuple[str, ...], to: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        submit(Path("pilot.toml"), arguments, to=to, dry_run=True)


def test_without_slurm_the_script_is_kept_and_the_way_out_named(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(work))
    with pytest.raises(UserError, match="sbatch: got no such program") as caught:
        submit(Path("pilot.toml"), to="slurm")
    assert "--dry-run" in caught.value.hint
    assert (work / "runs/pilot/runs/pilot/submit.slurm").exists()


def test_sbatch_gets_the_script(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sbatch = work / "sbatch"
    sbatch.write_text('#!/bin/bash\ncp "$1" ' + str(work / "submitted") + "\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{work}:/usr/bin:/bin")
    submit(Path("pilot.toml"), ["slurm.restarts_max=5"], to="slurm")
    assert "restarts_max=5\n" in (work / "submitted").read_text()
    assert (work / "runs/pilot/runs/pilot/logs").is_dir()
    sbatch.write_text("#!/bin/bash\nexit 1\n")
    with pytest.raises(UserError, match="exit code 1, expected a submitted job"):
        submit(Path("pilot.toml"), to="slurm")
