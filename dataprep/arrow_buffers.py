"""Arrow's own buffers as arrays, so that compiled loops read text where it lies."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def text_buffers(column: pa.ChunkedArray | pa.Array) -> tuple[Bytes, Offsets]:
    """The bytes of a large_string column, and offsets of shape [rows + 1] into them, int64.

    Text of row i is `data[offsets[i]:offsets[i + 1]]`, valid UTF-8. Both arrays are read-only and
    contiguous, always of the same two types, so that a kernel is compiled once. Nothing is copied
    if the column is in one piece. Nulls are not allowed: text is never null.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    assert array.type == pa.large_string(), f"text is {array.type}, not large_string"
    assert array.null_count == 0, "text is never null"
    _, offsets_buffer, data_buffer = array.buffers()
    if offsets_buffer is None or len(array) == 0:
        offsets = np.zeros(len(array) + 1, dtype=np.int64)
        offsets.flags.writeable = False
    else:
        all_offsets = np.frombuffer(offsets_buffer, dtype=np.int64)
        offsets = all_offsets[array.offset : array.offset + len(array) + 1]
    content = data_buffer if data_buffer is not None else b""
    data = np.frombuffer(content, dtype=np.uint8)
    if data.flags.writeable:
        data = data.view()
        data.flags.writeable = False
    if offsets.flags.writeable:
        offsets = offsets.view()
        offsets.flags.writeable = False
    return data, offsets
