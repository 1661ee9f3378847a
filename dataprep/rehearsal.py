"""The whole way of a document, once, on three small ones: before anything is spent.

It compiles every kernel for exactly the types that the tasks will use (about 30 s, kept on disk by
`kernel_cache`), so that the workers find machine code instead of compiling it all at once, and it
finds a broken installation before the first shard does.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from dataprep import deduplicate, lines, page_scan
from dataprep.classifier import Name
from dataprep.config import Columns, Dataprep, Source
from dataprep.kernel_cache import cache_directory
from dataprep.read import Shard, shards
from dataprep.shard import process_shard, write_documents
from dataprep.shingles import shingling_of
from dataprep.stage import read_counts
from dataprep.workspace import Workspace
from launch.log import get_logger

MARK_NAME = "rehearsed"
_ENGLISH = "The mill turns and the water that turned it flows on, so the mill turns again.\n" * 3
_CHINESE = "水车转动，推动它的水继续流淌；于是水车再次转动。\n" * 3


def rehearse_once() -> None:
    """Rehearse if these kernels have not been compiled on this machine yet."""
    mark = cache_directory() / MARK_NAME
    if mark.exists():
        return
    get_logger("dataprep").info("compiling the kernels, once for this version: about 30 s")
    with tempfile.TemporaryDirectory() as folder:
        rehearse(Path(folder))
    mark.touch()


def rehearse(folder: Path) -> None:
    """Take three documents, two of them near-duplicates, through every task, in this process."""
    # What JSON lines and the presets below have no use for.
    page_scan.scan(_ENGLISH.encode())
    lines.edit(pa.array([_ENGLISH], pa.large_string()), np.array([True]), ("c4",), False)
    texts = [_ENGLISH, _ENGLISH + "And the mill turns.", _CHINESE]
    records = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)]
    (folder / "documents.jsonl").write_text("\n".join(records), encoding="utf-8")
    # No rule may drop them: only what is alive is compared.
    config = Dataprep(languages=(), presets=())
    source = Source(
        name="rehearsal", kind="jsonl", paths=("documents.jsonl",), columns=Columns(id="id")
    )
    work = Workspace(folder / "work")
    parts = shards([source], folder)
    take_through(work, parts, [source], config, {}, [None], folder / "documents")
    assert read_counts(work, [0])["documents_in"] == len(texts)


def take_through(
    work: Workspace,
    parts: Sequence[Shard],
    sources: Sequence[Source],
    config: Dataprep,
    models: Mapping[Name, Path],
    quotas: Sequence[int | None],
    documents: Path,
) -> list[float]:
    """Every task of a run, one after the other in this process, without report and manifest.

    Returns the seconds of the pass over each of `parts`, and last those of all that follows.
    """
    seconds = []
    for index, (part, quota) in enumerate(zip(parts, quotas, strict=True)):
        start = time.monotonic()
        process_shard(work, index, part, sources[part.source_index], config, models, quota)
        seconds.append(time.monotonic() - start)
    start = time.monotonic()
    near, num_shards = config.near_duplicates, len(parts)
    for partition in range(near.partitions):
        deduplicate.find_exact(work, partition, near.partitions, num_shards)
    deduplicate.collect_exact(work, near.partitions)
    for partition in range(near.partitions):
        deduplicate.find_links(work, partition, near.partitions, num_shards, near.band_size_max)
    num_batches = deduplicate.collect_candidates(work, near.partitions, num_shards)
    for index in range(num_shards if num_batches else 0):
        deduplicate.write_shingles(work, index, num_batches, shingling_of(near))
    for batch in range(num_batches):
        deduplicate.verify_batch(work, batch, num_batches, num_shards, near.jaccard)
    deduplicate.collect_decisions(work, near, near.partitions, num_batches, num_shards)
    for index in range(num_shards):
        write_documents(work, index, documents, 0, config.valid_fraction)
    return [*seconds, time.monotonic() - start]
