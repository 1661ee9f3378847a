"""What other thresholds cost: one scoring pass, a retune, and previews, on about 100 MB of text.

    python -m benchmarks.dataprep_retune

The law that a retune gives the files of a fresh run is a test's; here it is timed.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from dataprep.rehearsal import rehearse_once
from dataprep.retune import check, retune
from dataprep.retune_preview import preview
from dataprep.run import run
from launch.recipe import Recipe

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SOURCES = ("en_docs", "en_books", "neardup_manpages", "zh_docs")
NUM_SETTINGS = 50


def recipe(root: Path, word_count_low: int) -> Recipe:
    """All sources, two workers, and one threshold that previews change."""
    sources = [
        {"name": name, "kind": "jsonl", "paths": [f"{DATA}/{name}/[!t]*.jsonl.gz"]}
        for name in SOURCES
    ]
    thresholds = {"gopher": {"word_count_low": word_count_low}}
    return Recipe.from_dict(
        {
            "run": {"root": str(root)},
            "execution": {"workers": 2},
            "sources": sources,
            "dataprep": {"thresholds": thresholds},
        }
    )


def measure() -> dict[str, float]:
    """Seconds of a run, of a preview (median of 5) and of a retune; and megabytes of text."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        rehearse_once()
        start = time.monotonic()
        manifest = run(recipe(root, 50))
        assert manifest is not None
        found = {"run_seconds": time.monotonic() - start}
        found["text_megabytes"] = manifest.facts["bytes_in"] / 1e6
        previews = []
        for number in range(5):
            wanted = recipe(root, 60 + number)
            old, _ = check(wanted, write=False)
            start = time.monotonic()
            preview(wanted, old)
            previews.append(time.monotonic() - start)
        found["preview_seconds"] = statistics.median(previews)
        start = time.monotonic()
        retune(recipe(root, 60))
        found["retune_seconds"] = time.monotonic() - start
    return {name: round(value, 3) for name, value in found.items()}


def retune_previews() -> tuple[dict[str, float], float, bool]:
    """Fifty previews in the time of one run: the share that they take, 1 at most."""
    found = measure()
    found["previews_of_a_run"] = round(
        NUM_SETTINGS * found["preview_seconds"] / found["run_seconds"], 3
    )
    return found, 1.0, found["previews_of_a_run"] <= 1.0


FIGURES: dict[str, Any] = {"retune_previews_of_a_run": retune_previews}

if __name__ == "__main__":
    print(retune_previews())
