"""Figures of speed: side by side with datatrove on one core, from archives, on more cores and data.

What is measured together runs in one process after the other, never at once; rates are medians of
five after a warm-up that compiles, but for the two figures of whole runs (workers, size), whose
runs take minutes and are said to be single.
"""

import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.dataprep_rules import run_datatrove
from benchmarks.documents import DATA, REPOSITORY, made_documents, table_of, texts, write_jsonl

REPEATS = 5
PRESETS = ("gopher", "c4", "fineweb")
_FILTERS = ("gopher_quality", "gopher_repetition", "c4", "fineweb")
# datatrove takes 25 ms for a document, five times over, three times.
_EVERY = 5
_ARCHIVE_COPIES = 8


@cache
def _documents() -> tuple[str, ...]:
    """3,000 documents of en_c4 and en_gov_news."""
    return (texts("en_c4") + texts("en_gov_news"))[:3000]


def median_seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """The median of `repeats` runs after one that is not counted."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


@cache
def _datatrove_rates() -> dict[str, float]:
    """Documents a second through all four filters, by word splitter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents.jsonl"
        write_jsonl(path, _documents()[::_EVERY])
        timed = json.loads(run_datatrove("time", path, REPEATS))
    return {
        splitter: timed["documents"]
        / sum(statistics.median(timed[f"{name}_{splitter}"]) for name in _FILTERS)
        for splitter in ("own", "spaces", "no_tokenizer")
    }


@cache
def _own_rate() -> float:
    """Documents a second through the same rules: signals, lines taken out, decisions."""
    from dataprep.config import Dataprep
    from dataprep.signals import lines, rules, signals
    from dataprep.step import apply_chain

    config = Dataprep(presets=PRESETS)
    steps = [make(config) for make in (signals.make_step, lines.make_step, rules.make_step)]
    table = table_of(_documents()).append_column("language", [["en"] * len(_documents())])
    return len(_documents()) / median_seconds(lambda: apply_chain(steps, table))


def _against(splitter: str, target: float | None) -> tuple[float, float | None, bool | None]:
    ratio = _own_rate() / _datatrove_rates()[splitter]
    return round(ratio, 1), target, None if target is None else ratio >= target


def rules_rate() -> tuple[dict[str, float], None, None]:
    """The rates themselves, documents a second."""
    rates = {"gristmill": round(_own_rate(), 1)}
    return (
        rates | {f"datatrove_{k}": round(v, 1) for k, v in _datatrove_rates().items()},
        None,
        None,
    )


def _pass_seconds(source_kind: str, paths: str, folder: Path, dedup: bool) -> tuple[float, int]:
    """Read, every step of the default recipe, exchange if `dedup`, write: seconds, documents."""
    from dataprep.config import Dataprep, Source
    from dataprep.config_duplicates import NearDuplicates
    from dataprep.reading import read
    from dataprep.rehearsal import take_through
    from dataprep.stage import read_counts
    from dataprep.workspace import Workspace

    presets = Dataprep().presets if dedup else PRESETS
    config = Dataprep(presets=presets, near_duplicates=NearDuplicates(enabled=dedup))
    source = Source(name="s", kind=source_kind, paths=(paths,))
    count = 0

    def work() -> None:
        nonlocal count
        with tempfile.TemporaryDirectory(dir=folder) as name:
            workspace, documents = Workspace(Path(name) / "work"), Path(name) / "documents"
            shards = read.number_rows(read.shards([source], Path.cwd()), [source])
            take_through(workspace, shards, [source], config, {}, [None] * len(shards), documents)
            assert list(documents.rglob("*.parquet")), "nothing was written"
            count = read_counts(workspace, range(len(shards)))["documents_in"]

    return median_seconds(work), count


def whole_pass() -> tuple[dict[str, float], float, bool]:
    """Read, signals, rules, PII, write: documents a second against datatrove's pipeline."""
    chosen = _documents()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_jsonl(folder / "documents.jsonl", chosen)
        seconds, count = _pass_seconds("jsonl", f"{folder}/*.jsonl", folder, dedup=False)
        # All documents here too, or its start would weigh five times as much; a minute a repeat.
        theirs = json.loads(run_datatrove("pass", folder, 3))
    rate = len(chosen) / statistics.median(theirs)
    ratio = count / seconds / rate
    value = {
        "ratio": round(ratio, 1),
        "gristmill": round(count / seconds, 1),
        "datatrove": round(rate, 1),
    }
    return value, 50.0, ratio >= 50.0


