"""Real texts, 106 MB in two languages: what survives the rules, which duplicates are found."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dataprep.contract import dropped_files, iterate_tables, kept_files
from dataprep.run import run
from launch.recipe import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FOLDERS = {
    "en_c4": "*.jsonl.gz",
    "en_docs": "*.jsonl.gz",
    "en_manpages": "*.jsonl.gz",
    "neardup_manpages": "docs.jsonl.gz",
    "zh_docs": "*.jsonl.gz",
    "neardup_zh_vuedocs": "docs.jsonl.gz",
}
COLUMNS = ["id", "source", "drop_reason", "drop_value", "survivor_id"]


@pytest.fixture(scope="module")
def found(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: object
) -> dict[str, dict[str, Any]]:
    """All documents of the recipe by id, without their text."""
    root = tmp_path_factory.mktemp("real")
    sources = [
        {"name": name, "kind": "jsonl", "paths": [f"{shared_data / name}/{pattern}"],
         "columns": {"id": "id"}}
        for name, pattern in FOLDERS.items()
    ]  # fmt: skip
    # Manuals are full of signs, which are words for Gopher's rule: most would not live to meet.
    thresholds = {"gopher": {"alphabetic_words_low": 0.5}}
    recipe = Recipe.from_dict(
        {
            "run": {"root": str(root)},
            "sources": sources,
            "dataprep": {"thresholds": thresholds},
        }
    )
    manifest = run(recipe)
    assert manifest is not None
    files = [
        *kept_files(manifest, "train"),
        *kept_files(manifest, "valid"),
        *dropped_files(manifest),
    ]
    tables = iterate_tables(root / "documents", files, COLUMNS)
    return {row["id"]: row for table in tables for row in table.to_pylist()}


def test_most_chinese_technical_documents_survive_the_rules(found: dict[str, Any]) -> None:
    reasons = Counter(
        (row["drop_reason"] or "kept").split(".")[0]
        for row in found.values()
        if row["source"] == "zh_docs"
    )
    passed = reasons["kept"] + reasons["exact"] + reasons["near_duplicates"]
    assert sum(reasons.values()) > 3500
    assert passed >= 0.95 * sum(reasons.values()), reasons


@pytest.mark.parametrize("folder", ["neardup_manpages", "neardup_zh_vuedocs"])
def test_of_true_pairs_nearly_all_lose_a_side(
    folder: str, found: dict[str, Any], shared_data: Path
) -> None:
    with gzip.open(shared_data / folder / "truth_pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        pairs = [pair for pair in map(json.loads, lines) if pair["jaccard"] >= 0.8]
    both = [
        pair
        for pair in pairs
        if all(found[f"{folder}:{pair[side]}"]["drop_reason"] is None for side in "ab")
    ]
    assert len(pairs) > 100
    assert len(both) <= 0.01 * len(pairs), both[:5]


@pytest.mark.parametrize("folder", ["neardup_manpages", "neardup_zh_vuedocs"])
def test_without_rules_the_pairs_meet_and_lose_a_side(
    folder: str, shared_data: Path, tmp_path: Path, ray_session: object
) -> None:
    """The rules drop most pages of the Vue guide before they could meet; here they are off."""
    source = {"name": folder, "kind": "jsonl", "paths": [f"{shared_data / folder}/docs.jsonl.gz"],
              "columns": {"id": "id"}}  # fmt: skip
    tables = {"presets": [], "languages": []}
    recipe = Recipe.from_dict(
        {"run": {"root": str(tmp_path)}, "sources": [source], "dataprep": tables}
    )
    manifest = run(recipe)
    assert manifest is not None
    files = [*kept_files(manifest, "train"), *kept_files(manifest, "valid")]
    kept = {
        row["id"]
        for table in iterate_tables(tmp_path / "documents", files, ["id"])
        for row in table.to_pylist()
    }
    with gzip.open(shared_data / folder / "truth_pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        pairs = [pair for pair in map(json.loads, lines) if pair["jaccard"] >= 0.8]
    both = [pair for pair in pairs if {f"{folder}:{pair[side]}" for side in "ab"} <= kept]
    assert len(both) <= 0.01 * len(pairs), both[:5]


def test_every_survivor_that_is_named_was_kept(found: dict[str, Any]) -> None:
    duplicates = [row for row in found.values() if row["survivor_id"] is not None]
    assert len(duplicates) > 1000
    for row in duplicates:
        assert found[row["survivor_id"]]["drop_reason"] is None
        assert row["drop_value"] >= 0.8
