"""Verification: every drop has a kept survivor at or above the threshold, and none is missed."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup import components, lsh, minhash, verification
from dataprep.dedup.exchange import open_exchange
from dataprep.dedup.near_duplicates import SHINGLE_SCHEMA, greedy_survivors
from dataprep.dedup.shingles import shingle_sets
from dataprep.dedup.verification import verify
from dataprep.workspace import INDEX_ROW

SETS = st.lists(st.frozensets(st.integers(0, 14), max_size=12), max_size=24)


def similarity(left: frozenset[int], right: frozenset[int], containment: bool) -> float:
    whole = left if containment else left | right
    return len(left & right) / len(whole) if whole and right else 0.0


def greedy_by_definition(
    sets: list[frozenset[int]], threshold: float, fixed: int, containment: bool
) -> list[int]:
    survivors: list[int] = []
    for i, own in enumerate(sets):
        earlier = (j for j in range(i) if survivors[j] < 0 and i >= fixed)
        similar = [j for j in earlier if similarity(own, sets[j], containment) >= threshold]
        survivors.append(similar[0] if similar else -1)
    return survivors


@pytest.mark.parametrize("few", [0, 1000])  # by the search, and all with all
@given(
    sets=SETS,
    threshold=st.sampled_from([0.2, 0.5, 0.6, 0.75, 0.8, 0.9, 1.0]),
    num_fixed=st.integers(0, 6),
    containment=st.booleans(),
)
@settings(max_examples=250, deadline=None)
def test_the_search_finds_what_comparing_all_pairs_finds(
    sets: list[frozenset[int]], threshold: float, num_fixed: int, containment: bool, few: int
) -> None:
    # Spread over 64 bits, as hashes are; ascending order is that of the small numbers.
    hashes = np.array([v * 1_000_003**3 for own in sets for v in sorted(own)], np.uint64)
    offsets = np.cumsum([0, *map(len, sets)])
    fixed = np.arange(len(sets)) < num_fixed
    found, alike = greedy_survivors(
        offsets, hashes, threshold, fixed=fixed, containment=containment, few=few
    )
    assert found.tolist() == greedy_by_definition(sets, threshold, num_fixed, containment)
    for i, survivor in enumerate(found.tolist()):
        expected = 0.0 if survivor < 0 else similarity(sets[i], sets[survivor], containment)
        assert alike[i] == pytest.approx(expected)


def verified(
    folder: Path,
    rows: Sequence[tuple[int, bytes, str, Sequence[int]]],
    near: NearDuplicates,
    numbers: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """What `verify` finds among rows of component, precedence, id, shingles, as one batch in files
    of five rows each."""
    numbers = range(len(rows)) if numbers is None else numbers
    paths = []
    for first in range(0, len(rows), 5):
        part = rows[first : first + 5]
        columns = {
            "component": [component for component, _, _, _ in part],
            "precedence": [precedence for _, precedence, _, _ in part],
            "id": [identifier for _, _, identifier, _ in part],
            "row": numbers[first : first + 5],
            "num_shingles": [len(shingles) for _, _, _, shingles in part],
            "shingles": [sorted(shingles) for _, _, _, shingles in part],
        }
        paths.append(folder / f"{first}.parquet")
        with open_exchange(paths[-1], SHINGLE_SCHEMA, 1) as writer:
            writer.add(pa.table(columns, schema=SHINGLE_SCHEMA), np.zeros(len(part), np.int64))
    return verify(paths, 0, 1, near, folder).drop_columns("reason").to_pylist()


def near(jaccard: float, **changes: Any) -> NearDuplicates:
    return NearDuplicates(jaccard=jaccard, **changes)


def test_components_are_compared_in_themselves_in_survivor_order(tmp_path: Path) -> None:
    base = list(range(100))
    rows = [
        (1, b"c" * 16, "s:late", base),
        (2, b"a" * 16, "s:elsewhere", base),
        (1, b"b" * 16, "s:early", [*base[:95], 200]),
        (1, b"d" * 16, "s:unlike", list(range(300, 400))),
    ]
    assert verified(tmp_path, rows, near(0.8)) == [
        {"row": 0, "survivor_row": 2, "survivor_id": "s:early", "similarity": 95 / 101}
    ]
    assert verified(tmp_path, [], near(0.8)) == []


def test_documents_of_an_index_come_first_and_are_not_compared_with_each_other(
    tmp_path: Path,
) -> None:
    base = list(range(100))
    for copies in (1, 20):  # compared all with all, and by the search
        rows = [(1, b"a", f"s:{i}", [*base, 200 + i]) for i in range(copies)]
        rows += [(1, b"b", "old:1", base), (1, b"c", "old:2", base)]
        numbers = [*range(copies), INDEX_ROW + 1, INDEX_ROW]
        for measure in ("jaccard", "containment"):
            found = verified(tmp_path, rows, near(0.8, measure=measure), numbers)
            assert {row["survivor_id"] for row in found} == {"old:1"}
            assert {row["row"] for row in found} == set(range(copies))


def test_a_batch_that_memory_should_not_hold_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(5)
    rows = []
    for i in range(60):
        shingles = np.unique(draw.integers(0, 60, 40)).tolist()
        rows.append((i % 2, draw.bytes(4), f"s:{i}", shingles))
    expected = verified(tmp_path, rows, near(0.4))
    assert len(expected) > 10
    monkeypatch.setattr(verification, "_MEMORY_SHINGLES", 10)
    assert verified(tmp_path, rows, near(0.4)) == expected
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet"}  # no scratch is left


def test_a_chain_does_not_drop_its_far_end(tmp_path: Path) -> None:
    # Neighbours in the chain are 0.9 alike, its ends are not: components would keep one of five.
    rows = [(0, bytes([i]) * 16, f"s:{i}", list(range(6 * i, 6 * i + 114))) for i in range(5)]
    found = verified(tmp_path, rows, near(0.9))
    pairs = {(row["row"], row["survivor_row"]) for row in found}
    assert pairs == {(1, 0), (3, 2)}
    assert min(row["similarity"] for row in found) >= 0.9


@pytest.mark.parametrize("folder", ["neardup_manpages", "neardup_zh_vuedocs"])
def test_real_near_duplicates_are_found_and_nothing_else(
    folder: str, shared_data: Path, tmp_path: Path
) -> None:
    with gzip.open(shared_data / folder / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    with gzip.open(shared_data / folder / "truth_pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        truth = {(p["a"], p["b"]): p["jaccard"] for p in map(json.loads, lines)}
    texts = pa.array([document["text"] for document in documents], pa.large_string())
    rows = np.arange(len(documents))
    order = rows.astype(np.uint64)
    signatures, _ = minhash.signatures(texts, 256)
    values = lsh.band_values(signatures, 32, 8)
    edges = np.concatenate([lsh.links(band, order, rows, 1000).edges for band in values.T])
    nodes, component = components.components(edges)
    offsets, hashes = shingle_sets(texts.take(pa.array(nodes)))
    rows_of = [
        (
            int(component[i]),
            f"{n:09d}".encode(),
            documents[n]["id"],
            hashes[offsets[i] : offsets[i + 1]],
        )
        for i, n in enumerate(nodes.tolist())
    ]
    found = verified(tmp_path, rows_of, near(0.8), nodes.tolist())
    dropped = {documents[row["row"]]["id"] for row in found}
    wanted = [pair for pair, similarity in truth.items() if similarity >= 0.8]
    lost = [pair for pair in wanted if not dropped & set(pair)]
    assert len(wanted) > 100
    assert len(lost) <= 0.01 * len(wanted)
    for row in found:
        identifier, survivor = documents[row["row"]]["id"], row["survivor_id"]
        similarity = truth.get((identifier, survivor)) or truth[survivor, identifier]
        assert similarity == pytest.approx(row["similarity"], abs=1e-4)
        assert similarity >= 0.8
        assert survivor not in dropped
