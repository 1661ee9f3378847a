"""CSV, and TSV where the file's name says .tsv: one record a row, each judged on its own.

The first record names the columns. Records are cut at line feeds outside quotes first, bounded
like JSONL lines, and then parsed one by one, so that a bad row is refused with its place and shifts
no other. Quotes are those of RFC 4180 in both formats. Reasons of refusal: line_too_long, bad_utf8,
bad_csv (quotes that do not pair, or another number of fields than the header has), those of
`fields`, and those of a stream that breaks.
"""

import csv
from collections import Counter
from collections.abc import Iterator

import numpy as np

from dataprep.config import Dataprep, Source
from dataprep.reading.csv_kernels import FIELD_START, record_ends
from dataprep.reading.decompress import plain_suffix, read_pieces
from dataprep.reading.delimited import BrokenStream, Span, cut
from dataprep.reading.fields import record_of
from dataprep.reading.records import File, Record, Refusal, digest_of
from launch.errors import UserError

_BYTE_ORDER_MARK = "\ufeff"


class _RecordEnds:
    """Finds the ends of records chunk by chunk, remembering whether it is within quotes."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = ord(delimiter)
        self.state = FIELD_START

    def __call__(self, chunk: bytes) -> list[int]:
        ends = np.empty(len(chunk), np.int64)
        data = np.frombuffer(chunk, np.uint8)
        count, self.state = record_ends(data, self.delimiter, self.state, ends)
        found: list[int] = ends[:count].tolist()
        return found


def read_records(
    file: File, id_prefix: str, source: Source, limits: Dataprep
) -> Iterator[Record | Refusal]:
    """The records of one file; rows count from 0 after the header, blank ones too.

    Raises UserError if the header names one column twice or lacks that of the text or of the id.
    """
    # The limit is the process's, and Python's default of 128 KiB is no business of a corpus.
    csv.field_size_limit(limits.line_bytes_max)
    delimiter = "\t" if plain_suffix(file.name) == ".tsv" else ","
    pieces = read_pieces(file.path, bytes_max=limits.decompressed_bytes_max)
    header: list[str] | None = None
    header_row = 0
    for span in cut(pieces, limits.line_bytes_max, _RecordEnds(delimiter)):
        fields = _fields(span, delimiter)
        if header is None:
            if isinstance(fields, str):
                yield _refusal(file, span, 0, fields)
                return
            header, header_row = fields, span.row
            _check_header(header, file, source)
            continue
        row = span.row - header_row - 1
        found: Record | str
        if isinstance(fields, str):
            found = fields
        elif len(fields) != len(header):
            found = "bad_csv"
        else:
            value = {name: field or None for name, field in zip(header, fields, strict=True)}
            value[source.columns.text] = value[source.columns.text] or ""
            found = record_of(value, f"{file.name}#{row}", id_prefix, source, limits)
        yield _refusal(file, span, row, found) if isinstance(found, str) else found


def _fields(span: Span | BrokenStream, delimiter: str) -> list[str] | str:
    """The fields of a record, or the reason why there are none."""
    if isinstance(span, BrokenStream):
        return span.reason
    if span.content is None:
        return "line_too_long"
    try:
        text = span.content.decode()
    except UnicodeDecodeError:
        return "bad_utf8"
    if span.offset == 0:
        text = text.removeprefix(_BYTE_ORDER_MARK)
    try:
        # One record ends in one place: the reader gives one row, or finds something wrong.
        (fields,) = csv.reader([text.removesuffix("\r")], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        return "bad_csv"
    return fields


def _check_header(header: list[str], file: File, source: Source) -> None:
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        got = f"column '{min(repeated)}' twice"
        raise UserError(f"{file.name}: header", got, "different names")
    for key, column in (("text", source.columns.text), ("id", source.columns.id)):
        if column is not None and column not in header:
            expected = f"one of its columns: {', '.join(header)}"[:300]
            raise UserError(f"{file.name}: columns.{key}", f"'{column}'", expected)


def _refusal(file: File, span: Span | BrokenStream, row: int, reason: str) -> Refusal:
    content = span.content if isinstance(span, Span) else None
    digest = span.digest if content is None else digest_of(content)
    return Refusal(file.name, span.offset, row, span.length, digest, reason)
