"""Normalization: idempotent, what it removes, and that plain text is left alone."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.reading.records import Batch, Record
from dataprep.text import normalize


def normalized(texts: list[str]) -> list[str]:
    return normalize.normalize(pa.array(texts, pa.large_string())).to_pylist()


def read(texts: list[str]) -> pa.Table:
    batch = Batch("test")
    for index, text in enumerate(texts):
        batch.add(Record(f"test:{index}", text, None, None, ()))
    ((documents, _),) = batch.take()
    return documents


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("a\r\nb\rc\r\r\nd", "a\nb\nc\n\nd"),
        ("a\x0bb\x0cc\x85d\u2028e\u2029f", "a\nb\nc\nd\ne\nf"),
        ("\ufeffa\x00b\x1b[0mc\x7f\x9f", "ab[0mc"),
        ("soft\u00adhyphen zero\u200bwidth word\u2060joiner", "softhyphen zerowidth wordjoiner"),
        ("noncharacters \ufdd0\ufdef\ufffe\uffff.", "noncharacters ."),
        ("e\u0301", "é"),
        ("e\u200b\u0301", "é"),  # the removal brings letter and accent together
        ("\u212b ohm \u2126", "Å ohm Ω"),
        ("می\u200cخواهم \U0001f469\u200d\U0001f4bb", "می\u200cخواهم \U0001f469\u200d\U0001f4bb"),
        ("no-break\u00a0space stays \ufffd", "no-break\u00a0space stays \ufffd"),
        ("你好，世界", "你好，世界"),
        ("", ""),
    ],
)
def test_known_texts(text: str, expected: str) -> None:
    assert normalized(["other", text, "ünder"]) == ["other", expected, "ünder"]


MIXED = st.text(
    alphabet=st.one_of(
        st.sampled_from("ab \n\r\t\x00\x0b\x85\u00ad\u0301\u200b\u2028\ufeffé가\u1100\u1161"),
        st.characters(exclude_categories=("Cs",)),
    )
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MIXED, max_size=5))
def test_twice_is_once_and_the_result_is_clean(texts: list[str]) -> None:
    once = normalized(texts)
    assert normalized(once) == once
    for text in once:
        controls = {c for c in text if unicodedata.category(c) == "Cc"}
        assert controls <= {"\n", "\t"}
        assert not set(text) & set("\u2028\u2029\ufeff\u200b\u00ad")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(alphabet=st.characters(categories=("L", "N", "P", "Zs", "Mn"))), max_size=5)
)
def test_composition_agrees_with_unicodedata(texts: list[str]) -> None:
    assert normalized(texts) == [unicodedata.normalize("NFC", text) for text in texts]


def test_step_counts_bytes_and_marks_what_becomes_nothing() -> None:
    step = normalize.make_step()
    before = read(["a\r\nb", "\u200b\x00\n", "plain", "e\u0301", "\u0958"])
    after = step.apply(before)
    assert after.schema.names == [*before.schema.names, "normalize_removed_bytes"]
    removed = after["normalize_removed_bytes"].to_pylist()
    lengths = [len(text.encode()) for text in after["text"].to_pylist()]
    assert removed == [1, 4, 0, 1, -3]  # a composition exclusion grows: bytes are added
    assert [r + n for r, n in zip(removed, lengths, strict=True)] == after["read_bytes"].to_pylist()
    assert after["drop_reason"].to_pylist() == [None, "normalize.empty", None, None, None]
    assert after["drop_threshold"].to_pylist()[1] == 1.0
    assert after["content_hash"] == before["content_hash"]  # of the text as read


def test_an_empty_table_passes() -> None:
    assert normalize.make_step().apply(read(["x"]).slice(0, 0)).num_rows == 0
