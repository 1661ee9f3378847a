"""How this package compiles: numba without the GIL, the machine code kept for the next process.

numba sees a change in a kernel's own file, but not one in a function that it calls from another
file: it would go on running old machine code (tried 2026-11-21). So a file of kernels here calls
nothing compiled from any other file; a test says so.

The code lies below `XDG_CACHE_HOME` (else `~/.cache`), never beside the sources, which a cluster
may mount read-only.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import cgutils, types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable)


def kernel(function: Function) -> Function:
    """Compile `function` on first use. numba reads the directory when the decorator runs; it is set
    back at once, so that kernels of other packages in the process keep their own place."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(Path(base) / "gristmill" / "kernels" / "pretrain")
    try:
        return numba.njit(nogil=True, cache=True)(function)
    finally:
        numba.config.CACHE_DIR = before


@intrinsic
def pointer(typing_context: Any, address: Any) -> Any:
    """An address (uint64) as a pointer, for `numba.carray`: shards are mapped one by one, and a
    kernel takes as many as there are without being compiled for their number."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate
