"""Verification: every drop has a kept survivor at or above the threshold, and none is missed."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep import components, lsh, minhash
from dataprep.near_duplicates import SHINGLE_SCHEMA, greedy_survivors, verify
from dataprep.shingles import shingle_sets

SETS = st.lists(st.frozensets(st.integers(0, 14), max_size=12), max_size=24)


def jaccard(left: frozenset[int], right: frozenset[int]) -> float:
    return len(left & right) / len(left | right) if left | right else 0.0


def greedy_by_definition(sets: list[frozenset[int]], threshold: float) -> list[int]:
    survivors: list[int] = []
    for i, own in enumerate(sets):
        earlier = (j for j in range(i) if survivors[j] < 0)
        similar = [j for j in earlier if own and jaccard(own, sets[j]) >= threshold]
        survivors.append(similar[0] if similar else -1)
    return survivors


@given(sets=SETS, threshold=st.sampled_from([0.2, 0.5, 0.6, 0.75, 0.8, 0.9, 1.0]))
@settings(max_examples=400, deadline=None)
def test_the_index_finds_what_comparing_all_pairs_finds(
    sets: list[frozenset[int]], threshold: float
) -> None:
    # Spread over 64 bits, as hashes are; ascending order is that of the small numbers.
    hashes = np.array([v * 1_000_003**3 for own in sets for v in sorted(own)], np.uint64)
    offsets = np.cumsum([0, *map(len, sets)])
    found, similarity = greedy_survivors(offsets, hashes, threshold)
    assert found.tolist() == greedy_by_definition(sets, threshold)
    for i, survivor in enumerate(found.tolist()):
        expected = 0.0 if survivor < 0 else jaccard(sets[i], sets[survivor])
        assert similarity[i] == pytest.approx(expected)


def table(rows: list[tuple[int, bytes, str, list[int]]]) -> pa.Table:
    columns = {
        "component": [component for component, _, _, _ in rows],
        "content_hash": [content_hash for _, content_hash, _, _ in rows],
        "id": [identifier for _, _, identifier, _ in rows],
        "row": list(range(len(rows))),
        "shingles": [sorted(shingles) for _, _, _, shingles in rows],
    }
    return pa.table(columns, schema=SHINGLE_SCHEMA)


def test_components_are_compared_in_themselves_in_the_order_of_content_hashes() -> None:
    base = list(range(100))
    rows = [
        (1, b"c" * 16, "s:late", base),
        (2, b"a" * 16, "s:elsewhere", base),
        (1, b"b" * 16, "s:early", [*base[:95], 200]),
        (1, b"d" * 16, "s:unlike", list(range(300, 400))),
    ]
    found = verify(table(rows), 0.8)
    assert found.to_pylist() == [
        {"row": 0, "survivor_row": 2, "survivor_id": "s:early", "jaccard": 95 / 101}
    ]
    assert verify(table([]), 0.8).num_rows == 0


def test_a_chain_does_not_drop_its_far_end() -> None:
    # Neighbours in the chain are 0.9 alike, its ends are not: components would keep one of five.
    rows = [(0, bytes([i]) * 16, f"s:{i}", list(range(6 * i, 6 * i + 114))) for i in range(5)]
    found = verify(table(rows), 0.9)
    pairs = {(row["row"], row["survivor_row"]) for row in found.to_pylist()}
    assert pairs == {(1, 0), (3, 2)}
    assert min(row["jaccard"] for row in found.to_pylist()) >= 0.9


@pytest.mark.parametrize("folder", ["neardup_manpages", "neardup_zh_vuedocs"])
def test_real_near_duplicates_are_found_and_nothing_else(folder: str, shared_data: Path) -> None:
    with gzip.open(shared_data / folder / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    with gzip.open(shared_data / folder / "truth_pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        truth = {(p["a"], p["b"]): p["jaccard"] for p in map(json.loads, lines)}
    texts = pa.array([document["text"] for document in documents], pa.large_string())
    rows = np.arange(len(documents))
    order = np.stack((rows, rows), axis=1).astype(np.uint64)
    signatures, _ = minhash.signatures(texts, 256)
    values = lsh.band_values(signatures, 32, 8)
    edges = np.concatenate([lsh.links(band, order, rows, 1000).edges for band in values.T])
    nodes, component = components.components(edges)
    offsets, hashes = shingle_sets(texts.take(pa.array(nodes)))
    candidates = pa.table(
        {
            "component": component,
            "content_hash": pa.array([int(n).to_bytes(16, "big") for n in nodes], pa.binary(16)),
            "id": [documents[n]["id"] for n in nodes],
            "row": nodes,
            "shingles": pa.LargeListArray.from_arrays(offsets, hashes),
        },
        schema=SHINGLE_SCHEMA,
    )
    found = verify(candidates, 0.8).to_pylist()
    dropped = {documents[row["row"]]["id"] for row in found}
    wanted = [pair for pair, similarity in truth.items() if similarity >= 0.8]
    lost = [pair for pair in wanted if not dropped & set(pair)]
    assert len(wanted) > 100
    assert len(lost) <= 0.01 * len(wanted)
    for row in found:
        identifier, survivor = documents[row["row"]]["id"], row["survivor_id"]
        similarity = truth.get((identifier, survivor)) or truth[survivor, identifier]
        assert similarity == pytest.approx(row["jaccard"], abs=1e-4)
        assert similarity >= 0.8
        assert survivor not in dropped
