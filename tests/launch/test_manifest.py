"""A directory exists only through its manifest; what differs is named; nothing is overwritten."""

import json
from pathlib import Path

import pytest
import xxhash

from launch.errors import UserError
from launch.manifest import (
    Input,
    Manifest,
    check_current,
    commit_file,
    digest_file,
    digest_json,
    read_manifest,
    write_atomic,
    write_manifest,
)

CONFIG = {"seed": 1, "nested": {"threshold": 0.5, "names": ["a"]}}
INPUTS = (Input("corpus/a.jsonl", "xxh3_128:00"), Input("corpus/b.jsonl", "xxh3_128:01"))


def build(directory: Path, content: bytes = b"rows") -> Manifest:
    temporary = directory / "part.tmp"
    write_atomic(temporary, content)
    entry = commit_file(temporary, directory, "kept/part-00000", ".parquet", rows=4)
    manifest = Manifest("documents", 1, CONFIG, INPUTS, (entry,), {"kept": 4})
    write_manifest(directory, manifest)
    return manifest


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    written = build(tmp_path)
    read = read_manifest(tmp_path, "documents", 1)
    assert read == written
    assert read.files_digest == written.files_digest
    path = tmp_path / read.files[0].path
    assert path.read_bytes() == b"rows"
    assert path.name == f"part-00000-{xxhash.xxh3_128_hexdigest(b'rows')[:12]}.parquet"
    assert digest_file(path) == read.files[0].digest


def test_the_files_digest_is_of_contents_alone(tmp_path: Path) -> None:
    first = build(tmp_path / "a")
    second = build(tmp_path / "b")
    other = build(tmp_path / "c", b"others")
    assert first.files_digest == second.files_digest != other.files_digest


def test_up_to_date_needs_the_same_config_and_inputs(tmp_path: Path) -> None:
    assert check_current(tmp_path, "documents", 1, CONFIG, INPUTS) is None
    manifest = build(tmp_path)
    assert check_current(tmp_path, "documents", 1, CONFIG, tuple(reversed(INPUTS))) == manifest
    assert check_current(tmp_path, "documents", 1, CONFIG, INPUTS, force=True) is None


def test_the_first_key_that_differs_is_named(tmp_path: Path) -> None:
    build(tmp_path)
    changed = {"seed": 1, "nested": {"threshold": 0.7, "names": ["a"]}}
    with pytest.raises(UserError, match=r"nested\.threshold: got 0\.7, expected 0\.5") as caught:
        check_current(tmp_path, "documents", 1, changed, INPUTS)
    assert "--force" in caught.value.hint
    other = (INPUTS[0], Input("corpus/b.jsonl", "xxh3_128:ff"))
    with pytest.raises(UserError, match=r"a change in corpus/b\.jsonl"):
        check_current(tmp_path, "documents", 1, CONFIG, other)


def test_a_missing_or_changed_file_is_found(tmp_path: Path) -> None:
    manifest = build(tmp_path)
    path = tmp_path / manifest.files[0].path
    path.write_bytes(b"cut")
    with pytest.raises(UserError, match="got 3 bytes, expected the 4 bytes"):
        read_manifest(tmp_path, "documents", 1)
    path.unlink()
    with pytest.raises(UserError, match="got no such file"):
        read_manifest(tmp_path, "documents", 1)


@pytest.mark.parametrize("content", ["", "[]", '{"kind": "tokens", "version": 1}', "{"])
def test_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json"):
        read_manifest(tmp_path, "documents", 1)


def test_another_version_is_refused(tmp_path: Path) -> None:
    build(tmp_path)
    with pytest.raises(UserError, match="kind and version"):
        read_manifest(tmp_path, "documents", 2)


def test_key_order_does_not_matter_to_a_digest() -> None:
    assert digest_json({"a": 1, "b": [1, 2]}) == digest_json({"b": [1, 2], "a": 1})
    assert digest_json({"a": [1, 2]}) != digest_json({"a": [2, 1]})


def test_a_manifest_holds_no_time_or_host(tmp_path: Path) -> None:
    build(tmp_path / "a")
    build(tmp_path / "b")
    first, second = ((tmp_path / name / "manifest.json").read_bytes() for name in "ab")
    assert first == second
    assert json.loads(first)["facts"] == {"kept": 4}
