"""Repair and simplification: what they mend, what they leave alone, and that once is enough."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config import Normalize
from dataprep.text import normalize, repair

REPAIR = Normalize(repair=True)
SIMPLIFIED = Normalize(chinese="simplified")
UNTOUCHED = (
    r"\alpha &amp; \frac{1}{2} &lt;b&gt; “curly” ‘quotes’ ﬁne ｗｉｄｅ",
    "if (a && b) { s = '\\u00e9'; t = \"Ã\"; }  // naïve façade",
    "«café» à la carte, coûte 5 €, déjà vu… Größe",
    "Быстрая лиса; «Русский» текст",
    "普通的中文，没有问题。",
)


def one(text: str, config: Normalize) -> str:
    return normalize.normalize(pa.array([text], pa.large_string()), config)[0].as_py()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
@pytest.mark.parametrize(
    "text", ["Il a été déçu à Orléans.", "naïve – “quoted” text’s", "中文字符"]
)
def test_wrongly_decoded_text_is_mended(text: str, encoding: str) -> None:
    broken = text.encode().decode(encoding, errors="ignore")
    if broken.encode(encoding) != text.encode():
        pytest.skip("the encoding has no such byte: nothing can bring the text back")
    assert one(broken, Normalize()) != text
    assert one(broken, REPAIR) == text


def test_what_is_right_stays() -> None:
    for text in UNTOUCHED:
        assert one(text, REPAIR) == one(text, Normalize()) == text


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="aéÃ©â€™Â\u0080\u0099\u00a0“ÐÑž中\u0301\n", max_size=30))
def test_twice_is_once(text: str) -> None:
    for config in (REPAIR, Normalize(repair=True, chinese="simplified")):
        once = one(text, config)
        assert one(once, config) == once


def test_traditional_becomes_simplified_where_it_is_chinese() -> None:
    texts = [
        "頭髮與發展，皇后在後面。",
        "日本語の漢字は國と書く。",
        "한자 漢字 國",
        "简体",
        "plain",
        "",
    ]
    column = pa.array(texts, pa.large_string())
    assert repair.traditional(column).to_pylist() == [True, False, False, False, False, False]
    assert normalize.normalize(column, SIMPLIFIED).to_pylist() == [
        "头发与发展，皇后在后面。",
        *texts[1:],
    ]
    assert normalize.normalize(column).to_pylist() == texts


def test_bytes_added_and_removed_are_accounted() -> None:
    texts = ["dÃ©jÃ vu " * 3, "頭髮", "plain"]
    nulls = pa.nulls(len(texts))
    table = pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "drop_reason": nulls.cast(pa.string()),
            "drop_value": nulls.cast(pa.float64()),
            "drop_threshold": nulls.cast(pa.float64()),
        }
    )
    config = Normalize(repair=True, chinese="simplified")
    after = normalize.make_step(config).apply(table)
    for before, text, removed in zip(
        texts,
        after["text"].to_pylist(),
        after["normalize_removed_bytes"].to_pylist(),
        strict=True,
    ):
        assert len(before.encode()) - len(text.encode()) == removed
    assert after["normalize_removed_bytes"].to_pylist()[0] > 0
