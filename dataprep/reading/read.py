"""From sources to tables: which files make which shard, and the rows of one shard.

A shard is the unit of work, of restart and of output: one shard in, one part out. Which files it
has depends on the files alone, never on workers, so that every run makes the same parts. The order
is that of the recipe's sources and, within a source, of the files' names.
"""

import glob
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from dataprep.config import Dataprep, Source
from dataprep.reading import (
    arrow_rows,
    installed_docs,
    read_arrow,
    read_csv,
    read_html,
    read_jsonl,
    read_parquet,
    read_text,
    read_warc,
)
from dataprep.reading.arrow_rows import Rows
from dataprep.reading.decompress import is_compressed
from dataprep.reading.records import (
    BATCH_BYTES,
    READ_SCHEMA,
    Batch,
    File,
    PassedOver,
    Record,
    Refusal,
    quarantine_table,
)
from launch import store
from launch.errors import UserError
from launch.manifest import Input, digest_file
from launch.store import is_remote

# Text files in one shard, at most: one file is one document, and a shard should be worth a task.
_TEXT_SHARD_BYTES = 32 << 20
_TEXT_SHARD_FILES = 10_000
# A larger file of JSON lines or Parquet is read by several tasks, of about this size each.
_PART_BYTES = 256 << 20
_BLOCK_BYTES = 1 << 22
# Kinds whose columns are Arrow's already; the others are read record by record.
_ROWS_KINDS = ("parquet", "arrow")


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

    A file's content is digested in full (about 1 GB/s), unless `digest` remembers it; an object of
    a store stands with its ETag and size; the packages of `installed-docs` are one input each.
    Raises UserError as `shards` does.
    """
    made = []
    for source in sources:
        if source.kind == "installed-docs":
            made.extend(installed_docs.inputs(source))
        else:
            for file in _files(source, root):
                identity = file.identity or digest(Path(file.path))
                made.append(Input(f"{source.name}:{file.name}", identity))
    return made


def read_shard(
    shard: Shard,
    source: Source,
    limits: Dataprep,
    records_max: int | None = None,
    passed_over: Counter[str] | None = None,
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The shard's rows as pairs (documents, quarantine), each pair about 16 MB of text at most.

    Documents have the columns of `records.READ_SCHEMA`, quarantine those of
    `contract.quarantine_schema`. Every record that was read is in exactly one of the two. With
    `records_max` reading ends after so many records. `passed_over` gets, by kind, the number of an
    archive's records that are no documents. Of `limits`, those named `_bytes_max` count.

    Raises UserError if a file lacks a column that the recipe names.
    """
    if source.kind in _ROWS_KINDS:
        yield from _read_rows(shard, source, limits, records_max)
        return
    batch = Batch(source.name)
    records = _without_passed_over(_records(shard, source, limits), passed_over)
    for item in itertools.islice(records, records_max):
        if isinstance(item, Refusal):
            batch.refuse(item)
        else:
            batch.add(item)
        if batch.full:
            yield from batch.take()
    yield from batch.take()


def _without_passed_over(
    items: Iterable[Record | Refusal | PassedOver], passed_over: Counter[str] | None
) -> Iterator[Record | Refusal]:
    for item in items:
        if not isinstance(item, PassedOver):
            yield item
        elif passed_over is not None:
            passed_over[item.kind] += 1


def _records(
    shard: Shard, source: Source, limits: Dataprep
) -> Iterator[Record | Refusal | PassedOver]:
    """The records of formats that are read one by one."""
    prefix = f"{source.name}:"
    for file in shard.files:
        if source.kind == "jsonl":
            yield from read_jsonl.read_records(file, prefix, source, limits)
        elif source.kind == "csv":
            yield from read_csv.read_records(file, prefix, source, limits)
        elif source.kind == "text":
            yield read_text.read_record(file, prefix, source, limits)
        elif source.kind == "warc":
            yield from read_warc.read_records(file, prefix, source, limits)
        elif source.kind == "html":
            yield read_html.read_record(file, prefix, source, limits)
        else:
            assert source.kind == "installed-docs", f"no reader for kind {source.kind}"
            yield from installed_docs.read_records(file, prefix, source.license, limits)


