"""The whole way of a document, once, on three small ones: before anything is spent.

It compiles every kernel for exactly the types that the tasks will use (a minute or so, kept on disk
by `kernel_cache`), so that the workers find machine code instead of compiling it all at once, and
it finds a broken installation before the first shard does.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from dataprep.config import Columns, Dataprep, Source
from dataprep.config_duplicates import Spans, Substrings
from dataprep.decontamination import decontamination
from dataprep.dedup import deduplicate, pieces, simhash
from dataprep.dedup.survivors import with_source_order
from dataprep.kernel_cache import cache_directory
from dataprep.models import model_file
from dataprep.pages import page_scan
from dataprep.reading.read import Shard, shards
from dataprep.shard import process_shard, write_documents
from dataprep.signals import lines
from dataprep.stage import read_counts
from dataprep.tasks import in_turn
from dataprep.text import cuts
from dataprep.workspace import Layout, Workspace
from launch.log import get_logger

MARK_NAME = "rehearsed"
_ENGLISH = "The mill turns and the water that turned it flows on, so the mill turns again.\n" * 3
_CHINESE = "水车转动，推动它的水继续流淌；于是水车再次转动。\n" * 3


def rehearse_once() -> None:
    """Rehearse if these kernels have not been compiled on this machine yet."""
    mark = cache_directory() / MARK_NAME
    if mark.exists():
        return
    get_logger("dataprep").info("compiling the kernels, once for this version: about a minute")
    with tempfile.TemporaryDirectory() as folder:
        rehearse(Path(folder))
    mark.touch()


def rehearse(folder: Path) -> None:
    """Take three documents, two of them near-duplicates, through every task, in this process."""
    # What JSON lines and the presets below have no use for.
    page_scan.scan(_ENGLISH.encode())
    simhash.band_values(simhash.fingerprints(pa.array([_ENGLISH], pa.large_string()))[0], 3)
    lines.edit(pa.array([_ENGLISH], pa.large_string()), np.array([True]), ("c4",), False)
    decontamination.rehearse(_ENGLISH)
    model_file.rehearse(pa.array([_ENGLISH, _CHINESE], pa.large_string()))
    texts = [_ENGLISH, _ENGLISH + "And the mill turns.", _CHINESE]
    records = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)]
    (folder / "documents.jsonl").write_text("\n".join(records), encoding="utf-8")
    # No rule may drop them: only what is alive is compared.
    config = Dataprep(
        languages=(),
        presets=(),
        spans=Spans(units=("paragraph", "line", "sentences")),
        substrings=Substrings(enabled=True, bytes_min=32),
    )
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
    models: Mapping[str, Path],
    quotas: Sequence[int | None],
    documents: Path,
) -> list[float]:
    """Every task of a run, one after the other in this process, without report and manifest.

    Returns the seconds of the pass over each of `parts`, and last those of all that follows.
    """
    config = with_source_order(config, sources)
    seconds = []
    for index, (part, quota) in enumerate(zip(parts, quotas, strict=True)):
        start = time.monotonic()
        process_shard(work, index, part, sources[part.source_index], config, models, quota)
        seconds.append(time.monotonic() - start)
    start = time.monotonic()
    layout = Layout(len(parts), config.near_duplicates.partitions)
    deduplicate.deduplicate(work, config, layout, in_turn)
    pieces.cut_pieces(config, work, layout, in_turn)
    for index in range(len(parts)):
        write_documents(work, index, documents, 0, config.valid_fraction, cuts.cut_steps(config))
    return [*seconds, time.monotonic() - start]
