"""Bytes of plain, gzip and zstd files in bounded pieces, up to the byte where a file is cut off.

`pyarrow.input_stream` reads these too, but a read that meets the end of a truncated file loses
what the same read had decompressed before (tried 2026-11-21: a 700 kB file cut in half gave
nothing). Here all of it comes out first, and then the error.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

_PIECE_BYTES = 1 << 18
# A zstd block of four bytes can stand for 128 KiB: so little input can become 16 MiB at most.
_ZSTD_INPUT_BYTES = 512
_GZIP_FORMAT = 31  # zlib's code for a gzip member with the largest window


class TruncatedError(Exception):
    """A compressed file ends before its last member does."""


class CorruptError(Exception):
    """A compressed file holds something that its format does not allow."""


def read_pieces(path: Path) -> Iterator[bytes]:
    """The content of a file, decompressed if its name ends in .gz, .zst or .zstd.

    A piece has a few hundred kilobytes. Members that follow one another are one content, as `cat`
    makes them. Raises TruncatedError after the last byte that could be read, CorruptError (a piece
    whose checksum is wrong is lost), and OSError where the operating system refuses.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as stream:
        if suffix == ".gz":
            yield from _gunzip(stream)
        elif suffix in (".zst", ".zstd"):
            yield from _unzstd(stream)
        else:
            while piece := stream.read(_PIECE_BYTES):
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
