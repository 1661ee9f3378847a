"""Figures of pieces: substrings against a direct scan, and the rates of both steps on one core.

The direct scan is a suffix array of the whole corpus (pydivsufsort) with the common prefixes of its
neighbours (Kasai et al. 2001, written here): the windows of one group of suffixes are equal, and
all but the first in survivor order are repeated. It shares no line with what it judges. Rates are
of processor time of all tasks of the step, in this process, from staged shards to cuts, Parquet
and survivor order included, median of `REPEATS`; compiling is not counted.
"""

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from benchmarks.documents import texts
from dataprep.config import Dataprep, Source
from dataprep.config_duplicates import NearDuplicates, Spans, Substrings
from dataprep.dedup import pieces
from dataprep.dedup.decided import survivors
from dataprep.dedup.survivor_ranks import ranked
from dataprep.reading.read import shards
from dataprep.rehearsal import take_through
from dataprep.tasks import in_turn
from dataprep.workspace import Layout, Workspace

REPEATS = 5
BYTES_MIN = 200
_CORPUS_BYTES = 20_000_000
# Technical prose, pages that repeat one another, news, another script.
_SETS = ("en_docs", "en_manpages", "en_gov_news", "zh_docs")
_NUM_SHARDS = 3

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Figure = tuple[Any, Any, bool | None]


def direct_scan(data: Bytes, ends: Integers, length: int) -> Flags:
    """Which bytes lie in a window of `length` that stands earlier in `data` (bool, its shape).

    Documents stand one after the other, `ends` (int64) is where they end; no window crosses one.
    """
    from pydivsufsort import divsufsort

    suffixes = divsufsort(data.copy()).astype(np.int64)
    ends_of = np.repeat(ends, np.diff(ends, prepend=0))
    inside = np.arange(len(data)) + length <= ends_of
    repeated = _repeated(data, suffixes, inside, length)
    covered = np.zeros(len(data) + 1, np.int64)
    np.add.at(covered, np.flatnonzero(repeated), 1)
    np.add.at(covered, np.flatnonzero(repeated) + length, -1)
    return np.cumsum(covered[:-1]) > 0


@numba.njit
def _repeated(data: Bytes, suffixes: Integers, inside: Flags, length: int) -> Flags:
    """Which windows are not the first of their group."""
    size = len(data)
    places = np.empty(size, np.int64)
    for place in range(size):
        places[suffixes[place]] = place
    common = np.zeros(size, np.int64)  # with the suffix before
    shared = 0
    for start in range(size):
        if places[start] == 0:
            shared = 0
            continue
        other = suffixes[places[start] - 1]
        while (
            start + shared < size
            and other + shared < size
            and data[start + shared] == data[other + shared]
        ):
            shared += 1
        common[places[start]] = shared
        shared = max(0, shared - 1)
    repeated = np.zeros(size, np.bool_)
    first = 0
    while first < size:
        last = first + 1
        while last < size and common[last] >= length:
            last += 1
        smallest = size
        for place in range(first, last):
            if inside[suffixes[place]]:
                smallest = min(smallest, suffixes[place])
        for place in range(first, last):
            repeated[suffixes[place]] = inside[suffixes[place]] and suffixes[place] != smallest
        first = last
    return repeated


def _config(**tables: Any) -> Dataprep:
    """The step alone: no signals, no rules, no near-duplicates."""
    return Dataprep(
        languages=(), presets=(), signals=False, near_duplicates=NearDuplicates(enabled=False),
        **tables,
    )  # fmt: skip


@cache
def _corpus(num_bytes: int) -> tuple[str, ...]:
    """Documents of the sets in turn until they are `num_bytes`."""
    chosen, size = [], 0
    longest = max(len(texts(name)) for name in _SETS)
    for number in range(longest):
        for name in _SETS:
            of_set = texts(name)
            if number < len(of_set) and size < num_bytes:
                chosen.append(of_set[number])
                size += len(of_set[number].encode())
    return tuple(chosen)


