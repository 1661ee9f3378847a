"""Records that end at a line feed, cut from a stream of bytes in bounded memory.

A record that is too long is never held whole: its length and digest are counted while it passes.
Which line feeds end a record is the format's matter: every one of them in JSON Lines, those
outside quotes in CSV, none in a file that is one document.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import xxhash

from dataprep.reading.decompress import StreamError
from dataprep.reading.records import digest_of

# The places of the bytes of a chunk that end a record. Chunks come in order, so that a function
# may remember what it is within.
FindEnds = Callable[[bytes], list[int]]

_LINE_FEED = 10


class Span(NamedTuple):
    """A record without its line feed; `content` is None if it was longer than the limit."""

    row: int
    offset: int
    length: int
    digest: str | None
    content: bytes | None


class BrokenStream(NamedTuple):
    """Where a file stops being readable: `reason` is that of quarantine."""

    row: int
    offset: int
    length: int
    digest: str | None
    reason: str


def line_feeds(chunk: bytes) -> list[int]:
    """Every line feed ends a record."""
    found: list[int] = np.flatnonzero(np.frombuffer(chunk, np.uint8) == _LINE_FEED).tolist()
    return found


def no_ends(chunk: bytes) -> list[int]:
    """The whole stream is one record."""
    return []


def cut(
    pieces: Iterable[bytes],
    record_bytes_max: int,
    find_ends: FindEnds = line_feeds,
    *,
    offset: int = 0,
    row: int = 0,
) -> Iterator[Span | BrokenStream]:
    """The records of a stream whose first byte is the file's byte `offset`, in record `row`.

    Blank records (white space alone) are counted but left out. If the stream breaks (StreamError,
    OSError), what is left of the record in which it does comes last, as BrokenStream.
    """
    held: list[bytes] = []  # of the record that is not finished yet, none of one too long
    passing: xxhash.xxh3_128 | None = None  # digest of the record too long that is passing by
    length = 0  # of the record so far
    reason = ""
    try:
        for chunk in pieces:
            begin = 0
            for end in [*find_ends(chunk), -1]:
                piece = chunk[begin:] if end < 0 else chunk[begin:end]
                length += len(piece)
                if passing is None and length > record_bytes_max:
                    passing = xxhash.xxh3_128()
                    for earlier in held:
                        passing.update(earlier)
                    held = []
                if passing is not None:
                    passing.update(piece)
                elif end < 0:
                    held.append(piece)
                if end < 0:
                    break
                if passing is not None:
                    yield Span(row, offset, length, f"xxh3_128:{passing.hexdigest()}", None)
                    passing = None
                else:
                    content = b"".join([*held, piece]) if held else piece
                    held = []
                    if content and not content.isspace():
                        yield Span(row, offset, length, None, content)
                offset += length + 1
                row += 1
                length = 0
                begin = end + 1
    except StreamError as error:
        reason = error.reason
    except OSError:
        reason = "unreadable"
    content = b"".join(held)
    digest = digest_of(content) if passing is None else f"xxh3_128:{passing.hexdigest()}"
    if reason:
        yield BrokenStream(row, offset, length, digest if length else None, reason)
    elif passing is not None:
        yield Span(row, offset, length, digest, None)
    elif content and not content.isspace():
        yield Span(row, offset, length, None, content)
