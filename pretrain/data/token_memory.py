"""The tokens of all shards of a split as kernels see them: addresses of memory maps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class TokenMemory:
    """Mapped shards. Kernels read at `addresses` as long as this object lives."""

    shards: tuple[npt.NDArray[Any], ...]
    addresses: npt.NDArray[np.uint64]
    """[shards]"""
    shard_tokens: npt.NDArray[np.int64]
    """[shards + 1]: the first token of each shard, and the end"""
    like: npt.NDArray[Any]
    """Empty, of the tokens' type."""


def memory_of(
    shards: tuple[npt.NDArray[Any], ...], shard_tokens: npt.NDArray[np.int64], dtype: np.dtype
) -> TokenMemory:
    """The addresses of `shards`; none is empty."""
    addresses = np.array([shard.ctypes.data for shard in shards], np.uint64)
    return TokenMemory(shards, addresses, np.asarray(shard_tokens), np.empty(0, dtype))
