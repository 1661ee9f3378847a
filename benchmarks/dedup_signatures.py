"""Figures of signatures: 14 x 8 MinHash of word 5-grams, documents a second on one core.

From texts in memory to signatures, each tool with the preparation that its users write:

    gristmill    an Arrow column of texts; shingles inside the kernel
    datatrove    MinhashDedupSignature.get_shingles and get_signature, its own normalisation and
                 words, without its reader and writer
    datasketch   re.findall of words, 5-grams joined and encoded, MinHash.bulk with xxh32, affine32;
                 and, for what its own work is, with the shingles given
    rensa        the same 5-grams as str, RMinHash.digest_matrix_from_token_sets; and shingles given

Processor time, medians of five after a warm-up, one thread, the same 3,000 English documents (600
for datatrove, which takes milliseconds each).
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.dataprep_rules import datatrove_python
from benchmarks.documents import REPOSITORY, texts, write_jsonl

PERMUTATIONS, REPEATS = 112, 5
RENSA = "rensa==0.5.*"
_SETS = ("en_docs", "en_c4", "en_gov_news")
_EVERY = 5


@cache
def _documents() -> tuple[str, ...]:
    """3,000 documents of 1.5 to 6.5 thousand characters, 3.3 KB on average."""
    chosen = [text for name in _SETS for text in texts(name) if 1500 < len(text) < 6500]
    return tuple(chosen[:: max(1, len(chosen) // 3000)][:3000])


def median_processor_seconds(work: Callable[[], object]) -> float:
    """The median processor time of five runs after one that is not counted."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


@cache
def _own_rate() -> float:
    import pyarrow as pa

    from dataprep.dedup.minhash import signatures

    column = pa.array(_documents(), pa.large_string())
    return len(column) / median_processor_seconds(lambda: signatures(column, PERMUTATIONS))


def _others(tool: str, python: Path, every: int = 1) -> dict[str, float]:
    """What `benchmarks.signatures_side` prints of a tool: documents a second."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents.jsonl"
        write_jsonl(path, _documents()[::every])
        command = [python, "-m", "benchmarks.signatures_side", tool, path]
        done = subprocess.run(
            command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


def rensa_python() -> Path:
    """The Python of rensa's environment, which is made if it is not there."""
    directory = REPOSITORY / ".venv-rensa"
    python = directory / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        command = [python, "-m", "pip", "install", "--quiet", RENSA]
        if subprocess.run(command, check=False).returncode:
            raise FileNotFoundError(f"{RENSA} cannot be installed here")
    return python


def _against(rates: dict[str, float], target: float) -> tuple[dict[str, float], float, bool]:
    own = _own_rate()
    ratio = own / rates["from_texts"]
    value = {"ratio": round(ratio, 1), "gristmill": round(own)}
    return value | {name: round(rate, 1) for name, rate in rates.items()}, target, ratio >= target


FIGURES: dict[str, Callable[[], tuple[Any, Any, bool | None]]] = {
    "signatures_against_datatrove": lambda: _against(
        _others("datatrove", datatrove_python(), _EVERY), 100.0
    ),
    "signatures_against_datasketch": lambda: _against(
        _others("datasketch", Path(sys.executable)), 30.0
    ),
    "signatures_against_rensa": lambda: _against(_others("rensa", rensa_python()), 5.0),
}