@contextmanager
def _staged(config: Dataprep) -> Iterator[tuple[Workspace, int]]:
    """A workspace after a run of all tasks, and the bytes of the survivors' texts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        documents = _corpus(_CORPUS_BYTES)
        for shard in range(_NUM_SHARDS):
            lines = [json.dumps({"text": text}) for text in documents[shard::_NUM_SHARDS]]
            (folder / f"{shard}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        source = Source(name="s", kind="jsonl", paths=("*.jsonl",))
        work = Workspace(folder / "work")
        parts = shards([source], folder)
        none: list[int | None] = [None] * len(parts)
        take_through(work, parts, [source], config, {}, none, folder / "documents")
        size = sum(
            sum(len(text.encode()) for text in batch.to_pylist())
            for shard in range(len(parts))
            for _, batch in survivors(work, shard)
        )
        yield work, size


def _rate(step: str, config: Dataprep) -> float:
    """Bytes of text a second of processor time through all tasks of a step."""
    layout = Layout(_NUM_SHARDS, config.near_duplicates.partitions)
    with _staged(config) as (work, size):
        seconds = []
        for _ in range(REPEATS):
            shutil.rmtree(work.directory / step)
            start = time.process_time()
            pieces.cut_pieces(config, work, layout, in_turn)
            seconds.append(time.process_time() - start)
    return size / statistics.median(seconds)


def substrings_rate() -> Figure:
    """MB of text a second on one core, cut at `BYTES_MIN`; target 20."""
    config = _config(substrings=Substrings(enabled=True, bytes_min=BYTES_MIN))
    rate = round(_rate("substrings", config) / 1e6, 1)
    return rate, 20, rate >= 20


def spans_rate() -> Figure:
    """MB of text a second on one core, lines and three sentences in a row."""
    config = _config(spans=Spans(units=("line", "sentences")))
    return round(_rate("spans", config) / 1e6, 1), None, None


@cache
def _compared() -> dict[str, float]:
    """Bytes repeated, bytes on which the two scans differ, and seconds of the suffix array."""
    config = _config(substrings=Substrings(enabled=True, bytes_min=BYTES_MIN))
    with _staged(config) as (work, size):
        rows, encoded = [], []
        for shard in range(_NUM_SHARDS):
            for of_batch, batch in survivors(work, shard):
                rows += of_batch.tolist()
                encoded += [text.encode() for text in batch.to_pylist()]
        documents = ranked(work, np.array(rows))
        order = np.argsort(documents.ranks[documents.places(np.array(rows))])
        data = np.frombuffer(b"".join(encoded[i] for i in order), np.uint8)
        ends = np.cumsum([len(encoded[i]) for i in order])
        start = time.process_time()
        expected = direct_scan(data, ends, BYTES_MIN)
        seconds = time.process_time() - start
        begins = {rows[i]: end - len(encoded[i]) for i, end in zip(order, ends, strict=True)}
        found = np.zeros(len(data), np.bool_)
        for path in (work.directory / "substrings" / "repeats").iterdir():
            for row in pq.read_table(path).to_pylist():
                begin = begins[row["row"]]
                found[begin + row["start"] : begin + row["end"]] = True
    return {
        "bytes": size,
        "repeated": int(expected.sum()),
        "different": int((found != expected).sum()),
        "seconds": seconds,
    }


def substrings_equal_direct_scan() -> Figure:
    """Bytes in repeated windows that one scan finds and the other does not, on 20 MB; target 0."""
    compared = _compared()
    holds = compared["different"] == 0 and compared["repeated"] > 0
    return compared["different"], 0, holds and compared["bytes"] >= 0.95 * _CORPUS_BYTES


def substrings_against_suffix_array() -> Figure:
    """How many times as fast as a suffix array of the corpus in memory."""
    compared = _compared()
    ratio = substrings_rate()[0] * 1e6 / (compared["bytes"] / compared["seconds"])
    return round(ratio, 1), None, None


def pieces_of_one_byte() -> Figure:
    """Seconds for 10 MB that repeat one byte, as a multiple of 1 MB of the same; target 13
    (n log n: 11.7)."""
    length, seconds = BYTES_MIN, []
    from dataprep.dedup.substring_kernels import find_fingerprints, find_repeated

    for size in (1_000_000, 1_000_000, 10_000_000):
        data, offsets = np.full(size, 97, np.uint8), np.array([0, size])
        start = time.process_time()
        found, _, _ = find_fingerprints(data, offsets, length, length // 2)
        group = np.zeros(found.shape[1], np.int64)
        find_repeated(data, group, found[1], found[2], length)
        seconds.append(time.process_time() - start)
    ratio = round(seconds[2] / seconds[1], 1)
    return ratio, 13, ratio <= 13


FIGURES: dict[str, Callable[[], Figure]] = {
    "substrings_equal_direct_scan": substrings_equal_direct_scan,
    "substrings_rate": substrings_rate,
    "substrings_against_suffix_array": substrings_against_suffix_array,
    "pieces_of_one_byte": pieces_of_one_byte,
    "spans_rate": spans_rate,
}
