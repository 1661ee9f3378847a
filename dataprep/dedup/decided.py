"""The staged rows of a shard with what was decided after the pass: duplicates, and cuts.

Each row's text is as the steps up to here have left it, whoever asks: the next step that looks for
pieces, and the writer.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.dedup.decisions import DECISION_SCHEMA, read_decisions
from dataprep.sealed import open_sealed, read_sealed
from dataprep.step import alive
from dataprep.text.cuts import CUT_SCHEMA, PIECE_SCHEMA, CutStep, cut
from dataprep.workspace import ROW_BITS, Workspace

# What can be told of a survivor without reading its signals.
_OF_SURVIVORS = ("id", "text", "drop_reason", "drop_value", "drop_threshold")


def decided(
    work: Workspace,
    shard: int,
    steps: Sequence[CutStep] = (),
    columns: Sequence[str] | None = None,
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Each batch of the shard after deduplication and the cuts of `steps`, and the pieces that
    were cut out of it (`cuts.PIECE_SCHEMA`).

    `columns` are the staged ones that are wanted, None means all.
    """
    decisions = read_decisions(work, shard)
    cuts = [read_sealed(work.cuts(step.name, shard)) for step in steps]
    first = 0
    with open_sealed(work.staged(shard)) as staged:
        for group in range(staged.num_row_groups):
            table = staged.read([group], columns)
            stop = first + table.num_rows
            table = _decide(table, _rows_of(decisions, first, stop))
            pieces = [PIECE_SCHEMA.empty_table()]
            for step, of_step in zip(steps, cuts, strict=True):
                table, cut_out = cut(table, _rows_of(of_step, first, stop), step, first)
                pieces.append(cut_out)
            yield table, pa.concat_tables(pieces)
            first = stop


def survivors(
    work: Workspace, shard: int, steps: Sequence[CutStep] = ()
) -> Iterator[tuple[np.ndarray, pa.ChunkedArray]]:
    """Row references (int64, ascending) and texts of the documents that are alive, by batch."""
    first = shard << ROW_BITS
    for table, _ in decided(work, shard, steps, _OF_SURVIVORS):
        living = alive(table)
        yield first + np.flatnonzero(living), table["text"].filter(pa.array(living))
        first += table.num_rows


def _rows_of(ascending: pa.Table, first: int, stop: int) -> pa.Table:
    """The part of a table whose `row` lies in `first` to `stop`, counted from `first`."""
    rows = ascending["row"].to_numpy()
    start, end = np.searchsorted(rows, [first, stop])
    part = ascending.slice(start, end - start)
    return part.set_column(0, CUT_SCHEMA.field("row"), pa.array(rows[start:end] - first))


def _decide(table: pa.Table, decisions: pa.Table) -> pa.Table:
    """`table` with the decisions of its rows, their columns filled in."""
    place = np.full(table.num_rows, -1, np.int64)
    place[decisions["row"].to_numpy()] = np.arange(decisions.num_rows)
    assert alive(table)[place >= 0].all(), "a decision on a row that a rule had dropped"
    at = pa.array(place, mask=place < 0)
    for field in list(DECISION_SCHEMA)[1:]:
        column = decisions[field.name].combine_chunks().take(at)
        position = table.schema.get_field_index(field.name)
        if position < 0:
            table = table.append_column(field.name, column)
        else:
            merged = pc.coalesce(table[field.name], column)
            table = table.set_column(position, table.schema.field(position), merged)
    alone = pa.array(alive(table) & (place < 0))
    position = table.schema.get_field_index("cluster_weight")
    weights = pc.if_else(alone, pa.scalar(1.0, pa.float32()), table["cluster_weight"])
    return table.set_column(position, table.schema.field(position), weights)
