"""The hash kernels against the `xxhash` package."""

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.text.hash_kernels import hash_slices, xxh32_padded, xxh64


@given(content=st.binary(max_size=300), before=st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_hashes_equal_the_xxhash_package(content: bytes, before: int) -> None:
    data = np.frombuffer(b"x" * before + content + b"y" * 16, np.uint8)
    stop = before + len(content)
    assert xxh32_padded(data, before, stop) == xxhash.xxh32_intdigest(content)
    assert xxh64(data, before, stop, np.uint64(0)) == xxhash.xxh64_intdigest(content)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 100])
def test_seeds_are_honoured_at_every_border_of_the_algorithm(size: int) -> None:
    content = bytes(range(200, 200 - size, -1))
    data = np.frombuffer(content, np.uint8)
    padded = np.frombuffer(content + b"y" * 16, np.uint8)
    assert xxh32_padded(padded, 0, size) == xxhash.xxh32_intdigest(content)
    for seed in (1, 2**31 + 7, 2**32 - 1):
        assert xxh64(data, 0, size, np.uint64(seed)) == xxhash.xxh64_intdigest(content, seed)


def test_slices_are_hashed_one_by_one() -> None:
    data = np.frombuffer(b"onetwothree", np.uint8)
    hashes = hash_slices(np.array([0, 3, 6, 6, 11]), data)
    parts = (b"one", b"two", b"", b"three")
    assert hashes.tolist() == [xxhash.xxh64_intdigest(part) for part in parts]
