"""Rows of record batches, as Parquet and Arrow IPC hold them, to documents: columns stay columns.

Neither format promises that its strings are UTF-8: they are handled as bytes, and each value is
judged on its own. A text or a field of unfit size is refused by its length alone, before it is
copied. Reasons of refusal: text_missing, text_empty, text_too_long, bad_utf8, id_missing,
field_too_long, bad_value (a value that cannot be written as text).
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config import Columns, Dataprep, Source
from dataprep.dedup.exact import text_hashes
from dataprep.reading.fields import as_text, recipe_evidence
from dataprep.reading.records import BATCH_BYTES, BATCH_ROWS, READ_SCHEMA, File, Refusal, digest_of
from launch.errors import UserError

# The place of each wanted column in a file's schema: keys are text, id, url, license and, for the
# fields of meta, `meta.NAME`; a place is the names from the outermost field to the innermost.
Places = Mapping[str, tuple[str, ...]]

_META = "meta."


class Rows(NamedTuple):
    """Some rows of a file: the columns bear the keys of `Places`; `first` is the first row's."""

    first: int
    batch: pa.RecordBatch


def find_columns(schema: pa.Schema, columns: Columns, file_name: str) -> Places:
    """Where the columns lie that the recipe names; a column of the url, licence or meta may lack.

    Raises UserError if there is none of the text or of the id, or if the text's is not of strings:
    then the recipe is wrong, not a record.
    """
    names = ("text", "id", "url", "license")
    wanted = {name: getattr(columns, name) for name in names}
    wanted |= {_META + name: name for name in columns.meta}
    found = {}
    for key, name in wanted.items():
        if name is None:
            continue
        place = _find(schema, name)
        if place is not None:
            found[key] = place
        elif key in ("text", "id"):
            expected = f"one of its columns: {', '.join(schema.names)}"[:300]
            raise UserError(f"{file_name}: columns.{key}", f"'{name}'", expected)
    type_of_text = _type_at(schema, found["text"])
    assert type_of_text is not None, "the column was found"
    if not _is_string(_value_type(type_of_text)):
        got = f"'{columns.text}', a column of {type_of_text}"
        expected = "the name of a column of strings"
        raise UserError(f"{file_name}: columns.text", got, expected)
    return found


def string_columns(schema: pa.Schema, places: Places) -> list[str]:
    """Those of the wanted columns, no fields of a struct, that hold strings."""
    outer = [place[0] for place in places.values() if len(place) == 1]
    return [name for name in outer if _is_string(schema.field(name).type)]


def pick(batch: pa.RecordBatch, places: Places) -> pa.RecordBatch:
    """The wanted columns of a batch under the keys of `places`, taken out of their structs."""
    columns = []
    for outermost, *inner in places.values():
        column = batch.column(outermost)
        column = pc.struct_field(column, inner) if inner else column
        # A column of nulls alone has no type; here it has that of text.
        columns.append(column.cast(pa.string()) if pa.types.is_null(column.type) else column)
    return pa.RecordBatch.from_arrays(columns, names=list(places))


def check_buffers(batch: pa.RecordBatch) -> None:
    """Raise pa.ArrowInvalid if an offset or an index of a column points outside of its buffers.

    Whether strings are UTF-8 is not asked here, but of each value later.
    """
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            values = column.dictionary
            values = _as_bytes(values) if _is_string(values.type) else values
            values.validate(full=True)
            column = pa.DictionaryArray.from_arrays(column.indices, values, safe=False)
        elif _is_string(column.type):
            column = _as_bytes(column)
        column.validate(full=True)


def documents(
    rows: Rows, file: File, id_prefix: str, source: Source, limits: Dataprep
) -> Iterator[tuple[pa.Table, list[Refusal]]]:
    """The documents of some rows (`records.READ_SCHEMA`) and refusals, about 16 MB at a time."""
    sizes = np.zeros(rows.batch.num_rows, np.int64)
    for column in rows.batch.columns:
        sizes += _value_bytes(column)
    ends = np.cumsum(sizes)
    start = 0
    while start < rows.batch.num_rows:
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + BATCH_BYTES, side="right"))
        stop = min(max(stop, start + 1), start + BATCH_ROWS, rows.batch.num_rows)
        part = Rows(rows.first + start, rows.batch.slice(start, stop - start))
        yield _documents(part, file, id_prefix, source, limits)
        start = stop


