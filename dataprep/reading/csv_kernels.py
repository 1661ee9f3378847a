"""Where the records of a CSV file end: the line feeds outside quotes, as RFC 4180 has them.

A quote opens a quoted field only at the field's beginning; anywhere else it is a character like
others. Inside quotes two quotes are one, and only a single one closes. These are the rules of
Python's csv module, so that both always agree on where a record ends.
"""

import numpy as np
import numpy.typing as npt

from dataprep.kernel_cache import kernel

FIELD_START, UNQUOTED, QUOTED, QUOTE_IN_QUOTED = range(4)
_QUOTE = ord('"')
_LINE_FEED = ord("\n")


@kernel
def record_ends(
    chunk: npt.NDArray[np.uint8], delimiter: int, state: int, ends: npt.NDArray[np.int64]
) -> tuple[int, int]:
    """Number of records that end in `chunk`, their places in `ends`, and the state after it.

    `chunk` is uint8 of shape [bytes], `ends` int64 of the same length; `state` is FIELD_START for
    the beginning of a file, else what the chunk before gave.
    """
    count = 0
    for place in range(len(chunk)):
        byte = chunk[place]
        if state == QUOTED:
            if byte == _QUOTE:
                state = QUOTE_IN_QUOTED
        elif byte == _QUOTE and state != UNQUOTED:
            state = QUOTED
        elif byte == _LINE_FEED:
            ends[count] = place
            count += 1
            state = FIELD_START
        elif byte == delimiter:
            state = FIELD_START
        else:
            state = UNQUOTED
    return count, state
