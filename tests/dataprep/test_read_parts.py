"""Parts of large files give the rows of the whole; samples end after so many records."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.reading import read
from tests.dataprep.read_everything import (
    everything,
    source,
    write_stream,
)


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
