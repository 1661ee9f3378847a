"""JSON Lines: one record a line, each judged on its own, in memory bounded by the longest line.

Nothing here trusts the input. A line that is too long is never held whole: its length and digest
are counted while it passes. Reasons of refusal: line_too_long, bad_utf8, bad_json, lone_surrogate,
not_an_object, text_missing, text_not_a_string, text_empty, text_too_long, id_missing, truncated,
corrupt, unreadable.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import xxhash

from dataprep.config import Columns, Dataprep
from dataprep.decompress import CorruptError, TruncatedError, read_pieces
from dataprep.records import Record, Refusal, digest_of

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line without its end; `content` is None if it was longer than the limit."""

    offset: int
    length: int
    digest: str | None
    content: bytes | None


class BrokenStream(NamedTuple):
    """Where a file stops being readable: `reason` is truncated, corrupt or unreadable."""

    offset: int
    length: int
    digest: str | None
    reason: str


def read_lines(path: Path, line_bytes_max: int) -> Iterator[Line | BrokenStream]:
    """The lines of a file (.gz and .zst are decompressed), without blank ones.

    Offsets and lengths are bytes of the decompressed file. If the stream breaks, what is left of
    the line it breaks in comes last, as BrokenStream.
    """
    pieces: list[bytes] = []  # of the line that is not finished yet, none of a line too long
    passing: xxhash.xxh3_128 | None = None  # digest of the line too long that is passing by
    offset = 0  # of the line's first byte
    length = 0  # of the line so far

    def finished() -> Line:
        if passing is not None:
            return Line(offset, length, f"xxh3_128:{passing.hexdigest()}", None)
        return Line(offset, length, None, b"".join(pieces))

    reason = ""
    try:
        for chunk in read_pieces(path):
            begin = 0
            while True:
                feed = chunk.find(b"\n", begin)
                piece = chunk[begin:] if feed < 0 else chunk[begin:feed]
                length += len(piece)
                if passing is None and length > line_bytes_max:
                    passing = xxhash.xxh3_128()
                    for earlier in pieces:
                        passing.update(earlier)
                    pieces = []
                if passing is not None:
                    passing.update(piece)
                elif piece:
                    pieces.append(piece)
                if feed < 0:
                    break
                line = finished()
                if line.content is None or line.content.strip():
                    yield line
                offset += length + 1
                length, pieces, passing = 0, [], None
                begin = feed + 1
    except TruncatedError:
        reason = "truncated"
    except CorruptError:
        reason = "corrupt"
    except OSError:
        reason = "unreadable"
    line = finished()
    if reason:
        content = line.content
        digest = line.digest if content is None else digest_of(content)
        yield BrokenStream(offset, length, digest if length else None, reason)
    elif length and (line.content is None or line.content.strip()):
        yield line


def read_records(
    path: Path, name: str, id_prefix: str, columns: Columns, license: str | None, limits: Dataprep
) -> Iterator[Record | Refusal]:
    """The records of one JSONL file: documents, and refusals of what is none.

    `name` is the file's name in ids and in quarantine; an id is `id_prefix` and the record's own id
    or, if `columns.id` is unset, `name#row`. `license` is for records that state none.
    """
    for row, line in enumerate(read_lines(path, limits.line_bytes_max)):
        if isinstance(line, BrokenStream):
            yield Refusal(name, line.offset, row, line.length, line.digest, line.reason)
            continue
        if line.content is None:
            yield Refusal(name, line.offset, row, line.length, line.digest, "line_too_long")
            continue
        content = line.content
        if line.offset == 0 and content.startswith(_BYTE_ORDER_MARK):
            content = content[len(_BYTE_ORDER_MARK) :]
        value = _parse(content)
        if isinstance(value, str):
            found: Record | str = value
        else:
            found = _record(value, f"{name}#{row}", id_prefix, columns, license, limits)
        if isinstance(found, str):
            yield Refusal(name, line.offset, row, line.length, digest_of(line.content), found)
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


def _record(
    value: dict[str, Any],
    place: str,
    id_prefix: str,
    columns: Columns,
    license: str | None,
    limits: Dataprep,
) -> Record | str:
    """The document of a JSON object, or the reason why there is none."""
    text: Any = value.get(columns.text)
    problem = text_problem(text, limits.document_bytes_max)
    if problem is not None:
        return problem
    identity = place
    if columns.id is not None:
        own = value.get(columns.id)
        if isinstance(own, bool) or not isinstance(own, str | int) or own == "":
            return "id_missing"
        identity = str(own)
    meta = tuple((key, as_text(value[key])) for key in columns.meta if value.get(key) is not None)
    url = value.get(columns.url) if columns.url is not None else None
    stated = value.get(columns.license) if columns.license is not None else None
    return Record(
        id=id_prefix + identity,
        text=text,
        url=None if url is None else as_text(url),
        license=license if stated is None else as_text(stated),
        meta=meta,
    )


def text_problem(text: Any, document_bytes_max: int) -> str | None:
    """Why `text` cannot be a document's text, or None if it can."""
    if text is None:
        return "text_missing"
    if not isinstance(text, str):
        return "text_not_a_string"
    if not text or text.isspace():
        return "text_empty"
    # Four bytes a character at most: most texts need no encoding to be known as short enough.
    if len(text) * 4 > document_bytes_max and len(text.encode()) > document_bytes_max:
        return "text_too_long"
    return None


def as_text(value: Any) -> str:
    """A JSON value as text: a string as it is, anything else as JSON with sorted keys."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
