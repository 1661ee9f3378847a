# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Locality-sensitive hashing: which documents are worth comparing.

A signature is cut into bands; documents that agree in all rows of a band share that band's value.
Two documents of Jaccard similarity s share at least one with probability 1 - (1 - s^rows)^bands
(Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4.2): with 32 bands of 8 rows 0.997 at
0.8, 0.42 at 0.6, 0.002 at 0.3. Whoever shares a band value is linked, and only proposed: what is
dropped is decided by `near_duplicates`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataprep.hash_kernels import xxh64
from dataprep.kernel_cache import kernel
from dataprep.minhash import Signatures

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """What the band values of one partition propose.

    `edges`: int64, shape [links, 2], row references. `num_groups`: band values shared by at least
    two documents. `num_hot_groups`: those larger than the cap. `largest_group`: documents.
    """

    edges: Rows
    num_groups: int
    num_hot_groups: int
    largest_group: int


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
    values: npt.NDArray[np.uint64],
    order: npt.NDArray[np.uint64],
    rows: Rows,
    band_size_max: int,
) -> Links:
    """Star edges between documents that share a band value.

    `values` (uint64, shape [n]) are band values, `order` (uint64, shape [n, 2]) the documents'
    content hashes as two big-endian halves, `rows` (int64, shape [n]) their row references.

    Every group is a star around its first document in survivor order, so that n documents give
    n - 1 edges, never n². A group larger than `band_size_max` is cut, in that order, into groups of
    this size, each a star of its own: boilerplate shared by a million pages cannot chain them into
    one comparison, and each cut still finds its own duplicates. Order comes from content alone, so
    that shards, partitions and workers change nothing.
    """
    sorting = np.lexsort((rows, order[:, 1], order[:, 0], values))
    values, rows = values[sorting], rows[sorting]
    if len(values) == 0:
        return Links(np.zeros((0, 2), np.int64), 0, 0, 0)
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    sizes = np.diff(np.append(starts, len(values)))
    position = np.arange(len(values)) - np.repeat(starts, sizes)
    centre = np.arange(len(values)) - position % band_size_max
    pairs = np.stack((rows[centre], rows), axis=1)[position % band_size_max > 0]
    return Links(
        edges=np.unique(pairs, axis=0),
        num_groups=int(np.count_nonzero(sizes > 1)),
        num_hot_groups=int(np.count_nonzero(sizes > band_size_max)),
        largest_group=int(sizes.max()),
    )
