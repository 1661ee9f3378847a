# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""The best match of each document in an index: one of the same text, else the most similar one.

Hashes only propose. A near-duplicate is one whose exact similarity, computed on the two texts, is
at or above the threshold. Of several the most similar is named, then the one with the smallest
content hash, then by index and id: neither the order of segments nor that of documents decides.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup.shingles import overlap, shingle_sets, shingling_of
from dataprep.indexes.index import Index, Pairs
from dataprep.kernel_cache import kernel

MATCH_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("equal", pa.bool_(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("index", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)
Places = npt.NDArray[np.int64]

_NAMES = ["id", "content_hash", "source"]


def best_matches(
    index: Index,
    texts: pa.Array,
    equal: Pairs,
    near: Pairs,
    config: NearDuplicates,
) -> pa.Table:
    """At most one match for each of `texts` (`MATCH_SCHEMA`), by row, ascending.

    The rows of both kinds of pairs are places in `texts` (large_string). `config` says what a
    shingle is, which similarity counts, and the least one.
    """
    tables = [MATCH_SCHEMA.empty_table(), *_equal(index, equal)]
    others = ~np.isin(near.rows, equal.rows)
    near = Pairs(near.rows[others], near.references[others])
    if len(near.rows):
        tables += _near(index, texts, near, config)
    order = [("row", "ascending"), ("similarity", "descending")]
    order += [(name, "ascending") for name in ("content_hash", "index", "id")]
    found = pa.concat_tables(tables).sort_by(order).combine_chunks()
    _, first = np.unique(found["row"].to_numpy(), return_index=True)
    return found.take(pa.array(first))


def _equal(index: Index, pairs: Pairs) -> Iterator[pa.Table]:
    order, references, starts = _by_reference(pairs)
    for places, name, table in index.documents(references, _NAMES):
        chosen = order[starts[places[0]] : starts[places[-1] + 1]]
        theirs = np.repeat(np.arange(len(places)), np.diff(starts)[places])
        own = table.take(pa.array(theirs))
        yield _matches(pairs.rows[chosen], True, np.ones(len(chosen)), name, own)


def _near(
    index: Index, texts: pa.Array, pairs: Pairs, config: NearDuplicates
) -> Iterator[pa.Table]:
    shingling, containment = shingling_of(config), config.measure == "containment"
    asking, row = np.unique(pairs.rows, return_inverse=True)
    offsets, hashes = shingle_sets(texts.take(pa.array(asking)), shingling)
    order, references, starts = _by_reference(pairs)
    for places, name, table in index.documents(references, [*_NAMES, "text"]):
        own = row[order[starts[places[0]] : starts[places[-1] + 1]]]
        theirs = np.repeat(np.arange(len(places)), np.diff(starts)[places])
        sets = shingle_sets(table["text"], shingling)
        values = similarities(offsets, hashes, own, *sets, theirs, containment)
        similar = values >= config.jaccard
        if similar.any():
            documents = table.take(pa.array(theirs[similar]))
            yield _matches(asking[own[similar]], False, values[similar], name, documents)


def _by_reference(pairs: Pairs) -> tuple[Places, Places, Places]:
    """An order of the pairs in which those of one document of the index are neighbours, these
    documents, and where each one's pairs begin (one more at the end)."""
    order = np.argsort(pairs.references, kind="stable")
    references, starts = np.unique(pairs.references[order], return_index=True)
    return order, references, np.append(starts, len(order))


def _matches(
    rows: npt.NDArray[np.int64],
    equal: bool,
    similarity: npt.NDArray[np.float64],
    index: str,
    documents: pa.Table,
) -> pa.Table:
    number = len(rows)
    columns = {
        "row": pa.array(rows),
        "equal": pa.repeat(pa.scalar(equal), number),
        "similarity": pa.array(similarity),
        "index": pa.repeat(pa.scalar(index), number),
        **{name: documents[name] for name in _NAMES},
    }
    return pa.table({name: columns[name] for name in MATCH_SCHEMA.names}, schema=MATCH_SCHEMA)


@kernel
def similarities(own_offsets, own_hashes, own, their_offsets, their_hashes, their, containment):
    """Similarity of each pair of sets, float64, shape [pairs].

    Sets are given as offsets (int64) and sorted distinct hashes (uint64), the pairs as two arrays
    (int64) of numbers of sets. With `containment` what is shared is divided by the size of the own
    set, else by that of the union.
    """
    found = np.zeros(len(own), np.float64)
    for i in range(len(own)):
        left = own_hashes[own_offsets[own[i]] : own_offsets[own[i] + 1]]
        right = their_hashes[their_offsets[their[i]] : their_offsets[their[i] + 1]]
        common = overlap(left, right)
        whole = len(left) if containment else len(left) + len(right) - common
        if whole > 0:
            found[i] = common / whole
    return found
