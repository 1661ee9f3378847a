# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Locality-sensitive hashing: which documents are worth comparing.

A signature is cut into bands; documents that agree in all rows of a band share that band's value.
Two documents of Jaccard similarity s share at least one with probability 1 - (1 - s^rows)^bands
(Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4.2): with 24 bands of 7 rows 0.997 at
0.8, 0.49 at 0.6, 0.005 at 0.3. Whoever shares a band value is linked, and only proposed: what is
dropped is decided by `near_duplicates`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataprep.dedup.minhash import Signatures
from dataprep.kernel_cache import kernel
from dataprep.text.hash_kernels import xxh64

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """What the band values of one partition propose.

    `edges`: int64, shape [links, 2], row references. `num_groups`: band values shared by at least
    two documents. `num_hot_groups`: those larger than the cap. `num_cut`: documents of
    those. `largest_group`: documents.
    """

    edges: Rows
    num_groups: int
    num_hot_groups: int
    largest_group: int
    num_cut: int


def share_probability(jaccard: float, bands: int, rows: int) -> float:
    """Probability that two documents of this similarity share at least one band value."""
    return float(1.0 - (1.0 - jaccard**rows) ** bands)


def band_values(signatures: Signatures, bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """Shape [documents, bands], uint64: xxh64 of each band's rows, the band's number as seed.

    The seed keeps bands apart: equal values mean the same band (up to a 64-bit collision).
    """
    assert signatures.shape[1] == bands * rows, "a signature is its bands' rows, none left over"
    content = np.ascontiguousarray(signatures).view(np.uint8)
    content = content.reshape(len(signatures), bands * rows * 4)
    return _band_values(content, bands, rows * 4)


@kernel
def _band_values(content, bands, band_bytes):
    values = np.empty((len(content), bands), np.uint64)
    for document in range(len(content)):
        for band in range(bands):
            start = band * band_bytes
            values[document, band] = xxh64(
                content[document], start, start + band_bytes, np.uint64(band)
            )
    return values


def links(
    values: npt.NDArray[np.uint64], order: npt.NDArray[np.uint64], rows: Rows, band_size_max: int
) -> Links:
    """Star edges between documents that share a band value.

    `values` (uint64, shape [n]) are band values, `order` (uint64, shape [n]) numbers of the
    documents that content decides, `rows` (int64, shape [n]) their row references.

    Every group is a star around one document, so that n documents give n - 1 edges, never n². A
    group larger than `band_size_max` is cut, by order, into groups of this size, each a star of
    its own: boilerplate shared by a million pages cannot chain them into one comparison, and each
    cut still finds its own duplicates. Order comes from content alone, so that shards, partitions
    and workers change nothing: a star's centre is no matter, only what it connects.
    """
    # One type each, whether they are Arrow's or a selection: one compiled kernel.
    for array in (values, order, rows):
        array.flags.writeable = False
    sorting = np.argsort(values)
    edges, counted = _stars(values, sorting, order, rows, band_size_max)
    return Links(edges, *(int(number) for number in counted))


@kernel
def _stars(values, sorting, order, rows, band_size_max):
    edges = np.empty((len(values), 2), np.int64)
    num_edges = 0
    counted = np.zeros(4, np.int64)
    start = 0
    while start < len(sorting):
        stop = start + 1
        while stop < len(sorting) and values[sorting[stop]] == values[sorting[start]]:
            stop += 1
        size = stop - start
        if size > 1:
            counted[0] += 1
        counted[2] = max(counted[2], size)
        members = sorting[start:stop]
        if size > band_size_max:
            counted[1] += 1
            counted[3] += size
            # By order, then by row: sorted by row first, for the second sort is stable.
            members = members[np.argsort(rows[members], kind="mergesort")]
            members = members[np.argsort(order[members], kind="mergesort")]
        for i in range(size):
            if i % band_size_max:
                edges[num_edges, 0] = rows[members[i - i % band_size_max]]
                edges[num_edges, 1] = rows[members[i]]
                num_edges += 1
        start = stop
    return edges[:num_edges].copy(), counted
