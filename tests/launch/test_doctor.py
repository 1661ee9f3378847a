"""The doctor: what it finds here, and that it finds what is planted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch import doctor
from launch.errors import UserError
from launch.recipe import Recipe


def states(recipe: Recipe | None = None) -> dict[str, str]:
    return {finding.what: finding.state for finding in doctor.examine(recipe)}


def test_this_environment_is_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    doctor.run(Recipe.from_dict({"run": {"root": str(tmp_path / "not/yet")}}))
    printed = capsys.readouterr().out
    for what in ("Python", "dataprep", "fasttext", "megatron-core", "disk", "Slurm"):
        assert what in printed


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from launch import doctor; list(doctor.examine());"
        "heavy = {'torch', 'ray', 'numba', 'pyarrow', 'scipy'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_package_that_took_our_name_is_found(tmp_path: Path, repository: Path) -> None:
    """What `pip install tokenizer` would do to an editable install."""
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "__init__.py").touch()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from launch.doctor import package_owner; print(package_owner('tokenizer', {}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True,
        text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert "state='wrong'" in done.stdout
    assert "took its place" in done.stdout


def test_another_distribution_with_our_name_is_found(tmp_path: Path, repository: Path) -> None:
    info = tmp_path / "scaling-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scaling\nVersion: 9\n")
    (info / "top_level.txt").write_text("scaling\n")
    (info / "RECORD").write_text("scaling/__init__.py,,\n")
    code = (
        "from launch.doctor import package_owner; from importlib import metadata;"
        "print(package_owner('scaling', metadata.packages_distributions()).detail)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": f"{repository}:{tmp_path}"},
    )  # fmt: skip
    assert "scaling installs it too; pip uninstall scaling" in done.stdout


def test_what_is_wrong_ends_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe.from_dict(
        {"run": {"root": str(tmp_path)}, "execution": {"memory_gigabytes": 1e6}}
    )
    assert states(recipe)["memory"] == "wrong"
    with pytest.raises(UserError, match="wrong: memory") as caught:
        doctor.run(recipe)
    assert caught.value.exit_code == 2


def test_a_missing_engine_is_wrong_only_if_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    version = doctor._version

    def without(distribution: str) -> str | None:
        return None if distribution in ("ray", "torch") else version(distribution)

    monkeypatch.setattr(doctor, "_version", without)
    found = states()
    assert found["ray"] == "wrong"
    assert found["torch"] == "note"


def test_the_wrong_fasttext_is_found() -> None:
    finding = doctor._fasttext({"fasttext": ["fasttext-predict", "fasttext-community"]})
    assert finding.state == "wrong"
    assert "fasttext-predict" in finding.detail
