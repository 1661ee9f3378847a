"""Which of several duplicates stays: keys of the recipe as bytes that sort as they do.

Every key has a fixed width and ascends with what survives first, so that comparing the bytes is
comparing the keys in turn. The content hash ends them, unless the order has the id: what compares
documents compares their ids after the bytes.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_duplicates import Survivors
from launch.errors import UserError

if TYPE_CHECKING:
    from dataprep.config import Dataprep, Source

QUALITY = "quality_score"
# The prefix of ISO 8601 that is read; a digit right behind it makes it something else.
_DATE = (
    r"^(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}))?)?)?(?:[^0-9].*)?$"
)
_LAST = np.uint64(2**64 - 1)
_SIGN = np.uint64(1 << 63)

Numbers = npt.NDArray[np.uint64]


def check(config: "Dataprep", sources: Sequence["Source"]) -> None:
    """Raise `UserError` for an order that these sources cannot be put in."""
    survivors = config.survivors
    names = [source.name for source in sources]
    for name in survivors.sources:
        if name not in names:
            where = "dataprep.survivors.sources"
            raise UserError(where, f"'{name}'", f"names of sources: {', '.join(names)}")
    if "quality" in survivors.order and config.quality is None:
        raise UserError(
            "dataprep.survivors.order", "'quality'", "keys that are known",
            "a table [dataprep.quality] makes the classifier that scores documents",
        )  # fmt: skip
    if "date" in survivors.order and not any(
        survivors.date_field in source.columns.meta
        or (source.kind == "warc" and survivors.date_field == "warc_date")
        for source in sources
    ):
        raise UserError(
            "dataprep.survivors.date_field", f"'{survivors.date_field}'",
            "a field that some source keeps", "name it in the columns.meta of its source",
        )  # fmt: skip


def source_order(survivors: Survivors, sources: Sequence["Source"]) -> tuple[str, ...]:
    """Names of all sources, those to keep first."""
    names = [source.name for source in sources]
    return (*survivors.sources, *(name for name in names if name not in survivors.sources))


def with_source_order(config: "Dataprep", sources: Sequence["Source"]) -> "Dataprep":
    """`config` for a task, which does not know the recipe: `survivors.sources` names them all."""
    order = config.survivors.model_copy(update={"sources": source_order(config.survivors, sources)})
    return config.model_copy(update={"survivors": order})


def weight(survivors: Survivors, cluster_sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """`cluster_weight` of the survivors of clusters of these sizes."""
    leasts = [size for size, _ in survivors.rehydration]
    weights = np.array([1.0, *(value for _, value in survivors.rehydration)], np.float32)
    return weights[np.searchsorted(leasts, cluster_sizes, side="right")]


def precedence(table: pa.Table, survivors: Survivors, source_names: Sequence[str]) -> pa.Array:
    """Bytes (binary, one width for all rows) that ascend as documents survive.

    `table` holds the columns at the chain's end; `source_names` are those to keep first, and a
    source that is not among them comes after all. Ties are broken by the id.
    """
    keys: dict[str, Callable[[], Numbers]] = {
        "source": lambda: _source(table["source"], source_names),
        "quality": lambda: _descending(table[QUALITY]),
        "length": lambda: _length(table["text"], survivors.length == "longest"),
        "date": lambda: _date(table["meta"], survivors),
    }
    before_id = survivors.order
    if "id" in before_id:
        before_id = before_id[: before_id.index("id")]
    parts = [keys[key]().astype(">u8").view(np.uint8).reshape(-1, 8) for key in before_id]
    if "id" not in survivors.order:
        parts.append(_fixed_bytes(table["content_hash"]))
    width = sum(part.shape[1] for part in parts)
    joined = np.concatenate(parts, axis=1) if parts else np.zeros((table.num_rows, 0), np.uint8)
    offsets = np.arange(table.num_rows + 1, dtype=np.int32) * np.int32(width)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(joined))]
    return pa.Array.from_buffers(pa.binary(), table.num_rows, buffers)


def _fixed_bytes(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    array = column.combine_chunks()
    width = array.type.byte_width
    if len(array) == 0:
        return np.zeros((0, width), np.uint8)
    content = np.frombuffer(array.buffers()[1], np.uint8)
    return content[width * array.offset :][: width * len(array)].reshape(-1, width)


def _source(column: pa.ChunkedArray, names: Sequence[str]) -> Numbers:
    found = pc.index_in(column, pa.array(names, pa.string()))
    return np.asarray(pc.fill_null(found, len(names)).to_numpy(), np.uint64)


def _descending(column: pa.ChunkedArray) -> Numbers:
    """The highest number first; none, or one that is no number, last."""
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0  # no -0.0
    bits = np.ascontiguousarray(values).view(np.uint64)
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return np.where(np.isnan(values), _LAST, ~ascending)


def _length(texts: pa.ChunkedArray, longest: bool) -> Numbers:
    lengths = np.asarray(pc.binary_length(texts).to_numpy(), np.uint64)
    return ~lengths if longest else lengths


def _date(meta: pa.ChunkedArray, survivors: Survivors) -> Numbers:
    texts = pc.map_lookup(meta, survivors.date_field, "first")
    seconds, known = date_seconds(texts)
    ascending = seconds.view(np.uint64) ^ _SIGN
    chosen = ~ascending if survivors.date == "newest" else ascending
    return np.where(known, chosen, _LAST)


def date_seconds(
    texts: pa.ChunkedArray | pa.Array,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Seconds since 1970 of texts that begin with YYYY[-MM[-DD[THH:MM:SS]]], and which do.

    What is left out is the first of its kind; a time zone behind it is not looked at. A day that
    no calendar has is no date.
    """
    column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    found = pc.extract_regex(column, _DATE)
    fields = []
    for name, default in (
        ("year", 1), ("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0),
    ):  # fmt: skip
        digits = pc.struct_field(found, name)
        digits = pc.if_else(pc.equal(digits, ""), None, digits)
        numbers = pc.fill_null(digits.cast(pa.int64()), default)
        fields.append(np.asarray(numbers.to_numpy(zero_copy_only=False), np.int64))
    year, month, day, hour, minute, second = fields
    known = np.asarray(found.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    known &= (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 61)
    months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    following = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    known &= first + day - 1 < following
    seconds = (first + day - 1) * 86_400 + hour * 3600 + minute * 60 + second
    return np.where(known, seconds, 0), known
