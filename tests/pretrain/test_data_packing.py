"""Spans into sequences: nothing lost, nothing twice, nothing cut without need; the permutation."""

import importlib
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrain.data import order_kernels, packing_kernels, sources
from pretrain.data.blocks import Form, Spans, _formed

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=60)


def tokens_of(documents: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> Counter:
    return Counter(
        (int(document), int(begin) + index)
        for document, begin, length in zip(documents, begins, lengths, strict=True)
        for index in range(length)
    )


def numbered(lengths: list[int]) -> Spans:
    count = len(lengths)
    return Spans(
        np.arange(count, dtype=np.int32), np.zeros(count, np.int32), np.array(lengths, np.int32)
    )


@given(LENGTHS, st.integers(1, 64), st.booleans(), st.booleans(), st.booleans())
def test_every_token_is_in_one_sequence(
    lengths: list[int], size: int, packing: bool, related: bool, masked: bool
) -> None:
    spans = numbered(lengths)
    starts, *parts = _formed(spans, Form(size, packing, related, masked))
    assert tokens_of(*parts) == tokens_of(spans.documents, spans.begins, spans.lengths)
    assert starts[0] == 0
    assert starts[-1] == len(parts[0])
    found = packing_kernels.sizes(starts, parts[2])
    assert found.max() <= size
    assert found.min() > 0
    if not packing:
        assert (found[:-1] == size).all()


@given(LENGTHS, st.integers(1, 64))
def test_best_fit_cuts_only_what_is_longer_than_a_sequence(lengths: list[int], size: int) -> None:
    spans = numbered(lengths)
    starts, documents, _, pieces = packing_kernels.pack(
        spans.documents, spans.begins, spans.lengths, size
    )
    for document, length in enumerate(lengths):
        assert (documents == document).sum() == -(-length // size)
    assert pieces.max() <= size
    assert len(starts) - 1 >= -(-sum(lengths) // size)


def best_fit_by_definition(lengths: list[int], size: int) -> Counter:
    rooms: list[int] = []
    held: list[list[int]] = []
    for rest in sorted((n % size for n in lengths if n % size), reverse=True):
        fitting = [(room, place) for place, room in enumerate(rooms) if room >= rest]
        if fitting:
            _, place = min(fitting)
        else:
            rooms.append(size)
            held.append([])
            place = len(rooms) - 1
        rooms[place] -= rest
        held[place].append(rest)
    full = sum(n // size for n in lengths)
    return Counter([tuple(sorted(h)) for h in held] + [(size,)] * full)


@given(LENGTHS, st.integers(1, 64))
def test_best_fit_fills_as_its_definition_does(lengths: list[int], size: int) -> None:
    spans = numbered(lengths)
    starts, _, _, pieces = packing_kernels.pack(spans.documents, spans.begins, spans.lengths, size)
    found = Counter(tuple(sorted(pieces[a:b].tolist())) for a, b in pairwise(starts))
    # Equal rooms may be taken in another order; what remains is the same.
    assert Counter(sum(held) for held in found.elements()) == Counter(
        sum(held) for held in best_fit_by_definition(lengths, size).elements()
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 17, 1000])
def test_a_permutation_holds_every_number_once_and_differs_by_key(size: int) -> None:
    def whole(key: int) -> list[int]:
        keys = order_kernels.round_keys(np.uint64(key))
        return [order_kernels.permuted(index, size, keys) for index in range(size)]

    assert sorted(whole(1)) == list(range(size))
    if size > 10:
        assert whole(1) != whole(2)


def test_permutations_are_even() -> None:
    counts = np.zeros((5, 5), np.int64)
    for key in range(4000):
        keys = order_kernels.round_keys(np.uint64(key))
        for index in range(5):
            counts[index, order_kernels.permuted(index, 5, keys)] += 1
    # 800 each; the standard deviation of a binomial count is 25.
    assert np.abs(counts - 800).max() < 5 * 25


def test_hashes_are_those_of_splitmix64() -> None:
    # Sebastiano Vigna's splitmix64.c from state 0 gives these first.
    assert int(order_kernels.mixed(np.uint64(0))) == 0xE220A8397B1DCDAF
    assert int(order_kernels.mixed(np.uint64(0x9E3779B97F4A7C15))) == 0x6E789E6AA1B965F4


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(1e-6, 1e6), min_size=1),
)
def test_weights_become_integers_of_one_sum(weights: dict[str, float]) -> None:
    shares = sources._shares(weights)
    assert sum(shares.values()) == sources.WEIGHT_ONE == order_kernels.WEIGHT_ONE
    assert list(shares) == sorted(weights)
    for name, share in shares.items():
        exact = weights[name] / sum(weights.values()) * sources.WEIGHT_ONE
        assert share >= 1
        assert abs(share - exact) <= len(weights)


@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=6),
    st.integers(1, 300),
)
def test_blending_is_megatrons_where_sequences_are_full(weights: list[int], count: int) -> None:
    from pretrain import megatron  # which imports Megatron-core without its compiler

    assert megatron
    helpers = importlib.import_module("megatron.core.datasets.helpers")
    size = len(weights)
    shares = list(sources._shares({f"{i}": w for i, w in enumerate(weights)}).values())
    chosen = np.empty(count, np.uint16)
    arrays = [np.zeros(size, np.int64) for _ in range(3)]
    deficits, given_tokens, taken = arrays
    tokens = np.full(size * count, 32, np.int64)
    bounds = np.arange(size + 1, dtype=np.int64) * count
    drawn, exhausted = order_kernels.blend(
        np.array(shares), deficits, given_tokens, tokens, bounds, taken, chosen
    )
    assert (drawn, exhausted) == (count, -1)
    theirs, places = np.zeros(count, np.int16), np.zeros(count, np.int64)
    exact = np.array(shares) / sources.WEIGHT_ONE
    helpers.build_blending_indices(theirs, places, exact, size, count, False)
    # Exact ties are rounded by their floats; ours go to the first. Counts never part by more.
    ours_by = np.stack([np.cumsum(chosen == s) for s in range(size)])
    theirs_by = np.stack([np.cumsum(theirs == s) for s in range(size)])
    assert np.abs(ours_by - theirs_by).max() <= 1
    assert (deficits == np.array(shares) * 32 * count - given_tokens * sources.WEIGHT_ONE).all()
