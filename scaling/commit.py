"""Commit a small directory whose files have plain names, so that people can name them too.

`plan.toml` is run by name and `runs.csv` opened by name, so these few small files carry no digest
in their names, unlike the data of the other stages. Two writes stand for that: the old manifest
goes before the first file changes, the new one comes last; in between the directory is unfinished.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launch import manifest
from launch.manifest import FileEntry, Input, Manifest, digest_bytes, write_atomic, write_manifest


def commit(
    directory: Path,
    files: Mapping[str, str | bytes],
    *,
    kind: str,
    version: int,
    config: Mapping[str, Any],
    inputs: Sequence[Input],
    facts: Mapping[str, Any],
    rows: Mapping[str, int] | None = None,
) -> Manifest:
    """Write `files` (name to content) and their manifest into `directory`, which is locked.

    Files of the same suffixes that are no longer among them are removed: a directory of recipes is
    run as a whole, and an old one must not be trained along.
    """
    (directory / manifest.FILE_NAME).unlink(missing_ok=True)
    entries = []
    for name, content in sorted(files.items()):
        data = content.encode() if isinstance(content, str) else content
        write_atomic(directory / name, data)
        entries.append(FileEntry(name, (rows or {}).get(name), len(data), digest_bytes(data)))
    suffixes = {Path(name).suffix for name in files}
    for path in sorted(directory.iterdir()):
        if path.suffix in suffixes and path.name not in files and path.name != manifest.FILE_NAME:
            path.unlink()
    written = Manifest(
        kind=kind,
        version=version,
        config=config,
        inputs=tuple(inputs),
        files=tuple(entries),
        facts=facts,
    )
    write_manifest(directory, written)
    return written
