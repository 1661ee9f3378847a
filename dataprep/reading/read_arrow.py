"""Arrow IPC, as files (.arrow, .feather) and as streams; the rows are `arrow_rows`' matter.

Which of the two a file is, its first bytes say. A local file is mapped, so that an uncompressed
record batch is read where it lies; a compressed one is held whole, as the format has it. Offsets
inside the buffers are checked before they are used. Reasons of refusal beside those of the rows:
corrupt, unreadable.
"""

from collections.abc import Iterator

import pyarrow as pa

from dataprep.config import Columns
from dataprep.reading.arrow_rows import Rows, check_buffers, find_columns, pick
from dataprep.reading.records import File, Refusal
from launch.store import open_random

_FILE_MAGIC = b"ARROW1"


def read_rows(file: File, columns: Columns) -> Iterator[Rows | Refusal]:
    """The rows of a file. One that breaks is refused from that record batch on, as one record.

    Raises UserError if the file does not fit the recipe's columns (`arrow_rows.find_columns`).
    """
    row = 0
    try:
        with open_random(file.path, mapped=True) as stream:
            if stream.size() == 0:
                return
            schema = _open(stream, None).schema
            places = find_columns(schema, columns, file.name)
            wanted = {schema.get_field_index(place[0]) for place in places.values()}
            # What is not wanted is neither read nor decompressed.
            options = pa.ipc.IpcReadOptions(included_fields=sorted(wanted))
            for batch in _batches(_open(stream, options)):
                picked = pick(batch, places)
                check_buffers(picked)
                yield Rows(row, picked)
                row += batch.num_rows
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        unreadable = isinstance(error, OSError) and error.errno is not None
        reason = "unreadable" if unreadable else "corrupt"
        yield Refusal(file.name, None, row, None, None, reason)


def _open(
    stream: pa.NativeFile, options: pa.ipc.IpcReadOptions | None
) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    stream.seek(0)
    is_file = stream.read(len(_FILE_MAGIC)) == _FILE_MAGIC
    stream.seek(0)
    opened = pa.ipc.open_file if is_file else pa.ipc.open_stream
    return opened(stream, options=options)


def _batches(
    reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader,
) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchStreamReader):
        yield from reader
        return
    for index in range(reader.num_record_batches):
        yield reader.get_batch(index)
