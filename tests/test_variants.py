"""The same recipe in other words: unigram, a toxicity model, other layouts, Chinese texts."""

import json
from pathlib import Path

import pytest

from launch.manifest import read_manifest
from tests.test_pipeline import SMALL, gristmill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

VARIANT = """
[dataprep.toxicity]
threshold = 0.5
[[dataprep.toxicity.labels]]
paths = ["{labels}"]
label_column = "{column}"
positive = [1]
[[sources]]
name = "zh"
kind = "jsonl"
paths = ["{chinese}"]
columns = {{id = "id"}}
"""
LAYOUTS = {"data": "data = 2", "pipeline": "pipeline = 2"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_unigram_toxicity_and_another_layout_run_through(
    layout: str, shared_data: Path, tmp_path: Path
) -> None:
    labels = sorted((shared_data / "tox_en_jigsaw").glob("*raw*.jsonl.gz"))[0]
    small = SMALL.format(root=tmp_path / "root").replace("enabled = true", "enabled = false")
    small = small.replace("tensor = 2\npipeline = 2", LAYOUTS[layout])
    recipe = tmp_path / "variant.toml"
    chinese = shared_data / "neardup_zh_vuedocs" / "docs.jsonl.gz"
    recipe.write_text(
        small + VARIANT.format(labels=labels, column="toxic", chinese=chinese), encoding="utf-8"
    )
    done = gristmill(
        "run", str(recipe), "tokenizer.model_type=unigram", "tokenizer.vocab_size=2048"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    root = tmp_path / "root"
    documents = read_manifest(root / "documents", "documents", 1)
    assert documents.facts["classifiers"]["toxicity"]["evaluation"]["auc"] > 0.9
    assert documents.facts["sources"]["zh"]["kept"] > 20
    assert read_manifest(root / "tokenizer", "tokenizer", 1).facts["model_type"] == "unigram"
    result = json.loads((root / "runs/main/result.json").read_text())
    assert result["status"] == "done"
    assert result["layout"][layout] == 2
    assert result["loss_last"] < result["loss_first"]