def _documents(
    rows: Rows, file: File, id_prefix: str, source: Source, limits: Dataprep
) -> tuple[pa.Table, list[Refusal]]:
    batch, bytes_max = rows.batch, limits.document_bytes_max
    column = batch.column("text")
    problems = dict.fromkeys(_where(column.is_null()), "text_missing")
    text, refused = _texts(column, bytes_max, "text_too_long")
    problems |= refused
    empty = pc.or_(pc.equal(pc.binary_length(text), 0), pc.utf8_is_space(text))
    problems |= dict.fromkeys(_where(empty), "text_empty")
    fields = {}
    for name in batch.schema.names[1:]:
        fields[name], refused = _texts(batch.column(name), bytes_max, "field_too_long")
        problems = refused | problems  # a row's first reason stays
    if "id" in fields:
        missing = pc.fill_null(pc.equal(fields["id"], ""), True)
        problems = dict.fromkeys(_where(missing), "id_missing") | problems
    refusals = [
        _refusal(file, rows.first + row, column[row], problems[row]) for row in sorted(problems)
    ]
    good = np.ones(batch.num_rows, np.bool_)
    good[list(problems)] = False
    if problems:
        text = text.filter(pa.array(good))
        fields = {name: values.filter(pa.array(good)) for name, values in fields.items()}
    numbers = pa.array(np.flatnonzero(good) + rows.first).cast(pa.string())
    own = fields.get("id")
    prefix = id_prefix if own is not None else f"{id_prefix}{file.name}#"
    identity = numbers if own is None else own.cast(pa.string())
    return _table(text, pc.binary_join_element_wise(prefix, identity, ""), fields, source), refusals


def _table(text: pa.Array, ids: pa.Array, fields: dict[str, pa.Array], source: Source) -> pa.Table:
    """The columns of `READ_SCHEMA` from values that are all fit."""
    num_rows = len(text)
    nothing = pa.nulls(num_rows, pa.string())
    stated = fields.get("license", nothing).cast(pa.string())
    stated = pc.if_else(pc.equal(stated, ""), pa.scalar(None, pa.string()), stated)
    made = {
        "id": ids,
        "content_hash": text_hashes(text),
        "text": text,
        "source": pa.repeat(pa.scalar(source.name, pa.string()), num_rows),
        "url": fields.get("url", nothing).cast(pa.string()),
        "license": stated if source.license is None else pc.fill_null(stated, source.license),
        "rights_evidence": _evidence(stated, source),
        "rights_opt_out": _no_marks(num_rows),
        "meta": _meta(
            {name: fields[_META + name] for name in source.columns.meta if _META + name in fields},
            num_rows,
        ),
        "read_bytes": pc.binary_length(text),
    }
    arrays = [
        made[field.name] if field.name in made else pa.nulls(num_rows, field.type)
        for field in READ_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=READ_SCHEMA)


def _evidence(stated: pa.Array, source: Source) -> pa.Array:
    """Where the licence of each row is stated (`records.Record`)."""
    recipe = pa.scalar(recipe_evidence(source), pa.string())
    own = pa.scalar(f"record:{source.columns.license}", pa.string())
    return pc.if_else(stated.is_valid(), own, recipe)


