"""From sources to tables: which files make which shard, and the rows of one shard.

A shard is the unit of work, of restart and of output: one shard in, one part out. Which files it
has depends on the files alone, never on workers, so that every run makes the same parts. The order
is that of the recipe's sources and, within a source, of the files' names.
"""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dataprep import installed_docs, read_jsonl, read_parquet
from dataprep.config import Dataprep, Source
from dataprep.read_jsonl import text_problem
from dataprep.records import Batch, File, Record, Refusal, digest_of
from launch.errors import UserError
from launch.manifest import Input, digest_file

# Text files in one shard, at most: one file is one document, and a shard should be worth a task.
_TEXT_SHARD_BYTES = 32 << 20
_TEXT_SHARD_FILES = 10_000


@dataclass(frozen=True)
class Shard:
    """The files of one task; `source_index` is the source's place in the recipe."""

    source_index: int
    files: tuple[File, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of its files as they lie there, compressed or not."""
        return sum(file.num_bytes for file in self.files)


def shards(sources: Sequence[Source], root: Path) -> list[Shard]:
    """All shards of all sources, in order; relative globs start at `root`.

    Raises UserError if a glob matches no file or a package is not installed.
    """
    made = []
    for index, source in enumerate(sources):
        for files in _groups(source, root):
            made.append(Shard(index, tuple(files)))
    return made


def inputs(
    sources: Sequence[Source], root: Path, digest: Callable[[Path], str] = digest_file
) -> list[Input]:
    """Path and digest of everything that the sources read, for the manifest.

    A file's content is digested in full (about 1 GB/s), unless `digest` remembers it; the packages
    of `installed-docs` are one input each. Raises UserError as `shards` does.
    """
    made = []
    for source in sources:
        if source.kind == "installed-docs":
            made.extend(installed_docs.inputs(source))
        else:
            for file in _files(source, root):
                made.append(Input(f"{source.name}:{file.name}", digest(Path(file.path))))
    return made


def read_shard(
    shard: Shard, source: Source, limits: Dataprep
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The shard's rows as pairs (documents, quarantine), each pair about 16 MB of text at most.

    Documents have the columns of `records.READ_SCHEMA`, quarantine those of
    `contract.quarantine_schema`. Every record that was read is in exactly one of the two. Of
    `limits`, `line_bytes_max` and `document_bytes_max` are used.

    Raises UserError if two records of the shard have the same id, or if a Parquet file lacks a
    column that the recipe names.
    """
    batch = Batch(source.name)
    seen: set[str] = set()
    for item in _items(shard, source, limits):
        if isinstance(item, Refusal):
            batch.refuse(item)
        else:
            if source.columns.id is not None:
                check_new(item.id, seen, source.name)
            batch.add(item)
        if batch.full:
            yield from batch.take()
    yield from batch.take()


def check_new(identity: str, seen: set[str], source_name: str) -> None:
    """Remember an id; raises UserError if it was seen before."""
    if identity in seen:
        raise UserError(
            f"sources.{source_name}.columns.id",
            f"'{identity}' twice",
            "a different id for each record",
            "leave columns.id out: then the file's path and the row make the id",
        )
    seen.add(identity)


def _items(shard: Shard, source: Source, limits: Dataprep) -> Iterator[Record | Refusal]:
    prefix = f"{source.name}:"
    for file in shard.files:
        path = Path(file.path)
        arguments = (path, file.name, prefix, source.columns, source.license, limits)
        if source.kind == "jsonl":
            yield from read_jsonl.read_records(*arguments)
        elif source.kind == "parquet":
            yield from read_parquet.read_records(*arguments)
        elif source.kind == "text":
            yield _read_text(path, file.name, prefix, source.license, limits)
        else:
            yield from installed_docs.read_records(file, prefix, source.license, limits)


def _read_text(
    path: Path, name: str, id_prefix: str, license: str | None, limits: Dataprep
) -> Record | Refusal:
    """One file as one document."""
    try:
        length = path.stat().st_size
        if length > limits.document_bytes_max:
            digest = digest_file(path)
            return Refusal(name, 0, 0, length, digest, "text_too_long")
        content = path.read_bytes()
    except OSError:
        return Refusal(name, 0, 0, None, None, "unreadable")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Refusal(name, 0, 0, length, digest_of(content), "bad_utf8")
    problem = text_problem(text, limits.document_bytes_max)
    if problem is not None:
        return Refusal(name, 0, 0, length, digest_of(content), problem)
    return Record(f"{id_prefix}{name}#0", text, None, license, ())


def _groups(source: Source, root: Path) -> Iterable[list[File]]:
    if source.kind == "installed-docs":
        return installed_docs.groups(source)
    files = _files(source, root)
    if source.kind == "text":
        return _cut(files)
    return [[file] for file in files]


def _cut(files: Sequence[File]) -> Iterator[list[File]]:
    group: list[File] = []
    group_bytes = 0
    for file in files:
        full = group_bytes + file.num_bytes > _TEXT_SHARD_BYTES
        if group and (full or len(group) == _TEXT_SHARD_FILES):
            yield group
            group, group_bytes = [], 0
        group.append(file)
        group_bytes += file.num_bytes
    if group:
        yield group


def _files(source: Source, root: Path) -> list[File]:
    """The files that the source's globs match, each once, sorted by name.

    A name is the path below the deepest directory that all globs share, with `/`. Files whose own
    names begin with a dot are left out: they are other programs' drafts.
    """
    patterns = [Path(os.path.normpath(root.resolve() / pattern)) for pattern in source.paths]
    fixed = [_fixed_directory(pattern) for pattern in patterns]
    base = Path(os.path.commonpath(fixed))
    found: dict[str, File] = {}
    for pattern, directory, written in zip(patterns, fixed, source.paths, strict=True):
        candidates = directory.glob(str(pattern.relative_to(directory)))
        matches = [p for p in candidates if p.is_file() and not p.name.startswith(".")]
        if not matches:
            where = f"sources.{source.name}.paths"
            raise UserError(where, f"no file for '{written}'", "at least one", f"seen from {root}")
        for path in matches:
            name = path.relative_to(base).as_posix()
            found[name] = File(name, str(path), path.stat().st_size)
    return [found[name] for name in sorted(found)]


def _fixed_directory(pattern: Path) -> Path:
    """The directory above the first part of the pattern that holds a wildcard."""
    parts = pattern.parts
    for index, part in enumerate(parts):
        if glob.has_magic(part):
            return Path(*parts[:index])
    return pattern.parent
