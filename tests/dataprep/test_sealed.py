"""Pieces of the working directory: a changed bit never passes unseen."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.dedup.exchange import open_exchange, read_partition
from dataprep.sealed import (
    map_array,
    open_sealed,
    read_json,
    read_sealed,
    write_array,
    write_json,
    write_sealed,
)
from launch.errors import UserError

SCHEMA = pa.schema([pa.field("number", pa.int64(), nullable=False), pa.field("text", pa.string())])


def exchange(path: Path) -> pa.Table:
    table = pa.table({"number": [5, 6, 7, 8], "text": ["a", None, "three", "a"]}, schema=SCHEMA)
    with open_exchange(path, SCHEMA, 4) as writer:
        writer.add(table, np.array([0, 1, 3, 3]))  # no row in partition 2
    return table


def test_every_bit_of_a_piece_is_guarded(tmp_path: Path) -> None:
    path = tmp_path / "piece.parquet"
    table = exchange(path)
    content = path.read_bytes()
    assert read_sealed(path).equals(table)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        with pytest.raises(UserError, match=r"piece\.parquet: got damaged bytes") as refused:
            read_sealed(path)
        assert "remove exactly this file" in refused.value.hint


def test_what_was_cut_off_is_damaged_too(tmp_path: Path) -> None:
    path = tmp_path / "piece.parquet"
    exchange(path)
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match="damaged bytes"):
            read_sealed(path)


def test_a_piece_is_a_parquet_file_for_everybody_else(tmp_path: Path) -> None:
    path = tmp_path / "piece.parquet"
    table = exchange(path)
    assert pq.read_table(path).equals(table)
    assert read_partition([path, path], 3, 4, SCHEMA)["number"].to_pylist() == [7, 8, 7, 8]
    assert read_partition([path], 2, 4, SCHEMA, ["text"]).schema.names == ["text"]


def test_pieces_without_rows_and_with_metadata(tmp_path: Path) -> None:
    path = tmp_path / "piece.parquet"
    write_sealed(path, SCHEMA.empty_table().replace_schema_metadata({"counted": "3"}))
    with open_sealed(path) as piece:
        assert (piece.num_rows, piece.metadata) == (0, {"counted": "3"})
    assert read_sealed(path).num_rows == 0


@pytest.mark.parametrize("values", [[], [3, 1 << 40, -7]])
def test_arrays_and_json_are_guarded_likewise(tmp_path: Path, values: list[int]) -> None:
    arrays, numbers = tmp_path / "array", tmp_path / "json"
    write_array(arrays, np.array(values, np.int64))
    write_json(numbers, {"values": values})
    assert map_array(arrays).tolist() == read_json(numbers)["values"] == values
    for path, read in ((arrays, map_array), (numbers, read_json)):
        content = path.read_bytes()
        for position in range(len(content)):
            changed = bytearray(content)
            changed[position] ^= 1 << position % 8
            path.write_bytes(changed)
            with pytest.raises(UserError, match="damaged bytes"):
                read(path)
        for length in range(len(content)):
            path.write_bytes(content[:length])
            with pytest.raises(UserError, match="damaged bytes"):
                read(path)
