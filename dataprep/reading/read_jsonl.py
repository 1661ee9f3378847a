"""JSON Lines: one record a line, each judged on its own, in memory bounded by the longest line.

Nothing here trusts the input. Reasons of refusal: line_too_long, bad_utf8, bad_json,
lone_surrogate, not_an_object, those of `fields`, and truncated, corrupt, decompressed_too_long,
unreadable for the rest of a file.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from dataprep.config import Dataprep, Source
from dataprep.reading.decompress import read_pieces
from dataprep.reading.delimited import BrokenStream, Span, cut
from dataprep.reading.fields import record_of
from dataprep.reading.records import File, Record, Refusal, digest_of

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(file: File, limits: Dataprep) -> Iterator[Span | BrokenStream]:
    """The lines that begin in the file, or in the part of it that `file` is, without blank ones.

    Offsets and lengths are bytes of the decompressed file; rows count every line from 0.
    """
    # A part begins one byte early: what it reads up to the first line feed, be it this byte, is
    # the end of a line of the part before.
    begin = max(0, file.first - 1)
    pieces = read_pieces(file.path, begin, limits.decompressed_bytes_max)
    for line in cut(pieces, limits.line_bytes_max, offset=begin, row=file.first_row):
        if file.stop is not None and line.offset >= file.stop:
            break
        if line.offset >= file.first:
            yield line


def read_records(
    file: File, id_prefix: str, source: Source, limits: Dataprep
) -> Iterator[Record | Refusal]:
    """The records of one JSONL file: documents, and refusals of what is none.

    An id is `id_prefix` and the record's own id or, if `columns.id` is unset, `name#row`.
    """
    name = file.name
    for line in read_lines(file, limits):
        content = None if isinstance(line, BrokenStream) else line.content
        row, offset, length = line.row, line.offset, line.length
        if content is None:
            reason = line.reason if isinstance(line, BrokenStream) else "line_too_long"
            yield Refusal(name, offset, row, length, line.digest, reason)
            continue
        bare = content
        if offset == 0 and content.startswith(_BYTE_ORDER_MARK):
            bare = content[len(_BYTE_ORDER_MARK) :]
        value = _parse(bare)
        if isinstance(value, str):
            found: Record | str = value
        else:
            found = record_of(value, f"{name}#{row}", id_prefix, source, limits)
        if isinstance(found, str):
            yield Refusal(name, offset, row, length, digest_of(content), found)
        else:
            yield found


def _parse(content: bytes) -> dict[str, Any] | str:
    """The JSON object of a line, or the reason why there is none."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        try:
            content.decode()
        except UnicodeDecodeError:
            return "bad_utf8"
        return "lone_surrogate" if "surrogate" in str(error) else "bad_json"
    return value if isinstance(value, dict) else "not_an_object"
