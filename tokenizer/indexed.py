"""Megatron-core's indexed dataset: `PREFIX.bin` holds tokens, `PREFIX.idx` says where texts begin.

    .bin    token ids one after another, uint16 or int32, little-endian
    .idx    9 bytes "MMIDIDX\\0\\0" · u64 version 1 · u8 dtype (4 int32, 8 uint16)
            u64 number of sequences n · u64 length of the last table
            n int32 lengths in tokens · n int64 offsets in bytes · int64 document bounds 0..n

One sequence is one document here. Layout as written by megatron/core/datasets/indexed_dataset.py
of Megatron-core 0.16.1, with which the tests compare it, byte for byte and in both directions.
"""

import array
import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import xxhash

from launch.errors import UserError

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
DTYPE_CODES: dict[int, type[np.int32] | type[np.uint16]] = {4: np.int32, 8: np.uint16}
# Megatron-core takes uint16 below this number of ids (`DType.optimal_dtype`), not below 65,536.
UINT16_IDS_MAX = 65_500

_HEADER = struct.Struct("<9sQBQQ")


def token_dtype(padded_vocab_size: int) -> np.dtype:
    """uint16 if every id, padding included, is below 65,500, else int32."""
    return np.dtype(np.uint16 if padded_vocab_size < UINT16_IDS_MAX else np.int32)


class Writer:
    """Streams documents to a `.bin`; memory holds four bytes per document until `close`."""

    def __init__(self, bin_path: Path, idx_path: Path, dtype: np.dtype) -> None:
        assert dtype.type in DTYPE_CODES.values(), dtype
        self.dtype = dtype
        self.num_tokens = 0
        self._idx_path = idx_path
        self._lengths = array.array("i")
        self._digest = xxhash.xxh3_128()
        self._stream = bin_path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._stream.close()

    @property
    def num_documents(self) -> int:
        """Documents added so far."""
        return len(self._lengths)

    @property
    def bin_digest(self) -> str:
        """Digest of what was written to the `.bin`, as `launch.manifest.digest_file` gives it."""
        return f"xxh3_128:{self._digest.hexdigest()}"

    def add(self, tokens: np.ndarray) -> None:
        """Append one document: ids of shape [tokens] in this writer's dtype, not empty."""
        assert tokens.dtype == self.dtype, (tokens.dtype, self.dtype)
        assert tokens.ndim == 1, tokens.shape
        assert tokens.size > 0
        content = tokens.astype(self.dtype.newbyteorder("<"), copy=False).tobytes()
        self._stream.write(content)
        self._digest.update(content)
        self._lengths.append(tokens.size)
        self.num_tokens += tokens.size

    def close(self) -> None:
        """Finish the `.bin` and write the `.idx`."""
        self._stream.close()
        lengths = np.frombuffer(self._lengths, dtype=np.int32).astype("<i4")
        write_index(self._idx_path, lengths, self.dtype)


def write_index(path: Path, lengths: np.ndarray, dtype: np.dtype) -> None:
    """Write an `.idx` for documents of `lengths` tokens (int32, shape [documents])."""
    code = next(code for code, kind in DTYPE_CODES.items() if kind is dtype.type)
    ends = np.cumsum(lengths, dtype=np.int64) * dtype.itemsize
    offsets = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if len(ends) else ends
    bounds = np.arange(len(lengths) + 1, dtype="<i8")
    with path.open("wb") as stream:
        stream.write(_HEADER.pack(MAGIC, VERSION, code, len(lengths), len(bounds)))
        stream.write(lengths.astype("<i4").tobytes())
        stream.write(offsets.astype("<i8").tobytes())
        stream.write(bounds.tobytes())


class Reader(Sequence[np.ndarray]):
    """The sequences of `PREFIX.bin` and `.idx`, read through a memory map.

    Raises UserError if the two files do not agree or are not of this format.
    """

    def __init__(self, prefix: Path) -> None:
        # Not with_suffix: a dot in the prefix is not a suffix.
        self.bin_path = prefix.with_name(f"{prefix.name}.bin")
        self.idx_path = prefix.with_name(f"{prefix.name}.idx")
        try:
            content = self.idx_path.read_bytes()
            bin_bytes = self.bin_path.stat().st_size
        except FileNotFoundError as error:
            raise UserError(str(error.filename), "no such file", ".bin and .idx") from None
        where = str(self.idx_path)
        if len(content) < _HEADER.size:
            raise UserError(where, f"{len(content)} bytes", "an index of Megatron's format")
        magic, version, code, num_sequences, num_bounds = _HEADER.unpack_from(content)
        if (magic, version) != (MAGIC, VERSION) or code not in DTYPE_CODES:
            got = f"header {magic!r}, version {version}, dtype {code}"
            raise UserError(where, got, f"{MAGIC!r}, {VERSION}, one of {sorted(DTYPE_CODES)}")
        expected_bytes = _HEADER.size + 12 * num_sequences + 8 * num_bounds
        if len(content) != expected_bytes:
            raise UserError(where, f"{len(content)} bytes", f"{expected_bytes} by its header")
        self.dtype = np.dtype(DTYPE_CODES[code])
        start = _HEADER.size
        self.lengths = np.frombuffer(content, "<i4", num_sequences, start)
        """Tokens of each sequence, int32 of shape [sequences]."""
        start += self.lengths.nbytes
        self._offsets = np.frombuffer(content, "<i8", num_sequences, start)
        start += self._offsets.nbytes
        self.bounds = np.frombuffer(content, "<i8", num_bounds, start)
        """Document d holds the sequences bounds[d] to bounds[d + 1], int64."""
        self.num_tokens = int(self.lengths.sum(dtype=np.int64))
        if bin_bytes != self.num_tokens * self.dtype.itemsize:
            expected = f"{self.num_tokens * self.dtype.itemsize} by its index"
            raise UserError(str(self.bin_path), f"{bin_bytes} bytes", expected)
        # numpy cannot map an empty file.
        self.tokens: np.ndarray = (
            np.memmap(self.bin_path, dtype=self.dtype, mode="r")
            if bin_bytes
            else np.empty(0, self.dtype)
        )
        """All tokens, shape [tokens]."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        start = int(self._offsets[index]) // self.dtype.itemsize
        return self.tokens[start : start + int(self.lengths[index])]

    @property
    def last_tokens(self) -> np.ndarray:
        """The last token of every sequence (none is empty), shape [sequences]."""
        return self.tokens[self._offsets // self.dtype.itemsize + self.lengths - 1]
