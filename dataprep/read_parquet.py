"""Parquet files, read in record batches; a value that is no text is refused, never guessed.

Reasons of refusal: text_missing, text_empty, text_too_long, bad_utf8, id_missing, corrupt,
unreadable.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.config import Columns, Dataprep
from dataprep.read_jsonl import as_text, text_problem
from dataprep.records import BATCH_BYTES, Record, Refusal, digest_of
from launch.errors import UserError

_ROWS_MAX = 8192


def read_records(
    path: Path, name: str, id_prefix: str, columns: Columns, license: str | None, limits: Dataprep
) -> Iterator[Record | Refusal]:
    """The records of one Parquet file; the parameters are those of the JSONL reader.

    Raises UserError if the file has no such columns, or if a column has an unfit type: then the
    recipe is wrong, not a record. A file that breaks is refused from that row on, as one record.
    """
    row = 0
    try:
        with pq.ParquetFile(path) as file:
            wanted = _check_columns(file.schema_arrow, columns, name)
            for batch in file.iter_batches(batch_size=_batch_rows(file), columns=wanted):
                for content, value in _values(batch, columns):
                    problem = _problem(content, value, columns, limits)
                    if problem is None:
                        assert content is not None and value is not None
                        yield _record(content, value, f"{name}#{row}", id_prefix, columns, license)
                    else:
                        length = None if content is None else len(content)
                        digest = None if content is None else digest_of(content)
                        yield Refusal(name, None, row, length, digest, problem)
                    row += 1
    except (pa.ArrowInvalid, OSError) as error:
        unreadable = isinstance(error, OSError) and error.errno is not None
        reason = "unreadable" if unreadable else "corrupt"
        yield Refusal(name, None, row, None, None, reason)


def _check_columns(schema: pa.Schema, columns: Columns, name: str) -> list[str]:
    fields = {
        "text": columns.text,
        "id": columns.id,
        "url": columns.url,
        "license": columns.license,
        **{f"meta.{index}": column for index, column in enumerate(columns.meta)},
    }
    for key, column in fields.items():
        if column is not None and column not in schema.names:
            have = ", ".join(schema.names)
            raise UserError(f"{name}: columns.{key}", f"'{column}'", f"one of its columns: {have}")
    type_of_text = schema.field(columns.text).type
    string_types = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if pa.types.is_dictionary(type_of_text):
        type_of_text = type_of_text.value_type
    if not any(test(type_of_text) for test in string_types):
        expected = "the name of a column of strings"
        got = f"'{columns.text}', a column of {type_of_text}"
        raise UserError(f"{name}: columns.text", got, expected)
    return list(dict.fromkeys(column for column in fields.values() if column is not None))


def _batch_rows(file: pq.ParquetFile) -> int:
    """Rows that hold about one batch of bytes, by the file's own sizes."""
    metadata = file.metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    row_bytes = max((g.total_byte_size // max(g.num_rows, 1) for g in groups), default=0)
    return max(1, min(_ROWS_MAX, BATCH_BYTES // max(row_bytes, 1)))


def _values(
    batch: pa.RecordBatch, columns: Columns
) -> Iterator[tuple[bytes | None, dict[str, Any] | None]]:
    """Text and the other columns of each row; None for these if one of them is not UTF-8."""
    # Parquet does not check that its strings are UTF-8: as bytes, each is judged on its own.
    text = batch.column(columns.text)
    if pa.types.is_dictionary(text.type):
        text = text.dictionary_decode()
    texts = text.cast(pa.large_string()).view(pa.large_binary())
    others = batch.drop_columns([columns.text])
    for index, content in enumerate(texts):
        try:
            value = {name: others.column(name)[index].as_py() for name in others.schema.names}
        except UnicodeDecodeError:
            value = None
        yield content.as_py(), value


def _problem(
    content: bytes | None, value: dict[str, Any] | None, columns: Columns, limits: Dataprep
) -> str | None:
    """Why a row is no document, or None if it is one."""
    if content is None:
        return "text_missing"
    if value is None:
        return "bad_utf8"
    try:
        problem = text_problem(content.decode(), limits.document_bytes_max)
    except UnicodeDecodeError:
        return "bad_utf8"
    if problem is None and columns.id is not None and value[columns.id] in (None, ""):
        return "id_missing"
    return problem


def _record(
    content: bytes,
    value: dict[str, Any],
    place: str,
    id_prefix: str,
    columns: Columns,
    license: str | None,
) -> Record:
    identity = place if columns.id is None else _plain(value[columns.id])
    return Record(
        id=id_prefix + identity,
        text=content.decode(),
        url=_optional(value, columns.url),
        license=_optional(value, columns.license) or license,
        meta=tuple((key, _plain(value[key])) for key in columns.meta if value.get(key) is not None),
    )


def _optional(value: dict[str, Any], column: str | None) -> str | None:
    if column is None or value[column] is None:
        return None
    return _plain(value[column])


def _plain(value: Any) -> str:
    """A value of any column type as text; times as ISO 8601, bytes as hexadecimal digits."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str | bool | int | float | list | dict):
        return as_text(value)
    return str(value)