def _read_rows(
    shard: Shard, source: Source, limits: Dataprep, records_max: int | None
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The rows of formats whose columns are Arrow's already."""
    prefix = f"{source.name}:"
    reader = read_parquet if source.kind == "parquet" else read_arrow
    left = records_max
    gathered: list[tuple[pa.Table, list[Refusal]]] = []
    gathered_bytes = 0
    for file in shard.files:
        for rows in reader.read_rows(file, source.columns):
            if left == 0:
                break
            if isinstance(rows, Refusal):
                gathered.append((READ_SCHEMA.empty_table(), [rows]))
                left = None if left is None else left - 1
                continue
            if left is not None:
                rows = Rows(rows.first, rows.batch.slice(0, left))
                left -= rows.batch.num_rows
            for table, refusals in arrow_rows.documents(rows, file, prefix, source, limits):
                gathered.append((table, refusals))
                gathered_bytes += table.nbytes
                if gathered_bytes >= BATCH_BYTES // 2:
                    yield _together(gathered, source)
                    gathered, gathered_bytes = [], 0
    if gathered:
        yield _together(gathered, source)


def _together(
    gathered: list[tuple[pa.Table, list[Refusal]]], source: Source
) -> tuple[pa.Table, pa.Table]:
    tables = [table for table, _ in gathered]
    refusals = [refusal for _, refused in gathered for refusal in refused]
    return pa.concat_tables(tables).combine_chunks(), quarantine_table(source.name, refusals)


def _groups(source: Source, root: Path) -> Iterable[list[File]]:
    if source.kind == "installed-docs":
        return installed_docs.groups(source)
    files = _files(source, root)
    if source.kind in ("text", "html"):
        return _gather(files)
    if source.kind == "jsonl":
        return [[part] for file in files for part in _parts_of_lines(file)]
    if source.kind == "parquet":
        return [[part] for file in files for part in _parts_of_row_groups(file)]
    return [[file] for file in files]


def _parts_of_lines(file: File) -> Iterator[File]:
    """A file of lines, cut into parts of equal size if it is large and not compressed."""
    # Rows of an object would have to be counted over the network: it stays whole.
    if file.num_bytes <= _PART_BYTES or is_compressed(file.name) or is_remote(file.path):
        yield file
        return
    num_parts = -(-file.num_bytes // _PART_BYTES)
    ends = [file.num_bytes * part // num_parts for part in range(num_parts + 1)]
    for first, stop in itertools.pairwise(ends):
        yield replace(file, first=first, stop=stop, num_bytes=stop - first)


def _parts_of_row_groups(file: File) -> Iterator[File]:
    if file.num_bytes <= _PART_BYTES:
        yield file
        return
    found = read_parquet.runs(file.path, file.num_bytes, _PART_BYTES)
    if len(found) < 2:
        yield file
        return
    for first, stop, num_bytes in found:
        yield replace(file, first=first, stop=stop, num_bytes=num_bytes)


def number_rows(shards: Sequence[Shard], sources: Sequence[Source]) -> list[Shard]:
    """The shards, each part of a file of lines with the row that it begins in.

    The line feeds before it are counted, once over each large file, at the speed of memory or disk.
    """
    made = []
    path, place, row = "", 0, 0
    for shard in shards:
        file = shard.files[0]
        if file.first == 0 or sources[shard.source_index].kind != "jsonl":
            made.append(shard)
            continue
        if file.path != path:
            path, place, row = file.path, 0, 0
        row += _count_line_feeds(path, place, file.first - 1)
        place = file.first - 1
        made.append(replace(shard, files=(replace(file, first_row=row),)))
    return made


def _count_line_feeds(path: str, first: int, stop: int) -> int:
    count = 0
    with Path(path).open("rb") as stream:
        stream.seek(first)
        while first < stop and (block := stream.read(min(_BLOCK_BYTES, stop - first))):
            count += block.count(b"\n")
            first += len(block)
    return count


def _gather(files: Sequence[File]) -> Iterator[list[File]]:
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
    if is_remote(source.paths[0]):
        return _remote_files(source)
    patterns = [Path(os.path.normpath(root.resolve() / pattern)) for pattern in source.paths]
    fixed = [_fixed_directory(pattern) for pattern in patterns]
    base = Path(os.path.commonpath(fixed))
    found: dict[str, File] = {}
    for pattern, directory, written in zip(patterns, fixed, source.paths, strict=True):
        candidates = directory.glob(str(pattern.relative_to(directory)))
        matches = [p for p in candidates if p.is_file() and not p.name.startswith(".")]
        if not matches:
            raise _no_file(source, written, f"seen from {root}")
        for path in matches:
            name = path.relative_to(base).as_posix()
            found[name] = File(name, str(path), path.stat().st_size)
    return [found[name] for name in sorted(found)]


def _remote_files(source: Source) -> list[File]:
    """The objects that the source's globs match; names as `_files` makes them."""
    places = [store.parse(pattern) for pattern in source.paths]
    fixed = [f"/{place.bucket}/{store.fixed_part(place.key)}" for place in places]
    base = f"{places[0].scheme}:/{os.path.commonpath(fixed)}/"
    found: dict[str, File] = {}
    for pattern in source.paths:
        matches = store.find(pattern)
        if not matches:
            raise _no_file(source, pattern, "")
        for location, num_bytes, identity in matches:
            name = location.removeprefix(base)
            found[name] = File(name, location, num_bytes, identity=identity)
    return [found[name] for name in sorted(found)]


def _no_file(source: Source, pattern: str, hint: str) -> UserError:
    where = f"sources.{source.name}.paths"
    return UserError(where, f"no file for '{pattern}'", "at least one", hint)


def _fixed_directory(pattern: Path) -> Path:
    """The directory above the first part of the pattern that holds a wildcard."""
    parts = pattern.parts
    for index, part in enumerate(parts):
        if glob.has_magic(part):
            return Path(*parts[:index])
    return pattern.parent
