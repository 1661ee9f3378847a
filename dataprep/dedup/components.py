# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Connected components of proposed links: the groups inside which documents are compared.

Each partition first reduces its links to a spanning forest (at most one edge per document less
one), so that what reaches one process grows with the documents that have a twin, not with the
number of band values they share. The components of all forests together are then found by scipy,
or by our own union-find where scipy's 32-bit indices end.
"""

import numpy as np
import numpy.typing as npt

from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import finish_hash

Rows = npt.NDArray[np.int64]

_SCIPY_NODES_MAX = 2**31 - 1


def spanning_forest(edges: Rows) -> Rows:
    """The edges (int64, shape [m, 2]) that join what was not joined by those before them."""
    nodes, ends = _numbered(edges)
    return edges[_joining(ends, len(nodes))]


def components(edges: Rows) -> tuple[Rows, Rows]:
    """Nodes (int64, ascending) and for each the smallest node of its component (int64)."""
    nodes, ends = _numbered(edges)
    find = scipy_labels if len(nodes) <= _SCIPY_NODES_MAX else union_find_labels
    labels = find(ends, len(nodes))
    # The first occurrence of a label is its smallest node, because nodes ascend.
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return nodes, nodes[first[inverse]] if len(nodes) else nodes


def _numbered(edges: Rows) -> tuple[Rows, Rows]:
    """The nodes of `edges`, ascending, and the edges with nodes counted from 0."""
    nodes = np.sort(edges.reshape(-1))
    if len(nodes):
        nodes = nodes[np.concatenate(([True], nodes[1:] != nodes[:-1]))]
    slots = 1 << max(4, (2 * len(nodes)).bit_length())
    return nodes, _positions(nodes, edges, np.full(slots, -1, np.int64))


def scipy_labels(ends: Rows, num_nodes: int) -> Rows:
    """A component label (int64, shape [nodes]) of nodes 0..n-1; `ends` is shape [m, 2]."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if num_nodes == 0:
        return np.zeros(0, np.int64)
    weights = np.ones(len(ends), np.int8)
    graph = coo_array((weights, (ends[:, 0], ends[:, 1])), shape=(num_nodes, num_nodes))
    return connected_components(graph.tocsr(), directed=False)[1].astype(np.int64)


def union_find_labels(ends: Rows, num_nodes: int) -> Rows:
    """As `scipy_labels`, with 64-bit indices; the label is the component's smallest node."""
    return _roots(np.ascontiguousarray(ends), num_nodes)


@kernel
def _positions(nodes, edges, slots):
    """Where each end of `edges` stands in `nodes`, by a table of hashes: no sort of the ends."""
    mask = np.uint64(len(slots) - 1)
    for i in range(len(nodes)):
        slot = finish_hash(np.uint64(nodes[i])) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = i
    found = np.empty(edges.shape, np.int64)
    for edge in range(len(edges)):
        for side in range(2):
            slot = finish_hash(np.uint64(edges[edge, side])) & mask
            while nodes[slots[slot]] != edges[edge, side]:
                slot = (slot + np.uint64(1)) & mask
            found[edge, side] = slots[slot]
    return found


@kernel
def _find(parent, node):
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel
def _joining(ends, num_nodes):
    parent = np.arange(num_nodes)
    joins = np.zeros(len(ends), np.bool_)
    for i in range(len(ends)):
        left = _find(parent, ends[i, 0])
        right = _find(parent, ends[i, 1])
        if left != right:
            # The smaller root stays: with path halving this is amortised O(log n) a step.
            parent[max(left, right)] = min(left, right)
            joins[i] = True
    return joins


@kernel
def _roots(ends, num_nodes):
    parent = np.arange(num_nodes)
    for i in range(len(ends)):
        left = _find(parent, ends[i, 0])
        right = _find(parent, ends[i, 1])
        parent[max(left, right)] = min(left, right)
    for node in range(num_nodes):
        parent[node] = _find(parent, node)
    return parent
