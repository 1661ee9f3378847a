"""The toxicity sets in two parts, one split across all of them, and the recipe's table for them.

A text is in the test part if the xxh3_64 of its letters, lower-cased, is in the upper 30 % of all
values: 540 comments stand in both Jigsaw files, and none may be learnt from in one and asked about
in the other. Everything below 70 % may be learnt from; settings were chosen on the upper quarter of
that (`bounds=(0.525, 0.7)`), never on the test part.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xxhash

from benchmarks.documents import REPOSITORY
from dataprep.config_models import Classifier, Label

SHARED_DATA = REPOSITORY.parent / "shared" / "data"
JIGSAW = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
RAW, NORMALISED = "jigsaw_binary_raw", "jigsaw_multilabel_normalised"
# File, language, and the labels that its records give: category to 1 or 0.
SETS: dict[str, tuple[str, str, Callable[[dict[str, Any]], dict[str, int]]]] = {
    RAW: (
        f"tox_en_jigsaw/{RAW}", "en",
        lambda row: {"toxic": row["toxic"]} | (row.get("labels") or {}),
    ),
    NORMALISED: (f"tox_en_jigsaw/{NORMALISED}", "en", lambda row: row["labels"]),
    "davidson": (
        "tox_en_davidson/davidson", "en",
        lambda row: {"davidson": int(row["label"] != "neither")},
    ),
    "hatexplain": (
        "tox_en_hatexplain/hatexplain", "en",
        lambda row: {} if row["label"] == "undecided" else {
            "hatexplain": int(row["label"] != "normal")
        },
    ),
    "olid": ("tox_en_olid/olid", "en", lambda row: {"olid": int(row["subtask_a"] == "OFF")}),
    "stormfront": (
        "tox_en_stormfront/stormfront", "en",
        lambda row: {"stormfront": int(row["label"] == "hate")}
        if row["label"] in ("hate", "noHate") else {},
    ),
    "cold": ("tox_zh_cold/cold", "zh", lambda row: {"toxic": row["offensive"]}),
}  # fmt: skip
AUXILIARY = ("davidson", "hatexplain", "olid", "stormfront")


def place(text: str) -> float:
    """Where a text stands between 0 and 1: the split's only criterion."""
    letters = "".join(filter(str.isalpha, text.lower()))
    return float(xxhash.xxh3_64_intdigest(letters.encode()) / 2.0**64)


def rows(name: str) -> Iterator[tuple[str, dict[str, int], float]]:
    """Text, labels and place of every record of a set that has a label."""
    file, _, labels_of = SETS[name]
    with gzip.open(SHARED_DATA / f"{file}.jsonl.gz", "rt", encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            labels = labels_of(row)
            if labels:
                yield row["text"], labels, place(row["text"])


def part(name: str, low: float, high: float) -> list[tuple[str, dict[str, int]]]:
    """Texts and labels of a set between two places."""
    return [(text, labels) for text, labels, where in rows(name) if low <= where < high]


def write_training(folder: Path, high: float = 0.7) -> None:
    """A JSONL file of each set's texts below `high`."""
    for name in SETS:
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
            for text, labels in part(name, 0.0, high):
                stream.write(json.dumps({"text": text, "labels": labels}) + "\n")


def table(folder: Path, **changes: Any) -> Classifier:
    """`[dataprep.toxicity]` over these files: the six Jigsaw categories, Chinese as toxic, and what
    the other English sets mean by their labels as auxiliary categories."""
    labels = [
        Label(
            paths=tuple(str(folder / f"{name}.jsonl") for name in (RAW, NORMALISED)),
            label_column=f"labels.{category}", positive=(1,), unknown=("",), category=category,
            language="en",
        )
        for category in changes.pop("categories", JIGSAW)
    ]  # fmt: skip
    labels.append(
        Label(
            paths=(str(folder / "cold.jsonl"),), label_column="labels.toxic", positive=(1,),
            category="toxic", language="zh",
        )
    )  # fmt: skip
    labels += [
        Label(
            paths=(str(folder / f"{name}.jsonl"),), label_column=f"labels.{name}", positive=(1,),
            category=name, language="en", auxiliary=True,
        )
        for name in AUXILIARY
    ]  # fmt: skip
    return Classifier(labels=tuple(labels), **changes)