def archive_to_parquet() -> tuple[dict[str, float], float, bool]:
    """The default recipe from WARC to kept Parquet, milliseconds for each page."""
    path = DATA / "web_html_scrapinghub" / "pages_wrapped.warc.gz"
    if not path.exists():
        raise FileNotFoundError("web_html_scrapinghub: it lies in shared/data")
    with tempfile.TemporaryDirectory() as name:
        # An archive of a crawl holds thousands of pages; files of the exchange cost the same.
        archive = Path(name) / "pages.warc.gz"
        archive.write_bytes(path.read_bytes() * _ARCHIVE_COPIES)
        seconds, count = _pass_seconds("warc", str(archive), Path(name), dedup=True)
        unpacked = _ARCHIVE_COPIES * len(gzip.decompress(path.read_bytes()))
    value = {
        "milliseconds": round(1000 * seconds / count, 2),
        "pages": count,
        "kilobytes_a_page": round(unpacked / count / 1000),
    }
    return value, 2.5, value["milliseconds"] <= 2.5


def _run_seconds(folder: Path, workers: int) -> tuple[float, float]:
    """Seconds of a whole `dataprep run`, and of its pass over the shards alone."""
    with tempfile.TemporaryDirectory(dir=folder) as root:
        recipe = Path(root) / "recipe.toml"
        recipe.write_text(
            f'[run]\nroot = "{root}"\n[execution]\nworkers = {workers}\n'
            f'[[sources]]\nname = "made"\nkind = "jsonl"\npaths = ["{folder}/*.jsonl"]\n'
            '[dataprep]\nlanguages = ["en"]\n',
            encoding="utf-8",
        )
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "dataprep", "run", str(recipe)],
            cwd=REPOSITORY,
            check=True,
            stderr=subprocess.PIPE,
        )
        seconds = time.monotonic() - start
    (passed,) = re.findall(r"shards: \d+ tasks, ([\d.]+) s", done.stderr.decode())
    return seconds, float(passed)


def _make(folder: Path, num_bytes: int, files: int) -> float:
    """Write made documents into so many files; their megabytes."""
    for number in range(files):
        with (folder / f"{number:03d}.jsonl").open("wb") as out:
            for line in made_documents(num_bytes // files, number):
                out.write(line)
    return sum(path.stat().st_size for path in folder.glob("*.jsonl")) / 1e6


def two_workers() -> tuple[dict[str, float], float, bool]:
    """Whole runs of 240 MB (medians of three) and of 1 GB (single) with two workers against one.

    The larger decides: what each worker does once, 3 s or so, hides the rest in the smaller.
    """
    value = {}
    for megabytes, repeats in ((240, 3), (1000, 1)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _make(folder, megabytes * 1_000_000, 12)
            runs = {n: [_run_seconds(folder, n) for _ in range(repeats)] for n in (1, 2)}
        whole = [statistics.median(run[0] for run in runs[n]) for n in (1, 2)]
        passes = [statistics.median(run[1] for run in runs[n]) for n in (1, 2)]
        value[f"pass_{megabytes}_mb"] = round(passes[0] / passes[1], 2)
        value[f"whole_run_{megabytes}_mb"] = round(whole[0] / whole[1], 2)
    return value, 1.8, value["whole_run_1000_mb"] >= 1.8


def ten_times_the_input() -> tuple[dict[str, float], float, bool]:
    """Megabytes a second of one run over 10 GB against one over 1 GB; single runs."""
    rates = {}
    for gigabytes in (1, 10):
        with tempfile.TemporaryDirectory() as name:
            megabytes = _make(Path(name), gigabytes * 1_000_000_000, 8 * gigabytes)
            rates[gigabytes] = megabytes / _run_seconds(Path(name), 2)[0]
    ratio = rates[10] / rates[1]
    value = {
        "ratio": round(ratio, 3),
        "megabytes_a_second_1_gb": round(rates[1], 2),
        "megabytes_a_second_10_gb": round(rates[10], 2),
    }
    return value, 0.9, ratio >= 0.9


def compile_seconds() -> tuple[float, None, None]:
    """Seconds to compile every kernel, once for a version, with an empty cache."""
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from dataprep.rehearsal import rehearse_once; rehearse_once()"],
            cwd=REPOSITORY,
            check=True,
            env={**os.environ, "XDG_CACHE_HOME": name},
        )
        return round(time.perf_counter() - start, 1), None, None


FIGURES: dict[str, Callable[[], tuple[Any, Any, bool | None]]] = {
    "rules_rate": rules_rate,
    "rules_against_datatrove": lambda: _against("own", 100.0),
    "rules_against_datatrove_spaces": lambda: _against("spaces", 20.0),
    "rules_against_datatrove_no_tokenizer": lambda: _against("no_tokenizer", None),
    "whole_pass_against_datatrove": whole_pass,
    "archive_to_parquet_milliseconds": archive_to_parquet,
    "two_workers": two_workers,
    "ten_times_the_input": ten_times_the_input,
    "compile_seconds": compile_seconds,
}
