"""The writer: what is split where, what adds up, and that the same rows give the same bytes."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataprep.conservation import ConservationError, conservation, merge_counts
from dataprep.contract import PARTS, document_fields, quarantine_schema
from dataprep.write import Written, is_valid, write_quarantine, write_shard

REASONS = [None, "gopher.word_count_low", "exact.duplicate", "near_duplicates.jaccard"]


def staged(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows {text, reason, removed, added} as the chain's last table."""
    num = len(rows)
    texts = [row["text"] for row in rows]
    removed = [row.get("removed", 0) for row in rows]
    added = [row.get("added", 0) for row in rows]
    read = [
        len(text.encode()) + minus - plus
        for text, minus, plus in zip(texts, removed, added, strict=True)
    ]
    hashes = [xxhash.xxh3_128_digest(f"{i} {text}".encode()) for i, text in enumerate(texts)]
    strings = pa.string()
    return pa.table(
        {
            "id": pa.array([f"s:{i}" for i in range(num)], strings),
            "content_hash": pa.array(hashes, pa.binary(16)),
            "text": pa.array(texts, pa.large_string()),
            "source": pa.array(["s"] * num, strings),
            "url": pa.nulls(num, strings),
            "license": pa.nulls(num, strings),
            "meta": pa.array([[("k", "v")]] * num, pa.map_(strings, strings)),
            "read_bytes": pa.array(read, pa.int64()),
            "drop_reason": pa.array([row.get("reason") for row in rows], strings),
            "drop_value": pa.nulls(num, pa.float64()),
            "drop_threshold": pa.nulls(num, pa.float64()),
            "normalize_removed_bytes": pa.array(removed, pa.int64()),
            "language": pa.array(["en"] * num, strings),
            "language_score": pa.array([0.9] * num, pa.float32()),
            "signals_word_count": pa.array(range(num), pa.int32()),
            "pii_email": pa.array([0] * num, pa.int32()),
            "pii_removed_bytes": pa.array([-plus for plus in added], pa.int64()),
            "pii_empty": pa.array([False] * num, pa.bool_()),
            "signature_text_hash": pa.array(hashes, pa.binary(16)),
            "signature_num_shingles": pa.nulls(num, pa.int64()),
            "signature_bands": pa.nulls(num, pa.binary(32)),
        }
    )


def write(tables: list[pa.Table], directory: Path, valid_fraction: float = 0.2) -> Written:
    return write_shard(
        tables, directory, directory / "work", 7, seed=3, valid_fraction=valid_fraction
    )


def facts_of(written: Written, table: pa.Table, **changes: int) -> dict[str, Any]:
    read = {
        "records_read": table.num_rows + 2,
        "documents_in": table.num_rows,
        "quarantined": 2,
        "bytes_in": sum(table["read_bytes"].to_pylist()),
    }
    return conservation(written.counts, **{**read, **changes})


def test_rows_go_where_their_reason_and_hash_say(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "reason": REASONS[i % 4], "removed": i % 3} for i in range(400)]
    table = staged(rows)
    written = write([table.slice(0, 150), table.slice(150)], tmp_path)
    parts = {
        entry.path.rsplit("/", 1)[0]: pq.read_table(tmp_path / entry.path)
        for entry in written.files
    }
    scored = parts.pop("scored")
    assert set(parts) == {"kept/train", "kept/valid", "dropped"}
    assert scored["signature_text_hash"].equals(table["content_hash"])
    for code, name in enumerate(PARTS):
        chosen = table.filter(pc.equal(scored["part"], code))
        assert chosen["id"].equals(parts[name]["id"])
    assert all("/part-00007-" in entry.path for entry in written.files)
    assert sum(part.num_rows for part in parts.values()) == 400
    together = pa.concat_tables(parts.values()).sort_by("signals_word_count")
    for name in ("id", "content_hash", "text", "meta", "drop_reason"):
        assert together[name].to_pylist() == table[name].to_pylist()
    seed = (3).to_bytes(8, "little")
    for name, part in parts.items():
        for row in part.to_pylist():
            draw = xxhash.xxh3_64_intdigest(row["content_hash"] + seed)
            if row["drop_reason"] is not None:
                assert name == "dropped"
            else:
                assert name == ("kept/valid" if draw / 2**64 < 0.2 else "kept/train")
    assert written.counts["dropped"] == dict(
        Counter(row["reason"] for row in rows if row["reason"])
    )
    assert facts_of(written, table)["duplicates"] == {"exact": 100, "near": 100}


def test_schema_is_the_contract_with_the_signals_after_the_language(tmp_path: Path) -> None:
    written = write(
        [staged([{"text": "a", "removed": 2, "added": 5}, {"text": "b"}])], tmp_path, 0.0
    )
    table = pq.read_table(tmp_path / written.files[0].path)
    names = [field.name for field in document_fields()]
    at = names.index("language_score") + 1
    assert table.schema.names == [*names[:at], "signals_word_count", "pii_email", *names[at:]]
    for field in document_fields():
        assert table.schema.field(field.name).equals(field), field.name
    assert [dict(entry) for entry in table["removed_bytes"].to_pylist()] == [
        {"normalize": 2, "pii": -5},
        {},
    ]
    assert written.counts["bytes_removed"] == {"normalize": 2, "pii": -5}