def _no_marks(num_rows: int) -> pa.Array:
    offsets = pa.array(np.zeros(num_rows + 1, np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array([], pa.string()))


def _meta(fields: dict[str, pa.Array], num_rows: int) -> pa.Array:
    """Map column name -> text of shape [rows], without nulls, in the order of the recipe."""
    type_of_meta = pa.map_(pa.string(), pa.string())
    if not fields:
        offsets = pa.array(np.zeros(num_rows + 1, np.int32))
        nothing = pa.array([], pa.string())
        return pa.MapArray.from_arrays(offsets, nothing, nothing, type=type_of_meta)
    valid = np.stack([values.is_valid().to_numpy(False) for values in fields.values()], axis=1)
    rows, columns = np.nonzero(valid)
    offsets = np.searchsorted(rows, np.arange(num_rows + 1)).astype(np.int32)
    keys = pa.array(list(fields), pa.string()).take(pa.array(columns))
    values = pa.concat_arrays(list(fields.values())).take(pa.array(columns * num_rows + rows))
    return pa.MapArray.from_arrays(
        pa.array(offsets), keys, values.cast(pa.string()), type=type_of_meta
    )


def _texts(column: pa.Array, bytes_max: int, too_long: str) -> tuple[pa.Array, dict[int, str]]:
    """A column as large_string, null where it is null or unfit, and the reasons by row."""
    if not _is_string(_value_type(column.type)):
        return _texts_of_values(column, bytes_max, too_long)
    unfit = _value_bytes(column) > bytes_max
    problems = dict.fromkeys(np.flatnonzero(unfit).tolist(), too_long)
    if pa.types.is_dictionary(column.type):
        # A value of the dictionary may stand for many rows: those too long are never written out.
        indices = pc.if_else(pa.array(unfit), None, column.indices)
        values = _as_bytes(column.dictionary).take(indices).cast(pa.large_binary())
    else:
        values = _without(_as_bytes(column).cast(pa.large_binary()), unfit)
    try:
        return values.cast(pa.large_string()), problems
    except pa.ArrowInvalid:
        bad = [row for row, value in enumerate(values) if not _is_utf8(value.as_py())]
    mask = np.zeros(len(values), np.bool_)
    mask[bad] = True
    problems |= dict.fromkeys(bad, "bad_utf8")
    return _without(values, mask).cast(pa.large_string()), problems


def _without(values: pa.Array, mask: npt.NDArray[np.bool_]) -> pa.Array:
    """`values` with null where the mask is true; their bytes are gone, which `if_else` leaves."""
    if not mask.any():
        return values
    return values.take(pa.array(np.arange(len(values)), mask=mask))


def _texts_of_values(
    column: pa.Array, bytes_max: int, too_long: str
) -> tuple[pa.Array, dict[int, str]]:
    """The same for numbers, times, bytes and nested values: these are rare, and go one by one."""
    found: list[str | None] = []
    problems = {}
    for row, scalar in enumerate(column):
        text = None
        try:
            text = _plain(scalar.as_py())
        except UnicodeDecodeError:
            problems[row] = "bad_utf8"
        except (TypeError, ValueError, OverflowError):
            problems[row] = "bad_value"
        if text is not None and len(text.encode()) > bytes_max:
            problems[row], text = too_long, None
        found.append(text)
    return pa.array(found, pa.large_string()), problems


def _plain(value: Any) -> str | None:
    """A value of any column type as text; times as ISO 8601, bytes as hexadecimal digits."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, str | bool | int | float | list | dict):
        return as_text(value)
    return str(value)


def _refusal(file: File, row: int, text: pa.Scalar, reason: str) -> Refusal:
    content = None
    if text.is_valid and _is_string(_value_type(text.type)):
        value = text.value if isinstance(text, pa.DictionaryScalar) else text
        content = value.as_buffer()
    if content is None:
        return Refusal(file.name, None, row, None, None, reason)
    return Refusal(file.name, None, row, content.size, digest_of(content), reason)


def _value_bytes(column: pa.Array) -> npt.NDArray[np.int64]:
    """Shape [rows], int64: bytes that each value takes when it is written out, about."""
    value_type = _value_type(column.type)
    if not (_is_string(value_type) or _is_binary(value_type)):
        return np.full(len(column), column.nbytes // max(len(column), 1), np.int64)
    if pa.types.is_dictionary(column.type):
        lengths = pc.binary_length(_as_bytes(column.dictionary)).take(column.indices)
    else:
        lengths = pc.binary_length(_as_bytes(column))
    found: npt.NDArray[np.int64] = pc.fill_null(lengths, 0).cast(pa.int64()).to_numpy()
    return found


def _as_bytes(column: pa.Array) -> pa.Array:
    """Strings as bytes of the same layout, without a copy but for the layout of views."""
    if pa.types.is_large_string(column.type):
        return column.view(pa.large_binary())
    if pa.types.is_string_view(column.type):
        return column.view(pa.binary_view()).cast(pa.large_binary())
    return column.view(pa.binary()) if pa.types.is_string(column.type) else column


def _where(mask: pa.Array) -> list[int]:
    found: list[int] = np.flatnonzero(pc.fill_null(mask, False).to_numpy(False)).tolist()
    return found


def _is_utf8(content: bytes | None) -> bool:
    try:
        return content is None or bool(content.decode()) or True
    except UnicodeDecodeError:
        return False


def _value_type(type_of_column: pa.DataType) -> pa.DataType:
    is_dictionary = pa.types.is_dictionary(type_of_column)
    return type_of_column.value_type if is_dictionary else type_of_column


def _is_string(value_type: pa.DataType) -> bool:
    types = pa.types
    return any(
        test(value_type)
        for test in (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    )


def _is_binary(value_type: pa.DataType) -> bool:
    return pa.types.is_binary(value_type) or pa.types.is_large_binary(value_type)


def _find(schema: pa.Schema, name: str) -> tuple[str, ...] | None:
    """The place of a column; `a.b` is also field b of the struct in column a."""
    for place in ((name,), tuple(name.split("."))):
        if _type_at(schema, place) is not None:
            return place
    return None


def _type_at(schema: pa.Schema, place: tuple[str, ...]) -> pa.DataType | None:
    fields: Any = schema
    for name in place:
        is_nested = isinstance(fields, pa.Schema) or pa.types.is_struct(fields)
        index = fields.get_field_index(name) if is_nested else -1
        if index < 0:
            return None
        fields = fields.field(index).type
    found: pa.DataType = fields
    return found
