"""Places: where a file lies, on a local disk or in an object store."""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa


def open_input(location: str) -> BinaryIO:
    """A file to be read from its beginning. Raises OSError for a local file."""
    return Path(location).open("rb")


def open_random(location: str, *, mapped: bool = False) -> "pa.NativeFile":
    """A file to be read in any order, a local one mapped into memory if so wished.

    Raises OSError for a local file.
    """
    import pyarrow as pa

    # An empty file cannot be mapped.
    if mapped and Path(location).stat().st_size:
        return pa.memory_map(location)
    return pa.OSFile(location)
