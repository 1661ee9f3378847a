"""Components: scipy, our union-find and brute force agree; a forest keeps what it reduces."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.dedup.components import components, scipy_labels, spanning_forest, union_find_labels

EDGES = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=40)


def brute_force(edges: list[tuple[int, int]], num_nodes: int) -> list[int]:
    """Label of a component: its smallest node, by repeated sweeps until nothing changes."""
    label = list(range(num_nodes))
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            least = min(label[a], label[b])
            changed |= label[a] != least or label[b] != least
            label[a] = label[b] = least
    return label


def as_array(edges: list[tuple[int, int]]) -> np.ndarray:
    return np.array(edges, np.int64).reshape(-1, 2)


@given(EDGES)
@settings(max_examples=200, deadline=None)
def test_scipy_and_union_find_agree_with_brute_force(edges: list[tuple[int, int]]) -> None:
    expected = brute_force(edges, 26)
    assert union_find_labels(as_array(edges), 26).tolist() == expected
    scipys = scipy_labels(as_array(edges), 26)
    for a in range(26):
        assert ((scipys == scipys[a]) == (np.array(expected) == expected[a])).all()


@given(EDGES)
@settings(max_examples=200, deadline=None)
def test_sparse_row_references_get_the_smallest_of_their_component(
    edges: list[tuple[int, int]],
) -> None:
    references = (np.arange(26) * 7919 + 3) << 32
    nodes, component = components(references[as_array(edges)])
    expected = brute_force(edges, 26)
    touched = sorted({node for edge in edges for node in edge})
    assert nodes.tolist() == references[touched].tolist()
    assert component.tolist() == [references[expected[node]] for node in touched]


@given(EDGES, EDGES)
@settings(max_examples=200, deadline=None)
def test_forests_of_parts_join_what_all_edges_join(first, second) -> None:
    parts = [spanning_forest(as_array(first)), spanning_forest(as_array(second))]
    reduced = [tuple(edge) for part in parts for edge in part.tolist()]
    assert brute_force(reduced, 26) == brute_force(first + second, 26)
    for part in parts:
        assert len(part) < max(1, len(np.unique(part))) or len(part) == 0
    assert set(reduced) <= set(first + second)


def test_no_edge_gives_no_component() -> None:
    nodes, component = components(as_array([]))
    assert len(nodes) == len(component) == 0
