"""The plan: what a run would read, how long it would take, what it would leave on the disk.

The numbers are measured, not guessed: the first records of up to three shards go the whole way
through every task, in this process and a temporary directory, and what that took is scaled by the
bytes of each source. Compile time is no part of it; `rehearsal` pays that first, once.
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from dataprep import sample, shard
from dataprep.reading import read
from dataprep.rehearsal import rehearse_once, take_through
from dataprep.stage import read_counts
from dataprep.workspace import Workspace
from launch.errors import UserError
from launch.manifest import Input, Manifest

if TYPE_CHECKING:
    from launch.recipe import Recipe

_SHARDS_MAX = 3
# A measurement of at least this long is believed; it begins with so many records and so often
# takes more, by this factor.
_SECONDS_MIN = 0.7
_RECORDS_FIRST, _RECORDS_FACTOR = 100, 4
# Starting Ray, and loading the kernels in each worker (2026-11-23: 4 and 3 s).
_START_SECONDS = 7.0


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take. Bytes are those of the disk, documents those read."""

    seconds: float
    compile_seconds: float
    documents: int
    kept_share: float
    work_bytes: int
    final_bytes: int

    @property
    def disk_bytes(self) -> int:
        """The most that lies on the disk at once: the working directory and the result."""
        return self.work_bytes + self.final_bytes


@dataclass(frozen=True)
class _Measured:
    """One shard's sample: the share of the shard that it is, and what it took."""

    source_index: int
    file_bytes: float
    documents: int
    kept: int
    seconds: float
    work_bytes: int
    final_bytes: int


def estimate(recipe: "Recipe") -> Estimate:
    """Measure a sample and scale it; nothing is written below `run.root`.

    Trained models take no part: they may not be trained yet. Similar documents in different shards
    of the sample are found as in a run, but a sample has fewer of them: the share kept is an upper
    bound where duplicates are many.
    """
    start = time.monotonic()
    rehearse_once()
    compile_seconds = time.monotonic() - start
    shards = read.shards(recipe.sources, Path.cwd())
    quotas = sample.quotas(shards, recipe.dataprep.limit)
    measured = [_measure(recipe, shards[index]) for index in _chosen(shards)]
    seconds = longest = documents = kept = work_bytes = final_bytes = 0.0
    for part, quota in zip(shards, quotas, strict=True):
        own = [found for found in measured if found.source_index == part.source_index] or measured
        file_bytes = sum(found.file_bytes for found in own)
        records = sum(found.documents for found in own)
        scale = part.num_bytes / file_bytes if file_bytes else 0.0
        if quota is not None and records:
            scale = min(scale, quota / records)
        own_seconds = scale * sum(found.seconds for found in own)
        seconds, longest = seconds + own_seconds, max(longest, own_seconds)
        documents += scale * records
        kept += scale * sum(found.kept for found in own)
        work_bytes += scale * sum(found.work_bytes for found in own)
        final_bytes += scale * sum(found.final_bytes for found in own)
    workers = max(1, min(recipe.execution.workers, len(shards)))
    return Estimate(
        seconds=_START_SECONDS + max(seconds / workers, longest),
        compile_seconds=compile_seconds,
        documents=round(documents),
        kept_share=kept / documents if documents else 0.0,
        work_bytes=round(work_bytes),
        final_bytes=round(final_bytes),
    )


def check_disk(recipe: "Recipe", expected: Estimate) -> None:
    """Raise UserError if the disk of `run.root` has less room than the run is expected to need."""
    place = recipe.documents.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < expected.disk_bytes:
        raise UserError(
            str(recipe.documents), f"{free / 1e9:.1f} GB free on its disk",
            f"about {expected.disk_bytes / 1e9:.1f} GB",
            "run.root names another place; dataprep.limit takes a sample",
        )  # fmt: skip


