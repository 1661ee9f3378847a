"""Language: agreement with py3langid itself, and real documents of many languages."""

import gzip
import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from dataprep.config import Dataprep
from dataprep.language import language
from dataprep.language.language_kernels import WINDOW_BYTES
from dataprep.language.languages import LANGUAGES
from dataprep.reading.records import Batch, Record
from dataprep.step import apply_chain
from launch.config import parse_model
from launch.errors import UserError


def identified(texts: list[str]) -> list[tuple[str, float]]:
    languages, scores = language.identify(pa.array(texts, pa.large_string()))
    return list(zip(languages.to_pylist(), scores.tolist(), strict=True))


def rows(shared_data: Path, name: str) -> list[dict[str, Any]]:
    (path,) = (shared_data / name).glob("*.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


@pytest.fixture(scope="module")
def oracle() -> Any:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def test_the_list_of_languages_is_the_models() -> None:
    assert set(language.load_model().names) == LANGUAGES
    with pytest.raises(UserError, match="'english'"):
        parse_model(Dataprep, {"languages": ["en", "english"]}, "dataprep")


SENTENCES = (
    "The quick brown fox jumps over the lazy dog and runs away.",
    "Der schnelle braune Fuchs springt über den faulen Hund.",
    "Le renard brun saute par-dessus le chien paresseux.",
    "Быстрая коричневая лиса перепрыгивает через ленивую собаку.",
    "THE COPYRIGHT HOLDERS PROVIDE THE PROGRAM AS IS WITHOUT WARRANTY",
    "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί.",
    "x = f(y) + 1; print(x)",
    "12345 67890",
    "",
)


def test_agrees_with_py3langid(oracle: Any) -> None:
    found = identified(list(SENTENCES))
    for text, (name, score) in zip(SENTENCES[:-2], found[:-2], strict=True):
        expected, probability = oracle.classify(text)
        assert (name, score) == (expected, pytest.approx(probability, rel=2e-3))
    assert found[-2:] == [("und", 0.0), ("und", 0.0)]


def test_agrees_with_py3langid_on_real_sentences(shared_data: Path, oracle: Any) -> None:
    texts = [
        unicodedata.normalize("NFC", row["text"])  # as py3langid does, and our own step before
        for row in rows(shared_data, "langid_sentences")[::150]
        if not row["text"].isupper()
    ]
    assert len(texts) > 400
    family = {"zh", "yue", "wuu", "ja", "ko"}
    compared = 0
    for text, (name, score) in zip(texts, identified(texts), strict=True):
        expected, probability = oracle.classify(text)
        if name == "und" or {name, expected} & family:
            continue  # there the scripts decide
        assert (name, score) == (expected, pytest.approx(probability, rel=5e-3)), text
        compared += 1
    assert compared > 350


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我们今天去市场买东西。", "zh"),
        ("我哋今日去街市買嘢。", "zh"),
        ("這份文件說明如何安裝軟體。", "zh"),
        ("今日は市場に買い物に行きます。", "ja"),
        ("カタカナ", "ja"),
        ("오늘 우리는 시장에 간다.", "ko"),
        ("使用 npm install vue 安装依赖，然后运行 npm run dev 启动服务器。", "zh"),
    ],
)
def test_scripts_decide_between_chinese_japanese_and_korean(text: str, expected: str) -> None:
    ((name, score),) = identified([text])
    assert name == expected
    assert 0.5 <= score <= 1.0


@pytest.mark.parametrize(
    ("name", "expected", "least"),
    [("zh_docs", "zh", 0.99), ("zh_trad_docs", "zh", 0.95), ("en_docs", "en", 0.99)],
)
def test_real_documents(shared_data: Path, name: str, expected: str, least: float) -> None:
    texts = [row["text"] for row in rows(shared_data, name)[::3]]
    found = [found for found, _ in identified(texts)]
    assert found.count(expected) / len(found) >= least


def test_other_languages_are_recognised(shared_data: Path) -> None:
    table = [row for row in rows(shared_data, "multilang_docs") if len(row["text"]) > 200][::3]
    found = identified([row["text"] for row in table])
    wrong = [name for name, score in found if name in ("en", "zh") or score < 0.5]
    # Some of these pages are English under another language's name (untranslated manuals).
    assert len(wrong) / len(found) < 0.07


def step_on(texts: list[str], config: Dataprep) -> pa.Table:
    batch = Batch("test")
    for index, text in enumerate(texts):
        batch.add(Record(f"test:{index}", text, None, None, ()))
    ((documents, _),) = batch.take()
    return apply_chain([language.make_step(config)], documents)


def test_unwanted_languages_are_dropped_if_that_is_certain() -> None:
    french = "Le renard brun saute par-dessus le chien paresseux et court dans la forêt. " * 3
    table = step_on([french, SENTENCES[0], "ciao"], Dataprep())
    assert table["language"].to_pylist()[:2] == ["fr", "en"]
    assert table["drop_reason"].to_pylist() == ["language.not_wanted", None, None]
    assert table["drop_threshold"].to_pylist()[0] == 0.5
    assert table["drop_value"].to_pylist()[0] == pytest.approx(
        table["language_score"].to_pylist()[0]
    )
    kept = step_on([french], Dataprep(languages=("fr",)))
    assert kept["drop_reason"].to_pylist() == [None]
    assert step_on([french], Dataprep(languages=()))["drop_reason"].to_pylist() == [None]


def test_long_documents_are_judged_by_windows_on_character_borders() -> None:
    # Odd lengths before three-byte characters: a window cut inside one would be invalid UTF-8.
    for shift in range(4):
        text = "a" * shift + "今日は市場に買い物に行きます。" * 500
        ((name, score),) = identified([text])
        assert (name, score > 0.9) == ("ja", True)
    # What lies outside both windows has no say.
    foreign = "Dies ist ein deutscher Satz über nichts Besonderes. " * 20
    english = "This is an English sentence about nothing at all. " * 100
    mixed = english[:WINDOW_BYTES] + foreign + english
    assert identified([mixed])[0][0] == "en"


def test_rows_do_not_influence_one_another() -> None:
    texts = [*SENTENCES, "今日は市場に行きます。"] * 3
    together = identified(texts)
    assert together == [identified([text])[0] for text in texts]
    assert np.array_equal([s for _, s in together], [s for _, s in identified(texts)])
