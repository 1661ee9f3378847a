"""The models of `perplexity`: trained, KenLM's by path, and what is refused."""

import gzip
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dataprep.config import Normalize
from dataprep.config_perplexity import Perplexity, PerplexityTraining
from dataprep.models import ngram_texts, perplexity, perplexity_training
from launch.config import parse_model
from launch.errors import UserError
from launch.manifest import read_manifest
from launch.recipe import Recipe
from tests.dataprep.good_text import (
    config_of,
    documents,
    english,
    scored,
    shuffled,
    trained_in,
    write_lines,
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("good") / "good.jsonl.gz", english(300))


@pytest.fixture(scope="module")
def models(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    trained_in(directory, config_of(good))
    return directory


def test_a_model_depends_on_texts_and_seed_alone(good: Path, models: Path, tmp_path: Path) -> None:
    texts = english(300)
    first = write_lines(tmp_path / "b.jsonl.zst", [*texts[200:], texts[0], "", " \n"])
    second = write_lines(tmp_path / "a.jsonl", list(reversed(texts[:200])))
    again = trained_in(tmp_path / "again", config_of(first, second))
    there = read_manifest(models / "en", perplexity_training.KIND, 1)
    assert again.facts["digest"] == there.facts["digest"]
    assert again.facts["digest"].removeprefix("xxh3_128:")[:12] in again.files[0].path
    other = trained_in(tmp_path / "other", config_of(good), seed=2)
    assert other.facts["digest"] != there.facts["digest"]
    facts = there.facts
    assert facts["texts"] + facts["held_out_texts"] == 300 and facts["held_out_texts"] == 30
    assert len(facts["ngrams"]) == 5 and facts["bytes"] == there.files[0].bytes


def test_rules_train_nothing_and_settings_do(good: Path, tmp_path: Path) -> None:
    first = trained_in(tmp_path, config_of(good))
    path = tmp_path / "en" / first.files[0].path
    written = path.stat().st_mtime_ns
    ruled = config_of(
        good, keep=["head"], perplexity_max={"en": 9.0}, boundaries={"en": [2.0, 3.0]}
    )
    assert trained_in(tmp_path, ruled) == first and path.stat().st_mtime_ns == written
    changed = trained_in(tmp_path, config_of(good, order=3, arpa=True))
    assert [entry.path.rpartition(".")[2] for entry in changed.files] == ["ngram", "arpa"]
    assert len(changed.facts["ngrams"]) == 3


def test_of_more_text_a_sample_is_taken_whatever_the_order(tmp_path: Path) -> None:
    texts = english(2000)
    picked = []
    for place, order in enumerate((texts, texts[::-1])):
        path = write_lines(tmp_path / f"{place}.jsonl", order)
        table = PerplexityTraining(language="en", paths=(str(path),))
        picked.append(ngram_texts.read_texts(table, "here", 1, 200_000, Normalize()))
    assert picked[0].training.equals(picked[1].training)
    assert picked[0].held_out.equals(picked[1].held_out)
    taken = [*picked[0].training.to_pylist(), *picked[0].held_out.to_pylist()]
    assert 200_000 <= sum(map(len, taken)) < 202_000 and len(set(taken)) == len(taken)
    assert picked[0].num_given == 2000


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (english(300)[:29], r"29 different texts with [\d,]+ words, expected at least 30 texts"),
        ([f"the mill {place}" for place in range(500)], "500 different texts with 1,350 words"),
        ([], "0 different texts"),
        (english(3) * 100, "3 different texts"),
    ],
)
def test_too_little_text_is_refused_with_numbers(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    path = write_lines(tmp_path / "few.jsonl", lines)
    with pytest.raises(UserError, match=message):
        trained_in(tmp_path / "model", config_of(path))
    assert not (tmp_path / "model").exists()


def gzip_cut(path: Path) -> None:
    content = io.BytesIO(gzip.compress(json.dumps({"text": "a b"}).encode() * 10000))
    path.write_bytes(content.getvalue()[:-30])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{oh\n', r"a.jsonl:2: got a line that is not JSON"),
        ("a.jsonl", b'{"words": "a"}\n', r"a.jsonl:1: got no field 'text'.*text_column"),
        ("a.jsonl", b'{"text": 5}\n', "expected a text"),
        ("a.jsonl", b"[1]\n", "no field 'text'"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03abc", "a file that cannot be read"),
        ("a.jsonl.gz", b"plain", "a file that cannot be read"),
        ("a.jsonl.zst", b"plain", "a file that cannot be read"),
    ],
)
def test_unusable_files_are_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        trained_in(tmp_path / "model", config_of(tmp_path / name))
    with pytest.raises(UserError, match="which finds no file"):
        trained_in(tmp_path / "model", config_of(tmp_path / "none*.jsonl"))


def test_a_damaged_model_is_refused_in_one_line(good: Path, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    path = perplexity_training.model_file(tmp_path / "models", "en")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="a byte is another one") as error:
        perplexity.make_step(config_of(good), tmp_path / "models")
    assert "train-perplexity" in error.value.hint and "\n" not in str(error.value)
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"expected the .* bytes of its manifest"):
        perplexity.make_step(config_of(good), tmp_path / "models")


