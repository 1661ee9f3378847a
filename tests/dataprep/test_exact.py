"""Exact duplicates: who survives, and that ids are unique."""

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.dedup.exact import (
    IDENTIFIER_SCHEMA,
    KEY_SCHEMA,
    check_identifiers,
    duplicates,
    hash_halves,
    identifier_hashes,
    text_hashes,
)
from dataprep.workspace import INDEX_ROW
from launch.errors import UserError

# Few letters, so that texts, contents and ids meet often.
DOCUMENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 10_000)),
    max_size=30,
    unique_by=lambda document: document[2],
)


def texts_table(documents: list[tuple[str, str, int]]) -> pa.Table:
    return pa.table(
        {
            "key_hash": [text.encode() * 16 for text, _, _ in documents],
            "precedence": [content.encode() for _, content, _ in documents],
            "id": [f"s:{number:05d}" for _, _, number in documents],
            "row": list(range(len(documents))),
        },
        schema=KEY_SCHEMA,
    )


@given(DOCUMENTS)
@settings(max_examples=150, deadline=None)
def test_of_equal_keys_the_first_in_survivor_order_stays_then_the_smallest_id(documents) -> None:
    found = {row["row"]: row for row in duplicates(texts_table(documents)).to_pylist()}
    for i, (text, _, _) in enumerate(documents):
        same = [j for j, (other, _, _) in enumerate(documents) if other == text]
        best = min(same, key=lambda j: documents[j][1:])
        if i == best:
            assert i not in found
        else:
            assert found[i]["survivor_row"] == best
            assert found[i]["survivor_id"] == f"s:{documents[best][2]:05d}"


def test_documents_of_an_index_come_first_and_are_never_dropped() -> None:
    table = texts_table([("a", "x", 1), ("a", "y", 2), ("a", "y", 3), ("b", "x", 4)])
    rows = [7, INDEX_ROW + 5, INDEX_ROW + 4, 8]
    table = table.set_column(3, "row", pa.array(rows))
    assert duplicates(table).to_pylist() == [
        {"row": 7, "survivor_row": INDEX_ROW + 5, "survivor_id": "s:00002"}
    ]


def test_hashes_are_those_of_the_xxhash_package_also_in_a_slice() -> None:
    texts = ["zero", "one", "", "drei – 三"]
    hashes = text_hashes(pa.array(texts, pa.large_string()).slice(1))
    assert hashes.to_pylist() == [xxhash.xxh3_128_digest(t.encode()) for t in texts[1:]]
    halves = hash_halves(hashes.slice(1))
    assert [int(high) << 64 | int(low) for high, low in halves] == [
        xxhash.xxh3_128_intdigest(t.encode()) for t in texts[2:]
    ]
    found = identifier_hashes(pa.array(texts, pa.string()))
    assert found.tolist() == [xxhash.xxh64_intdigest(t.encode()) for t in texts]


def test_an_id_that_is_there_twice_is_refused_in_one_line() -> None:
    ids = ["news:1", "news:2", "web:1", "news:2", "web:3"]
    table = pa.table(
        {"id_hash": identifier_hashes(pa.array(ids)), "id": ids}, schema=IDENTIFIER_SCHEMA
    )
    with pytest.raises(UserError, match=r"^sources\.news\.columns\.id: got '2' on 2 documents"):
        check_identifiers(table)
    check_identifiers(table.slice(0, 3))


def test_ids_whose_hashes_collide_are_not_taken_for_the_same() -> None:
    hashes = np.array([5, 5, 6], np.uint64)
    check_identifiers(pa.table({"id_hash": hashes, "id": ["a:1", "a:2", "a:3"]}))