def print_plan(recipe: "Recipe", inputs: Sequence[Input], current: Manifest | None) -> None:
    """Shards, bytes, steps and the estimate, on stdout.

    Raises UserError if the disk has too little room.
    """
    shards = read.shards(recipe.sources, Path.cwd())
    total_bytes = sum(part.num_bytes for part in shards)
    near = recipe.dataprep.near_duplicates
    print(f"dataprep: {recipe.published_documents}" + (" is up to date" if current else ""))
    print(f"  inputs  {len(inputs)}, {total_bytes / 1e6:.1f} MB in {len(shards)} shards")
    for source, table in enumerate(recipe.sources):
        own = [part for part in shards if part.source_index == source]
        own_bytes = sum(part.num_bytes for part in own)
        print(f"  source  {table.name} ({table.kind}): {own_bytes / 1e6:.1f} MB, {len(own)} shards")
    if recipe.dataprep.limit is not None:
        print(f"  sample  at most {recipe.dataprep.limit:,} records of them")
    print(f"  steps   {', '.join(shard.step_names(recipe.dataprep))}")
    if near.enabled:
        proposed = f"{near.bands} bands of {near.rows} rows"
        if near.method == "simhash":
            proposed = f"SimHash within {near.simhash_distance} bits"
        print(f"  dedup   exact; {proposed}, {near.measure.capitalize()} {near.jaccard:g}")
    else:
        print("  dedup   exact")
    print(f"  workers {recipe.execution.workers}, Ray at {recipe.execution.ray_address}")
    if current is not None:
        return
    expected = estimate(recipe)
    compiled = expected.compile_seconds
    print(
        f"  time    about {_duration(expected.seconds)}"
        + (f"; compiling the kernels took {compiled:.0f} s, once" if compiled > 1 else "")
    )
    print(f"  expects {expected.documents:,} documents, {100 * expected.kept_share:.0f} % kept")
    print(
        f"  disk    {expected.final_bytes / 1e6:,.0f} MB, "
        f"and {expected.work_bytes / 1e6:,.0f} MB until it is finished"
    )
    check_disk(recipe, expected)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _chosen(shards: Sequence[read.Shard]) -> list[int]:
    """The middle shard of each of the largest sources; of one source, some evenly spaced."""
    by_source: dict[int, list[int]] = {}
    for index, part in enumerate(shards):
        by_source.setdefault(part.source_index, []).append(index)
    largest = sorted(
        by_source.values(), key=lambda own: -sum(shards[index].num_bytes for index in own)
    )
    if len(largest) == 1:
        (own,) = largest
        count = min(_SHARDS_MAX, len(own))
        return [own[(2 * place + 1) * len(own) // (2 * count)] for place in range(count)]
    return sorted(own[len(own) // 2] for own in largest[:_SHARDS_MAX])


def _measure(recipe: "Recipe", part: read.Shard) -> _Measured:
    """Take more and more of a shard's records through all tasks, until it lasts.

    What even one record costs is no part of it: files for every partition, and, the first time in
    a process, models and machine code to be loaded.
    """
    _take(recipe, part, 1)
    overhead = _take(recipe, part, 1)[0].seconds
    records = _RECORDS_FIRST
    while True:
        found, finished = _take(recipe, part, records)
        if finished or found.seconds >= _SECONDS_MIN:
            return replace(found, seconds=max(0.0, found.seconds - overhead))
        records *= _RECORDS_FACTOR


def _take(recipe: "Recipe", part: read.Shard, records: int) -> tuple[_Measured, bool]:
    """The first records of a shard, measured, and whether they were all."""
    untrained = {"quality": None, "toxicity": None, "perplexity": None}
    config = recipe.dataprep.model_copy(update=untrained)
    with tempfile.TemporaryDirectory() as folder:
        work, documents = Workspace(Path(folder) / "work"), Path(folder) / "documents"
        seconds = take_through(work, [part], recipe.sources, config, {}, [records], documents)
        counted = read_counts(work, [0])
        finished = counted["records_read"] < records
        _, counts, _ = shard.read_written(work, 0)
        found = _Measured(
            source_index=part.source_index,
            file_bytes=part.num_bytes if finished else _file_bytes(recipe, part, records),
            documents=counted["documents_in"],
            kept=counts["kept"],
            seconds=sum(seconds),
            work_bytes=_size(work.directory),
            final_bytes=_size(documents),
        )
    return found, finished


def _file_bytes(recipe: "Recipe", part: read.Shard, records: int) -> float:
    """Bytes of the shard's files that its first records take, compressed as they lie there.

    Readers read in blocks, so that this is too much for few small records. What comes from an
    object store is counted as text.
    """
    source = recipe.sources[part.source_index]
    before, text_bytes = _read_bytes(), 0
    for table, _ in read.read_shard(part, source, recipe.dataprep, records):
        text_bytes += pc.sum(table["read_bytes"]).as_py() or 0
    remote = "://" in part.files[0].path
    return min(text_bytes if remote else _read_bytes() - before, part.num_bytes)


def _read_bytes() -> int:
    """Bytes that this process has read so far (Linux)."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    raise AssertionError("/proc/self/io has no rchar")


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
