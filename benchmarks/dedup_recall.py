"""Figures of recall: real documents whose near-duplicates are all known, through a whole run.

The recipe deduplicates only: no rules, no languages, personal data as it is. Afterwards all pairs
of the written documents are compared apart from our kernels: Python's `lower` and `re`, sets of
5-grams, common ones of every pair by a sparse product, as in the truth files beside the data.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.documents import DATA, REPOSITORY

SETS = ("manpages", "licenses", "zh_vuedocs", "books_editions")
JACCARD = 0.8
_RECIPE = """
[run]
root = "{root}"
[[sources]]
name = "s"
kind = "jsonl"
paths = ["{folder}/docs.jsonl.gz"]
columns = {{id = "id"}}
[dataprep]
languages = []
presets = []
pii.mode = "off"
near_duplicates.jaccard = {jaccard}
"""
_WORD = re.compile(r"\w+")
_WORD_CHARACTER = re.compile(r"\w")
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")


@cache
def _written(name: str) -> dict[str, dict[str, Any]]:
    """All documents of a run over one set, by id."""
    from dataprep.contract import PARTS, iterate_tables, open_documents

    with tempfile.TemporaryDirectory() as root:
        recipe = Path(root) / "recipe.toml"
        recipe.write_text(
            _RECIPE.format(root=root, folder=DATA / f"neardup_{name}", jaccard=JACCARD),
            encoding="utf-8",
        )
        subprocess.run(
            [sys.executable, "-m", "dataprep", "run", str(recipe)],
            cwd=REPOSITORY,
            check=True,
            stderr=subprocess.DEVNULL,
        )
        documents = Path(root) / "documents"
        files = [entry.path for entry in open_documents(documents).files]
        parts = [path for path in files if path.startswith(PARTS)]
        columns = ["id", "text", "drop_reason", "survivor_id"]
        tables = iterate_tables(documents, parts, columns)
        return {row["id"]: row for table in tables for row in table.to_pylist()}


def shingles(text: str) -> set[str]:
    """The 5-grams of a text as the truth files define them: of characters where more than a tenth
    of the word characters are Chinese or Japanese (among the licences, in English, a few are)."""
    lowered = text.lower()
    if 10 * len(_IDEOGRAPH.findall(lowered)) > len(_WORD_CHARACTER.findall(lowered)):
        joined = re.sub(r"\s+", "", lowered)
        return {joined[i : i + 5] for i in range(len(joined) - 4)}
    words = _WORD.findall(lowered)
    return {" ".join(words[i : i + 5]) for i in range(len(words) - 4)}


def all_similarities(sets: list[set[str]]) -> npt.NDArray[np.float64]:
    """Exact Jaccard of every pair, shape [sets, sets], 0 where a set is empty."""
    from scipy.sparse import csr_matrix

    numbers: dict[str, int] = {}
    columns = [numbers.setdefault(item, len(numbers)) for one in sets for item in one]
    sizes = np.array([len(one) for one in sets])
    starts = np.concatenate(([0], np.cumsum(sizes)))
    ones = np.ones(len(columns), np.int32)
    matrix = csr_matrix((ones, columns, starts), shape=(len(sets), max(1, len(numbers))))
    common = (matrix @ matrix.T).toarray().astype(np.float64)
    union = sizes[:, None] + sizes[None, :] - common
    return np.asarray(common / np.maximum(union, 1))


@cache
def _compared(name: str) -> tuple[dict[str, int], npt.NDArray[np.float64]]:
    """Places of the documents by id, and their similarities."""
    rows = _written(name)
    sets = [shingles(row["text"]) for row in rows.values()]
    return {key: place for place, key in enumerate(rows)}, all_similarities(sets)


def recall(name: str) -> tuple[dict[str, float], float, bool]:
    """Share of pairs at the threshold or above of which at least one side was dropped."""
    rows = _written(name)
    _, similar = _compared(name)
    kept = np.array([row["drop_reason"] is None for row in rows.values()])
    pairs = np.triu(similar >= JACCARD, 1)
    missed = int((pairs & kept[:, None] & kept[None, :]).sum())
    share = 1 - missed / int(pairs.sum())
    value = {"share": round(share, 4), "pairs": int(pairs.sum()), "missed": missed}
    return value, 0.99, share >= 0.99


def below_threshold() -> tuple[dict[str, int], int, bool]:
    """Near-duplicates dropped for a survivor that is not kept, or that is less similar."""
    value = {}
    for name in SETS:
        places, similar = _compared(name)
        rows = _written(name)
        wrong = 0
        for key, row in rows.items():
            if (row["drop_reason"] or "").startswith("near_duplicates."):
                survivor = row["survivor_id"]
                alike = similar[places[key], places[survivor]] >= JACCARD
                # Short documents: the same words, as there is no 5-gram to compare.
                same = _WORD.findall(row["text"].lower()) == _WORD.findall(
                    rows[survivor]["text"].lower()
                )
                wrong += rows[survivor]["drop_reason"] is not None or not (alike or same)
        value[name] = wrong
    return value, 0, not any(value.values())


FIGURES: dict[str, Callable[[], tuple[Any, Any, bool | None]]] = {
    **{f"recall_{name}": (lambda name=name: recall(name)) for name in SETS},
    "dropped_below_threshold": below_threshold,
}
