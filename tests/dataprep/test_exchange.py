"""The exchange: every row reaches its partition, whatever the rounds, and a failure leaves none."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.dedup import exchange
from dataprep.dedup.exchange import open_exchange, read_partition

SCHEMA = pa.schema([pa.field("value", pa.int64(), nullable=False)])


def rows(values: list[int]) -> pa.Table:
    return pa.table({"value": values}, schema=SCHEMA)


@pytest.mark.parametrize("round_bytes", [1, 1 << 30])
def test_each_partition_gets_its_rows_of_all_files_in_order(
    tmp_path: Path, round_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_ROUND_BYTES", round_bytes)
    paths = [tmp_path / f"shard-{shard}.parquet" for shard in range(3)]
    for shard, path in enumerate(paths):
        with open_exchange(path, SCHEMA, 4) as writer:
            for batch in range(3 * shard):  # the first file has no row at all
                values = [100 * shard + 10 * batch + k for k in range(5)]
                writer.add(rows(values), np.array(values) % 4)
    found = [read_partition(paths, p, 4, SCHEMA)["value"].to_pylist() for p in range(4)]
    everything = [
        100 * shard + 10 * batch + k for shard in range(3) for batch in range(3 * shard)
        for k in range(5)
    ]  # fmt: skip
    assert found == [[v for v in everything if v % 4 == p] for p in range(4)]
    if round_bytes > 1:
        # One round: a partition is one row group, so that reading it reads nothing else.
        assert pq.ParquetFile(paths[2]).num_row_groups == 4


def test_an_interrupted_file_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "shard.parquet"
    with pytest.raises(RuntimeError, match="stop"), open_exchange(path, SCHEMA, 2) as writer:
        writer.add(rows([1, 2, 3]), np.array([0, 1, 0]))
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
