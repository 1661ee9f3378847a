"""Bytes of plain, gzip and zstd files in bounded pieces, up to the byte where a file is cut off.

`pyarrow.input_stream` reads these too, but a read that meets the end of a truncated file loses
what the same read had decompressed before (tried 2026-11-21: a 700 kB file cut in half gave
nothing). Here all of it comes out first, and then the error.
"""

import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

import zstandard

from launch.store import open_input

_PIECE_BYTES = 1 << 18
# A zstd block of four bytes can stand for 128 KiB: so little input can become 16 MiB at most.
_ZSTD_INPUT_BYTES = 512
_GZIP_FORMAT = 31  # zlib's code for a gzip member with the largest window
_GZIP_SUFFIX = ".gz"
_ZSTD_SUFFIXES = (".zst", ".zstd")


class StreamError(Exception):
    """A file cannot be read further; `reason` is that of quarantine."""

    reason = "corrupt"


class TruncatedError(StreamError):
    """A compressed file ends before its last member does."""

    reason = "truncated"


class CorruptError(StreamError):
    """A compressed file holds something that its format does not allow."""

    reason = "corrupt"


class DecompressedTooLongError(StreamError):
    """A compressed file holds more than the recipe allows: perhaps it was made to."""

    reason = "decompressed_too_long"


def is_compressed(name: str) -> bool:
    """Whether a file of this name is decompressed when it is read."""
    return PurePosixPath(name).suffix.lower() in (_GZIP_SUFFIX, *_ZSTD_SUFFIXES)


def plain_suffix(name: str) -> str:
    """The suffix that says what a file holds, in lower case: `.csv` of `a.csv.gz`."""
    path = PurePosixPath(name)
    return (path.with_suffix("") if is_compressed(name) else path).suffix.lower()


def read_pieces(location: str, first: int = 0, bytes_max: int | None = None) -> Iterator[bytes]:
    """The content of a file, wherever it lies, from byte `first`, as `decompressed` gives it."""
    with open_input(location) as stream:
        if first:
            stream.seek(first)
        yield from decompressed(stream, location, bytes_max)


def decompressed(stream: BinaryIO, name: str, bytes_max: int | None = None) -> Iterator[bytes]:
    """The content of a stream, decompressed if the file's name ends in .gz, .zst or .zstd.

    A piece has a few hundred kilobytes. Members that follow one another are one content, as `cat`
    makes them. Raises, after the last byte that could be read: TruncatedError, CorruptError (a
    piece whose checksum is wrong is lost), DecompressedTooLongError beyond `bytes_max` of
    decompressed content; and OSError where the stream does.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == _GZIP_SUFFIX:
        pieces = _gunzip(stream)
    elif suffix in _ZSTD_SUFFIXES:
        pieces = _unzstd(stream)
    else:
        while piece := stream.read(_PIECE_BYTES):
            yield piece
        return
    total = 0
    for piece in pieces:
        total += len(piece)
        if bytes_max is not None and total > bytes_max:
            raise DecompressedTooLongError
        yield piece


def _gunzip(stream: BinaryIO) -> Iterator[bytes]:
    member = zlib.decompressobj(_GZIP_FORMAT)
    begun = False
    pending = b""
    while True:
        data = pending or stream.read(_PIECE_BYTES)
        if not data:
            break
        if not begun and not data.strip(b"\0"):
            pending = b""  # zeros after a member are padding
            continue
        begun = True
        try:
            piece = member.decompress(data, _PIECE_BYTES)
        except zlib.error as error:
            raise CorruptError(str(error)) from None
        if piece:
            yield piece
        pending = member.unconsumed_tail
        if member.eof:
            pending = member.unused_data
            member = zlib.decompressobj(_GZIP_FORMAT)
            begun = False
    while begun and (piece := _rest(member)):
        yield piece
    if begun and not member.eof:
        raise TruncatedError


def _rest(member: "zlib._Decompress") -> bytes:
    """What a member still holds back although its input has ended."""
    return member.decompress(b"", _PIECE_BYTES)


def _unzstd(stream: BinaryIO) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    begun = False
    pending = b""
    gathered: list[bytes] = []
    gathered_bytes = 0
    problem: Exception | None = None
    while data := pending or stream.read(_ZSTD_INPUT_BYTES):
        begun = True
        try:
            piece = frame.decompress(data)
        except zstandard.ZstdError as error:
            problem = CorruptError(str(error))
            break
        gathered.append(piece)
        gathered_bytes += len(piece)
        if gathered_bytes >= _PIECE_BYTES:
            yield b"".join(gathered)
            gathered, gathered_bytes = [], 0
        pending = b""
        if frame.eof:
            pending = frame.unused_data
            frame = decompressor.decompressobj()
            begun = False
    if gathered_bytes:
        yield b"".join(gathered)
    if problem is not None:
        raise problem
    if begun:
        raise TruncatedError
