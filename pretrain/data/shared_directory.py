"""Directories that several runs and nodes share: each holds a pure function of what names it.

Whoever finds one absent builds it under a name of its own and renames it. Two may do so at once;
what they build is equal, and the first to finish stays.
"""

import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launch.errors import UserError
from launch.manifest import FileEntry, Manifest, digest_file, read_manifest, write_manifest

KIND = "order"
VERSION = 1


def built_once(directory: Path, build: Callable[[Path], Mapping[str, Any]]) -> Mapping[str, Any]:
    """The facts of `directory`, which `build` makes if it is not there.

    `build` writes files into the empty directory that it is given, and returns the facts.
    """
    if not (directory / "manifest.json").exists():
        _build(directory, build)
    return read_manifest(directory, KIND, VERSION).facts


def verify(directory: Path) -> Mapping[str, Any]:
    """The facts of a finished directory whose files are compared with their digests.

    Raises `UserError` if one differs.
    """
    manifest = read_manifest(directory, KIND, VERSION)
    for entry in manifest.files:
        found = digest_file(directory / entry.path)
        if found != entry.digest:
            raise UserError(
                str(directory / entry.path), f"content {found}", entry.digest,
                f"remove {directory}: it is built again",
            )  # fmt: skip
    return manifest.facts


def _build(directory: Path, build: Callable[[Path], Mapping[str, Any]]) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(directory)
    own = directory.with_name(f"{directory.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    try:
        facts = build(own)
        files = []
        for path in sorted(own.iterdir()):
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
            files.append(FileEntry(path.name, None, path.stat().st_size, digest_file(path)))
        write_manifest(own, Manifest(KIND, VERSION, {}, (), tuple(files), facts))
        try:
            own.rename(directory)
        except OSError:
            if not (directory / "manifest.json").exists():
                raise
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _remove_abandoned(directory: Path) -> None:
    """What a killed process of this machine left of the same directory."""
    for path in directory.parent.glob(f"{directory.name}.{socket.gethostname()}.*.tmp"):
        if not Path("/proc", path.name.split(".")[-2]).exists():
            shutil.rmtree(path, ignore_errors=True)
