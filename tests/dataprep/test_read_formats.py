"""Arrow IPC and Parquet, columns inside columns, text files."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
import zstandard

from dataprep.config import Columns
from dataprep.reading.read_text import without_front_matter
from tests.dataprep.read_everything import (
    EVERY_COLUMN,
    everything,
    source,
    table_of_everything,
    write_file,
    write_stream,
)


@pytest.mark.parametrize("layout", ["stream", "file", "zstd", "parquet", "jsonl"])
def test_fields_inside_fields_are_the_same_in_every_format(tmp_path: Path, layout: str) -> None:
    table, kind = table_of_everything(), "arrow"
    if layout == "stream":
        write_stream(table, tmp_path / "x")
    elif layout == "parquet":
        kind = "parquet"
        pq.write_table(table, tmp_path / "x", row_group_size=3)
    elif layout == "jsonl":
        kind = "jsonl"
        lines = table.drop_columns(["unused"]).to_pylist()
        (tmp_path / "x").write_text(
            "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        )
    else:
        write_file(table, tmp_path / "x", compression="zstd" if layout == "zstd" else None)
    documents, quarantine = everything(tmp_path, source(kind, EVERY_COLUMN, license="CC0"))
    assert [(d["id"], d["text"], d["url"], d["license"], d["meta"]) for d in documents] == [
        (
            f"s:x#{n}",
            f"text {n}",
            f"http://{n}" if n % 3 else None,
            "CC0",
            ({"metadata.deep.n": str(n)} if n % 3 else {}) | {"a.b": f"dot {n}"},
        )
        for n in range(10)
        if n != 4
    ]
    assert [d["content_hash"] for d in documents] == [
        xxhash.xxh3_128_digest(d["text"].encode()) for d in documents
    ]
    assert [(q["row"], q["reason"]) for q in quarantine] == [(4, "text_too_long")]


@pytest.mark.parametrize("type_of_text", [pa.string(), pa.large_string(), pa.string_view()])
def test_arrow_values_are_judged_one_by_one(tmp_path: Path, type_of_text: pa.DataType) -> None:
    raw = [b"fine", b"\xff", None, b"", b" \n", "\u2003".encode(), b"x" * 1025, b"also"]
    as_bytes = pa.array(raw, pa.binary_view() if type_of_text == pa.string_view() else pa.binary())
    if type_of_text == pa.large_string():
        as_bytes = as_bytes.cast(pa.large_binary())
    columns = {"text": as_bytes.view(type_of_text), "id": list("abcdefgh"), "none": pa.nulls(8)}
    table = pa.table(columns)
    write_file(table, tmp_path / "x.arrow")
    columns = Columns(id="id", url="none")
    documents, quarantine = everything(tmp_path, source("arrow", columns))
    assert [(d["id"], d["text"], d["url"]) for d in documents] == [
        ("s:a", "fine", None),
        ("s:h", "also", None),
    ]
    assert [(q["row"], q["reason"], q["length"]) for q in quarantine] == [
        (1, "bad_utf8", 1), (2, "text_missing", None), (3, "text_empty", 0), (4, "text_empty", 2),
        (5, "text_empty", 3), (6, "text_too_long", 1025),
    ]  # fmt: skip


def test_broken_arrow_files_are_refused_from_there_on(tmp_path: Path) -> None:
    table = pa.table({"text": [f"text {n}" for n in range(12)]})
    write_stream(table, tmp_path / "b.arrow")
    whole = (tmp_path / "b.arrow").read_bytes()
    (tmp_path / "b.arrow").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c.arrow").write_bytes(b"no Arrow at all, but long enough to be looked at")
    (tmp_path / "d.arrow").write_bytes(b"")
    write_file(table, tmp_path / "e.arrow")
    packed = (tmp_path / "e.arrow").read_bytes()
    # Offsets that point far beyond the data.
    at = packed.index(np.arange(5, dtype=np.int32).__mul__(6).tobytes())
    (tmp_path / "e.arrow").write_bytes(packed[:at] + b"\xff\xff\xff\x7f" * 5 + packed[at + 20 :])
    documents, quarantine = everything(tmp_path, source("arrow"))
    assert [(q["path"], q["row"], q["reason"]) for q in quarantine] == [
        ("b.arrow", 4, "corrupt"),
        ("c.arrow", 0, "corrupt"),
        ("e.arrow", 0, "corrupt"),
    ]
    assert [d["id"] for d in documents] == [f"s:b.arrow#{n}" for n in range(4)]


def test_a_value_that_many_rows_share_is_not_multiplied(tmp_path: Path) -> None:
    """A dictionary of one long value for many rows: 4 GB if it were written out."""
    text = pa.DictionaryArray.from_arrays(np.zeros(1 << 12, np.int32), ["x" * (1 << 20)])
    write_file(pa.table({"text": text}), tmp_path / "x.arrow")
    documents, quarantine = everything(tmp_path, source("arrow"))
    assert (len(documents), len(quarantine)) == (0, 1 << 12)
    (tmp_path / "x.arrow").unlink()
    pq.write_table(pa.table({"text": text}).replace_schema_metadata(), tmp_path / "x.parquet")
    documents, quarantine = everything(tmp_path, source("parquet"))
    assert (len(documents), len(quarantine)) == (0, 1 << 12)


def test_fields_beside_the_text_are_limited_too(tmp_path: Path) -> None:
    rows = [{"text": "a", "m": "é" * 600}, {"text": "b", "u": "x" * 1025}, {"text": "c", "m": "1"}]
    columns = Columns(url="u", meta=("m",))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "x.jsonl").write_text(lines)
    schema = pa.schema({"text": pa.string(), "m": pa.string(), "u": pa.string()})
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "x.parquet")
    pq.write_table(pa.table({"text": ["d"], "m": [{"n": 10**18}]}), tmp_path / "y.parquet")
    for kind, texts in (("jsonl", ["c"]), ("parquet", ["c", "d"])):
        table = source(kind, columns, paths=(f"*.{kind}",))
        documents, quarantine = everything(tmp_path, table)
        assert [d["text"] for d in documents] == texts
        found = [(q["row"], q["reason"]) for q in quarantine]
        assert found == [(0, "field_too_long"), (1, "field_too_long")]
    assert documents[-1]["meta"] == {"m": '{"n":1000000000000000000}'}


def test_markdown_and_compressed_text(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\ntitle: A\ntags: [x]\n---\n# A\n\ntext\n")
    (tmp_path / "b.md").write_text("---\n\nA rule, not front matter.\n\n---\n")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"---\nkey: kept\n---\n"))
    (tmp_path / "d.md.zst").write_bytes(zstandard.compress(b"---\nk: v\n...\nx"))
    (tmp_path / "e.md").write_text("---\ntitle: only\n---\n")
    (tmp_path / "f.txt.gz").write_bytes(gzip.compress(b"y" * 5000))
    (tmp_path / "g.txt.gz").write_bytes(gzip.compress(bytes(range(256)) * 9)[:90])
    documents, quarantine = everything(tmp_path, source("text"))
    assert {d["id"]: d["text"] for d in documents} == {
        "s:a.md#0": "# A\n\ntext\n",
        "s:b.md#0": "---\n\nA rule, not front matter.\n\n---\n",
        "s:c.txt.gz#0": "---\nkey: kept\n---\n",
        "s:d.md.zst#0": "x",
    }
    assert [(q["path"], q["reason"]) for q in quarantine] == [
        ("e.md", "text_empty"),
        ("f.txt.gz", "text_too_long"),
        ("g.txt.gz", "truncated"),
    ]
    assert without_front_matter("---\nunclosed: yes\n") == "---\nunclosed: yes\n"
