"""Language by a fastText model, and by paragraph."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dataprep.config import Dataprep
from dataprep.language import language, language_model
from dataprep.language.language_kernels import PARAGRAPHS_BYTES
from dataprep.step import apply_chain
from launch.config import parse_model
from launch.errors import UserError

ENGLISH = "The river had been high all week, and nobody in the village could cross it by boat.\n\n"
FRENCH = "La rivière était haute depuis une semaine, et personne ne pouvait la traverser.\n\n"
CHINESE = "这条河整整一个星期都涨得很高，村里没有人能够坐船过去，大家只好在岸边等着。\n\n"


@pytest.fixture(scope="module")
def model(shared_data: Path) -> str:
    return str(shared_data / "model_lid176" / "lid.176.ftz")


def texts(*values: str) -> pa.Array:
    return pa.array(values, pa.large_string())


def test_labels_become_our_codes() -> None:
    for label, code in (
        ("__label__en", "en"),
        ("__label__eng_Latn", "en"),
        ("__label__cmn_Hani", "zh"),
        ("__label__arb_Arab", "ar"),
        ("__label__ceb", "ceb"),
        ("__label__zh-Hant", "zh"),
    ):
        assert language_model.code_of(label) == code


def test_a_model_by_path(model: str, shared_data: Path) -> None:
    names, scores = language.identify(texts(ENGLISH, FRENCH, CHINESE, "12 + 3\n4", ""), model)
    assert names.to_pylist() == ["en", "fr", "zh", "und", "und"]
    assert scores.dtype == np.float32 and scores.max() <= 1 and scores[3] == scores[4] == 0
    path = shared_data / "langid_sentences" / "lingua_sentences.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [row for line in stream if (row := json.loads(line))["kind"] == "sentences"]
    rows = [row for row in rows if row["lang"] in ("de", "en", "es", "ja", "ru")][::10]
    found, _ = language.identify(texts(*(row["text"] for row in rows)), model)
    right = sum(a == row["lang"] for a, row in zip(found.to_pylist(), rows, strict=True))
    assert right / len(rows) > 0.97


def test_its_own_labels_can_be_asked_for(model: str, tmp_path: Path) -> None:
    config = parse_model(Dataprep, {"languages": ["ceb"], "language_model": model}, "dataprep")
    assert language.make_step(config).name == "language"
    for table, message in (
        ({"languages": ["english"], "language_model": model}, "knows"),
        ({"language_model": str(tmp_path / "none.bin")}, "none.bin"),
        ({"language_model": __file__}, "cannot read"),
    ):
        with pytest.raises(UserError, match=message):
            language.make_step(parse_model(Dataprep, table, "dataprep"))


def test_the_share_of_a_document_in_its_own_language() -> None:
    mixed = ENGLISH * 3 + FRENCH
    short = "one\n\ntwo\n\nthree"
    column = texts(ENGLISH * 4, mixed, short, "", ENGLISH + CHINESE, "\n\n" + ENGLISH)
    languages = pa.array(["en", "en", "en", "und", "zh", "en"])
    shares = language.own_share(column, languages)
    assert shares.dtype == np.float32
    expected = 3 * len(ENGLISH.encode()) / len(mixed.encode())
    half = len(CHINESE.encode()) / len((ENGLISH + CHINESE).encode())
    assert shares.tolist() == pytest.approx([1, expected, 1, 1, half, 1])
    # Slices, and rows alone, give the same.
    assert language.own_share(column[1:2], languages[1:2]).tolist() == [shares[1]]
    long = ENGLISH * (PARAGRAPHS_BYTES // len(ENGLISH) + 1) + FRENCH * 400
    assert language.own_share(texts(long), pa.array(["en"])).tolist() == [1]


def test_mixed_documents_are_dropped_if_asked() -> None:
    nothing = {
        "drop_reason": pa.string(),
        "drop_value": pa.float64(),
        "drop_threshold": pa.float64(),
    }
    columns = {name: pa.nulls(2, kind) for name, kind in nothing.items()}
    table = pa.table({"text": texts(ENGLISH * 3, ENGLISH * 2 + FRENCH * 2), **columns})
    asked = {"languages": [], "language_paragraphs": True, "language_share_min": 0.75}
    step = language.make_step(parse_model(Dataprep, asked, "dataprep"))
    assert apply_chain([step], table)["drop_reason"].to_pylist() == [None, language.MIXED]
    with pytest.raises(UserError, match="language_paragraphs"):
        parse_model(Dataprep, {"language_share_min": 0.5}, "dataprep")