def test_same_rows_same_bytes_and_no_leftovers(tmp_path: Path) -> None:
    table = staged([{"text": f"text {i}" * 50, "reason": REASONS[i % 4]} for i in range(300)])
    first = write([table], tmp_path / "a")
    assert write([table], tmp_path / "a") == first
    assert write([table], tmp_path / "b") == first
    assert len(list((tmp_path / "a").rglob("*.parquet"))) == len(first.files)
    assert list((tmp_path / "a" / "work").iterdir()) == []


def test_footer_holds_no_text(tmp_path: Path) -> None:
    entry = write([staged([{"text": "secret words"}])], tmp_path, 0.0).files[0]
    row_group = pq.ParquetFile(tmp_path / entry.path).metadata.row_group(0)
    statistics = {
        row_group.column(i).path_in_schema: row_group.column(i).statistics
        for i in range(row_group.num_columns)
    }
    assert statistics["text"] is None
    assert statistics["id"].min == "s:0"


def test_no_row_no_file(tmp_path: Path) -> None:
    empty = write([], tmp_path)
    assert empty.files == ()
    dropped = write([staged([{"text": "a", "reason": "x.y"}])], tmp_path)
    assert [entry.path.split("/")[0] for entry in dropped.files] == ["dropped", "scored"]
    assert write_quarantine([quarantine_schema().empty_table()], tmp_path, tmp_path / "w", 0) == ()


def test_quarantine_has_its_own_part(tmp_path: Path) -> None:
    record = {"source": "s", "path": "a.jsonl", "offset": 5, "row": 1, "length": 9}
    rows = pa.Table.from_pylist([{**record, "digest": "d", "reason": "json"}], quarantine_schema())
    (entry,) = write_quarantine([rows], tmp_path, tmp_path / "work", 3)
    assert entry.path.startswith("quarantine/part-00003-")
    assert pq.read_table(tmp_path / entry.path).to_pylist() == rows.to_pylist()


def test_a_missing_byte_of_a_row_is_found(tmp_path: Path) -> None:
    table = staged([{"text": "abc"}, {"text": "def"}])
    position = table.schema.get_field_index("read_bytes")
    wrong = table.set_column(position, "read_bytes", pa.array([3, 5], pa.int64()))
    with pytest.raises(ConservationError, match="s:1: read 5 bytes, has 3"):
        write([wrong], tmp_path)
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("law", ["records_read", "documents_in", "quarantined", "bytes_in"])
def test_every_law_is_checked(tmp_path: Path, law: str) -> None:
    table = staged([{"text": f"t{i}", "reason": REASONS[i % 4]} for i in range(20)])
    written = write([table], tmp_path)
    right = facts_of(written, table)
    with pytest.raises(ConservationError, match="is not"):
        facts_of(written, table, **{law: right[law] + 1})


def test_lost_document_is_found(tmp_path: Path) -> None:
    table = staged([{"text": f"t{i}"} for i in range(20)])
    written = write([table.slice(0, 19)], tmp_path)
    with pytest.raises(ConservationError, match=r"documents in = kept \+ dropped: 20 is not 19"):
        facts_of(written, table)


ROWS = st.fixed_dictionaries(
    {
        "text": st.text(max_size=12).map(lambda text: text.encode("utf-8", "ignore").decode()),
        "reason": st.sampled_from(REASONS),
        "removed": st.integers(0, 9),
        "added": st.integers(0, 9),
    }
)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(ROWS, min_size=1, max_size=30), cut=st.integers(0, 30))
def test_whatever_the_rows_they_are_conserved(
    tmp_path: Path, rows: list[dict[str, Any]], cut: int
) -> None:
    table = staged(rows)
    whole = write([table], tmp_path)
    facts = facts_of(whole, table)
    assert facts["kept"] + sum(facts["dropped"].values()) == len(rows)
    # Two shards count as one.
    halves = [write([table.slice(0, cut)], tmp_path), write([table.slice(cut)], tmp_path)]
    assert merge_counts([half.counts for half in halves]) == whole.counts


def test_split_has_the_wanted_share_and_needs_the_seed() -> None:
    hashes = pa.array([xxhash.xxh3_128_digest(bytes([i % 256, i // 256])) for i in range(20_000)])
    chosen = is_valid(hashes, 1, 0.1)
    assert abs(chosen.mean() - 0.1) < 0.01  # 4.7 standard deviations
    other = is_valid(hashes, 2, 0.1)
    assert abs((chosen & other).mean() - 0.01) < 0.004
    assert not is_valid(hashes, 1, 0.0).any()
