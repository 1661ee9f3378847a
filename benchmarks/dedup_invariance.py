"""Figures of invariance: what is kept must not depend on how the work is cut, or the input dealt.

Real documents (English and Chinese documentation, and the four sets of near-duplicates) go through
`dataprep run`, duplicates only. Compared are the kept documents by id, and of every dropped one its
reason and survivor; of a figure's runs only one thing is different.
"""

import gzip
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from benchmarks.documents import DATA, REPOSITORY

SETS = {
    "en_docs": "docs",
    "zh_docs": "zh_docs",
    "neardup_manpages": "docs",
    "neardup_licenses": "docs",
    "neardup_zh_vuedocs": "docs",
    "neardup_books_editions": "docs",
}
_RECIPE = """
[run]
root = "{root}"
[execution]
workers = {workers}
[[sources]]
name = "made"
kind = "jsonl"
paths = ["{folder}/*.jsonl"]
columns = {{id = "id"}}
[dataprep]
languages = []
presets = []
signals = false
pii.mode = "off"
near_duplicates.partitions = {partitions}
{more}
"""

Outcome = dict[str, tuple[str | None, str | None]]


@cache
def lines() -> tuple[bytes, ...]:
    """Every document of the sets, as JSON with an id of its own. Raises FileNotFoundError."""
    found = []
    for folder, name in SETS.items():
        with gzip.open(DATA / folder / f"{name}.jsonl.gz", "rb") as stream:
            for line in stream:
                document = orjson.loads(line)
                chosen = {"id": f"{folder}/{document['id']}", "text": document["text"]}
                found.append(orjson.dumps(chosen))
    return tuple(found)


def outcome(
    dealt: Sequence[bytes], num_files: int, workers: int, partitions: int, more: str = ""
) -> Outcome:
    """By id: the reason, None for a kept document, and the survivor."""
    from dataprep.contract import dropped_files, iterate_tables, kept_files, open_documents

    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name) / "input", Path(name) / "run"
        folder.mkdir()
        root.mkdir()
        for number in range(num_files):
            (folder / f"{number}.jsonl").write_bytes(b"\n".join(dealt[number::num_files]))
        recipe = root / "recipe.toml"
        recipe.write_text(
            _RECIPE.format(
                root=root, folder=folder, workers=workers, partitions=partitions, more=more
            ),
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "dataprep", "run", str(recipe)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        manifest = open_documents(root / "documents")
        files = [*kept_files(manifest, "train"), *kept_files(manifest, "valid")]
        files += dropped_files(manifest)
        columns = ["id", "drop_reason", "survivor_id"]
        tables = iterate_tables(root / "documents", files, columns)
        rows = [row for table in tables for row in table.to_pylist()]
    assert len(rows) == len(dealt), "every document comes out once"
    return {row["id"]: (row["drop_reason"], row["survivor_id"]) for row in rows}


@cache
def usual() -> Outcome:
    return outcome(lines(), num_files=6, workers=2, partitions=16)


def _differing(left: Outcome, right: Outcome) -> dict[str, Any]:
    kept = [{name for name, row in found.items() if row[0] is None} for found in (left, right)]
    return {
        "documents": len(left),
        "kept": len(kept[0]),
        "kept_that_differ": len(kept[0] ^ kept[1]),
        "decisions_that_differ": sum(left[name] != right.get(name) for name in left),
    }


def _figure(measure: Callable[[], tuple[Outcome, Outcome]]) -> tuple[Any, str, bool]:
    value = _differing(*measure())
    holds = value["kept_that_differ"] == value["decisions_that_differ"] == 0
    return value, "0 that differ", holds


def _workers() -> tuple[Outcome, Outcome]:
    return usual(), outcome(lines(), num_files=6, workers=1, partitions=16)


def _partitions() -> tuple[Outcome, Outcome]:
    four, many = (outcome(lines(), 6, 2, partitions) for partitions in (4, 64))
    return four, many


def _shuffled() -> tuple[Outcome, Outcome]:
    dealt = list(lines())
    random.Random(4).shuffle(dealt)
    return usual(), outcome(dealt, num_files=11, workers=2, partitions=16)


def _hot_bands() -> tuple[Outcome, Outcome]:
    # Every band value of more than five documents is cut.
    more = "near_duplicates.band_size_max = 5"
    dealt = list(lines())
    random.Random(5).shuffle(dealt)
    return outcome(lines(), 6, 2, 4, more), outcome(dealt, 9, 2, 16, more)


FIGURES: dict[str, Callable[[], tuple[Any, str, bool]]] = {
    "dedup_invariance_workers_1_2": lambda: _figure(_workers),
    "dedup_invariance_partitions_4_64": lambda: _figure(_partitions),
    "dedup_invariance_shuffled": lambda: _figure(_shuffled),
    "dedup_invariance_shuffled_hot_bands": lambda: _figure(_hot_bands),
}

if __name__ == "__main__":
    for name, figure in FIGURES.items():
        print(name, figure(), flush=True)
