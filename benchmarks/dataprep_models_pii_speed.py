"""Figures of the speed of finding and replacing personal data, one core, one process after another.

Against datatrove's PIIFormatter, which runs in an environment of its own
(`benchmarks.dataprep_rules` makes it) on the same documents: rounds alternate, ratios are of
medians of five after a warm-up that compiles. Rates of megabytes are judged by the processor's
time, which is the clock's where a core is free: the work takes one thread. Both are printed.
"""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.dataprep_rules import datatrove_python
from benchmarks.documents import REPOSITORY, table_of, texts, write_jsonl

REPEATS = 5
# Documents of 3.2 KB: what datatrove was first timed on.
_DOCUMENT_CHARACTERS = 3200
_DOCUMENTS = 2000
SETS = ("en_docs", "zh_docs", "en_c4")
_MEGABYTES = 8


def _step(options: dict[str, Any]) -> Callable[[Any], Any]:
    from dataprep.config_pii import Pii
    from dataprep.pii.redact import make_step

    return make_step(Pii(**options)).apply


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def _cut(name: str, number: int) -> list[str]:
    """The first documents of a set, in pieces of 3.2 KB."""
    pieces = [
        text[place : place + _DOCUMENT_CHARACTERS]
        for text in texts(name)
        for place in range(0, max(1, len(text) - _DOCUMENT_CHARACTERS // 2), _DOCUMENT_CHARACTERS)
    ]
    return pieces[:number]


class _Datatrove:
    """The other side: a process that times one round whenever it is asked to."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [datatrove_python(), "-m", "benchmarks.datatrove_pii_side", str(path)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def round(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def against_datatrove(name: str) -> tuple[dict[str, Any], float, bool]:
    """Documents of 3.2 KB a second, e-mail and IP, over those of datatrove's PIIFormatter.

    Both replace e-mail addresses and public IPv4 addresses; this step IPv6 too, in `url` and `meta`
    as well, and counts. The figure is that of mode substitute, which is what the other does.
    """
    chosen = _cut(name, _DOCUMENTS)
    table = table_of(chosen)
    kinds = ("email", "ipv6", "ipv4")
    steps = {mode: _step({"kinds": kinds, "mode": mode}) for mode in ("substitute", "placeholder")}
    own: dict[str, list[float]] = {mode: [] for mode in steps}
    processor: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents.jsonl"
        write_jsonl(path, chosen)
        other = _Datatrove(path)
        try:
            for number_of_round in range(REPEATS + 1):
                answer = other.round()
                if number_of_round:
                    theirs.append(answer["seconds"])
                for mode, step in steps.items():
                    clock, spent = _seconds(lambda step=step: step(table))
                    if number_of_round:
                        own[mode].append(clock)
                        processor.append(spent / clock)
        finally:
            other.close()
    rate = len(chosen) / statistics.median(theirs)
    rates = {mode: len(chosen) / statistics.median(seconds) for mode, seconds in own.items()}
    value = {
        "ratio": round(rates["substitute"] / rate, 2),
        "ratio_placeholder": round(rates["placeholder"] / rate, 2),
        "gristmill_documents_per_second": round(rates["substitute"]),
        "datatrove_documents_per_second": round(rate),
        "documents": len(chosen),
        "documents_changed_by_datatrove": answer["changed"],
        "documents_changed": sum(
            new != old
            for new, old in zip(steps["substitute"](table)["text"].to_pylist(), chosen, strict=True)
        ),
        "share_of_processor": round(statistics.median(processor), 2),
    }
    return value, 5.0, value["ratio"] >= 5.0


@cache
def _megabytes(name: str) -> tuple[Any, float]:
    """Documents of one set, about 8 MB, over again if it has less, and their megabytes."""
    chosen: list[str] = []
    left = _MEGABYTES * 1e6
    while left > 0:
        for text in texts(name):
            chosen.append(text)
            left -= len(text.encode())
            if left <= 0:
                break
    return table_of(chosen), _MEGABYTES - left / 1e6


def all_kinds(name: str) -> tuple[dict[str, Any], float, bool]:
    """Megabytes a second with every kind of the default recipe, by mode; the slowest is judged."""
    table, megabytes = _megabytes(name)
    steps = {mode: _step({"mode": mode}) for mode in ("placeholder", "substitute")}
    times: dict[str, list[tuple[float, float]]] = {mode: [] for mode in steps}
    for number_of_round in range(REPEATS + 1):
        for mode, step in steps.items():
            spent = _seconds(lambda step=step: step(table))
            if number_of_round:
                times[mode].append(spent)
    rates = {
        mode: round(megabytes / statistics.median(processor for _, processor in spent), 1)
        for mode, spent in times.items()
    }
    clocks = [clock for clock, _ in times["placeholder"]]
    value = {
        **rates,
        "placeholder_by_the_clock": round(megabytes / statistics.median(clocks), 1),
        "megabytes": round(megabytes, 1),
    }
    return value, 10.0, min(rates.values()) >= 10.0


def prefilter(name: str) -> tuple[dict[str, Any], None, None]:
    """Megabytes a second of the search for windows alone, and how much of the text they are."""
    from dataprep.config_pii import Pii
    from dataprep.pii.kinds import selected
    from dataprep.pii.prefilter import candidates

    table, megabytes = _megabytes(name)
    values, kinds = table["text"].combine_chunks(), selected(Pii())
    found = candidates(values, kinds)
    spent = [_seconds(lambda: candidates(values, kinds))[1] for _ in range(REPEATS)]
    looked_at = int((found.places[:, 2] - found.places[:, 1]).sum()) / 1e6
    value = {
        "megabytes_per_second": round(megabytes / statistics.median(spent), 1),
        "share_of_text_in_windows": round(looked_at / megabytes, 3),
    }
    return value, None, None


def without_prefilter(name: str) -> tuple[dict[str, Any], float, bool]:
    """Values that differ between looking at windows and looking at whole texts; must be none."""
    from dataprep.config_pii import Pii
    from dataprep.pii.redact import make_step, redact

    chosen = list(texts(name)[:: max(1, len(texts(name)) // 60)])
    spent: dict[str, float] = {}
    config = Pii()
    _, spent["windows"] = _seconds(lambda: make_step(config).apply(table_of(chosen)))
    cleaned = make_step(config).apply(table_of(chosen))["text"].to_pylist()
    whole: list[str] = []
    _, spent["whole"] = _seconds(lambda: whole.extend(redact(text, config)[0] for text in chosen))
    different = sum(left != right for left, right in zip(cleaned, whole, strict=True))
    value = {
        "different": different,
        "documents": len(chosen),
        "times_faster": round(spent["whole"] / spent["windows"], 1),
    }
    return value, 0, different == 0


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """Names and computations of all figures."""
    for name in ("en_c4", "en_docs"):
        yield f"pii_against_datatrove_{name}", lambda name=name: against_datatrove(name)
    for name in SETS:
        yield f"pii_all_kinds_megabytes_per_second_{name}", lambda name=name: all_kinds(name)
    for name in SETS:
        yield f"pii_prefilter_{name}", lambda name=name: prefilter(name)
    for name in SETS:
        yield f"pii_same_without_prefilter_{name}", lambda name=name: without_prefilter(name)
