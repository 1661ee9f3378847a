"""Pieces that are cut out of documents which stay: where, and what becomes of the documents.

In: cuts of a shard (`CUT_SCHEMA`, one file of the workspace for each step). Out: texts without
them, a column of removed bytes by step, and the pieces themselves (`PIECE_SCHEMA`), which are
written beside the documents, so that nothing is lost and `retune` can put them back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep.arrow_buffers import Bytes, Offsets, text_buffers
from dataprep.config import Dataprep
from dataprep.contract import piece_schema
from dataprep.step import mark
from dataprep.text.cut_kernels import CHARACTERS, count_words, join, put_back, settle, take_out
from dataprep.text.word_characters import word_characters
from dataprep.write import REMOVED_SUFFIX

Integers = npt.NDArray[np.int64]

SPANS = "spans"
SUBSTRINGS = "substrings"

# What is found: a piece of a document that stands at an earlier place too. `row` is a row
# reference, `start` and `end` are bytes of the text as the step finds it.
REPEAT_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("survivor_id", pa.string(), nullable=False),
    ]
)
# What is cut: the same columns, `row` counted from 0 in its shard, in order, without overlap.
CUT_SCHEMA = REPEAT_SCHEMA
PIECE_SCHEMA = piece_schema()


class CutStep(NamedTuple):
    """A step that cuts: its name, and words below which a document that was cut is dropped."""

    name: str
    words_left_min: int


def cut_steps(config: Dataprep) -> list[CutStep]:
    """The steps of a recipe that cut, in order."""
    steps = []
    if config.spans.units:
        steps.append(CutStep(SPANS, config.spans.words_left_min))
    if config.substrings.enabled:
        steps.append(CutStep(SUBSTRINGS, config.substrings.words_left_min))
    return steps


def joined(
    rows: Integers, starts: Integers, ends: Integers, owners: Integers
) -> tuple[Integers, Integers, Integers, Integers]:
    """The intervals (int64 [n] each) with those of one row and owner that overlap or touch made
    one, by row, owner and start."""
    order = np.lexsort((starts, owners, rows))
    rows, starts, ends, owners = (column[order] for column in (rows, starts, ends, owners))
    _, first = np.unique(join(rows, starts, ends, owners), return_index=True)
    ends = np.maximum.reduceat(ends, first) if len(first) else ends
    return rows[first], starts[first], ends, owners[first]


def settled(texts: pa.ChunkedArray, repeats: pa.Table, to: int = CHARACTERS) -> pa.Table:
    """The cuts (`CUT_SCHEMA`) that `repeats` (`REPEAT_SCHEMA`) in `texts` come to.

    `row` counts `texts`. What pieces of white space go with a cut, `cut_kernels.settle` says.
    """
    # How repeats were cut into rows is an accident of partitions: joined, they are what they are.
    ids = repeats["survivor_id"].combine_chunks().unique().sort()
    owners = pc.index_in(repeats["survivor_id"], ids).to_numpy().astype(np.int64)
    rows, starts, ends = (repeats[name].to_numpy() for name in ("row", "start", "end"))
    rows, starts, ends, owners = joined(rows, starts, ends, owners)
    order = np.lexsort((owners, ends, starts, rows))
    rows, starts, ends, owners = (column[order] for column in (rows, starts, ends, owners))
    data, offsets = text_buffers(texts)
    found = settle(data, offsets, rows, starts, ends, owners, word_characters(), to)
    names = ids.take(pa.array(found[3]))
    return pa.table([*(pa.array(column) for column in found[:3]), names], schema=CUT_SCHEMA)


def cut(
    table: pa.Table, cuts: pa.Table, step: CutStep, first: int = 0
) -> tuple[pa.Table, pa.Table]:
    """`table` with the step's cuts made, and the pieces (`PIECE_SCHEMA`).

    Rows of `cuts` count `table`, whose own count from `first` in its shard. The column
    `{step}_removed_bytes` is added. A document that was cut and has too few words left, or only
    white space, is marked `{step}.short`, with its words.
    """
    removed = np.zeros(table.num_rows, np.int64)
    position = table.schema.get_field_index("text")
    pieces = PIECE_SCHEMA.empty_table()
    if cuts.num_rows:
        data, offsets = text_buffers(table["text"])
        rows, starts, ends = (cuts[name].to_numpy() for name in ("row", "start", "end"))
        left, left_offsets, cut_out, piece_offsets = take_out(data, offsets, rows, starts, ends)
        removed = np.diff(offsets) - np.diff(left_offsets)
        table = table.set_column(position, table.schema.field(position), _text(left, left_offsets))
        columns = [
            table["id"].take(pa.array(rows)),
            pa.array(rows + first),
            pa.repeat(pa.scalar(step.name, pa.string()), len(rows)),
            cuts["start"],
            _text(cut_out, piece_offsets),
            cuts["survivor_id"],
        ]
        pieces = pa.table(columns, schema=PIECE_SCHEMA).combine_chunks()
        table = _drop_short(table, np.unique(rows), left, left_offsets, step)
    return table.append_column(
        pa.field(f"{step.name}{REMOVED_SUFFIX}", pa.int64(), nullable=False), pa.array(removed)
    ), pieces


def _drop_short(
    table: pa.Table, edited: npt.NDArray[np.int64], data: Bytes, offsets: Offsets, step: CutStep
) -> pa.Table:
    words = np.zeros(table.num_rows, np.int64)
    short = np.zeros(table.num_rows, np.bool_)
    counted = count_words(data, offsets, edited, word_characters())
    words[edited] = np.maximum(counted, 0)
    short[edited] = counted < step.words_left_min
    if not short.any():
        return table
    return mark(table, short, f"{step.name}.short", words, step.words_left_min)


def restored(texts: pa.ChunkedArray, pieces: pa.Table) -> pa.Array:
    """`texts` before any cut; `pieces` (`PIECE_SCHEMA`, rows counting `texts`) are put back."""
    array = texts.combine_chunks()
    for name in (SUBSTRINGS, SPANS):  # the last cut first
        chosen = pieces.filter(pc.equal(pieces["step"], name)).combine_chunks()
        if chosen.num_rows:
            data, offsets = text_buffers(array)
            cut_out, piece_offsets = text_buffers(chosen["text"])
            rows, starts = chosen["row"].to_numpy(), chosen["start"].to_numpy()
            array = _text(*put_back(data, offsets, rows, starts, cut_out, piece_offsets))
    return array


class StoredPieces:
    """The written pieces of one shard, taken in the order of its rows."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else pq.ParquetFile(path)
        self._group = 0
        self._waiting = PIECE_SCHEMA.empty_table()

    def take(self, first: int, stop: int) -> pa.Table:
        """Pieces of rows `first` to `stop`, which then count from 0. Row groups hold whole batches
        of the pass in order, so that rows beyond `stop` end the search."""
        while self._file is not None and self._group < self._file.num_row_groups:
            rows = self._waiting["row"]
            if len(rows) and pc.max(rows).as_py() >= stop:
                break
            following = self._file.read_row_group(self._group, use_threads=False)
            self._waiting = pa.concat_tables([self._waiting, following])
            self._group += 1
        rows = self._waiting["row"].to_numpy()
        wanted = pa.array((rows >= first) & (rows < stop))
        taken = self._waiting.filter(wanted)
        self._waiting = self._waiting.filter(pc.invert(wanted))
        counted = pa.array(taken["row"].to_numpy() - first)
        return taken.set_column(1, PIECE_SCHEMA.field("row"), counted)


def piece_facts(pieces: Sequence[Path]) -> dict[str, dict[str, int]]:
    """By step, the number of pieces cut out and their bytes, over written files."""
    facts: dict[str, dict[str, int]] = {}
    for path in pieces:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=["step", "text"], use_threads=False)
                sizes = pa.table({"step": table["step"], "bytes": pc.binary_length(table["text"])})
                summed = sizes.group_by("step").aggregate([("bytes", "count"), ("bytes", "sum")])
                for row in summed.to_pylist():
                    tally = facts.setdefault(row["step"], {"pieces": 0, "bytes": 0})
                    tally["pieces"] += row["bytes_count"]
                    tally["bytes"] += row["bytes_sum"]
    return dict(sorted(facts.items()))


def _text(data: Bytes, offsets: Offsets) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
