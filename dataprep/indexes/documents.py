"""The kept documents of a finished shard, as an index stores them.

Signatures are those of `scored/`. Texts are put back as they were compared, before spans and
substrings were cut out of them.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.dedup import signature
from dataprep.indexes.index import TEXT_SCHEMA
from dataprep.stored import CUTS, StoredShard, read_stored
from dataprep.text.cuts import StoredPieces, restored

# A candidate costs one row group: small ones are read fast, but each has about 1 KB of its own.
_TEXT_GROUP_BYTES = 1 << 17
_COLUMNS = ["id", "content_hash", "source", "text", "drop_reason"]
_SCORED = [signature.TEXT_HASH, signature.NUM_SHINGLES, signature.BANDS]


def kept_documents(shard: StoredShard) -> Iterator[pa.Table]:
    """The kept documents of a shard with their signatures and the texts that these are of."""
    pieces = StoredPieces(shard.files.get(CUTS))
    rows = 0
    for table in read_stored(shard, _COLUMNS, _SCORED):
        cut_out = pieces.take(rows, rows + table.num_rows)
        rows += table.num_rows
        place = table.schema.get_field_index("text")
        table = table.set_column(place, "text", restored(table["text"], cut_out))
        table = table.filter(pc.is_null(table["drop_reason"])).combine_chunks()
        if table.num_rows:
            yield table


def as_stored(table: pa.Table) -> pa.Table:
    """Kept documents with their signatures, as the index stores them (`TEXT_SCHEMA`)."""
    scored = {"text_hash": signature.TEXT_HASH, "num_shingles": signature.NUM_SHINGLES}
    columns = {name: table[scored.get(name, name)] for name in TEXT_SCHEMA.names}
    return pa.table(columns).cast(TEXT_SCHEMA)


def in_groups(table: pa.Table) -> Iterator[pa.Table]:
    """`table` in runs of rows of about `_TEXT_GROUP_BYTES`, and at least one row."""
    ends = np.cumsum(pc.binary_length(table["text"]).to_numpy())
    group = (ends - 1) // _TEXT_GROUP_BYTES
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], table.num_rows], strict=True):
        yield table.slice(start, stop - start)
