"""Bands and links: against datasketch, the formula, and the plain meaning of a band."""

import itertools

import numpy as np
import pytest
import xxhash
from datasketch.lsh import _false_positive_probability
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.dedup.lsh import band_values, links, share_probability

DOCUMENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2**64 - 1)), max_size=40)


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


@given(DOCUMENTS, st.sampled_from([2, 3, 1000]), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_links_join_exactly_those_that_share_a_value_in_any_order(documents, most, random) -> None:
    rows = np.arange(len(documents))
    values = np.array([value for value, _ in documents], np.uint64)
    order = np.array([number for _, number in documents], np.uint64)
    found = links(values, order, rows, most)
    # By definition: the members of each value, by order, in groups of at most `most`.
    expected = set()
    for value in set(values.tolist()):
        members = sorted(np.flatnonzero(values == value).tolist(), key=lambda i: (order[i], i))
        for first in range(0, len(members), most):
            expected |= set(itertools.combinations(sorted(members[first : first + most]), 2))
    label = closure(found.edges.tolist(), len(documents))
    of_values = closure([list(pair) for pair in expected], len(documents))
    assert label == of_values
    groups = np.unique(values, return_counts=True)[1]
    assert len(found.edges) == sum(size - -(-size // most) for size in groups)
    assert found.num_groups == np.count_nonzero(groups > 1)
    assert found.num_cut == sum(size for size in groups if size > most)
    shuffled = list(range(len(documents)))
    random.shuffle(shuffled)
    again = links(values[shuffled], order[shuffled], rows[shuffled], most)
    assert closure(again.edges.tolist(), len(documents)) == label


def closure(edges: list[list[int]], num_nodes: int) -> list[int]:
    """The smallest node that each is connected with."""
    label = list(range(num_nodes))
    for a, b in edges:
        low, high = sorted((label[a], label[b]))
        label = [low if value == high else value for value in label]
    return label


def test_a_hot_band_value_is_cut_by_order() -> None:
    order = np.arange(10)[::-1].astype(np.uint64)
    found = links(np.full(10, 7, np.uint64), order, np.arange(10), band_size_max=4)
    # By order the rows are 9, 8, ... 0; groups of four: 9-6, 5-2, 1-0.
    assert found.edges.tolist() == [[9, 8], [9, 7], [9, 6], [5, 4], [5, 3], [5, 2], [1, 0]]
    assert (found.num_groups, found.num_hot_groups) == (1, 1)
    assert (found.largest_group, found.num_cut) == (10, 10)