TRAINING = {"language": "en", "paths": ["x"]}
KENLM = {"language": "zh", "model": "zh.arpa"}
WRONG = [
    ({"training": [{**TRAINING, "language": "englisch"}]}, r"training.0.language: got 'englisch'"),
    ({"training": [{**TRAINING, "language": "../en"}]}, r"training.0.language"),
    ({"training": [TRAINING, TRAINING]}, "two tables for 'en'"),
    ({"training": [TRAINING], "models": [{**KENLM, "language": "en"}]}, "two tables for 'en'"),
    ({}, "no language"),
    ({"training": [TRAINING], "keep": ["front"]}, "dataprep.perplexity.keep.0"),
    ({"training": [TRAINING], "boundaries": {"zh": [1.0, 2.0]}}, "'zh', for which there is no"),
    ({"training": [TRAINING], "perplexity_max": {"de": 5.0}}, "'de', for which there is no"),
    ({"training": [TRAINING], "boundaries": {"en": [9.0, 2.0]}}, "two ascending numbers"),
    ({"training": [TRAINING], "order": 6}, "dataprep.perplexity.order"),
    ({"models": [{**KENLM, "model": "zh.ftz"}]}, "expected a KenLM file, .arpa or .bin"),
    ({"models": [KENLM], "keep": ["head"]}, "because `keep` leaves out a bucket"),
    ({"training": [TRAINING], "sort": 1}, "an unknown key"),
]


@pytest.mark.parametrize(("table", "message"), WRONG)
def test_a_table_that_cannot_be_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe.from_dict({"dataprep": {"perplexity": table}})


def test_it_needs_to_know_the_language() -> None:
    tables = {"perplexity": {"training": [TRAINING]}, "signals": False, "languages": []}
    with pytest.raises(UserError, match=r"dataprep.perplexity: .*dataprep.signals = false"):
        Recipe.from_dict({"dataprep": {**tables, "presets": []}})
    own = {"training": [{**TRAINING, "language": "eng_Latn"}]}
    Recipe.from_dict({"dataprep": {"perplexity": own, "language_model": "model.bin"}})


def test_a_kenlm_model_of_another_kind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"models": [{**KENLM, "model": str(tmp_path / "zh.arpa")}]}
    config = parse_model(Perplexity, table, "dataprep.perplexity")
    kenlm = perplexity_training.kenlm_model
    with monkeypatch.context() as patched:
        patched.setitem(__import__("sys").modules, "kenlm", None)
        with pytest.raises(UserError, match="no package `kenlm`") as error:
            perplexity_training.used_files(config)
        assert "pip install 'gristmill[kenlm]'" in error.value.hint
    with pytest.raises(UserError, match="No such file"):
        kenlm.check_file(tmp_path / "zh.arpa", "here")
    (tmp_path / "zh.arpa").write_bytes(b"PK\3\4 not a model")
    with pytest.raises(UserError, match=r"begins with b'PK.*expected a KenLM model"):
        kenlm.check_file(tmp_path / "zh.arpa", "here")


def test_kenlm_models_score_as_ours_do(good: Path, models: Path, tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="the extra kenlm is not installed")
    manifest = trained_in(tmp_path, config_of(good, arpa=True))
    path = tmp_path / "en" / manifest.files[1].path
    table = {"language": "en", "model": str(path)}
    bounds = {"boundaries": {"en": manifest.facts["terciles"]}}
    given = parse_model(Perplexity, {"models": [table], **bounds}, "dataprep.perplexity")
    assert perplexity_training.used_files(given) == [path]
    whole = english(20, seed=9)
    asked = documents([*whole, *map(shuffled, whole), "", "ö qq"])
    ours, theirs = (scored(config, models, asked) for config in (config_of(good), given))
    np.testing.assert_allclose(
        np.array(theirs["perplexity_score"], float), np.array(ours["perplexity_score"], float),
        rtol=1e-5,
    )  # fmt: skip
    assert theirs["perplexity_bucket"] == ours["perplexity_bucket"]
    (tmp_path / "cut.arpa").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="expected a KenLM model") as error:
        perplexity_training.kenlm_model.load(tmp_path / "cut.arpa", None, "here")
    assert "\n" not in str(error.value)


def test_pieces_are_those_of_a_sentencepiece_model(good: Path, tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="the extra kenlm is not installed")
    import sentencepiece

    manifest = trained_in(tmp_path, config_of(good, arpa=True))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(english(50)), model_prefix=str(tmp_path / "sp"), vocab_size=70,
        minloglevel=2,
    )  # fmt: skip
    path = tmp_path / "en" / manifest.files[1].path
    kenlm = perplexity_training.kenlm_model
    score = kenlm.load(path, tmp_path / "sp.model", "here")
    found = score(pa.array(["The mill turns.", "", "Das Öl"], pa.large_string()))
    assert found[0] > 1 and np.isnan(found[1]) and found[2] > 1
    assert kenlm.ccnet_normalized(" Das Öl, 4٣ ") == "das ol, 00"
    with pytest.raises(UserError, match="expected a SentencePiece model"):
        kenlm.load(path, path, "here")
