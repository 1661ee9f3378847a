"""datatrove's four stages of MinHash deduplication: run by the Python of its own environment.

    python -m benchmarks.datatrove_minhash FOLDER WORKERS

Prints one JSON object: seconds of each stage, from FOLDER's JSON lines to JSON lines of what is
kept, and the number of documents kept. Parameters are FineWeb's, which are its defaults: 14
buckets of 8 hashes of word 5-grams.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def four_stages(folder: Path, workers: int, work: Path) -> dict[str, float]:
    config = MinhashConfig()
    files = len(list(folder.glob("*.jsonl")))
    read = JsonlReader(str(folder))
    places = {name: f"{work}/{name}" for name in ("signatures", "buckets", "removed", "kept")}
    signatures, buckets, removed, kept = places.values()
    stages = {
        "signature": (
            [read, MinhashDedupSignature(output_folder=signatures, config=config)], files,
        ),
        "buckets": (
            [MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets,
        ),
        "cluster": ([MinhashDedupCluster(buckets, removed, config=config)], 1),
        "filter": (
            [read, MinhashDedupFilter(removed), JsonlWriter(kept, compression=None)], files,
        ),
    }  # fmt: skip
    seconds: dict[str, float] = {}
    for name, (pipeline, tasks) in stages.items():
        start = time.perf_counter()
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=workers, logging_dir=f"{work}/logs/{name}"
        ).run()
        seconds[name] = round(time.perf_counter() - start, 2)
    written = sum(path.read_bytes().count(b"\n") for path in Path(kept).glob("*.jsonl"))
    return {**seconds, "kept": written}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(four_stages(Path(sys.argv[1]), int(sys.argv[2]), Path(name))))
