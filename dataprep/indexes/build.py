"""`gristmill dataprep index`: finished documents become a segment of an index, new or old.

    shard       texts of one shard's kept documents; their band values and hashes to the exchange
    partition   one range of band values and of hashes, sorted
    manifest    replaced last, under the lock

Signatures are read from `scored/`, not made again. Texts are put back as they were compared, before
spans and substrings were cut out of them. Pieces lie in `work/` below the index until the manifest
is written; whatever is killed goes on from them, with the same files. Segments stand in the order
of their names, so that the order in which they were added leaves no trace.
"""

import json
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataprep import contract
from dataprep.dedup import signature
from dataprep.dedup.exact import hash_halves
from dataprep.dedup.exchange import open_exchange, partition_of, read_partition
from dataprep.indexes.documents import as_stored, in_groups, kept_documents
from dataprep.indexes.index import (
    BAND_SCHEMA,
    HASH_SCHEMA,
    KIND,
    TEXT_SCHEMA,
    VERSION,
    check_settings,
    near_of,
    read_index,
    settings_of,
)
from dataprep.sealed import seal
from dataprep.stored import StoredShard, stored_shards
from dataprep.workspace import committed
from launch.errors import UserError
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import (
    FileEntry,
    Input,
    Manifest,
    commit_file,
    digest_file,
    digest_json,
    has_manifest,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from launch.recipe import Execution, Recipe

# Records in one file of band values, and in one row group of it: 1 MB, read for a single query.
_FILE_RECORDS = 1 << 22
_GROUP_RECORDS = 1 << 16


@dataclass(frozen=True)
class Work:
    """The unfinished pieces of one segment, the index's directory, and the segment's name."""

    pieces: Path
    directory: Path
    segment: str
    num_partitions: int

    def done(self, task: str, number: int) -> Path:
        """The files that a task has committed, as JSON."""
        return self.pieces / task / f"{number:05d}.json"

    def exchange(self, kind: str, shard: int) -> Path:
        return self.pieces / kind / f"shard-{shard:05d}.parquet"

    def temporary(self) -> Path:
        """A name that no other task and no attempt before had; it goes with the directory."""
        self.pieces.mkdir(parents=True, exist_ok=True)
        return self.pieces / f"{secrets.token_hex(6)}.tmp"

    def commit(self, temporary: Path, kind: str, number: int, rows: int) -> FileEntry:
        seal(temporary)
        stem = f"segments/{self.segment}/{kind}/part-{number:05d}"
        return commit_file(temporary, self.directory, stem, ".parquet", rows)


def extend(recipe: "Recipe", directory: Path) -> Manifest:
    """Add the kept documents of the recipe's finished documents to the index in `directory`.

    Raises UserError if there are no finished documents, if they have no signatures, or if the index
    was made with other settings. Documents that are in the index already change nothing.
    """
    documents = read_manifest(recipe.documents, contract.KIND, contract.VERSION)
    settings = _settings(recipe, documents)
    shards = stored_shards(recipe.documents.resolve(), documents)
    directory = directory.resolve()
    with lock(directory):
        old = read_index(directory) if has_manifest(directory) else None
        if old is not None:
            check_settings(str(recipe.documents), settings, old.config)
            if any(entry.digest == documents.files_digest for entry in old.inputs):
                get_logger("dataprep").info("up to date: %s", directory)
                return old
        with timed(directory, "index"):
            work = _work(directory, documents, settings)
            files = _build(work, shards, recipe.execution)
            manifest = _extended(old, work, documents, settings, files)
            write_manifest(directory, manifest)
            shutil.rmtree(directory / "work")
    return manifest


def _settings(recipe: "Recipe", documents: Manifest) -> dict[str, Any]:
    """What the signatures of these documents were made with, and how their texts were edited."""
    from dataprep.config import Dataprep
    from launch.config import parse_model

    where = str(recipe.documents)
    tables = documents.config["dataprep"]
    config = parse_model(Dataprep, tables, "dataprep")
    if not config.near_duplicates.enabled:
        raise UserError(
            f"{where}: dataprep.near_duplicates.enabled", "false", "true",
            "an index finds documents by the signatures that near-duplicates need",
        )  # fmt: skip
    made_with = documents.config["shingling_version"]
    if made_with != contract.SHINGLING_VERSION:
        raise UserError(
            f"{where}: shingling_version", str(made_with), str(contract.SHINGLING_VERSION),
            "an older version wrote them; run it again: gristmill dataprep run RECIPE --force",
        )  # fmt: skip
    edits = {name: tables[name] for name in ("normalize", "pii")}
    return {**settings_of(config.near_duplicates), **edits}


def _work(directory: Path, documents: Manifest, settings: dict[str, Any]) -> Work:
    code = [digest_file(path) for path in sorted(Path(__file__).parent.rglob("*.py"))]
    name = digest_json([documents.files_digest, settings, code]).removeprefix("xxh3_128:")
    records = _kept(documents) * signature.num_bands(near_of(settings))
    num_partitions = max(1, -(-records // _FILE_RECORDS))
    segment = documents.files_digest.removeprefix("xxh3_128:")[:16]
    return Work(directory / "work" / name, directory, segment, num_partitions)


def _kept(documents: Manifest) -> int:
    return sum(entry.rows or 0 for entry in documents.files if entry.path.startswith("kept/"))


def _build(work: Work, shards: list[StoredShard], execution: "Execution") -> list[FileEntry]:
    from launch.ray_cluster import ray_session, run_tasks

    kept = [
        sum(
            pq.read_metadata(path).num_rows
            for part, path in shard.files.items()
            if part.startswith("kept/")
        )
        for shard in shards
    ]
    first = np.cumsum([0, *kept]).tolist()
    by_shard = [
        (work, number, shard, first[number])
        for number, shard in enumerate(shards)
        if not work.done("shards", number).exists()
    ]
    by_partition = [
        (work, number, len(shards))
        for number in range(work.num_partitions)
        if not work.done("partitions", number).exists()
    ]
    with ray_session(execution):
        run_tasks(write_texts, by_shard, label="index: texts", execution=execution)
        run_tasks(sort_partition, by_partition, label="index: sorting", execution=execution)
    counts = {"shards": len(shards), "partitions": work.num_partitions}
    return [
        FileEntry(**entry)
        for task, count in counts.items()
        for number in range(count)
        for entry in json.loads(work.done(task, number).read_text())
    ]


def write_texts(work: Work, number: int, shard: StoredShard, first: int) -> None:
    """Task: the texts of one shard, whose documents are numbered from `first`, in their file, and
    their band values and hashes in the exchange."""
    if work.done("shards", number).exists():
        return
    temporary = work.temporary()
    document = first
    partitions = work.num_partitions
    with (
        open_exchange(work.exchange("bands", number), BAND_SCHEMA, partitions) as bands,
        open_exchange(work.exchange("hashes", number), HASH_SCHEMA, partitions) as hashes,
        pq.ParquetWriter(
            temporary,
            TEXT_SCHEMA,
            compression="zstd",
            use_dictionary=["source"],
            write_statistics=False,
        ) as texts,
    ):
        for table in kept_documents(shard):
            for part in in_groups(as_stored(table)):
                texts.write_table(part, row_group_size=part.num_rows)
            at, values = signature.band_values(table)
            numbers = np.repeat(document + at, values.shape[1])
            records = pa.table([values.ravel(), numbers], schema=BAND_SCHEMA)
            bands.add(records, partition_of(values.ravel(), partitions))
            halves = hash_halves(table[signature.TEXT_HASH])
            numbers = np.arange(document, document + table.num_rows)
            records = pa.table([halves[:, 0], halves[:, 1], numbers], schema=HASH_SCHEMA)
            hashes.add(records, partition_of(halves[:, 0], partitions))
            document += table.num_rows
    files = []
    if document > first:
        files.append(work.commit(temporary, "texts", number, document - first))
    _mark(work.done("shards", number), files)


def sort_partition(work: Work, partition: int, num_shards: int) -> None:
    """Task: one range of the band values and of the hashes of all shards, each sorted, in a file
    of its own."""
    if work.done("partitions", partition).exists():
        return
    files = []
    for kind, schema in (("bands", BAND_SCHEMA), ("hashes", HASH_SCHEMA)):
        paths = [work.exchange(kind, shard) for shard in range(num_shards)]
        table = read_partition(paths, partition, work.num_partitions, schema)
        columns = [table[name].to_numpy() for name in reversed(schema.names)]
        table = table.take(pa.array(np.lexsort(columns)))
        if not table.num_rows:
            continue
        temporary = work.temporary()
        key = schema.names[0]
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            use_dictionary=False,
            column_encoding={key: "DELTA_BINARY_PACKED", "document": "BYTE_STREAM_SPLIT"},
            write_statistics=[key],
            row_group_size=_GROUP_RECORDS,
        )
        files.append(work.commit(temporary, kind, partition, table.num_rows))
    _mark(work.done("partitions", partition), files)


def _mark(path: Path, files: list[FileEntry]) -> None:
    with committed(path) as temporary:
        temporary.write_text(json.dumps([asdict(entry) for entry in files]))


def _extended(
    old: Manifest | None,
    work: Work,
    documents: Manifest,
    settings: dict[str, Any],
    files: list[FileEntry],
) -> Manifest:
    """The manifest of `old` and the new segment, its segments in the order of their names."""
    texts = [entry for entry in files if "/texts/" in entry.path]
    segment = {
        "name": work.segment,
        "documents": _kept(documents),
        "bytes": sum(entry.bytes for entry in files),
        "text_bytes": sum(entry.bytes for entry in texts),
    }
    segments = [segment, *(old.facts["segments"] if old is not None else ())]
    segments.sort(key=lambda entry: str(entry["name"]))
    inputs = [Input(f"documents:{work.segment}", documents.files_digest)]
    entries = list(files)
    if old is not None:
        inputs += old.inputs
        entries += old.files
    # Within a segment the order is that of shards and partitions, which five digits may not give.
    entries.sort(key=lambda entry: entry.path.split("/")[1])
    facts = {"documents": sum(entry["documents"] for entry in segments), "segments": segments}
    inputs.sort(key=lambda entry: entry.path)
    return Manifest(KIND, VERSION, settings, tuple(inputs), tuple(entries), facts)
