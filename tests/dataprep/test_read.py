"""Readers: ids, shards, and what becomes of every kind of broken input."""

import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config import Columns, Dataprep, Source
from dataprep.reading import read, records
from dataprep.reading.delimited import Span, cut
from launch.config import parse_model
from launch.errors import UserError

LIMITS = Dataprep(line_bytes_max=2048, document_bytes_max=1024)


def source(kind: str = "jsonl", paths: tuple[str, ...] = ("*",), **fields: Any) -> Source:
    return Source(name="s", kind=kind, paths=paths, **fields)


def everything(
    root: Path, table: Source, limits: Dataprep = LIMITS
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    documents, quarantine = [], []
    for shard in read.shards([table], root):
        for good, bad in read.read_shard(shard, table, limits):
            assert good.schema == records.READ_SCHEMA
            assert bad.schema == records.QUARANTINE_SCHEMA
            documents += good.to_pylist(maps_as_pydicts="strict")
            quarantine += bad.to_pylist()
    return documents, quarantine


def line(**record: Any) -> bytes:
    return json.dumps(record).encode() + b"\n"


def test_a_record_becomes_a_row(tmp_path: Path) -> None:
    record = {"text": "héllo", "id": 7, "u": "http://x", "l": "MIT", "a": {"c": 1, "b": [None]}}
    (tmp_path / "x.jsonl").write_bytes(line(**record, n=None))
    columns = Columns(id="id", url="u", license="l", meta=("a", "n", "absent"))
    (document,), quarantine = everything(tmp_path, source(columns=columns))
    assert document == {
        "id": "s:7",
        "content_hash": xxhash.xxh3_128_digest("héllo".encode()),
        "text": "héllo",
        "source": "s",
        "url": "http://x",
        "license": "MIT",
        "rights_evidence": "record:l",
        "rights_opt_out": [],
        "meta": {"a": '{"b":[null],"c":1}'},
        "read_bytes": 6,
        "drop_reason": None,
        "drop_value": None,
        "drop_threshold": None,
    }
    assert quarantine == []


BROKEN = {
    b'{"text": "unfinished': "bad_json",
    b'{"text": NaN}': "bad_json",
    b"not json at all": "bad_json",
    b'{"text": "\xff\xfe"}': "bad_utf8",
    b'{"text": "\\ud800"}': "lone_surrogate",
    b'{"text": "\\udc00\\ud800"}': "lone_surrogate",
    b'["text"]': "not_an_object",
    b"null": "not_an_object",
    b'{"body": "x"}': "text_missing",
    b'{"text": null}': "text_missing",
    b'{"text": 5}': "text_not_a_string",
    b'{"text": ["a"]}': "text_not_a_string",
    b'{"text": ""}': "text_empty",
    b'{"text": " \\n\\t "}': "text_empty",
    b'{"text": "' + b"y" * 1025 + b'"}': "text_too_long",
    b'{"text": "' + b"z" * 2040 + b'"}': "line_too_long",
    b"[" * 2000: "bad_json",
}


def test_each_broken_line_is_in_quarantine_with_place_and_reason(tmp_path: Path) -> None:
    content = b"".join(line(text=f"good {n}") + bad + b"\r\n" for n, bad in enumerate(BROKEN))
    (tmp_path / "x.jsonl").write_bytes(content)
    documents, quarantine = everything(tmp_path, source())
    assert [document["text"] for document in documents] == [f"good {n}" for n in range(len(BROKEN))]
    assert [document["id"] for document in documents][:2] == ["s:x.jsonl#0", "s:x.jsonl#2"]
    assert [row["reason"] for row in quarantine] == list(BROKEN.values())
    for row, bad in zip(quarantine, BROKEN, strict=True):
        place = slice(row["offset"], row["offset"] + row["length"])
        assert content[place] == bad + b"\r"
        assert row["digest"] == f"xxh3_128:{xxhash.xxh3_128_hexdigest(content[place])}"
        assert row["path"] == "x.jsonl"
    assert [row["row"] for row in quarantine] == list(range(1, 2 * len(BROKEN), 2))


def test_quarantine_never_holds_content(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"text": "secret-4711\n' + b'"secret-4711"\n')
    _, quarantine = everything(tmp_path, source())
    assert len(quarantine) == 2
    assert "secret" not in json.dumps(quarantine)


def test_files_without_records_count_zero(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "blank.jsonl").write_bytes(b"\n  \n\r\n")
    (tmp_path / "empty.jsonl.gz").write_bytes(b"")
    (tmp_path / "nothing.jsonl.gz").write_bytes(gzip.compress(b""))
    assert len(read.shards([source()], tmp_path)) == 4
    assert everything(tmp_path, source()) == ([], [])


def test_byte_order_mark_and_last_line_without_end(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"\xef\xbb\xbf" + line(text="a") + line(text="b")[:-1])
    documents, quarantine = everything(tmp_path, source())
    assert ([d["text"] for d in documents], quarantine) == (["a", "b"], [])


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_files_give_the_same_rows(tmp_path: Path, suffix: str) -> None:
    content = b"".join(line(text=f"number {n}") for n in range(5000))
    compress = gzip.compress if suffix == ".gz" else zstandard.compress
    # Two members, as many tools append them.
    packed = compress(content[:30_000]) + compress(content[30_000:])
    (tmp_path / f"x.jsonl{suffix}").write_bytes(packed)
    documents, quarantine = everything(tmp_path, source())
    assert [d["text"] for d in documents] == [f"number {n}" for n in range(5000)]
    assert quarantine == []


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize(("damage", "reason"), [("cut", "truncated"), ("noise", "corrupt")])
def test_a_broken_stream_keeps_what_came_before(
    tmp_path: Path, suffix: str, damage: str, reason: str
) -> None:
    # Digests do not compress, so that much of the file is left when its end is cut off.
    lines = [line(text=hashlib.sha256(bytes([n % 256, n // 256])).hexdigest()) for n in range(9000)]
    content = b"".join(lines)
    packed = (gzip.compress if suffix == ".gz" else zstandard.compress)(content)
    packed = packed[: len(packed) // 2] if damage == "cut" else packed + b"garbage here"
    (tmp_path / f"x.jsonl{suffix}").write_bytes(packed)
    documents, (bad,) = everything(tmp_path, source())
    assert bad["reason"] == reason
    assert bad["row"] == len(documents)
    assert content[: bad["offset"]] == b"".join(lines[: len(documents)])
    if damage == "cut":
        assert 3000 < len(documents) < 6000


def test_a_file_that_is_no_gzip_is_one_refusal(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(line(text="plain"))
    documents, (bad,) = everything(tmp_path, source())
    assert documents == []
    assert (bad["reason"], bad["offset"], bad["digest"]) == ("corrupt", 0, None)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=30),
    st.integers(1, 20),
    st.integers(1, 40),
)
def test_lines_tile_the_file(lines: list[bytes], limit: int, piece_bytes: int) -> None:
    content = b"\n".join(lines)
    pieces = [content[at : at + piece_bytes] for at in range(0, len(content), piece_bytes)]
    found = list(cut(pieces, limit))
    expected = [
        (row, piece)
        for row, piece in enumerate(content.split(b"\n"))
        if len(piece) > limit or piece.strip()
    ]
    assert len(found) == len(expected)
    for item, (row, piece) in zip(found, expected, strict=True):
        assert isinstance(item, Span)
        assert content[item.offset : item.offset + item.length] == piece
        assert item.row == row
        assert item.content == (piece if len(piece) <= limit else None)


def test_a_huge_line_is_never_held(tmp_path: Path) -> None:
    """A line of 200 MB, compressed to nothing, in a process that may grow by 100 MB only."""
    with gzip.open(tmp_path / "x.jsonl.gz", "wb", compresslevel=1) as stream:
        stream.write(line(text="before") + b'{"text": "')
        for _ in range(200):
            stream.write(b"x" * (1 << 20))
        stream.write(b'"}\n' + line(text="after"))
    program = f"""
from pathlib import Path
from dataprep.reading import read
from dataprep.config import Dataprep, Source
from tests.dataprep.peak_memory import peak_bytes
source = Source(name="s", kind="jsonl", paths=("*",))
(shard,) = read.shards([source], Path({str(tmp_path)!r}))
before = peak_bytes()
((good, bad),) = read.read_shard(shard, source, Dataprep())
grown = peak_bytes() - before
assert good["text"].to_pylist() == ["before", "after"], good
assert bad["length"].to_pylist() == [200 * (1 << 20) + 12], bad
assert bad["reason"].to_pylist() == ["line_too_long"], bad
print(grown >> 20)
"""
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 100


def test_parquet_rows(tmp_path: Path) -> None:
    texts = pa.array(["one", None, "", "é" * 600, "two"], pa.large_string())
    table = pa.table({"content": texts, "url": ["a", "b", "c", "d", None], "n": range(5)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    columns = Columns(text="content", url="url", meta=("n",))
    documents, quarantine = everything(tmp_path, source("parquet", columns=columns, license="CC0"))
    assert [(d["id"], d["text"], d["url"], d["meta"], d["license"]) for d in documents] == [
        ("s:x.parquet#0", "one", "a", {"n": "0"}, "CC0"),
        ("s:x.parquet#4", "two", None, {"n": "4"}, "CC0"),
    ]
    assert [(q["row"], q["reason"]) for q in quarantine] == [
        (1, "text_missing"),
        (2, "text_empty"),
        (3, "text_too_long"),
    ]


def test_parquet_of_other_string_types_and_of_bad_utf8(tmp_path: Path) -> None:
    good = pa.array(["a", "b", "a"]).dictionary_encode()
    pq.write_table(pa.table({"text": good}), tmp_path / "a.parquet")
    raw = pa.array([b"fine", b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": raw}), tmp_path / "b.parquet")
    (tmp_path / "c.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:100])
    documents, quarantine = everything(tmp_path, source("parquet"))
    assert [d["text"] for d in documents] == ["a", "b", "a", "fine"]
    assert [(q["path"], q["reason"]) for q in quarantine] == [
        ("b.parquet", "bad_utf8"),
        ("c.parquet", "corrupt"),
    ]


def test_parquet_with_odd_values_beside_the_text(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["a", "b", "c", "d"],
            "key": [1, 2, None, 4],
            "url": pa.array([b"x", b"\xff", b"y", b"z"], pa.binary()).view(pa.string()),
            "when": pa.array([0, 0, 0, 10**9], pa.timestamp("s")),
            "more": [{"n": [1]}, None, None, {"n": None}],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    columns = Columns(id="key", url="url", meta=("when", "more"))
    documents, quarantine = everything(tmp_path, source("parquet", columns=columns))
    assert [(d["id"], d["meta"]) for d in documents] == [
        ("s:1", {"when": "1970-01-01T00:00:00", "more": '{"n":[1]}'}),
        ("s:4", {"when": "2001-09-09T01:46:40", "more": '{"n":null}'}),
    ]
    assert [(q["row"], q["reason"]) for q in quarantine] == [(1, "bad_utf8"), (2, "id_missing")]


def test_parquet_without_the_column_is_the_recipes_fault(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["a"], "n": [1]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"columns.text: got 'text'.*body, n"):
        everything(tmp_path, source("parquet"))
    with pytest.raises(UserError, match="a column of int64"):
        everything(tmp_path, source("parquet", columns=Columns(text="n")))


def test_text_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text("second\n")
    (tmp_path / "sub" / "a.txt").write_text("third")
    (tmp_path / "a.txt").write_bytes(b"\xff")
    (tmp_path / "c.txt").write_text("x" * 2000)
    (tmp_path / ".draft.txt").write_text("hidden")
    (tmp_path / "empty.txt").write_text("")
    table = source("text", ("**/*.txt",), license="CC0")
    documents, quarantine = everything(tmp_path, table)
    assert [(d["id"], d["text"]) for d in documents] == [
        ("s:b.txt#0", "second\n"),
        ("s:sub/a.txt#0", "third"),
    ]
    assert [(q["path"], q["reason"]) for q in quarantine] == [
        ("a.txt", "bad_utf8"),
        ("c.txt", "text_too_long"),
        ("empty.txt", "text_empty"),
    ]


def test_shards_are_sorted_and_the_same_wherever_the_corpus_lies(tmp_path: Path) -> None:
    shards = []
    for place in ("here", "there/deeper"):
        root = tmp_path / place
        for name in ("b/2.jsonl", "a/1.jsonl", "b/1.jsonl"):
            (root / "corpus" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "corpus" / name).write_bytes(line(text=name))
        globs = ("corpus/b/*.jsonl", "corpus/a/*.jsonl", "corpus/b/1*")
        shards.append(read.shards([source(paths=globs)], root))
        inputs = read.inputs([source(paths=globs)], root)
        assert [entry.path for entry in inputs] == ["s:a/1.jsonl", "s:b/1.jsonl", "s:b/2.jsonl"]
    first, second = ([[file.name for file in s.files] for s in found] for found in shards)
    assert first == second == [["a/1.jsonl"], ["b/1.jsonl"], ["b/2.jsonl"]]


def test_small_text_files_share_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(10):
        (tmp_path / f"{n}.txt").write_text("x" * 10)
    monkeypatch.setattr(read, "_TEXT_SHARD_BYTES", 35)
    groups = [[f.name for f in s.files] for s in read.shards([source("text")], tmp_path)]
    assert [len(group) for group in groups] == [3, 3, 3, 1]
    assert [name for group in groups for name in group] == sorted(f"{n}.txt" for n in range(10))


def test_resharding_keeps_content_hashes(tmp_path: Path) -> None:
    texts = [f"text number {n}" for n in range(30)]
    hashes = []
    for place, size in (("one", 30), ("many", 4)):
        (tmp_path / place).mkdir()
        for start in range(0, 30, size):
            content = b"".join(line(text=text) for text in texts[start : start + size])
            (tmp_path / place / f"{start:02}.jsonl").write_bytes(content)
        documents, _ = everything(tmp_path / place, source())
        hashes.append(sorted(document["content_hash"] for document in documents))
    assert hashes[0] == hashes[1]


def test_batches_end_by_bytes_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"".join(line(text=f"{n} " * 50) + b"broken\n" for n in range(200))
    (tmp_path / "x.jsonl").write_bytes(content)
    whole = everything(tmp_path, source())
    monkeypatch.setattr(records, "BATCH_BYTES", 1000)
    (shard,) = read.shards([source()], tmp_path)
    batches = list(read.read_shard(shard, source(), LIMITS))
    assert len(batches) > 10
    assert max(sum(good["read_bytes"].to_pylist()) for good, _ in batches) < 1300
    assert everything(tmp_path, source()) == whole


def test_records_without_an_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(
        line(text="a") + line(text="b", id="") + line(text="c", id=True)
    )
    documents, quarantine = everything(tmp_path, source(columns=Columns(id="id")))
    assert (len(documents), [q["reason"] for q in quarantine]) == (0, ["id_missing"] * 3)


def test_wrong_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file for 'none/\*'"):
        read.shards([source(paths=("none/*",))], tmp_path)
    for data, words in (
        ({"kind": "warc", "paths": ["x"], "columns": {"meta": ["x"]}}, "one of warc_date"),
        ({"kind": "jsn", "paths": ["x"]}, "expected one of installed-docs, jsonl"),
        ({"kind": "jsonl"}, "no path"),
        ({"kind": "installed-docs", "paths": ["x"]}, "none for kind"),
        ({"kind": "text", "paths": ["x"], "packages": ["numpy"]}, "none for kind"),
        ({"name": "../up", "kind": "text", "paths": ["x"]}, "pattern"),
    ):
        with pytest.raises(UserError, match=words):
            parse_model(Source, data, "sources.0")
