"""The figures of an index across runs, on documents of known families (`perturbed_documents`).

A corpus of 50,000 documents is run and put into an index; a second corpus of 10,000 that holds
copies of the first one's documents is compared with it. Two workers, as users start it; a query is
one process.
"""

import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks import perturbed_documents
from dataprep.indexes.build import extend
from dataprep.indexes.query import query
from dataprep.run import run
from launch.ray_cluster import ray_session
from launch.recipe import Execution, Recipe

# GRISTMILL_BENCHMARK_DOCUMENTS scales it down, to try the benchmark itself.
DOCUMENTS = int(os.environ.get("GRISTMILL_BENCHMARK_DOCUMENTS", "50000"))


def _recipe(folder: Path, root: str, names: str, **dataprep: Any) -> Recipe:
    sources = [
        {"name": name, "kind": "jsonl", "paths": [f"{folder}/{name}/*"], "columns": {"id": "id"}}
        for name in names
    ]
    tables = {"languages": [], "presets": [], "signals": False, **dataprep}
    run_table = {"root": str(folder / root)}
    return Recipe.from_dict({"run": run_table, "sources": sources, "dataprep": tables})


def _kept(recipe: Recipe) -> set[str]:
    return {
        name
        for path in recipe.documents.glob("kept/*/*.parquet")
        for name in pq.read_table(path, columns=["id"])["id"].to_pylist()
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@cache
def _measured() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name, ray_session(Execution(workers=2)):
        folder = Path(name)
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        perturbed_documents.write(folder / "a", DOCUMENTS, 4)
        draw = random.Random(1)
        # Numbers beyond the first corpus: their families lie in it, or are new.
        numbers = range(DOCUMENTS, DOCUMENTS + DOCUMENTS // 5)
        texts = {str(number): perturbed_documents.text(number) for number in numbers}
        lines = [json.dumps({"id": key, "text": text}) for key, text in texts.items()]
        draw.shuffle(lines)
        (folder / "b" / "0.jsonl").write_text("\n".join(lines) + "\n")
        first = _recipe(folder, "first", "a")
        index = folder / "index"
        against = _recipe(folder, "against", "b", indexes=[str(index)])
        alone = _recipe(folder, "alone", "b")
        both = _recipe(folder, "both", "ab", survivors={"order": ["source"]})
        seconds = {"first": _seconds(lambda: run(first))}
        seconds["index"] = _seconds(lambda: extend(first, index))
        seconds["alone"] = _seconds(lambda: run(alone))
        seconds["against"] = _seconds(lambda: run(against))
        seconds["both"] = _seconds(lambda: run(both))
        asked = [str(folder / "b" / "0.jsonl")]
        list(query(index, asked))  # kernels are compiled
        seconds["query"] = _seconds(lambda: list(query(index, asked)))
        one = folder / "one.jsonl"
        one.write_text(lines[0] + "\n")
        seconds["one"] = min(_seconds(lambda: list(query(index, [str(one)]))) for _ in range(5))
        kept = _kept(first)
        size = sum(path.stat().st_size for path in index.rglob("*.parquet"))
        text_bytes = sum(len(perturbed_documents.text(i)) for i in range(0, DOCUMENTS, 100)) * 100
        return {
            **seconds,
            "kept": len(kept),
            "bytes": size / len(kept),
            "text_bytes": text_bytes / DOCUMENTS,
            "asked": len(lines),
            "differ": len((kept | _kept(against)) ^ _kept(both)),
        }


def _index_build() -> tuple[Any, Any, bool | None]:
    found = _measured()
    return {
        "documents_per_second": round(found["kept"] / found["index"]),
        "share_of_the_run": round(found["index"] / found["first"], 3),
        "bytes_per_document": round(found["bytes"]),
        "text_bytes_per_document": round(found["text_bytes"]),
    }, None, None  # fmt: skip


def _index_query() -> tuple[Any, Any, bool | None]:
    found = _measured()
    return {
        "documents_per_second": round(found["asked"] / found["query"]),
        "milliseconds_for_one": round(1000 * found["one"], 1),
    }, None, None  # fmt: skip


def _run_against_index() -> tuple[Any, Any, bool | None]:
    found = _measured()
    return {
        "seconds_without": round(found["alone"], 1),
        "seconds_against": round(found["against"], 1),
        "seconds_over_both": round(found["both"], 1),
    }, None, None  # fmt: skip


def _kept_that_differ() -> tuple[Any, Any, bool | None]:
    """Documents kept by the two runs with the index between them, but not by one over both, or
    the other way round."""
    differ = _measured()["differ"]
    return differ, 0, differ == 0


FIGURES: dict[str, Callable[[], tuple[Any, Any, bool | None]]] = {
    "index_build": _index_build,
    "index_query": _index_query,
    "index_run_against": _run_against_index,
    "index_kept_that_differ": _kept_that_differ,
}

if __name__ == "__main__":
    for figure, compute in FIGURES.items():
        print(figure, compute())
