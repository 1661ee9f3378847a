"""What tests of reading share: small limits, every row of a folder, tables in Arrow's formats."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from dataprep.config import Columns, Dataprep, Source
from dataprep.reading import read, records

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
