"""Cuts: what white space goes with them, texts put together again, documents of which little is
left."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataprep.report import pieces as report_pieces
from dataprep.text.cut_kernels import CHARACTERS, LINES
from dataprep.text.cuts import (
    CUT_SCHEMA,
    PIECE_SCHEMA,
    REPEAT_SCHEMA,
    CutStep,
    StoredPieces,
    cut,
    piece_facts,
    restored,
    settled,
)

STEP = CutStep("spans", 2)
TEXT = st.text(st.sampled_from("ab é水\n \t　.\U0001f600"), max_size=30).map(str.strip)


def table_of(texts: list[str]) -> pa.Table:
    none = len(texts)
    return pa.table(
        {
            "id": pa.array([f"s:{i}" for i in range(none)], pa.string()),
            "text": pa.array(texts, pa.large_string()),
            "drop_reason": pa.nulls(none, pa.string()),
            "drop_value": pa.nulls(none, pa.float64()),
            "drop_threshold": pa.nulls(none, pa.float64()),
        }
    )


def repeats_of(rows: list[tuple[int, int, int, str]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [[], [], [], []]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, REPEAT_SCHEMA, strict=True)],
                    schema=REPEAT_SCHEMA)  # fmt: skip


def without(text: str, *pieces: str, to: int = CHARACTERS) -> str:
    """`text` after the pieces, each the first of its kind in it, are cut."""
    encoded = text.encode()
    rows = [(0, encoded.index(p.encode()), encoded.index(p.encode()) + len(p.encode()), "x")
            for p in pieces]  # fmt: skip
    table = table_of([text])
    made, _ = cut(table, settled(table["text"], repeats_of(rows), to), STEP)
    return made["text"][0].as_py()


@pytest.mark.parametrize(
    ("text", "pieces", "left"),
    [
        ("one\ntwo\nthree", ["two"], "one\nthree"),
        ("one\n\ntwo\n\nthree", ["two"], "one\n\nthree"),
        ("one\n\ntwo\nthree\n\nfour", ["two", "three"], "one\n\nfour"),
        ("one\n\n\n\ntwo\n\nthree", ["two"], "one\n\n\n\nthree"),
        ("one\ntwo", ["one"], "two"),
        ("one\n\ntwo", ["two"], "one"),
        ("  one  ", ["one"], ""),
        ("def f():\n    x = 1\n        y = 2", ["x = 1"], "def f():\n        y = 2"),
        ("a\n\n    x\n  b", ["x"], "a\n\n  b"),
        ("One. Two. Three.", ["Two."], "One. Three."),
        ("One.\n\nTwo. Three.", ["Two."], "One.\n\nThree."),
        ("One. Two.\n\nThree.", ["Two."], "One.\n\nThree."),
        ("一。二。三。", ["二。"], "一。三。"),
        ("one two three", [" two "], "one three"),
        ("onetwothree", ["two"], "onethree"),
        ("one twothree", ["two"], "one three"),
    ],
)
def test_a_cut_takes_its_white_space_along(text: str, pieces: list[str], left: str) -> None:
    assert without(text, *pieces) == left


def test_a_cut_is_shrunk_to_characters_or_lines() -> None:
    text = "水车 é mill\nwhole line\nand 水"
    encoded = text.encode()
    table = table_of([text])
    # From the second byte of the first character to the second of the last.
    repeats = repeats_of([(0, 1, len(encoded) - 1, "x")])
    found = settled(table["text"], repeats, CHARACTERS)
    assert cut(table, found, STEP)[0]["text"].to_pylist() == ["水 水"]
    found = settled(table["text"], repeats, LINES)
    assert cut(table, found, STEP)[0]["text"].to_pylist() == ["水车 é mill\nand 水"]
    assert settled(table["text"], repeats_of([(0, 1, 9, "x")]), LINES).num_rows == 0


@given(st.lists(st.tuples(TEXT, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)))), max_size=4))
@example([("a\u3000aaaa", [(0.0, 0.25), (1.0, 0.5)])])  # the first ends within white space
@example([("\U0001f600  aaaaaa", [(0.0, 0.25), (1.0, 0.5)])])  # ... within what stays
def test_what_was_cut_can_be_put_back(cases: list[tuple[str, list[tuple[float, float]]]]) -> None:
    """Twice in turn, as spans and substrings are; bytes add up; only white space goes beside."""
    before = table = table_of([text for text, _ in cases])
    written = [PIECE_SCHEMA.empty_table()]
    for name in ("spans", "substrings"):
        texts = [text.encode() for text in table["text"].to_pylist()]
        rows = []
        for row, (_, pieces) in enumerate(cases):
            for i, (left, right) in enumerate(pieces):
                start, end = sorted((int(left * len(texts[row])), int(right * len(texts[row]))))
                if start < end:
                    rows.append((row, start, end, f"s:{i % 2}"))
        cuts = settled(table["text"], repeats_of(rows))
        assert cuts.schema.equals(CUT_SCHEMA)
        asked = [np.zeros(len(text), bool) for text in texts]
        gone = [np.zeros(len(text), bool) for text in texts]
        for row, start, end, _ in rows:
            asked[row][start:end] = True
        for row in cuts.to_pylist():
            assert not gone[row["row"]][row["start"] : row["end"]].any()
            gone[row["row"]][row["start"] : row["end"]] = True
        for text, of_row, wanted in zip(texts, gone, asked, strict=True):
            position = 0
            for character in text.decode():
                stop = position + len(character.encode())
                assert of_row[position:stop].all() or not of_row[position:stop].any()
                if not character.isspace():
                    assert of_row[position] == wanted[position:stop].all()
                position = stop
        table, pieces = cut(table, cuts, CutStep(name, 0))
        written.append(pieces)
        lost = np.array([of_row.sum() for of_row in gone])
        assert table[f"{name}_removed_bytes"].to_pylist() == lost.tolist()
        left = [text.decode() for text in texts]
        for text, now, of_row in zip(left, table["text"].to_pylist(), gone, strict=True):
            if of_row.any():
                assert now == now.strip()
                assert now or not text or of_row.all()
                most = max(map(len, re.findall(r"\n+", re.sub(r"[ \t　]", "", text))), default=0)
                now = re.sub(r"[ \t　]", "", now)
                assert max(map(len, re.findall(r"\n+", now)), default=0) <= most
    assert restored(table["text"], pa.concat_tables(written)).to_pylist() == (
        before["text"].to_pylist()
    )


def test_each_owner_of_a_stretch_is_named() -> None:
    table = table_of(["one two three four"])
    repeats = repeats_of([(0, 0, 7, "a"), (0, 4, 13, "b"), (0, 5, 9, "c")])
    _, pieces = cut(table, settled(table["text"], repeats), STEP)
    assert pieces.select(["start", "text", "survivor_id"]).to_pylist() == [
        {"start": 0, "text": "one ", "survivor_id": "a"},
        {"start": 4, "text": "two three ", "survivor_id": "b"},
    ]


def test_a_document_with_too_few_words_left_is_dropped() -> None:
    texts = ["one two gone", "one gone", "gone", "水车 gone", "only one", "?! gone"]
    table = table_of(texts)
    rows = [(i, len(t.encode()) - 4, len(t.encode()), "x") for i, t in enumerate(texts) if i != 4]
    made, _ = cut(table, settled(table["text"], repeats_of(rows)), STEP)
    assert made["drop_reason"].to_pylist() == [
        None, "spans.short", "spans.short", None, None, "spans.short"
    ]  # fmt: skip
    assert made["drop_value"].to_pylist() == [None, 1.0, 0.0, None, None, 0.0]
    assert made["drop_threshold"].to_pylist() == [None, 2.0, 2.0, None, None, 2.0]
    # With no least number only what is empty goes.
    made, _ = cut(table, settled(table["text"], repeats_of(rows)), CutStep("spans", 0))
    assert made["drop_reason"].to_pylist() == [None, None, "spans.short", None, None, None]


def test_stored_pieces_come_in_the_order_of_rows(tmp_path: Path) -> None:
    rows = [0, 3, 3, 4, 9, 12]
    pieces = pa.table(
        {
            "id": [f"s:{row}" for row in rows],
            "row": rows,
            "step": ["spans"] * 6,
            "start": range(6),
            "text": ["x"] * 6,
            "survivor_id": ["s:0"] * 6,
        }
    ).cast(PIECE_SCHEMA)
    with pq.ParquetWriter(tmp_path / "p.parquet", PIECE_SCHEMA) as writer:
        writer.write_table(pieces.slice(0, 4))
        writer.write_table(pieces.slice(4))
    stored = StoredPieces(tmp_path / "p.parquet")
    assert stored.take(0, 3)["row"].to_pylist() == [0]
    assert stored.take(3, 8)["row"].to_pylist() == [0, 0, 1]
    assert stored.take(8, 9)["row"].to_pylist() == []
    assert stored.take(9, 20)["start"].to_pylist() == [4, 5]
    assert StoredPieces(None).take(0, 5).num_rows == 0


def test_the_report_shows_what_was_cut_most_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_pieces, "_DIFFERENT_MAX", 2)
    paths = []
    for part, texts in enumerate([["# footer\n"] * 3 + ["once"] * 1, ["\n# footer", "<b>", "<b>"]]):
        number = len(texts)
        columns = [
            ["s:0"] * number, range(number), ["spans"] * number, [0] * number, texts,
            ["s:1"] * number,
        ]  # fmt: skip
        paths.append(tmp_path / f"{part}.parquet")
        pq.write_table(
            pa.table([pa.array(c, f.type) for c, f in zip(columns, PIECE_SCHEMA, strict=True)],
                     schema=PIECE_SCHEMA), paths[-1],
        )  # fmt: skip
    found = report_pieces.commonest(paths)
    assert found == {
        "spans": [
            {"pieces": 4, "bytes": 8, "text": "# footer"},
            {"pieces": 2, "bytes": 3, "text": "<b>"},
        ]
    }
    facts = piece_facts(paths)
    assert facts == {"spans": {"pieces": 7, "bytes": 46}}
    page = report_pieces.pieces({"facts": {"pieces": facts}, "pieces": found})
    assert "<span># footer</span>" in page
    assert "&lt;b&gt;" in page
    assert "No piece" in report_pieces.pieces({"facts": {}, "pieces": {}})
