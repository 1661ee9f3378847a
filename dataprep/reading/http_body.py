"""The body of an HTTP message as it was before it was sent, in bounded memory (RFC 9112, 9110).

Archives differ in what they store: some keep the encodings of the connection, some undo them and
leave the headers as they were. So a header is believed only if the bytes agree with it.
"""

import io
import zlib
from collections.abc import Callable
from typing import Any

from fastwarc.stream_io import BrotliReader, ChunkedReader, GzipReader, ZstdReader

_RAW_DEFLATE = -15  # zlib's code for deflate without a header, which some servers send
_ENCODINGS_MAX = 4


class TooLongError(Exception):
    """The body is longer than a page may be: perhaps it was made to be."""


class BadEncodingError(Exception):
    """The body is not in the encoding that its headers state."""


def decoded(body: bytes, transfer: str | None, content: str | None, bytes_max: int) -> bytes:
    """`body` after the encodings of the headers Transfer-Encoding and Content-Encoding are undone.

    Raises TooLongError if that gives more than `bytes_max` bytes, BadEncodingError if it fails.
    """
    if transfer and "chunked" in transfer.lower() and _is_chunked(body):
        body = _read(ChunkedReader, body, bytes_max)
    names = [name.strip().lower() for name in (content or "").split(",") if name.strip()]
    if len(names) > _ENCODINGS_MAX:
        raise BadEncodingError
    for name in reversed(names):
        body = _undone(name, body, bytes_max)
    return body


def _undone(name: str, body: bytes, bytes_max: int) -> bytes:
    if name in ("gzip", "x-gzip"):
        return _read(GzipReader, body, bytes_max) if body[:2] == b"\x1f\x8b" else body
    if name == "zstd":
        return _read(ZstdReader, body, bytes_max) if body[:4] == b"\x28\xb5\x2f\xfd" else body
    if name == "deflate":
        return _inflate(body, bytes_max)
    if name == "br":
        if body.lstrip()[:1] == b"<":
            return body  # a page already; no stream of brotli that holds one begins so
        return _read(BrotliReader, body, bytes_max)
    return body


def _read(reader: Callable[[io.BytesIO], Any], body: bytes, bytes_max: int) -> bytes:
    pieces: list[bytes] = []
    left = bytes_max + 1
    try:
        stream = reader(io.BytesIO(body))
        while left > 0 and (piece := stream.read(left)):
            pieces.append(piece)
            left -= len(piece)
    except OSError:
        raise BadEncodingError from None
    if left <= 0:
        raise TooLongError
    return b"".join(pieces)


def _inflate(body: bytes, bytes_max: int) -> bytes:
    for window in (zlib.MAX_WBITS, _RAW_DEFLATE):
        stream = zlib.decompressobj(window)
        try:
            made = stream.decompress(body, bytes_max + 1)
        except zlib.error:
            continue
        if len(made) > bytes_max:
            raise TooLongError
        if stream.eof:
            return made
    if body.lstrip()[:1] == b"<":
        return body
    raise BadEncodingError


def _is_chunked(body: bytes) -> bool:
    """Whether a body begins with the length of a chunk in hexadecimal digits."""
    line = body[:64].split(b"\r\n", 1)[0].split(b";", 1)[0].strip()
    return 0 < len(line) <= 16 and not line.strip(b"0123456789abcdefABCDEF")
