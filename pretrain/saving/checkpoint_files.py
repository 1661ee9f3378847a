"""The files of checkpoints: written aside, sealed, renamed, named by `latest`; checked; dropped.

    checkpoints/iteration-00000200/   .metadata  __RANK_N.distcp  common.pt  metadata.json
                                      state.json, and last manifest.json with all their digests
    checkpoints/average-.../          the same without an optimizer; `latest` never names it
    checkpoints/latest                the name of the directory to go on from
    checkpoints/.NAME.tmp, .NAME.old  being written or removed; nothing reads them

Nothing here imports torch, so that the launcher can judge a checkpoint too.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from launch.errors import UserError
from launch.manifest import (
    FILE_NAME,
    FileEntry,
    Manifest,
    digest_bytes,
    digest_file,
    digest_json,
    manifest_text,
    read_manifest,
    write_atomic,
    write_manifest,
)

KIND = "checkpoint"
VERSION = 2

# Whatever else a manifest names is refused: `../x`, a directory, a file that Megatron might read.
FILE = re.compile(r"\.metadata|__\d{1,7}_\d{1,3}\.distcp|common\.pt|metadata\.json|state\.json")
NAME = re.compile(r"iteration-\d{8,}|average-[0-9-]+")


def name_of(iteration: int) -> str:
    """The directory of the checkpoint after `iteration` updates."""
    return f"iteration-{iteration:08d}"


def checkpoints_in(directory: Path) -> dict[int, str]:
    """Names of the finished checkpoints to go on from, by iteration, rising."""
    names = sorted(path.name for path in directory.glob("iteration-*") if NAME.fullmatch(path.name))
    return {int(name.removeprefix("iteration-")): name for name in names}


def latest(directory: Path) -> str | None:
    """The name of the checkpoint to go on from, or None if there is none yet.

    Raises `UserError` if `latest` names something that is not a checkpoint of this directory.
    """
    path = directory / "latest"
    try:
        name = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    present = checkpoints_in(directory).values()
    if name not in present:
        hint = f"write one of these into it: {', '.join(present) or 'there is none'}"
        raise UserError(str(path), repr(name[:80]), "the name of a checkpoint beside it", hint)
    return name


def named(directory: Path, name: str) -> Path:
    """The directory of the finished checkpoint `name`, averages too.

    Raises `UserError` if there is none of that name.
    """
    present = [path.name for path in sorted(directory.glob("*")) if NAME.fullmatch(path.name)]
    if name not in present:
        expected = f"a checkpoint of {directory}: {', '.join(present) or 'there is none'}"
        raise UserError("checkpoint", repr(name[:80]), expected)
    return directory / name


def point_latest(directory: Path, name: str) -> None:
    """Let `latest` name the finished checkpoint `name`."""
    assert name in checkpoints_in(directory).values(), name
    write_atomic(directory / "latest", name + "\n")


def begin(directory: Path, name: str) -> Path:
    """An empty directory to write the checkpoint `name` into; what a kill left is removed."""
    for left in (*directory.glob(".*.tmp"), *directory.glob(".*.old")):
        _drop(left) if left.is_dir() else left.unlink()
    writing = directory / f".{name}.tmp"
    writing.mkdir(parents=True)
    return writing


def write_small(writing: Path, name: str, content: bytes) -> FileEntry:
    """Write one small file of a checkpoint to the disk."""
    with (writing / name).open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return FileEntry(name, None, len(content), digest_bytes(content))


def finish(writing: Path, manifest: Manifest) -> Path:
    """Seal a written checkpoint and give it its name: from now on it exists."""
    facts = {**manifest.facts, "seal": _seal(manifest)}
    write_manifest(writing, replace(manifest, facts=facts))
    name = writing.name.removeprefix(".").removesuffix(".tmp")
    finished = writing.with_name(name)
    # There already: left by a run that died before `latest` named it, or had been gone back from.
    going = finished.with_name(f".{name}.old")
    if finished.exists():
        finished.rename(going)
    writing.rename(finished)
    _drop(going)
    return finished


def _seal(manifest: Manifest) -> str:
    """Digest of all that the manifest says: a flipped bit in it must show like any other."""
    facts = {name: value for name, value in manifest.facts.items() if name != "seal"}
    inputs = [asdict(each) for each in manifest.inputs]
    return digest_json([manifest.config, inputs, manifest.files_digest, facts])


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint so that at no moment a part of it bears its name."""
    if checkpoint.exists():
        going = checkpoint.with_name(f".{checkpoint.name}.old")
        checkpoint.rename(going)
        _drop(going)


