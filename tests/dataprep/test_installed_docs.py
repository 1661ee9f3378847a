"""The embedded corpus: what is found in real packages, and that odd files do no harm."""

import ast
import importlib.metadata
from pathlib import Path

import pytest

from dataprep.config import Dataprep, Source
from dataprep.reading import installed_docs, read
from dataprep.reading.records import File, Record, Refusal
from launch.errors import UserError

SMALL = Source(packages=("networkx", "click", "requests"), license="various")


def items(tmp_path: Path, name: str, content: bytes) -> list[Record | Refusal]:
    path = tmp_path / Path(name).name
    path.write_bytes(content)
    file = File(name, str(path), len(content), "pack 1.0", "MIT")
    return list(installed_docs.read_records(file, "p:", None, Dataprep()))


LONG = "A sentence about the river. " * 10


def test_docstrings_in_order_with_their_names(tmp_path: Path) -> None:
    code = f'''
"""{LONG}module"""
import os
class A:
    """{LONG}class"""
    async def b(self):
        if os:
            def c():
                """{LONG}inner"""
    def short(self):
        """Too short to say much."""
try:
    pass
except ValueError:
    def d():
        """{LONG}handler"""
match 1:
    case 1:
        def e():
            """{LONG}case"""
'''
    found = items(tmp_path, "pack/sub/mod.py", code.encode())
    assert all(isinstance(item, Record) for item in found)
    assert [item.text.split(". ")[-1] for item in found if isinstance(item, Record)] == [
        "module",
        "class",
        "inner",
        "handler",
        "case",
    ]
    assert [dict(item.meta)["name"] for item in found if isinstance(item, Record)] == [
        "pack.sub.mod",
        "pack.sub.mod.A",
        "pack.sub.mod.A.b.c",
        "pack.sub.mod.d",
        "pack.sub.mod.e",
    ]
    assert found[1].id == "p:pack/sub/mod.py#1"  # type: ignore[union-attr]


def test_walking_statements_finds_what_walking_everything_finds() -> None:
    """Against `ast.walk` on real code, in any order."""
    for file in installed_docs.groups(Source(packages=("networkx",)))[0][:80]:
        if not file.name.endswith(".py"):
            continue
        content = Path(file.path).read_bytes()
        expected = [
            text
            for node in ast.walk(ast.parse(content))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and len(text := ast.get_docstring(node) or "") >= 200
        ]
        found = installed_docs.read_records(file, "", None, Dataprep())
        assert sorted(item.text for item in found if isinstance(item, Record)) == sorted(expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'"""x"""\ndef f(:\n', "bad_python"),
        (b'"""x"""\nnull = "\0"\n', "bad_python"),
        (b'"""\xff\xfe not utf-8"""', "bad_python"),
        (b'"""x"""\n' + b"(" * 500, "bad_python"),
        (b'"""x"""\n' + b"-" * 100_000 + b"1", "bad_python"),
        (b'"""' + LONG.encode() + b"\\ud800" + b'"""', "lone_surrogate"),
    ],
)
def test_what_does_not_parse_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (found,) = items(tmp_path, "pack/mod.py", content)
    assert isinstance(found, Refusal)
    assert (found.reason, found.path) == (reason, "pack/mod.py")


def test_files_of_text(tmp_path: Path) -> None:
    (found,) = items(tmp_path, "pack-1.0.dist-info/METADATA", b"Name: pack\nAuthor-email: a@b.c\n")
    assert isinstance(found, Record)
    assert (found.id, found.license) == ("p:pack-1.0.dist-info/METADATA#0", "MIT")
    assert dict(found.meta) == {"package": "pack 1.0", "kind": "readme"}
    (refused,) = items(tmp_path, "pack/LICENSE", b"\xff")
    assert isinstance(refused, Refusal)
    assert refused.reason == "bad_utf8"
    file = File("pack/gone.py", str(tmp_path / "gone.py"), 1)
    (refused,) = installed_docs.read_records(file, "p:", None, Dataprep())
    assert isinstance(refused, Refusal)
    assert refused.reason == "unreadable"


def test_a_corpus_of_real_packages() -> None:
    shards = read.shards([SMALL], Path.cwd())
    assert len(shards) == installed_docs.NUM_SHARDS
    names = [file.name for shard in shards for file in shard.files]
    assert len(set(names)) == len(names)
    assert not [name for name in names if "/tests/" in name or ".." in name]
    ids: list[str] = []
    num_bytes = 0
    kinds: set[str] = set()
    for shard in shards:
        for documents, quarantine in read.read_shard(shard, SMALL, Dataprep()):
            ids += documents["id"].to_pylist()
            num_bytes += sum(documents["read_bytes"].to_pylist())
            kinds |= {row["kind"] for row in documents["meta"].to_pylist(maps_as_pydicts="strict")}
            assert quarantine.num_rows == 0
    assert len(set(ids)) == len(ids) > 1000
    assert "python-docs:networkx/algorithms/dag.py#0" in ids
    assert num_bytes > 1_500_000
    assert kinds >= {"docstring", "readme", "licence"}


def test_the_fixed_list_is_large_enough_and_in_the_lock(repository: Path) -> None:
    lock = (repository / "requirements.lock").read_text().lower().replace("_", "-")
    locked = {entry.partition("==")[0] for entry in lock.splitlines()}
    packages = installed_docs._PACKAGES.lower().replace("_", "-").split()
    assert set(packages) <= locked
    assert "gristmill" not in packages
    total = sum(file.num_bytes for group in installed_docs.groups(Source()) for file in group)
    assert total > 80e6  # of code, in which 24 MB of documents were found on 2026-11-21


def test_inputs_name_packages_and_their_content() -> None:
    inputs = read.inputs([SMALL], Path.cwd())
    version = importlib.metadata.version("networkx")
    assert inputs[0].path == f"python-docs:networkx {version}"
    assert len({entry.digest for entry in inputs}) == 3
    assert inputs == read.inputs([SMALL], Path.cwd())


def test_packages_that_are_not_there() -> None:
    with pytest.raises(UserError, match="'no-such-package'"):
        read.shards([Source(packages=("no-such-package",))], Path.cwd())
