"""WARC and WET files (ISO 28500), plain, .gz or .zst: every page or text in them is a record.

Documents are made of `response` records whose status is 200 and whose type is HTML, XHTML or plain
text, of `resource` records of such types, and of `conversion` records (the texts of WET files).
Everything else in an archive (requests, metadata, redirects, images) is no document and no failure:
it is passed over and counted by kind. The row of an id counts all records of the file.

Reasons of refusal: page_too_long, bad_http, bad_content_encoding, bad_utf8 (of a WET text),
page_too_complex, no_text, text_empty, text_too_long, field_too_long; truncated, corrupt,
decompressed_too_long, arc_file and unreadable for what is left of a file. Offsets of .gz and .zst
files are those of a record's member in the file as it lies there, as in an index of an archive.
"""

import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import xxhash
from fastwarc.warc import ArchiveIterator, WarcRecordType

from dataprep.config import Dataprep, Source
from dataprep.pages.extract import Extracted, decode, extract
from dataprep.reading.fields import longer_than, recipe_evidence, text_problem
from dataprep.reading.http_body import BadEncodingError, TooLongError, decoded
from dataprep.reading.records import File, PassedOver, Record, Refusal, digest_of
from dataprep.reading.warc_places import seek_record
from dataprep.rights.header_marks import marks_in, stated_in
from dataprep.rights.opt_out import together
from dataprep.rights.page_marks import choose
from launch.store import open_input

_HTML_TYPES = frozenset(("text/html", "application/xhtml+xml"))
_PLAIN_TYPE = "text/plain"
_PIECE_BYTES = 1 << 18
_GZIP_FORMAT = 31  # zlib's code for a gzip member with the largest window
_KINDS = {
    int(WarcRecordType.warcinfo): "warcinfo",
    int(WarcRecordType.request): "request",
    int(WarcRecordType.metadata): "metadata",
    int(WarcRecordType.revisit): "revisit",
    int(WarcRecordType.continuation): "continuation",
}
_READ_KINDS = int(WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion)


def read_records(
    file: File, id_prefix: str, source: Source, limits: Dataprep
) -> Iterator[Record | Refusal | PassedOver]:
    """The records of one archive, in order: documents, refusals, and what is no document.

    Of a part of one (`file.stop`) those that begin there; rows then count from 0.
    """
    row = offset = num_bytes = 0
    # The last one, until it is known whether the file ends within it.
    held: Record | Refusal | PassedOver | None = None
    reason: str | None = None
    try:
        with open_input(file.path) as stream:
            if file.stop is not None:
                compressed = file.path.endswith(".gz")
                if not seek_record(stream, file.first, file.stop, compressed=compressed):
                    return
            for record in ArchiveIterator(
                stream, parse_http=False, strict_mode=False, verify_digests=False
            ):
                if held is not None:
                    yield held
                    held = None
                    row += 1
                if file.stop is not None and record.stream_pos >= file.stop:
                    break
                offset = record.stream_pos
                num_bytes += record.content_length
                if num_bytes > limits.decompressed_bytes_max:
                    reason = "decompressed_too_long"
                    break
                held = _read(record, file.name, row, id_prefix, source, limits)
        ends_here = reason is None and file.stop is None
        if ends_here and file.path.endswith(".gz") and _is_cut_off(file.path, offset):
            reason = "truncated"
    except OSError as error:
        reason = "unreadable" if error.errno is not None else "corrupt"
        if reason == "corrupt" and row == 0 and held is None and _is_arc(file.path):
            reason = "arc_file"
    if isinstance(held, Record) or (held is not None and reason != "truncated"):
        yield held
        row += 1
    if reason is not None:
        yield Refusal(file.name, offset, row, None, None, reason)


def _read(
    record: Any, name: str, row: int, id_prefix: str, source: Source, limits: Dataprep
) -> Record | Refusal | PassedOver:
    """What one record is."""
    kind = record.record_type
    offset, length = record.stream_pos, record.content_length
    if not all(record.headers.get_bytes(key) for key in (b"WARC-Type", b"Content-Length")):
        return Refusal(name, offset, row, length, None, "truncated")
    if not int(kind) & _READ_KINDS:
        return PassedOver(_KINDS.get(int(kind), "unknown"))
    charset: str | None = None
    content_type: str | None = _media_type(_header(record.headers, b"Content-Type"))
    if kind == WarcRecordType.response:
        if content_type != "application/http":
            return PassedOver("not_http")
        try:
            record.parse_http(auto_decode="none", strict_mode=False)
            headers = record.http_headers
            status = None if headers is None else headers.status_code
        except (OSError, ValueError):
            status = None
        if status is None:
            return Refusal(name, offset, row, length, None, "bad_http")
        if status != 200:
            return PassedOver("status")
        stated = _header(record.http_headers, b"Content-Type")
        content_type, charset = _media_type(stated), record.http_charset
    if content_type is not None and content_type not in (*_HTML_TYPES, _PLAIN_TYPE):
        return PassedOver("content_type")
    if record.content_length > limits.page_bytes_max:
        return Refusal(name, offset, row, length, _passing_digest(record), "page_too_long")
    raw = record.reader.read(limits.page_bytes_max + 1)
    if len(raw) < record.content_length:
        return Refusal(name, offset, row, len(raw), digest_of(raw), "truncated")
    found = _text(record, raw, content_type, charset, source, limits)
    if isinstance(found, PassedOver):
        return found
    made: Record | str
    if isinstance(found, str):
        made = found
    else:
        problem = text_problem(found.text, limits.document_bytes_max)
        made = problem or _record(record, found, content_type, source, limits)
    if isinstance(made, str):
        return Refusal(name, offset, row, length, digest_of(raw), made)
    return made._replace(id=f"{id_prefix}{name}#{row}")


