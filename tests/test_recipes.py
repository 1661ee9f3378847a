"""Every shipped recipe loads, passes all checks that need no input, and writes nothing for it."""

from pathlib import Path

import pytest

from launch.recipe import load_recipe

RECIPES = sorted((Path(__file__).parent.parent / "launch" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_complete_and_possible(path: Path, tmp_path: Path) -> None:
    import pretrain.check

    recipe = load_recipe(path, [f"run.root='{tmp_path / 'root'}'"])
    pretrain.check.check_recipe(recipe)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_opens_with_its_command(path: Path) -> None:
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"gristmill run launch/recipes/{path.name}" in line for line in head)


def test_the_dry_run_of_the_demo_prints_its_plan_and_writes_nothing(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from launch.pipeline import run

    root = tmp_path / "root"
    changes = [f"run.root='{root}'", "sources.0.packages=['numpy']"]
    run(load_recipe(repository / "launch/recipes/tiny.toml", changes), dry_run=True)
    printed = capsys.readouterr().out
    assert "shards" in printed
    assert "pretrain: planned when" in printed
    assert not root.exists()
