"""The figures of the whole mill: `python -m benchmarks.mill [--only FIGURE]`.

One JSON object a line: figure, value, target, holds; every value is computed in this run. The
demo's figures share one run of the demo in a temporary directory; rates are medians of five.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

REPOSITORY = Path(__file__).resolve().parent.parent
REPEATS = 5


class Demo:
    """One run of the demo in a directory of its own, and a second start of it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "demo"
        self.seconds = self._run()
        self.seconds_again = self._run()

    def _run(self) -> float:
        recipe = REPOSITORY / "launch/recipes/tiny.toml"
        command = [sys.executable, "-m", "launch.cli", "run", str(recipe)]
        start = time.monotonic()
        subprocess.run(
            [*command, f"run.root={self.root}"], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE
        )
        return time.monotonic() - start

    def result(self, name: str) -> dict[str, Any]:
        """`result.json` of one of its runs."""
        content: dict[str, Any] = json.loads(
            (self.root / "runs" / name / "result.json").read_text(encoding="utf-8")
        )
        return content

    def facts(self, directory: str) -> dict[str, Any]:
        """The facts of one of its manifests."""
        content: dict[str, Any] = json.loads(
            (self.root / directory / "manifest.json").read_text(encoding="utf-8")
        )["facts"]
        return content


def median_rate(work: Callable[[], object], megabytes: float) -> float:
    """Megabytes a second, the median of five after one warm-up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return megabytes / statistics.median(seconds)


@cache
def corpus_table() -> Any:
    """Three shards of the demo's corpus, about 9 MB, as one table."""
    import pyarrow as pa

    from dataprep.config import Dataprep, Source
    from dataprep.reading import read

    shards = read.shards((Source(),), REPOSITORY)[:3]
    batches = [
        documents
        for shard in shards
        for documents, _ in read.read_shard(shard, Source(), Dataprep())
    ]
    return pa.concat_tables(batches)


def megabytes(table: Any) -> float:
    """Text of a table in MB."""
    import pyarrow.compute as pc

    return float(pc.sum(pc.binary_length(table["text"])).as_py()) / 1e6


def figures(demo: Callable[[], Demo]) -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool]]]]:
    """Name and computation of each figure; a computation gives value, target, whether it holds."""

    def at_most(value: float, target: float) -> tuple[float, float, bool]:
        return round(value, 4), target, value <= target

    def at_least(value: float, target: float) -> tuple[float, float, bool]:
        return round(value, 4), target, value >= target

    def reported(value: float) -> tuple[float, None, bool]:
        return round(value, 3), None, True

    def loss_fall() -> tuple[float, float, bool]:
        result = demo().result("main")
        return at_least(1 - result["loss_valid"] / result["loss_first"], 0.1)

    def held_out() -> tuple[float, None, bool]:
        laws = demo().facts("scaling/fit")["laws"]
        errors = [abs(run["error_share"]) for law in laws.values() for run in law["held_out"]]
        return reported(max(errors))

    def step_rate(make: Callable[[], Any]) -> tuple[float, None, bool]:
        table, step = corpus_table(), make()
        return reported(median_rate(lambda: step.apply(table), megabytes(table)))

    def signals() -> Any:
        from dataprep.config import Dataprep
        from dataprep.language import language
        from dataprep.signals import signals
        from dataprep.text import normalize

        config = Dataprep()
        chain = [
            normalize.make_step(config.normalize),
            language.make_step(config),
            signals.make_step(config),
        ]

        class Chain:
            @staticmethod
            def apply(table: Any) -> Any:
                for step in chain:
                    table = step.apply(table)
                return table

        return Chain

    def personal_data() -> Any:
        from dataprep.config_pii import Pii
        from dataprep.pii import redact as pii

        return pii.make_step(Pii())

    yield "demo_seconds", lambda: at_most(demo().seconds, 480)
    yield "demo_again_seconds", lambda: at_most(demo().seconds_again, 20)
    yield (
        "demo_corpus_megabytes",
        lambda: at_least(demo().facts("documents")["bytes_in"] / 1e6, 20),
    )
    yield "demo_loss_fall_share", loss_fall
    yield "demo_tokens_per_second", lambda: reported(demo().result("main")["tokens_per_second"])
    yield "held_out_error_share", held_out
    yield "signals_megabytes_per_second", lambda: step_rate(signals)
    yield "pii_megabytes_per_second", lambda: step_rate(personal_data)


def main(only: Annotated[str, typer.Option(help="One figure by name.")] = "") -> None:
    """Print the figures, one JSON object a line."""
    with tempfile.TemporaryDirectory() as scratch:
        demo = cache(lambda: Demo(Path(scratch)))
        named = dict(figures(demo))
        if only and only not in named:
            raise typer.BadParameter(f"{only} is none of {', '.join(named)}")
        for name in [only] if only else named:
            value, target, holds = named[name]()
            line = {"figure": name, "value": value, "target": target, "holds": holds}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    typer.run(main)
