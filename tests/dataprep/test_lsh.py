"""Bands and links: against datasketch, the formula, and the plain meaning of a band."""

import itertools

import numpy as np
import pytest
import xxhash
from datasketch.lsh import _false_positive_probability
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.lsh import band_values, links, share_probability

DOCUMENTS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 2**64 - 1), st.integers(0, 3)), max_size=40
)


def test_share_probability_is_datasketchs_curve() -> None:
    # datasketch integrates the same curve from 0 to a threshold; its slope is the curve.
    for threshold in (0.3, 0.6, 0.8):
        width = 0.002
        slope = (
            _false_positive_probability(threshold + width / 2, 32, 8)
            - _false_positive_probability(threshold - width / 2, 32, 8)
        ) / width
        assert share_probability(threshold, 32, 8) == pytest.approx(slope, abs=0.01)


def test_band_value_is_the_hash_of_its_rows_with_the_band_as_seed() -> None:
    signatures = np.random.default_rng(3).integers(0, 2**32, (5, 12), dtype=np.uint32)
    values = band_values(signatures, bands=4, rows=3)
    for document, band in itertools.product(range(5), range(4)):
        rows = signatures[document, 3 * band : 3 * band + 3].tobytes()
        assert values[document, band] == xxhash.xxh64_intdigest(rows, band)


@given(DOCUMENTS, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_links_join_exactly_those_that_share_a_value_in_any_order(documents, random) -> None:
    rows = np.arange(len(documents))
    values = np.array([value for value, _, _ in documents], np.uint64)
    order = np.array([(high, low) for _, high, low in documents], np.uint64).reshape(-1, 2)
    found = links(values, order, rows, band_size_max=1000)
    pairs = itertools.combinations(range(len(documents)), 2)
    expected = {(a, b) for a, b in pairs if values[a] == values[b]}
    closed = closure(found.edges.tolist(), len(documents))
    assert {pair for pair in expected if closed[pair[0]] == closed[pair[1]]} == expected
    assert all(values[a] == values[b] for a, b in found.edges)
    groups = np.unique(values, return_counts=True)[1]
    assert len(found.edges) == sum(groups - 1)
    assert found.num_groups == np.count_nonzero(groups > 1)
    shuffled = list(range(len(documents)))
    random.shuffle(shuffled)
    again = links(values[shuffled], order[shuffled], rows[shuffled], band_size_max=1000)
    assert np.array_equal(again.edges, found.edges)


def closure(edges: list[list[int]], num_nodes: int) -> list[int]:
    label = list(range(num_nodes))
    for a, b in edges:
        old, new = label[b], label[a]
        label = [new if value == old else value for value in label]
    return label


def test_a_hot_band_value_is_cut_in_survivor_order() -> None:
    rows = np.arange(10)
    order = np.stack((np.arange(10)[::-1], np.zeros(10)), axis=1).astype(np.uint64)
    found = links(np.full(10, 7, np.uint64), order, rows, band_size_max=4)
    # In survivor order the rows are 9, 8, ... 0; groups of four: 9-6, 5-2, 1-0.
    assert found.edges.tolist() == [[1, 0], [5, 2], [5, 3], [5, 4], [9, 6], [9, 7], [9, 8]]
    assert (found.num_groups, found.num_hot_groups, found.largest_group) == (1, 1, 10)