def _text(
    record: Any,
    raw: bytes,
    content_type: str | None,
    charset: str | None,
    source: Source,
    limits: Dataprep,
) -> Extracted | PassedOver | str:
    """The text of a record's payload, or the reason why there is none."""
    if record.record_type == WarcRecordType.conversion:
        try:
            return Extracted(raw.decode(), None, None, None, None)
        except UnicodeDecodeError:
            return "bad_utf8"
    headers = record.http_headers if record.record_type == WarcRecordType.response else None
    given, marks = ([], ()) if headers is None else (stated_in(headers), marks_in(headers))
    if headers is not None:
        try:
            raw = decoded(
                raw,
                _header(headers, b"Transfer-Encoding"),
                _header(headers, b"Content-Encoding"),
                limits.page_bytes_max,
            )
        except TooLongError:
            return "page_too_long"
        except BadEncodingError:
            return "bad_content_encoding"
    if content_type == _PLAIN_TYPE:
        return Extracted(decode(raw, charset), None, None, None, *choose(given), marks)
    if content_type is None and not _looks_like_html(raw):
        return PassedOver("content_type")
    found = extract(raw, charset, source.extractor, with_url=False, given=given)
    if marks and not isinstance(found, str):
        return found._replace(marks=together((*marks, *found.marks)))
    return found


def _record(
    record: Any,
    found: Extracted,
    content_type: str | None,
    source: Source,
    limits: Dataprep,
) -> Record | str:
    """The document, still without its id, or the reason why there is none."""
    url = (_header(record.headers, b"WARC-Target-URI") or "").strip().strip("<>") or None
    known = {
        "warc_date": _header(record.headers, b"WARC-Date"),
        "warc_record_id": _header(record.headers, b"WARC-Record-ID"),
        "content_type": content_type,
        "title": found.title,
        "html_language": found.language,
    }
    meta = tuple((key, value) for key in source.columns.meta if (value := known.get(key)))
    for value in (url, found.license, *(text for _, text in meta)):
        if value is not None and longer_than(value, limits.document_bytes_max):
            return "field_too_long"
    evidence = found.evidence or recipe_evidence(source)
    license = found.license or source.license
    return Record("", found.text, url, license, meta, evidence, found.marks)


def _header(headers: Any, name: bytes) -> str | None:
    """A header whatever its bytes are; None if there is none."""
    value = headers.get_bytes(name)
    return None if value is None else value.decode("utf-8", "replace")


def _media_type(content_type: str | None) -> str | None:
    """The type without its parameters, in lower case; None if nothing is stated."""
    if content_type is None:
        return None
    return content_type.partition(";")[0].strip().lower() or None


def _looks_like_html(raw: bytes) -> bool:
    """Whether a page without a type begins as HTML does."""
    start = raw[:1024].lower()
    return b"<html" in start or b"<!doctype html" in start


def _passing_digest(record: Any) -> str:
    """The digest of a payload that is too long to be held."""
    state = xxhash.xxh3_128()
    while piece := record.reader.read(_PIECE_BYTES):
        state.update(piece)
    return f"xxh3_128:{state.hexdigest()}"


def _is_arc(path: str) -> bool:
    """Whether it is the older format ARC, which is not read."""
    with open_input(path) as stream:
        start = stream.read(1024)
    if start[:2] == b"\x1f\x8b":
        try:
            start = zlib.decompressobj(_GZIP_FORMAT).decompress(start, 1024)
        except zlib.error:
            return False
    return start.startswith(b"filedesc://")


def _is_cut_off(path: str, offset: int) -> bool:
    """Whether a .gz file ends within a member; `offset` is the beginning of the last one known.

    fastwarc takes such an end for the end of the archive.
    """
    with open_input(path) as stream:
        stream.seek(offset)
        return _ends_within_member(stream)


def _ends_within_member(stream: BinaryIO) -> bool:
    member = zlib.decompressobj(_GZIP_FORMAT)
    begun = False
    pending = b""
    while data := pending or stream.read(_PIECE_BYTES):
        begun = True
        try:
            member.decompress(data, _PIECE_BYTES)
        except zlib.error:
            return False  # not cut off: something else follows the last member
        pending = member.unconsumed_tail
        if member.eof:
            pending = member.unused_data.lstrip(b"\0")
            member = zlib.decompressobj(_GZIP_FORMAT)
            begun = False
    return begun and not member.eof
