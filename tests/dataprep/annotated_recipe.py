"""A recipe with an annotator over made documents, for the tests of `annotate`."""

import json
import random
from pathlib import Path
from typing import Any

from launch.recipe import Recipe

LONG = [
    "tributary",
    "sediment",
    "hydrology",
    "evaporation",
    "watershed",
    "elevation",
    "discharge",
    "estuaries",
]
SHORT = ["buy", "now", "cheap", "deal", "free", "win", "cash", "click", "best", "fast"]
SHARED = ["the", "of", "and", "in", "to", "it", "is", "was", "on", "for"]


def document_text(position: int) -> str:
    """Long words in every other document, an e-mail address in every tenth."""
    draw = random.Random(position)
    words = draw.choices(LONG if position % 2 else SHORT, k=20) + draw.choices(SHARED, k=20)
    draw.shuffle(words)
    mail = f"\nwrite to person{position}@company-mail.com" if position % 10 == 0 else ""
    return " ".join(words) + f". This is number {position}." + mail


def write_documents(folder: Path, num: int, num_files: int = 2) -> None:
    """`num` documents as JSON lines in `folder`, dealt to files."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in range(num_files):
        rows = [
            {"id": str(position), "text": document_text(position)}
            for position in range(file, num, num_files)
        ]
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def recipe_table(
    folder: Path,
    annotator: dict[str, Any],
    execution: dict[str, Any],
    *,
    labels: list[dict[str, Any]] | None = None,
    root: str = "root",
) -> dict[str, Any]:
    """A recipe over `folder/texts`, as TOML has it, that waits hardly at all."""
    hasty = {
        "wait_first_seconds": 0.01,
        "wait_longest_seconds": 0.05,
        "read_seconds": 0.5,
        "total_seconds": 1.0,
        "requests_at_once": 4,
    }
    chosen = {"model": "rule"} | annotator | {"execution": hasty | execution}
    if "encoder" in annotator:
        del chosen["model"]
    quality: dict[str, Any] = {"annotator": chosen, "buckets": 2000, "dimension": 8, "epochs": 20}
    if labels is not None:
        quality["labels"] = labels
    return {
        "run": {"root": str(folder / root), "seed": 1},
        "sources": [
            {
                "name": "s",
                "kind": "jsonl",
                "paths": [str(folder / "texts" / "*.jsonl")],
                "columns": {"id": "id"},
            }
        ],
        "dataprep": {"signals": False, "languages": [], "presets": [], "quality": quality},
    }


def make_recipe(
    folder: Path, annotator: dict[str, Any], execution: dict[str, Any], **more: Any
) -> Recipe:
    """The same as a checked recipe."""
    return Recipe.from_dict(recipe_table(folder, annotator, execution, **more))
