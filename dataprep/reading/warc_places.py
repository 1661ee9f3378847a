"""Where records of an archive begin: what a part of one is read from."""

import zlib
from typing import BinaryIO

_PIECE_BYTES = 1 << 18
_GZIP_FORMAT = 31  # zlib's code for a gzip member with the largest window
_GZIP_BEGINS = b"\x1f\x8b\x08"
_PLAIN_BEGINS = b"\r\n\r\nWARC/1."
_PLAIN_BLANK_BYTES = 4
_KIND = b"WARC/"
# From so many bytes of a member its first few can be told.
_MEMBER_BYTES = 4096


def seek_record(stream: BinaryIO, first: int, stop: int, *, compressed: bool) -> bool:
    """Set the stream to the first record that begins in bytes `first` to `stop`; False: none does.

    `compressed`: each record is a gzip member, as the standard wants it (ISO 28500, annex D).
    """
    # The blank lines before a plain record stand before the place.
    place = first if compressed else max(0, first - _PLAIN_BLANK_BYTES)
    stream.seek(place)
    if first == 0:
        return True
    window = stream.read(_MEMBER_BYTES)
    while place < stop:
        piece = stream.read(_PIECE_BYTES)
        window += piece
        found = _begin(window, compressed)
        if found is not None:
            if place + found >= stop:
                return False
            stream.seek(place + found)
            return True
        if not piece:
            return False
        # What may be the beginning of a record is looked at again, with what follows it.
        place += max(0, len(window) - _MEMBER_BYTES)
        window = window[-_MEMBER_BYTES:]
    return False


def _begin(window: bytes, compressed: bool) -> int | None:
    if not compressed:
        found = window.find(_PLAIN_BEGINS)
        return None if found < 0 else found + _PLAIN_BLANK_BYTES
    found = window.find(_GZIP_BEGINS)
    while found >= 0:
        try:
            begin = zlib.decompressobj(_GZIP_FORMAT).decompress(
                window[found : found + _MEMBER_BYTES], len(_KIND)
            )
        except zlib.error:
            begin = b""
        if begin == _KIND:
            return found
        found = window.find(_GZIP_BEGINS, found + 1)
    return None
