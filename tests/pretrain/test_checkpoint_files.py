"""Checkpoints as files: what is refused before anything is loaded, and what is kept."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.errors import UserError
from launch.manifest import Manifest
from pretrain.saving import checkpoint_files as files

FILES = {
    ".metadata": b"where", "__0_0.distcp": b"tensors", "common.pt": b"common",
    "metadata.json": b"{}", "state.json": b"{}",
}  # fmt: skip


def write(directory: Path, iteration: int, contents: dict[str, bytes] = FILES) -> Path:
    name = files.name_of(iteration)
    writing = files.begin(directory, name)
    entries = tuple(files.write_small(writing, *item) for item in sorted(contents.items()))
    facts = {"iteration": iteration, "layout": {"tensor": 1}}
    manifest = Manifest(files.KIND, files.VERSION, {"run": "a run"}, (), entries, facts)
    finished = files.finish(writing, manifest)
    files.point_latest(directory, name)
    return finished


def refused(checkpoint: Path) -> str:
    with pytest.raises(UserError) as caught:
        manifest = files.read(checkpoint)
        bad = files.broken(checkpoint, manifest.files)
        assert not bad, bad
        raise AssertionError("it was taken")
    assert "latest" in caught.value.hint
    return caught.value.message


def test_what_was_written_is_whole(tmp_path: Path) -> None:
    checkpoint = write(tmp_path, 7)
    manifest = files.read(checkpoint)
    assert files.broken(checkpoint, manifest.files) == []
    assert files.latest(tmp_path) == "iteration-00000007"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["iteration-00000007", "latest"]


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_any_flipped_bit_is_seen(tmp_path: Path, name: str) -> None:
    whole = write(tmp_path / "whole", 7)
    content = (whole / name).read_bytes()
    for position in range(0, len(content), 7 if name == "manifest.json" else len(content)):
        for bit in (0, 5):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            (whole / name).write_bytes(flipped)
            try:
                manifest = files.read(whole)
            except UserError:
                continue
            assert files.broken(whole, manifest.files) == [name], (position, bit)
    (whole / name).write_bytes(content)
    assert files.broken(whole, files.read(whole).files) == []


def change(checkpoint: Path, edit: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    """Edit the manifest as somebody would who can also make it fit."""
    path = checkpoint / "manifest.json"
    document = json.loads(path.read_text())
    edit(document)
    manifest = Manifest(
        document["kind"], document["version"], document["config"], (),
        tuple(files.FileEntry(**entry) for entry in document["files"]), document["facts"],
    )  # fmt: skip
    facts = {**manifest.facts, "seal": files._seal(manifest)}
    fitting = Manifest(manifest.kind, manifest.version, manifest.config, (), manifest.files, facts)
    path.write_text(files.manifest_text(fitting))


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "sub/__0_0.distcp", "x.py", "..", ""])
def test_a_manifest_that_names_what_no_checkpoint_has_is_refused(tmp_path: Path, name: str) -> None:
    checkpoint = write(tmp_path, 7)
    (tmp_path / "x").write_bytes(FILES["__0_0.distcp"])
    for place in ("sub/__0_0.distcp", "x.py"):
        (checkpoint / place).parent.mkdir(exist_ok=True)
        (checkpoint / place).write_bytes(FILES["__0_0.distcp"])
    size = (checkpoint / name).stat().st_size

    def name_it(document: dict) -> None:  # type: ignore[type-arg]
        entry = next(e for e in document["files"] if e["path"] == "__0_0.distcp")
        entry["path"], entry["bytes"] = name, size

    change(checkpoint, name_it)
    assert f"the file name {name!r}" in refused(checkpoint)


def test_a_file_missing_too_much_or_elsewhere_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", 7)

    def damaged(name: str) -> Path:
        copy = tmp_path / name / whole.name
        shutil.copytree(whole, copy)
        return copy

    missing = damaged("missing")
    (missing / "__0_0.distcp").unlink()
    assert "no such file" in refused(missing)
    strange = damaged("strange")
    (strange / "__1_0.distcp").write_bytes(b"")
    assert "does not name" in refused(strange)
    linked = damaged("linked")
    (linked / "common.pt").rename(tmp_path / "elsewhere")
    (linked / "common.pt").symlink_to(tmp_path / "elsewhere")
    assert "not a plain file" in refused(linked)
    cut = damaged("cut")
    os.truncate(cut / ".metadata", 2)
    assert "2 bytes" in refused(cut)
    half = damaged("half")
    os.truncate(half / "manifest.json", 200)
    assert "unreadable" in refused(half)
    (half / "manifest.json").write_text('{"kind": "checkpoint", "version": 2}')
    assert "unreadable" in refused(half)
    bare = write(tmp_path / "bare", 7, {"metadata.json": b"{}"})
    assert "none missing" in refused(bare)
    renamed = damaged("renamed").rename(tmp_path / "iteration-00000008")
    assert "the checkpoint of iteration 7" in refused(renamed)


def test_two_tiers_are_kept(tmp_path: Path) -> None:
    for iteration in range(13):
        write(tmp_path, iteration)
        files.keep_only(tmp_path, iteration, keep=2, permanent_interval=5)
        assert files.latest(tmp_path) == files.name_of(iteration)
    assert list(files.checkpoints_in(tmp_path)) == [0, 5, 10, 11, 12]
    files.keep_only(tmp_path, 12, keep=1, permanent_interval=0)
    assert list(files.checkpoints_in(tmp_path)) == [12]


def test_going_back_gives_up_what_came_after(tmp_path: Path) -> None:
    for iteration in (10, 20, 30, 40):
        write(tmp_path, iteration)
    files.point_latest(tmp_path, files.name_of(20))
    write(tmp_path, 25)
    files.keep_only(tmp_path, 25, keep=2, permanent_interval=10)
    # 30 and 40 were of another course; 10 stays for ever.
    assert list(files.checkpoints_in(tmp_path)) == [10, 20, 25]


def test_what_a_kill_left_is_removed_and_an_average_is_not_gone_on_from(tmp_path: Path) -> None:
    write(tmp_path, 10)
    (tmp_path / ".iteration-00000020.tmp").mkdir()
    (tmp_path / ".iteration-00000005.old").mkdir()
    (tmp_path / "average-00000005-00000010-2").mkdir()
    assert files.latest(tmp_path) == "iteration-00000010"
    write(tmp_path, 20)
    files.keep_only(tmp_path, 20, keep=1, permanent_interval=0)
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == ["average-00000005-00000010-2", "iteration-00000020", "latest"]
    assert files.named(tmp_path, left[0]) == tmp_path / left[0]
    for name in ("iteration-00000010", "../iteration-00000020", ".", "latest"):
        with pytest.raises(UserError, match="expected a checkpoint of"):
            files.named(tmp_path, name)


def test_latest_names_a_checkpoint_beside_it_or_is_refused(tmp_path: Path) -> None:
    assert files.latest(tmp_path / "nowhere") is None
    write(tmp_path, 10)
    for content in (b"", b"iteration-00000011\n", b"../runs\n", b"\xff\xfe", b"average-1\n"):
        (tmp_path / "latest").write_bytes(content)
        with pytest.raises(UserError, match="latest: got"):
            files.latest(tmp_path)