def _drop(hidden: Path) -> None:
    # A network file system may keep a name while somebody has the file open. Nothing reads a hidden
    # directory, and the next save tries again: no reason to end a run.
    shutil.rmtree(hidden, ignore_errors=True)


def keep_only(directory: Path, iteration: int, keep: int, permanent_interval: int) -> None:
    """Drop the checkpoints that neither tier keeps, once `latest` names that of `iteration`.

    Kept are the newest `keep`, and for ever those whose iteration is a multiple of
    `permanent_interval` (0: none). Those after `iteration` belong to a course that was given up:
    the run went back behind them.
    """
    assert keep >= 1
    known = checkpoints_in(directory)
    newest = [number for number in known if number <= iteration][-keep:]
    for number, name in known.items():
        if number > iteration or not (number in newest or is_permanent(number, permanent_interval)):
            remove(directory / name)


def is_permanent(iteration: int, interval: int) -> bool:
    """Whether the second tier keeps the checkpoint of this iteration."""
    return interval > 0 and iteration % interval == 0


def read(checkpoint: Path) -> Manifest:
    """The manifest of a checkpoint whose files are there in their sizes; digests: `broken`.

    Raises `UserError` for a directory that is not whole or holds what no checkpoint holds.
    """
    try:
        manifest = read_manifest(checkpoint, KIND, VERSION)
        names = [str(entry.path) for entry in manifest.files]
        iteration = int(manifest.facts["iteration"])
        text = (checkpoint / FILE_NAME).read_text(encoding="utf-8")
        whole = text == manifest_text(manifest) and manifest.facts["seal"] == _seal(manifest)
    except UserError as error:
        error.hint = hint(checkpoint)
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"unreadable content ({type(error).__name__}: {error})"
        where = str(checkpoint / FILE_NAME)
        raise UserError(where, got, "a checkpoint's manifest", hint(checkpoint)) from None
    if not whole:
        _refuse(
            checkpoint / FILE_NAME, "content that differs from its seal", "it as it was written"
        )
    for name in names:
        if not FILE.fullmatch(name):
            _refuse(
                checkpoint / FILE_NAME, f"the file name {name[:80]!r}", "names of its own files"
            )
    if len(set(names)) != len(names) or not {".metadata", "common.pt", "metadata.json"} <= {*names}:
        _refuse(
            checkpoint / FILE_NAME, f"the files {sorted(names)}", "each file once, none missing"
        )
    for entry in sorted(checkpoint.iterdir()):
        if entry.name not in (*names, FILE_NAME):
            _refuse(entry, "a file that the manifest does not name", "the files as they were saved")
        if not stat.S_ISREG(entry.lstat().st_mode):
            _refuse(entry, "something that is not a plain file", "the files as they were saved")
    own = checkpoint.name.startswith("iteration-")
    if own and checkpoint.name != name_of(iteration):
        _refuse(checkpoint, f"the checkpoint of iteration {iteration}", "one that bears its name")
    return manifest


def broken(checkpoint: Path, entries: Iterable[FileEntry]) -> list[str]:
    """Names of those files whose content differs from its digest, or cannot be read."""
    return [entry.path for entry in entries if not _is_whole(checkpoint / entry.path, entry)]


def hint(checkpoint: Path) -> str:
    """What can be done about a checkpoint that is refused."""
    return (
        f"write the name of an older checkpoint into {checkpoint.parent / 'latest'}, "
        "or begin again with --force"
    )


def _is_whole(path: Path, entry: FileEntry) -> bool:
    try:
        return digest_file(path) == entry.digest
    except OSError:
        return False


def _refuse(where: Path, got: str, expected: str) -> None:
    checkpoint = where.parent if NAME.fullmatch(where.parent.name) else where
    raise UserError(str(where), got, expected, hint(checkpoint))
