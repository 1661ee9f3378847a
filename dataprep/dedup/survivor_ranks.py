"""In which order given documents survive, looked up where the exchange has them.

What is found in the partitions of another exchange (spans, runs of bytes) carries row references
only. Of the few documents that share something, order and id are read here: a column or two of the
shards in which they stand.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.sealed import read_sealed
from dataprep.workspace import ROW_BITS, Workspace

Rows = npt.NDArray[np.int64]


class Ranked(NamedTuple):
    """Documents: row references ascending, places in survivor order (from 0), and ids."""

    rows: Rows
    ranks: Rows
    ids: pa.Array

    def places(self, rows: Rows) -> Rows:
        """Where each of `rows`, all of them known, stands in these columns."""
        return np.searchsorted(self.rows, rows)


def ranked(work: Workspace, rows: Rows) -> Ranked:
    """The documents of `rows` (row references in any order, repeated or not), all alive."""
    wanted = np.unique(rows)
    found = [pa.table({"row": pa.array([], pa.int64()), "id": pa.array([], pa.string())})]
    for shard in np.unique(wanted >> ROW_BITS).tolist():
        table = read_sealed(work.texts(shard), ["row", "precedence", "id"])
        start, stop = np.searchsorted(wanted, [shard << ROW_BITS, (shard + 1) << ROW_BITS])
        found.append(table.filter(pc.is_in(table["row"], pa.array(wanted[start:stop]))))
    if len(found) == 1:
        return Ranked(wanted, wanted, found[0]["id"].combine_chunks())
    table = pa.concat_tables(found[1:])
    assert table.num_rows == len(wanted), "a document that the exchange does not know"
    order = [(name, "ascending") for name in ("precedence", "id", "row")]
    by_rank = pc.sort_indices(table, sort_keys=order).to_numpy()
    ranks = np.empty(len(wanted), np.int64)
    ranks[by_rank] = np.arange(len(wanted))
    by_row = np.argsort(table["row"].to_numpy())
    return Ranked(wanted, ranks[by_row], table["id"].combine_chunks().take(pa.array(by_row)))
