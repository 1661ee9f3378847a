"""Figures of whole runs: a million documents, two million, datatrove's four stages beside them.

Runs take minutes and are single. Memory is the proportional set size (shared pages divided among
those who share them) of the command and all its descendants, Ray's daemons too, twice a second.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import perturbed_documents
from benchmarks.dataprep_rules import datatrove_python
from benchmarks.documents import REPOSITORY

# GRISTMILL_BENCHMARK_DOCUMENTS scales everything down, to try the benchmark itself.
MILLION = int(os.environ.get("GRISTMILL_BENCHMARK_DOCUMENTS", "1000000"))
WORKERS = 2
_FILES_A_MILLION = 32
_SAMPLED_COPIES = 20_000
_JACCARD = 0.8
# A cloud's price of one virtual core with 4 GB, on demand, in round figures.
_DOLLARS_A_CORE_HOUR = 0.04
# NeMo Curator's README of 2026-04: fuzzy deduplication of a RedPajama-V2 subset on 3 nodes of H100
# cost $190, its CPU baseline $315; earlier editions call the subset 8 TB, 1.78e12 tokens.
_PUBLISHED_DOLLARS, _PUBLISHED_CPU_DOLLARS, _PUBLISHED_TERABYTES = 190.0, 315.0, 8.0
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
signals = false
languages = []
presets = []
pii.mode = "off"
near_duplicates.partitions = 32
"""


def _memory_bytes(process: int) -> int:
    """Proportional set size of a process and its descendants."""
    import psutil

    total = 0
    try:
        tree = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for one in tree:
        try:
            total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def run(folder: Path, root: Path) -> tuple[float, float, str]:
    """Seconds, peak gigabytes and log of one `dataprep run` over the JSONL files of `folder`."""
    recipe = root / "recipe.toml"
    recipe.write_text(_RECIPE.format(root=root, folder=folder, workers=WORKERS), encoding="utf-8")
    log = root / "log"
    start, peak = time.monotonic(), 0
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "dataprep", "run", str(recipe)]
        process = subprocess.Popen(command, cwd=REPOSITORY, stderr=stream)
        while process.poll() is None:
            peak = max(peak, _memory_bytes(process.pid))
            time.sleep(0.5)
    seconds = time.monotonic() - start
    told = log.read_text(encoding="utf-8")
    assert process.returncode == 0, told[-2000:]
    return seconds, peak / 1e9, told


def _shingles(text: str) -> set[tuple[str, ...]]:
    import re

    words = re.findall(r"\w+", text.lower())
    return {tuple(words[place : place + 5]) for place in range(len(words) - 4)}


def jaccard(left: int, right: int) -> float:
    """Exact similarity of two made documents, by Python's own sets."""
    ours, theirs = (_shingles(perturbed_documents.text(number)) for number in (left, right))
    return len(ours & theirs) / len(ours | theirs)


def judge(documents: Path, num_documents: int) -> dict[str, Any]:
    """What a run made of documents whose truth is known.

    `recall`: of sampled copies that are at least 0.8 like their original, how many lost one side.
    `below`: dropped documents, all of another family than their survivor and a sample of the
    others, whose similarity is below 0.8.
    """
    from dataprep.contract import dropped_files, iterate_tables, open_documents

    survivors: dict[int, int] = {}
    manifest = open_documents(documents)
    for table in iterate_tables(documents, dropped_files(manifest), ["id", "survivor_id"]):
        for name, other in zip(*(column.to_pylist() for column in table.columns), strict=True):
            survivors[int(name.partition(":")[2])] = int(other.partition(":")[2])
    family = perturbed_documents.family
    strange = [pair for pair in survivors.items() if family(pair[0]) != family(pair[1])]
    draw = random.Random(0)
    sampled = draw.sample(sorted(survivors.items()), min(_SAMPLED_COPIES, len(survivors)))
    below = sum(jaccard(*pair) < _JACCARD for pair in {*sampled, *strange})
    found = wanted = 0
    for number in draw.sample(range(num_documents), min(_SAMPLED_COPIES, num_documents)):
        original = family(number)
        if original != number and jaccard(number, original) >= _JACCARD:
            wanted += 1
            found += number in survivors or original in survivors
    return {
        "dropped": len(survivors),
        "dropped_for_another_family": len(strange),
        "dropped_below_the_threshold": below,
        "copies_sampled": wanted,
        "recall": round(found / max(1, wanted), 5),
    }


@cache
def _run_of(millions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name) / "input", Path(name) / "run"
        folder.mkdir()
        root.mkdir()
        number = millions * MILLION
        megabytes = perturbed_documents.write(folder, number, millions * _FILES_A_MILLION)
        seconds, gigabytes, _ = run(folder, root)
        judged = judge(root / "documents", number) if millions == 1 else {}
    return {
        "documents": number,
        "megabytes": round(megabytes),
        "seconds": round(seconds, 1),
        "peak_gigabytes": round(gigabytes, 2),
        **judged,
    }


@cache
def _datatrove_seconds() -> float:
    """Seconds of datatrove's four stages for a tenth of the million, ten times over."""
    with tempfile.TemporaryDirectory() as name:
        perturbed_documents.write(Path(name), MILLION // 10, 16)
        done = subprocess.run(
            [datatrove_python(), "-m", "benchmarks.datatrove_minhash", name, str(WORKERS)],
            cwd=REPOSITORY,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    stages = json.loads(done.stdout)
    return 10.0 * sum(value for key, value in stages.items() if key != "kept")


def million_documents() -> tuple[dict[str, Any], dict[str, float], bool]:
    """A whole near-dedup of a million documents against datatrove's, and its memory."""
    own, theirs = _run_of(1), _datatrove_seconds()
    ratio = theirs / own["seconds"]
    value = {**own, "datatrove_seconds": round(theirs), "ratio": round(ratio, 1)}
    holds = ratio >= 20 and own["peak_gigabytes"] < 4 and own["dropped_below_the_threshold"] == 0
    return value, {"ratio": 20.0, "peak_gigabytes": 4.0}, holds


def two_million() -> tuple[dict[str, Any], float, bool]:
    """Time of two million documents against one million."""
    one, two = _run_of(1), _run_of(2)
    ratio = two["seconds"] / one["seconds"]
    return {"ratio": round(ratio, 2), "one": one, "two": two}, 2.2, ratio <= 2.2


def dollars_a_terabyte() -> tuple[dict[str, float], None, None]:
    """What the measured rate costs on CPU cores at a stated price, on paper."""
    own = _run_of(1)
    core_hours = own["seconds"] * WORKERS / 3600 / (own["megabytes"] / 1e6)
    value = {
        "core_hours_a_terabyte": round(core_hours, 1),
        "dollars_a_core_hour": _DOLLARS_A_CORE_HOUR,
        "dollars_a_terabyte": round(core_hours * _DOLLARS_A_CORE_HOUR, 2),
        "published_gpu_dollars_a_terabyte": round(_PUBLISHED_DOLLARS / _PUBLISHED_TERABYTES, 1),
        "published_cpu_dollars_a_terabyte": round(_PUBLISHED_CPU_DOLLARS / _PUBLISHED_TERABYTES, 1),
    }
    return value, None, None


FIGURES: dict[str, Callable[[], tuple[Any, Any, bool | None]]] = {
    "million_documents": million_documents,
    "two_million_against_one": two_million,
    "dollars_a_terabyte": dollars_a_terabyte,
}
