"""The manifest: what makes a stage's directory exist.

Every stage writes one directory. Data files carry their content's digest in their names and are
never overwritten; `manifest.json`, written last by fsync and rename, is the only commit. What no
manifest names does not exist. Two directories are identical if their `files` digests are equal:
time stamps, hosts and durations stand in `logs/`, never here.
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import xxhash

from launch.errors import UserError
from launch.store import Location, is_remote, join, open_input, sizes

FILE_NAME = "manifest.json"
_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class FileEntry:
    """One data file: path relative to the stage's directory, rows if it has any, size, digest."""

    path: str
    rows: int | None
    bytes: int
    digest: str


@dataclass(frozen=True)
class Input:
    """One thing that was read: where it lay, and the digest of its content."""

    path: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """What a stage read, how it was configured, and what it wrote."""

    kind: str
    version: int
    config: Mapping[str, Any]
    inputs: tuple[Input, ...]
    files: tuple[FileEntry, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def config_digest(self) -> str:
        """Digest of the configuration."""
        return digest_json(self.config)

    @cached_property
    def files_digest(self) -> str:
        """Digest over kind, version and all files' digests: what the next stage records."""
        files = sorted((entry.path, entry.digest) for entry in self.files)
        return digest_json([self.kind, self.version, files])


def digest_bytes(content: bytes) -> str:
    """`xxh3_128:` and 32 hexadecimal digits. Not cryptographic: it finds accidents, not forgery."""
    return f"xxh3_128:{xxhash.xxh3_128_hexdigest(content)}"


def digest_json(value: Any) -> str:
    """Digest of a JSON value; the order of an object's keys does not matter."""
    return digest_bytes(_canonical(value).encode())


def digest_file(path: Path) -> str:
    """Digest of a file's content, read in blocks of 4 MiB."""
    state = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            state.update(block)
    return f"xxh3_128:{state.hexdigest()}"


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a small file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def commit_file(
    temporary: Path, directory: Path, relative_stem: str, suffix: str, rows: int | None
) -> FileEntry:
    """Give a finished file its lasting name, `STEM-DIGEST.SUFFIX`, below `directory`.

    `temporary` must lie on the same file system. The same content gets the same name, so that
    doing it again changes nothing.
    """
    digest = digest_file(temporary)
    relative = f"{relative_stem}-{digest.removeprefix('xxh3_128:')[:12]}{suffix}"
    target = directory / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
        size = os.fstat(stream.fileno()).st_size
    temporary.replace(target)
    _sync_directory(target.parent)
    return FileEntry(relative, rows, size, digest)


def link_for_people(directory: Path, name: str, target: str) -> None:
    """A plain name for a file with a digest in its name: for people, no stage reads it."""
    temporary = directory / f".{name}.link"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(directory / name)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Commit a stage's directory. The files that the manifest names must be there."""
    for entry in manifest.files:
        assert (directory / entry.path).stat().st_size == entry.bytes, entry
    write_atomic(directory / FILE_NAME, manifest_text(manifest))


def manifest_text(manifest: Manifest) -> str:
    """The content of `manifest.json`."""
    document = {
        "kind": manifest.kind,
        "version": manifest.version,
        "config": manifest.config,
        "config_digest": manifest.config_digest,
        "inputs": [asdict(entry) for entry in manifest.inputs],
        "files": [asdict(entry) for entry in manifest.files],
        "files_digest": manifest.files_digest,
        "facts": manifest.facts,
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def read_manifest(directory: Location, kind: str, version: int) -> Manifest:
    """The manifest of a finished directory, wherever it lies.

    Raises `UserError` if there is none, if it is of another kind or version, or if a file that it
    names is missing or of another size (contents are compared by whoever reads them).
    """
    where = str(join(directory, FILE_NAME))
    try:
        document = json.loads(_read_text(where))
    except FileNotFoundError:
        hint = "run the stage that writes it first; an interrupted one goes on where it was"
        raise UserError(where, "no such file", f"a finished '{kind}' directory", hint) from None
    except (OSError, ValueError) as error:
        raise UserError(where, f"unreadable content ({error})", "a manifest") from None
    found = (document.get("kind"), document.get("version")) if isinstance(document, dict) else None
    if found != (kind, version):
        raise UserError(where, f"kind and version {found}", f"{(kind, version)}")
    manifest = Manifest(
        kind=kind,
        version=version,
        config=document["config"],
        inputs=tuple(Input(**entry) for entry in document["inputs"]),
        files=tuple(FileEntry(**entry) for entry in document["files"]),
        facts=document["facts"],
    )
    there = _sizes(directory, manifest)
    for entry in manifest.files:
        size = there.get(entry.path, -1)
        if size != entry.bytes:
            got = "no such file" if size < 0 else f"{size} bytes"
            raise UserError(
                str(join(directory, entry.path)), got, f"the {entry.bytes} bytes of its manifest",
                "the directory was changed by hand: build it again with --force",
            )  # fmt: skip
    return manifest


def has_manifest(directory: Location) -> bool:
    """Whether a directory, wherever it lies, is a finished one."""
    if is_remote(directory):
        return FILE_NAME in sizes(str(directory))
    return (Path(directory) / FILE_NAME).exists()


def check_current(
    directory: Location,
    kind: str,
    version: int,
    config: Mapping[str, Any],
    inputs: Sequence[Input],
    force: bool = False,
) -> Manifest | None:
    """The manifest if `directory` already holds what would be built, else None.

    Raises `UserError` naming the first key or input that differs: what was built from another
    recipe is never overwritten silently. With `force` it answers None instead.
    """
    if force or not has_manifest(directory):
        return None
    manifest = read_manifest(directory, kind, version)
    hint = "--force builds it again in its place; another run.root keeps both"
    difference = _first_difference(manifest.config, json.loads(_canonical(config)), "")
    if difference is not None:
        key, old, new = difference
        raise UserError(f"{directory}: {key}", _short(new), f"{_short(old)}, as it was built", hint)
    if _identity(manifest.inputs) != _identity(inputs):
        old_inputs = {entry.path: entry.digest for entry in manifest.inputs}
        new_inputs = {entry.path: entry.digest for entry in inputs}
        changed = sorted(
            path
            for path in old_inputs.keys() | new_inputs.keys()
            if old_inputs.get(path) != new_inputs.get(path)
        )
        expected = "the inputs that it was built from"
        raise UserError(f"{directory}: input", f"a change in {changed[0]}", expected, hint)
    return manifest


def _read_text(location: str) -> str:
    # Without this line an object that is not there would be a user's error of another kind.
    if is_remote(location) and not has_manifest(location.removesuffix("/" + FILE_NAME)):
        raise FileNotFoundError(location)
    with open_input(location) as stream:
        return stream.read().decode()


def _sizes(directory: Location, manifest: Manifest) -> dict[str, int]:
    """Bytes of those files of the manifest that are there."""
    if is_remote(directory):
        return sizes(str(directory))
    found = {}
    for entry in manifest.files:
        with contextlib.suppress(FileNotFoundError):
            found[entry.path] = (Path(directory) / entry.path).stat().st_size
    return found


def _identity(inputs: Sequence[Input]) -> list[tuple[str, str]]:
    return sorted((entry.path, entry.digest) for entry in inputs)


def _first_difference(old: Any, new: Any, key: str) -> tuple[str, Any, Any] | None:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            place = f"{key}.{name}" if key else name
            difference = _first_difference(old.get(name), new.get(name), place)
            if difference is not None:
                return difference
        return None
    return None if old == new else (key, old, new)


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _sync_directory(directory: Path) -> None:
    # A rename is durable only once its directory is; some network file systems refuse the call.
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
