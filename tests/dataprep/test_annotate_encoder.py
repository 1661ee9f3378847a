"""An encoder from a directory as annotator: numbers only, the whole model or none."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dataprep.config_annotator import Annotator
from dataprep.models import annotate, annotator_encoder
from dataprep.models.annotation_files import HELD_OUT, TRAINING, part, rows_of
from launch.config import parse_model
from launch.errors import UserError
from tests.dataprep.annotated_recipe import LONG, SHARED, SHORT, make_recipe, write_documents

WHERE = "dataprep.quality"


def annotator(directory: Path, **changes: Any) -> Annotator:
    table = {"encoder": str(directory), "positive": ["good"]} | changes
    return parse_model(Annotator, table, WHERE)


def save_encoder(directory: Path, num_labels: int = 2) -> Path:
    """A BERT of one layer with drawn weights and a tokenizer of whole words."""
    import torch
    import transformers

    directory.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LONG, *SHORT, *SHARED]
    (directory / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = transformers.BertTokenizerFast(str(directory / "vocab.txt"))
    tokenizer.save_pretrained(directory)
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
        num_labels=num_labels,
        initializer_range=1.0,
    )
    if num_labels == 2:
        config.id2label, config.label2id = {0: "bad", 1: "good"}, {"bad": 0, "good": 1}
    transformers.BertForSequenceClassification(config).save_pretrained(directory)
    return directory


def without_model(directory: Path, **config: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"model_type": "bert", **config}))
    return directory


def test_a_directory_without_safe_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a directory with config.json") as error:
        annotator_encoder.encoder_digest(annotator(tmp_path / "none"), WHERE)
    assert "nothing is downloaded" in error.value.hint
    bare = without_model(tmp_path / "bare")
    with pytest.raises(UserError, match="got no weights"):
        annotator_encoder.encoder_digest(annotator(bare), WHERE)
    (bare / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(UserError, match=r"pytorch_model.bin, which may run code, .*safetensors"):
        annotator_encoder.encoder_digest(annotator(bare), WHERE)


def test_code_of_a_model_is_refused(tmp_path: Path) -> None:
    own = without_model(tmp_path / "own", auto_map={"AutoModel": "evil.Model"})
    (own / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="auto_map"):
        annotator_encoder.encoder_classes(annotator(own), WHERE)


@pytest.mark.parametrize(
    ("config", "positive", "message"),
    [
        ({"id2label": {"0": "bad", "1": "good"}}, ["great"], r"some of \['bad', 'good'\]"),
        ({"problem_type": "multi_label_classification"}, ["good"], "several classes at once"),
    ],
)
def test_classes_are_those_of_the_model(
    tmp_path: Path, config: dict[str, Any], positive: list[str], message: str
) -> None:
    directory = without_model(tmp_path / "model", **config)
    (directory / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=message):
        annotator_encoder.encoder_classes(annotator(directory, positive=positive), WHERE)


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="package torch: got none") as error:
        annotator_encoder.check_packages()
    assert error.value.hint == "pip install 'gristmill[annotate]'"


@pytest.mark.slow
def test_an_encoder_annotates_and_its_answers_do_not_depend_on_company(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    directory = save_encoder(tmp_path / "model")
    write_documents(tmp_path / "texts", 80)
    table = {"encoder": str(directory), "positive": ["good"], "documents": 50}
    first = annotate.annotate(make_recipe(tmp_path, table, {}))["quality"]
    assert (first.num_asked, first.num_requests) == (50, 0)
    home = annotate.annotations_directory(tmp_path / "root", "quality")
    rows = [
        row for name in (TRAINING, HELD_OUT) for row in rows_of(part(first.manifest, home, name))
    ]
    assert len(rows) == 50 and {row["answer"] for row in rows} == {"good", "bad"}
    for row in rows:
        assert row["positive"] == (row["answer"] == "good") == (row["score"] > 0.5)
    again = annotate.annotate(make_recipe(tmp_path, table, {}), force=True)["quality"]
    assert again.num_known == 50 and again.manifest.files_digest == first.manifest.files_digest
    # Another company: half of them known already, other batches for the rest.
    for number, documents in enumerate((20, 50)):
        more = table | {"documents": documents}
        other = annotate.annotate(make_recipe(tmp_path, more, {}, root="other"))["quality"]
        assert other.num_asked == (20, 30)[number]
    assert other.manifest.files_digest == first.manifest.files_digest


@pytest.mark.slow
def test_a_head_of_one_output_gives_scores_and_its_digest_is_the_files(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    directory = save_encoder(tmp_path / "model", num_labels=1)
    table = annotator(directory, positive=[])
    assert annotator_encoder.encoder_classes(table, WHERE) == ()
    encoder = annotator_encoder.load(table, WHERE)
    texts = [" ".join(LONG[:3]), " ".join(SHORT * 40)]
    pairs = [(f"{n}", text) for n, text in enumerate(texts)]
    found = dict(pair for part in annotator_encoder.answers(encoder, pairs, 4) for pair in part)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    for key, text in pairs:
        tokens = tokenizer(text, truncation=True, max_length=128, return_tensors="pt")
        expected = encoder.model(**tokens).logits.item()
        assert json.loads(found[key]) == [pytest.approx(expected, abs=1e-3)]
    before = annotator_encoder.encoder_digest(table, WHERE)
    (directory / "README.md").write_text("not read")
    assert annotator_encoder.encoder_digest(table, WHERE) == before
    (directory / "vocab.txt").write_text("other")
    assert annotator_encoder.encoder_digest(table, WHERE) != before


@pytest.mark.slow
def test_a_model_without_its_head_is_refused(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    directory = save_encoder(tmp_path / "model")
    body = transformers.BertModel.from_pretrained(directory)
    names = json.loads((directory / "config.json").read_text())
    body.save_pretrained(directory)
    (directory / "config.json").write_text(json.dumps(names))
    with pytest.raises(UserError, match=r"weights without \['classifier"):
        annotator_encoder.load(annotator(directory), WHERE)
    (directory / "model.safetensors").write_bytes(os.urandom(64))
    with pytest.raises(UserError, match="cannot be loaded"):
        annotator_encoder.load(annotator(directory), WHERE)
