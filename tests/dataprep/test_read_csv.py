"""CSV and TSV: where rows end, and that a bad one shifts no other."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
import xxhash
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config import Columns
from dataprep.reading.csv_kernels import FIELD_START, record_ends
from launch.errors import UserError
from tests.dataprep.read_everything import (
    everything,
    source,
)


def test_csv_rows(tmp_path: Path) -> None:
    content = (
        '\ufefftext,"u",n,when\r\n'
        '"two\nlines, and ""quotes""",http://a,1,\r\n'
        "plain,,2,x\r\n"
        "\r\n"
        '5" screens are literal,http://b,,\n'
        "last,,,"
    )
    (tmp_path / "x.csv").write_text(content, newline="")
    documents, quarantine = everything(tmp_path, source("csv", Columns(url="u", meta=("n", "no"))))
    assert [(d["id"], d["text"], d["url"], d["meta"]) for d in documents] == [
        ("s:x.csv#0", 'two\nlines, and "quotes"', "http://a", {"n": "1"}),
        ("s:x.csv#1", "plain", None, {"n": "2"}),
        ("s:x.csv#3", '5" screens are literal', "http://b", {}),
        ("s:x.csv#4", "last", None, {}),
    ]
    assert quarantine == []


def test_a_bad_csv_row_shifts_no_other(tmp_path: Path) -> None:
    rows = [
        b'"good 0",1', b"too,many,fields", b"few", b'"x"y,2', b"\xff\xfe,3", b'"' + b"z" * 3000
        + b'\n",4', b",5", b"y" * 1500 + b",6", b'"good 1",7', b'"never closed,8\nmore,9',
    ]  # fmt: skip
    content = b"text,n\n" + b"\n".join(rows)
    (tmp_path / "x.csv").write_bytes(content)
    documents, quarantine = everything(tmp_path, source("csv"))
    assert [(d["id"], d["text"]) for d in documents] == [
        ("s:x.csv#0", "good 0"),
        ("s:x.csv#8", "good 1"),
    ]
    reasons = "bad_csv bad_csv bad_csv bad_utf8 line_too_long text_empty text_too_long bad_csv"
    assert [row["reason"] for row in quarantine] == reasons.split()
    assert [row["row"] for row in quarantine] == [1, 2, 3, 4, 5, 6, 7, 9]
    bad = [row for row in rows if not row.startswith(b'"good')]
    for row, written in zip(quarantine, bad, strict=True):
        assert content[row["offset"] :][: row["length"]] == written
        assert row["digest"] == f"xxh3_128:{xxhash.xxh3_128_hexdigest(written)}"


def test_csv_headers_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"x.csv: columns.text: got 'text'.*a, b"):
        everything(tmp_path, source("csv"))
    (tmp_path / "x.csv").write_text("text,b,b\n1,2,3\n")
    with pytest.raises(UserError, match="column 'b' twice"):
        everything(tmp_path, source("csv"))
    (tmp_path / "x.csv").write_bytes(b"\xff\n1\n")
    assert [row["reason"] for row in everything(tmp_path, source("csv"))[1]] == ["bad_utf8"]


@pytest.mark.parametrize("name", ["x.tsv.gz", "x.csv.zst"])
def test_compressed_csv_and_tsv(tmp_path: Path, name: str) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t" if ".tsv" in name else ",")
    writer.writerows([["n", "text"], *([n, f"number,\t{n}\n"] for n in range(3000))])
    compress = gzip.compress if name.endswith(".gz") else zstandard.compress
    (tmp_path / name).write_bytes(compress(stream.getvalue().encode()))
    documents, quarantine = everything(tmp_path, source("csv"))
    assert [d["text"] for d in documents] == [f"number,\t{n}\n" for n in range(3000)]
    assert quarantine == []


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.text('a",\r\n\té', max_size=6), min_size=1, max_size=3), max_size=8),
    st.integers(1, 9),
)
def test_records_end_where_the_csv_module_ends_them(rows: list[list[str]], size: int) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream)
    ends_of_writer = []
    for row in rows:
        writer.writerow(row)
        ends_of_writer.append(len(stream.getvalue().encode()) - 1)
    data = np.frombuffer(stream.getvalue().encode(), np.uint8)
    found, state = [], FIELD_START
    for at in range(0, len(data), size):
        ends = np.empty(size, np.int64)
        count, state = record_ends(data[at : at + size], ord(","), state, ends)
        found += (ends[:count] + at).tolist()
    assert found == ends_of_writer
