"""Where compiled kernels lie: a directory named by the digest of all kernel sources.

numba notices a change in a kernel's own file, but not in a function that it calls from another
file: it would go on running the old machine code (tried 2026-11-21: stale results). So the cache's
directory is named by a digest of all modules that hold kernels, of those they import from this
package (a kernel's constants are compiled into it), and of numba's version: an edit of any of them
begins an empty directory, and processes with the same sources share one.

The cache lies below `XDG_CACHE_HOME` (else `~/.cache`), never beside the sources, which a cluster
may mount read-only.
"""

import ast
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import numba
import xxhash

Function = TypeVar("Function", bound=Callable)

_MODULE = "kernel_cache"


def kernel(function: Function) -> Function:
    """Compile `function` with numba on first use, without the GIL, and keep the machine code.

    numba reads the directory when the decorator runs; it is set back at once, so that kernels of
    other packages in the process keep their own place.
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_directory())
    try:
        return numba.njit(nogil=True, cache=True)(function)
    finally:
        numba.config.CACHE_DIR = before


def cache_directory() -> Path:
    """The directory of this package's compiled kernels; it need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gristmill" / "kernels" / sources_digest(Path(__file__).parent)


@cache
def sources_digest(package: Path) -> str:
    """16 hexadecimal digits over numba's version and every module on which a kernel depends."""
    sources = {
        ".".join(path.relative_to(package).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in package.rglob("*.py")
    }
    waiting = [name for name, source in sources.items() if f"{_MODULE} import kernel" in source]
    found = {_MODULE}
    while waiting:
        name = waiting.pop()
        if name in sources and name not in found:
            found.add(name)
            waiting += _imported(sources[name], package.name)
    state = xxhash.xxh3_64(numba.__version__.encode())
    for name in sorted(found):
        content = sources[name].encode()
        state.update(f"\0{name}\0{len(content)}\0".encode())
        state.update(content)
    return state.hexdigest()


def _imported(source: str, package: str) -> Iterator[str]:
    """Modules of `package`, by their dotted names below it, that a source may import from; all
    imports are absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            first, _, module = node.module.partition(".")
            if first == package:
                yield module
                yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)
