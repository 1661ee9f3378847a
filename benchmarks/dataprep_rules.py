"""Figures of the rules: decisions against datatrove's, and Chinese documents kept and dropped."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks.documents import DATA, REPOSITORY, table_of, texts, write_jsonl

DATATROVE = "datatrove[processing]==0.10.1"
# Every so many documents of a set are judged: datatrove takes 20 ms for each.
SETS = {"en_c4": 1, "en_docs": 4, "en_misc": 10}
_QUALITY_RULES = 10  # of preset gopher; the others are those of repetition


@cache
def datatrove_python() -> Path:
    """The Python of datatrove's environment, which is made if it is not there."""
    directory = REPOSITORY / ".venv-datatrove"
    python = directory / "bin" / "python"
    if not python.exists():
        print(f"making {directory.name} for {DATATROVE}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        command = [python, "-m", "pip", "install", "--quiet", DATATROVE, "spacy", "orjson"]
        if subprocess.run(command, check=False).returncode:
            raise FileNotFoundError(f"{DATATROVE} cannot be installed here")
    return python


def run_datatrove(*arguments: object) -> str:
    """What `benchmarks.datatrove_side` prints."""
    command = [datatrove_python(), "-m", "benchmarks.datatrove_side", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return done.stdout.decode()


@cache
def _judged() -> dict[str, float]:
    """By filter, the share of equal decisions with datatrove's words and with our own."""
    import numpy as np

    from dataprep.signals import signals
    from dataprep.signals.presets import load_preset

    chosen = [text for name, every in SETS.items() for text in texts(name)[::every]]
    with tempfile.TemporaryDirectory() as folder:
        path, output = Path(folder) / "documents.jsonl", Path(folder) / "decisions.jsonl"
        write_jsonl(path, chosen)
        run_datatrove("decide", path, output)
        theirs = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    places = [np.array(answer["words"], np.int32) for answer in theirs]
    offsets = np.cumsum([0, *(len(place) // 2 for place in places)])
    flat = np.concatenate(places)
    given = signals.GivenWords(offsets, flat[0::2].copy(), flat[1::2].copy())
    column = table_of(chosen)["text"]
    gopher = load_preset("gopher")
    rules = {
        "gopher_quality": gopher[:_QUALITY_RULES],
        "gopher_repetition": gopher[_QUALITY_RULES:],
        "c4": load_preset("c4"),
        "fineweb": load_preset("fineweb"),
    }
    judged: dict[str, float] = {}
    for label, words in (("their_words", given), ("own_words", None)):
        measured = signals.measure(column, ["en"] * len(chosen), words)
        for name, own in rules.items():
            dropped = np.zeros(len(chosen), np.bool_)
            for rule in own:
                values = measured[rule.signal.removeprefix("signals_")].astype(float)
                dropped |= values < rule.threshold if rule.minimum else values > rule.threshold
            expected = np.array([answer["decisions"][name] is not None for answer in theirs])
            judged[f"{name}_{label}"] = float((dropped == expected).mean())
    return judged


def _agreement(name: str, target: float | None) -> tuple[float, float | None, bool | None]:
    value = round(_judged()[name], 5)
    return value, target, None if target is None else value >= target


def _kept(chosen: Sequence[str]) -> Any:
    """Shape [documents], bool: which of them the default recipe's rules keep."""
    from dataprep import shard
    from dataprep.config import Dataprep
    from dataprep.config_duplicates import NearDuplicates
    from dataprep.step import alive, apply_chain

    config = Dataprep(near_duplicates=NearDuplicates(enabled=False))
    return alive(apply_chain(shard.chain(config, {}), table_of(chosen)))


def _by_half(names: Sequence[str], chosen: Sequence[str], origins: Sequence[str]) -> dict[str, Any]:
    """By name, the share kept in the half that thresholds were set on, and in the other."""
    from benchmarks.garble_chinese import half_of

    kept, found = _kept(chosen), {}
    for name in dict.fromkeys(names):
        for half, label in enumerate(("set_on", "other")):
            rows = [
                row
                for row, origin in enumerate(origins)
                if names[row] == name and half_of(origin) == half
            ]
            found[f"{name}_{label}"] = round(float(kept[rows].mean()), 4)
    return found


def chinese_kept() -> tuple[dict[str, float], float, bool]:
    """Documents of good sources that survive, by set and half; the worst of them decides."""
    chosen, names = [], []
    for name in ("zh_docs", "zh_classics"):
        for path in sorted((DATA / name).glob("*.jsonl.gz")):
            label = path.name.removesuffix(".jsonl.gz")
            own = texts_of(path)
            chosen += own
            names += [label] * len(own)
    shares = _by_half(names, chosen, chosen)
    return shares, 0.95, min(shares.values()) >= 0.95


def texts_of(path: Path) -> list[str]:
    import gzip

    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def chinese_dropped() -> tuple[dict[str, float], float, bool]:
    """Documents made bad by a script that are dropped, by family and half; the worst decides.

    Sentences in another order are reported, not judged: no rule can see them.
    """
    from benchmarks.garble_chinese import bad_documents, good_texts

    bad = bad_documents(good_texts(), each=60)
    kept = _by_half(
        [one.family for one in bad], [one.text for one in bad], [one.origin for one in bad]
    )
    shares = {name: round(1 - share, 4) for name, share in kept.items()}
    judged = [share for name, share in shares.items() if not name.startswith("beyond_rules")]
    return shares, 0.95, min(judged) >= 0.95


_FILTERS = ("gopher_quality", "gopher_repetition", "c4", "fineweb")
FIGURES: dict[str, Callable[[], tuple[Any, Any, bool | None]]] = {
    **{
        f"agreement_{name}_their_words": partial(_agreement, f"{name}_their_words", 0.995)
        for name in _FILTERS
    },
    **{
        f"agreement_{name}_own_words": partial(_agreement, f"{name}_own_words", None)
        for name in _FILTERS
    },
    "chinese_kept": chinese_kept,
    "chinese_dropped": chinese_dropped,
}
