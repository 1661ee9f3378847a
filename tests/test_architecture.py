"""The house rules that a machine can hold: direction, owners of engines, size, names."""

import ast
import importlib.util
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGES = ["dataprep", "tokenizer", "pretrain", "scaling", "launch"]
LEFT = {"tokenizer": "dataprep", "pretrain": "tokenizer", "scaling": "pretrain"}
# The one file of each package that may import an engine.
OWNERS = {
    "megatron": {"pretrain/megatron.py", "pretrain/cpu.py"},
    "ray": {"launch/ray_cluster.py"},
}
LINES_MAX = 400
BANNED_NAMES = {"common.py", "utils.py", "helpers.py", "misc.py"}
ROOT = Path(__file__).resolve().parent.parent


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path, skip_annotations: bool = False) -> set[str]:
    """What a module imports, anywhere in it; without what stands below `if TYPE_CHECKING`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    nodes: list[ast.AST] = [tree]
    for node in nodes:
        test = node.test if isinstance(node, ast.If) else None
        if skip_annotations and isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
            continue
        nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("package", sorted(LEFT))
def test_a_stage_imports_only_its_left_neighbours_contract(package: str) -> None:
    others = [name for name in PACKAGES if name not in (package, "launch")]
    allowed = f"{LEFT[package]}.contract"
    for path in modules(package):
        foreign = {name for name in imports(path) if name.split(".")[0] in others}
        bad = {name for name in foreign if name != LEFT[package] and not name.startswith(allowed)}
        assert not bad, f"{path.relative_to(ROOT)} imports {sorted(bad)}"


def test_dataprep_imports_no_other_stage() -> None:
    for path in modules("dataprep"):
        foreign = {name for name in imports(path) if name.split(".")[0] in LEFT}
        assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


def test_launch_imports_no_stage_when_it_is_itself_imported() -> None:
    names = [f"launch.{path.stem}" for path in modules("launch") if not path.stem.startswith("__")]
    code = (
        f"import sys\nfor name in {names!r}: __import__(name)\n"
        "stages = {'dataprep', 'tokenizer', 'pretrain', 'scaling', 'torch', 'ray', 'numba'}\n"
        "assert not stages & set(sys.modules), stages & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_no_modules_import_one_another_in_a_circle() -> None:
    """Not even from within functions; names that only annotations need are free."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in PACKAGES
        for path in modules(package)
        if path.stem != "__init__"
    }
    graph = {
        name: imports(path, skip_annotations=True) & names.keys() for name, path in names.items()
    }
    assert sum(len(needed) for needed in graph.values()) > len(names), "imports are not seen"
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("engine", sorted(OWNERS))
def test_an_engine_is_imported_in_its_own_file_only(engine: str) -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in modules(package)
        if any(name.split(".")[0] == engine for name in imports(path))
    }
    assert users <= OWNERS[engine]


def test_a_recipe_is_checked_without_any_engine() -> None:
    code = (
        "import sys\nfrom launch.recipe import Recipe\nRecipe.from_dict({})\n"
        "heavy = {'torch', 'ray', 'pyarrow', 'numba', 'sentencepiece', 'scipy', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_files_stay_small_and_bear_names_that_say_something() -> None:
    for package in PACKAGES:
        for path in modules(package):
            name = path.relative_to(ROOT)
            assert path.name not in BANNED_NAMES, name
            assert path.stem == "__init__" or path.stem not in sys.stdlib_module_names, name
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= LINES_MAX, f"{name}: {lines} lines"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_are_ours(package: str) -> None:
    """Other distributions bear some of these names; theirs must not have taken their place."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).resolve().is_relative_to(ROOT)


def test_every_package_and_data_file_is_shipped() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package in PACKAGES:
        homes = {path.parent for path in (ROOT / package).rglob("__init__.py")}
        names = {".".join(home.relative_to(ROOT).parts): home for home in homes}
        assert names.keys() <= set(declared["packages"])
        for path in (ROOT / package).rglob("*.*"):
            if path.suffix in (".py", ".pyc") or path.is_dir():
                continue
            patterns = [
                (home, pattern)
                for home in homes.intersection(path.parents)
                for key in ("*", ".".join(home.relative_to(ROOT).parts))
                for pattern in declared["package-data"].get(key, [])
            ]
            assert any(path in home.glob(pattern) for home, pattern in patterns), path
