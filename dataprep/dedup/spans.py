"""Spans: paragraphs, lines or runs of sentences that stand at an earlier place word for word.

Two pieces are equal if their text is, letter case included, with runs of white space as one blank
and none around: they meet in a partition of the exchange under two xxh64 of it (128 bits, under
which 10^12 different pieces hold an equal pair with probability 10^-15). Units never meet each
other: a line is not the paragraph that consists of it. All units look at the same text, and what is
cut is the union of what each has found.

Every cut text stands at an earlier place in survivor order, and if it is cut there too, at a place
earlier still: by induction its first occurrence is never touched.
"""

import numpy as np
import pyarrow as pa

from dataprep.arrow_buffers import text_buffers
from dataprep.config_duplicates import Spans
from dataprep.dedup.decided import survivors
from dataprep.dedup.exchange import open_exchange, partition_of, read_partition
from dataprep.dedup.span_kernels import (
    LINES,
    PARAGRAPHS,
    SENTENCES,
    find_units,
    hash_pieces,
    runs_of_units,
)
from dataprep.dedup.survivor_ranks import ranked
from dataprep.text.cuts import REPEAT_SCHEMA, SPANS
from dataprep.text.word_characters import word_characters
from dataprep.workspace import ROW_BITS, Workspace

SPAN_SCHEMA = pa.schema(
    [
        pa.field("high", pa.uint64(), nullable=False),
        pa.field("low", pa.uint64(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
    ]
)
_UNITS = {"paragraph": PARAGRAPHS, "line": LINES, "sentences": SENTENCES}


def find_spans(texts: pa.ChunkedArray | pa.Array, config: Spans) -> pa.Table:
    """Every piece of `texts` that is long enough (`SPAN_SCHEMA`; `row` counts `texts`)."""
    data, offsets = text_buffers(texts)
    table = word_characters()
    found = [SPAN_SCHEMA.empty_table()]
    for name in config.units:
        unit = _UNITS[name]
        units = find_units(data, offsets, table, unit)
        if unit == SENTENCES:
            units = runs_of_units(units, config.sentences)
        keys, lengths = hash_pieces(data, units[1], units[2], table, 2 * unit)
        long_enough = lengths >= config.characters_min
        rows, starts, ends = units[:, long_enough]
        columns = (keys[long_enough, 0], keys[long_enough, 1], rows)
        places = (starts - offsets[rows], ends - offsets[rows])
        found.append(pa.table([pa.array(c) for c in (*columns, *places)], schema=SPAN_SCHEMA))
    return pa.concat_tables(found).combine_chunks()


def write_spans(work: Workspace, shard: int, config: Spans, num_partitions: int) -> None:
    """Task: the pieces of a shard's survivors, each in the partition of its key."""
    path = work.pieces(SPANS, shard)
    with open_exchange(path, SPAN_SCHEMA, num_partitions) as writer:
        for rows, texts in survivors(work, shard):
            table = find_spans(texts, config)
            referred = pa.array(rows[table["row"].to_numpy()])
            table = table.set_column(2, SPAN_SCHEMA.field("row"), referred)
            writer.add(table, partition_of(table["high"].to_numpy(), num_partitions))


def find_repeats(work: Workspace, partition: int, num_partitions: int, num_shards: int) -> None:
    """Task: of the pieces of one partition those that stand at an earlier place, by shard."""
    paths = [work.pieces(SPANS, shard) for shard in range(num_shards)]
    table = read_partition(paths, partition, num_partitions, SPAN_SCHEMA)
    repeats = repeated(work, table)
    shards = repeats["row"].to_numpy() >> ROW_BITS
    with open_exchange(work.repeats(SPANS, partition), REPEAT_SCHEMA, num_shards) as writer:
        writer.add(repeats, shards)


def repeated(work: Workspace, pieces: pa.Table) -> pa.Table:
    """The pieces (`SPAN_SCHEMA`) before which an equal one stands (`REPEAT_SCHEMA`), each with the
    id of the document in which it stands first."""
    high, low = pieces["high"].to_numpy(), pieces["low"].to_numpy()
    order = np.lexsort((low, high))
    same = _same_as_before(high[order], low[order])
    shared = same.copy()
    shared[:-1] |= same[1:]
    chosen = order[shared]
    high, low = high[chosen], low[chosen]
    rows, starts, ends = (pieces[name].to_numpy()[chosen] for name in ("row", "start", "end"))
    documents = ranked(work, rows)
    places = documents.places(rows)
    order = np.lexsort((starts, documents.ranks[places], low, high))
    same = _same_as_before(high[order], low[order])
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(same))))[same]
    gone, stays = order[same], order[first]
    survivors = documents.ids.take(pa.array(places[stays]))
    columns = [pa.array(rows[gone]), pa.array(starts[gone]), pa.array(ends[gone]), survivors]
    return pa.table(columns, schema=REPEAT_SCHEMA)


def _same_as_before(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    same = np.zeros(len(high), np.bool_)
    same[1:] = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    return same
