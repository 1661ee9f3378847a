"""Formats beside JSON Lines, columns inside columns, parts of large files, and the limits."""

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config import Columns, Dataprep, Source
from dataprep.reading import read, records
from dataprep.reading.csv_kernels import FIELD_START, record_ends
from dataprep.reading.read_text import without_front_matter
from launch.errors import UserError

LIMITS = Dataprep(line_bytes_max=2048, document_bytes_max=1024)


def source(kind: str, columns: Columns | None = None, **fields: Any) -> Source:
    fields = {"paths": ("*",)} | fields
    return Source(name="s", kind=kind, columns=columns or Columns(), **fields)


def everything(
    root: Path, table: Source, limits: Dataprep = LIMITS, records_max: int | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    documents, quarantine = [], []
    for shard in read.number_rows(read.shards([table], root), [table]):
        for good, bad in read.read_shard(shard, table, limits, records_max):
            assert good.schema == records.READ_SCHEMA
            assert bad.schema == records.QUARANTINE_SCHEMA
            good.validate(full=True)
            documents += good.to_pylist(maps_as_pydicts="strict")
            quarantine += bad.to_pylist()
    return documents, quarantine


# CSV


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


# Arrow IPC and Parquet


def table_of_everything() -> pa.Table:
    nested = [{"url": f"http://{n}", "deep": {"n": n}} if n % 3 else None for n in range(10)]
    return pa.table(
        {
            "body": [{"text": "é" * 600 if n == 4 else f"text {n}"} for n in range(10)],
            "metadata": nested,
            "a.b": pa.array([f"dot {n}" for n in range(10)]).dictionary_encode(),
            "unused": [b"x" * 1000] * 10,
        }
    )


EVERY_COLUMN = Columns(text="body.text", url="metadata.url", meta=("metadata.deep.n", "a.b", "no"))


def write_stream(table: pa.Table, path: Path, **options: Any) -> None:
    with pa.ipc.new_stream(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
        out.write_table(table, max_chunksize=4)


def write_file(table: pa.Table, path: Path, **options: Any) -> None:
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
        out.write_table(table, max_chunksize=4)


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


# Text


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


# Parts of large files


@settings(max_examples=60)
@given(st.data())
def test_parts_of_a_file_of_lines_give_its_rows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    line = st.sampled_from(
        [b'{"text": "abc"}', b"", b"  ", b"broken", b'{"text": "' + b"x" * 50 + b'"}', b"y" * 2100]
    )
    content = b"\n".join(data.draw(st.lists(line, max_size=20)))
    root = tmp_path_factory.mktemp("parts")
    (root / "x.jsonl").write_bytes(content)
    whole = everything(root, source("jsonl"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "_PART_BYTES", data.draw(st.integers(1, 200)))
        patch.setattr(read, "_BLOCK_BYTES", 7)
        assert everything(root, source("jsonl")) == whole


def test_parts_are_about_equal_and_tile_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"text": [f"text {n}" for n in range(1000)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=100)
    (tmp_path / "y.jsonl").write_bytes(b'{"text": "x"}\n' * 100)
    (tmp_path / "z.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n' * 10_000, 1))
    whole = everything(tmp_path, source("parquet", paths=("*.parquet",)))
    monkeypatch.setattr(read, "_PART_BYTES", 300)
    parts = read.shards([source("parquet", paths=("*.parquet",))], tmp_path)
    assert len(parts) > 3
    assert parts == read.shards([source("parquet", paths=("*.parquet",))], tmp_path)
    assert everything(tmp_path, source("parquet", paths=("*.parquet",))) == whole
    parts = read.shards([source("jsonl", paths=("*.jsonl*",))], tmp_path)
    assert [(part.files[0].first, part.files[0].stop) for part in parts] == [
        (0, 280), (280, 560), (560, 840), (840, 1120), (1120, 1400), (0, None),
    ]  # fmt: skip
    assert sum(part.num_bytes for part in parts[:-1]) == 1400
    (tmp_path / "x.parquet").write_bytes(b"PAR1" * 100)
    (shard,) = read.shards([source("parquet", paths=("*.parquet",))], tmp_path)
    assert shard.files[0].stop is None


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "arrow", "csv"])
def test_reading_ends_after_so_many_records(tmp_path: Path, kind: str) -> None:
    table = pa.table({"text": ["a", "", "b", "c", "d", "e"]})
    if kind == "jsonl":
        lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
        (tmp_path / "x").write_text(lines)
    elif kind == "csv":
        (tmp_path / "x").write_text("text,n\n" + "".join(f"{t},\n" for t in "a_bcde"))
    elif kind == "parquet":
        pq.write_table(table, tmp_path / "x", row_group_size=2)
    else:
        write_stream(table, tmp_path / "x")
    for limit in range(7):
        documents, quarantine = everything(tmp_path, source(kind), records_max=limit)
        assert len(documents) + len(quarantine) == limit
    assert len(everything(tmp_path, source(kind))[0]) >= 5


# Limits


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_unpacks_to_too_much_is_refused_from_there_on(tmp_path: Path, suffix: str) -> None:
    content = b"".join(b'{"text": "number %d"}\n' % n for n in range(100_000)) + b" " * 10**7
    compress = gzip.compress if suffix == ".gz" else zstandard.compress
    (tmp_path / f"x.jsonl{suffix}").write_bytes(compress(content))
    limits = Dataprep(decompressed_bytes_max=1_500_000)
    documents, (refused,) = everything(tmp_path, source("jsonl"), limits)
    assert refused["reason"] == "decompressed_too_long"
    assert 1_200_000 < refused["offset"] <= 1_500_000
    assert [d["text"] for d in documents] == [f"number {n}" for n in range(len(documents))]


HUGE = """
import sys
from pathlib import Path
from dataprep.reading import read
from dataprep.config import Dataprep, Source
source = Source(name="s", kind=sys.argv[2], paths=(sys.argv[3],))
found = []
for shard in read.shards([source], Path(sys.argv[1])):
    for good, bad in read.read_shard(shard, source, Dataprep()):
        found += good["text"].to_pylist() + bad["reason"].to_pylist()
# Not ru_maxrss, which a process inherits from the one that started it.
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(int(peak.split()[1]) // 1024)
print(found)
"""


def write_huge(path: Path) -> None:
    """Three records, the one in the middle a text of 200 MB that does not compress well."""
    noise = np.random.default_rng(1).integers(97, 123, 200 * 10**6, np.uint8).tobytes()
    texts = pa.array([b"before", noise, b"after"], pa.large_binary()).view(pa.large_string())
    table = pa.table({"text": texts})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        write_stream(table, path, compression="lz4")
    elif path.suffix == ".feather":
        write_file(table, path)
    elif path.suffix == ".csv":
        path.write_bytes(b'text,n\nbefore,\n"' + noise.replace(b"q", b"\n") + b'",\nafter,\n')
    else:
        lines = b'{"text": "before"}\n{"text": "' + noise + b'"}\n{"text": "after"}\n'
        path.write_bytes(gzip.compress(lines, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["x.parquet", "x.arrow", "x.feather", "x.csv", "x.jsonl.gz"]
)  # fmt: skip
def test_a_record_of_200_megabytes_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    write_huge(tmp_path / name)
    kinds = {".parquet": "parquet", ".csv": "csv", ".gz": "jsonl"}
    kind = kinds.get(Path(name).suffix, "arrow")
    command = [sys.executable, "-c", HUGE, str(tmp_path), kind, name]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    peak_megabytes, found = child.stdout.splitlines()
    reason = "text_too_long" if kind in ("parquet", "arrow") else "line_too_long"
    assert "before" in found
    assert "after" in found
    assert reason in found
    assert int(peak_megabytes) < 1250, f"{peak_megabytes} MB"
    print(name, peak_megabytes)


PASS = """
import sys
from pathlib import Path
from dataprep import shard
from dataprep.reading import read
from dataprep.config import Dataprep, Source
from dataprep.workspace import Workspace
folder = Path(sys.argv[1])
source = Source(name="s", kind="parquet", paths=("x.parquet",))
(part,) = read.shards([source], folder)
shard.process_shard(Workspace(folder / "work"), 0, part, source, Dataprep(), {})
assert '"quarantined": 1' in Workspace(folder / "work").counts(0).read_text()
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
def test_the_whole_pass_over_such_a_record_takes_little_memory(tmp_path: Path) -> None:
    """Parquet, because it takes the most: every step, beside some thousand real documents."""
    noise = np.random.default_rng(2).integers(97, 123, 200 * 10**6, np.uint8).tobytes()
    texts = [text.encode() for text in topics.values()]
    column = pa.array([*texts * 12, noise, *texts], pa.large_binary()).view(pa.large_string())
    pq.write_table(pa.table({"text": column}), tmp_path / "x.parquet")
    del column, noise
    command = [sys.executable, "-c", PASS, str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 1500, f"{child.stdout} MB"


DAMAGED = """
import sys
from pathlib import Path
import numpy as np
from dataprep.reading import read
from dataprep.config import Columns, Dataprep, Source
from launch.errors import UserError
folder, kind, draws = Path(sys.argv[1]), sys.argv[2], np.random.default_rng(int(sys.argv[3]))
whole = (folder / "x").read_bytes()
columns = Columns(text="body.text", id="a.b", url="metadata.url", meta=("metadata", "unused"))
source = Source(name="s", kind=kind, paths=("x",), columns=columns)
refused = 0
for _ in range(300):
    content = bytearray(whole)
    for place in draws.integers(len(content), size=draws.integers(1, 6)):
        content[place] = draws.integers(256)
    length = draws.integers(len(content)) if refused % 7 == 6 else len(content)
    (folder / "x").write_bytes(content[:length])
    try:
        for shard in read.shards([source], folder):
            for good, bad in read.read_shard(shard, source, Dataprep()):
                good.validate(full=True)
                refused += len(bad)
    except UserError:
        pass  # the damage hit the name of a column
assert refused > 20, refused
"""


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["parquet", "stream", "file"])
def test_damaged_files_never_end_the_process(tmp_path: Path, layout: str) -> None:
    """In a process of its own: C++ that is surprised takes its process with it."""
    write = {"parquet": pq.write_table, "stream": write_stream, "file": write_file}[layout]
    write(table_of_everything(), tmp_path / "x")
    for seed in range(3):
        kind = "parquet" if layout == "parquet" else "arrow"
        command = [sys.executable, "-c", DAMAGED, str(tmp_path), kind, str(seed)]
        write(table_of_everything(), tmp_path / "x")
        child = subprocess.run(command, capture_output=True, text=True)
        assert child.returncode == 0, child.stderr
