"""A recipe says everything once; what it cannot mean is refused in one line before any work."""

import tomllib
from pathlib import Path

import pytest

from launch.errors import UserError
from launch.recipe import Recipe, load_recipe

MINIMAL = '[run]\nname = "a"\nroot = "out"\nseed = 3\n'


def write(directory: Path, text: str) -> Path:
    path = directory / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, MINIMAL))
    assert recipe.run.seed == 3
    assert recipe.sources[0].kind == "installed-docs"
    assert recipe.run_directory == Path("out/runs/a")


def test_arguments_come_after_the_file(tmp_path: Path) -> None:
    changes = ["run.seed=5", "run.name=pilot-2", "sources.0.weight=2", "dataprep.languages=['en']"]
    recipe = load_recipe(write(tmp_path, MINIMAL + '[[sources]]\nname = "docs"\n'), changes)
    assert (recipe.run.seed, recipe.run.name) == (5, "pilot-2")
    assert recipe.sources[0].weight == 2.0
    assert recipe.dataprep.languages == ("en",)


def test_a_written_recipe_reads_as_the_same_one(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, MINIMAL), ["pretrain.parallel.tensor=2"])
    again = load_recipe(write(tmp_path, recipe.to_toml()))
    assert again == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert tomllib.loads(recipe.to_toml())["pretrain"]["parallel"]["tensor"] == 2


@pytest.mark.parametrize(
    ("text", "changes", "message", "hint"),
    [
        ("[run]\nnme = 'x'\n", [], "run.nme: got an unknown key", "did you mean 'name'?"),
        ("[pretran]\n", [], "pretran: got an unknown key", "did you mean 'pretrain'?"),
        (
            "[pretrain.paralel]\n",
            [],
            "pretrain.paralel: got an unknown",
            "did you mean 'parallel'?",
        ),
        ("[run]\nseed = '1'\n", [], 'run.seed: got "1", expected a valid integer', ""),
        ("[run]\nname = '../x'\n", [], 'run.name: got "../x"', ""),
        ("run = 3\n", [], "run: got 3", ""),
        ("sources = 3\n", [], "sources: got 3", ""),
        ("[[sources]]\nname='a'\n[[sources]]\nname='a'\n", [], "sources: got the name 'a'", ""),
        ("[run\n", [], "recipe.toml: got invalid TOML", ""),
        ("", ["run.seed"], "argument 'run.seed': got no key=value", ""),
        ("", ["sources.3.weight=1"], "argument 'sources.3.weight=1'", ""),
        ("[run]\nseed=1\n", ["run.seed.x=1"], "argument 'run.seed.x=1'", ""),
        ("[[sources]]\nname='a'\nkind='jsonl'\n", [], "sources.a.paths: got no path", ""),
    ],
)
def test_what_it_cannot_mean_is_refused(
    tmp_path: Path, text: str, changes: list[str], message: str, hint: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(tmp_path, text), changes)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_missing_recipe_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file") as caught:
        load_recipe(tmp_path / "none.toml")
    assert "launch/recipes/" in caught.value.hint
