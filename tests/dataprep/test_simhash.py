"""SimHash against its definition, and the law of its tables."""

import re

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup.shingles import Shingling
from dataprep.dedup.signature import num_bands
from dataprep.dedup.simhash import band_values, fingerprints, masks


def defined(text: str, size: int = 5) -> int:
    words = re.findall(r"\w+", text.lower())
    shingles = [" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))]
    hashes = [xxhash.xxh64_intdigest(shingle.encode()) for shingle in shingles]
    ones = [sum(value >> bit & 1 for value in hashes) for bit in range(64)]
    return sum(1 << bit for bit, count in enumerate(ones) if 2 * count > len(hashes))


@given(st.lists(st.sampled_from(["The", "mill", "turns", "Wasser", "über"]), min_size=1))
@settings(max_examples=100, deadline=None)
def test_fingerprints_are_those_of_the_definition(words: list[str]) -> None:
    column = pa.array([" ".join(words), ""], pa.large_string())
    found, counts = fingerprints(column)
    assert found.tolist() == [defined(" ".join(words)), 0]
    assert counts.tolist() == [max(1, len(words) - 4), 0]
    found, _ = fingerprints(column, Shingling("words", words=2))
    assert found[0] == defined(" ".join(words), 2)


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 7),
    st.lists(st.integers(0, 63), max_size=7, unique=True),
)
@settings(max_examples=300, deadline=None)
def test_every_pair_within_the_distance_shares_a_value(
    fingerprint: int, distance: int, flipped: list[int]
) -> None:
    other = fingerprint ^ sum(1 << bit for bit in flipped[:distance])
    values = band_values(np.array([fingerprint, other], np.uint64), distance)
    assert values.shape == (
        2,
        num_bands(NearDuplicates(method="simhash", simhash_distance=distance)),
    )
    assert set(values[0].tolist()) & set(values[1].tolist())


@pytest.mark.parametrize("distance", range(8))
def test_values_meet_only_where_all_bits_of_a_table_agree(distance: int) -> None:
    draw = np.random.default_rng(distance)
    left = draw.integers(0, 2**64, 2000, np.uint64)
    flips = np.array(
        [sum(1 << int(bit) for bit in draw.choice(64, 9, False)) for _ in left], np.uint64
    )
    tables = masks(distance)
    agree = (flips[:, None] & tables[None, :]) == 0
    assert np.array_equal(band_values(left, distance) == band_values(left ^ flips, distance), agree)
