"""The step protocol: chains are checked, and a row keeps its first reason."""

import numpy as np
import pyarrow as pa
import pytest

from dataprep.step import Step, alive, apply_chain, check_chain, mark


def table(num_rows: int = 3) -> pa.Table:
    return pa.table(
        {
            "text": pa.chunked_array([pa.array(["a"] * num_rows, pa.large_string())]),
            "drop_reason": pa.nulls(num_rows, pa.string()),
            "drop_value": pa.nulls(num_rows, pa.float64()),
            "drop_threshold": pa.nulls(num_rows, pa.float64()),
        }
    )


def length_step() -> Step:
    def apply(rows: pa.Table) -> pa.Table:
        return rows.append_column("length_bytes", pa.array([1] * rows.num_rows, pa.int64()))

    return Step("length", ("text",), (pa.field("length_bytes", pa.int64()),), apply)


def test_a_chain_is_checked_before_data_is_touched() -> None:
    needing = Step("late", ("length_bytes",), (), lambda rows: rows)
    assert check_chain([length_step(), needing], ["text"]) == ("text", "length_bytes")
    with pytest.raises(AssertionError, match="step late needs column length_bytes"):
        check_chain([needing, length_step()], ["text"])
    with pytest.raises(AssertionError, match="adds column length_bytes again"):
        check_chain([length_step(), length_step()], ["text"])


def test_a_step_is_held_to_its_word() -> None:
    after = apply_chain([length_step()], table())
    assert after["length_bytes"].to_pylist() == [1, 1, 1]
    shortening = Step("short", (), (), lambda rows: rows.slice(1))
    with pytest.raises(AssertionError, match="step short changed the number of rows"):
        apply_chain([shortening], table())
    silent = Step("silent", (), (pa.field("x", pa.int64()),), lambda rows: rows)
    with pytest.raises(AssertionError, match="step silent left columns"):
        apply_chain([silent], table())
    wrong_type = Step(
        "wrong", ("text",), (pa.field("length_bytes", pa.int32()),), length_step().apply
    )
    with pytest.raises(AssertionError, match="length_bytes is int64, not int32"):
        apply_chain([wrong_type], table())


def test_a_row_keeps_its_first_reason() -> None:
    marked = mark(
        table(), np.array([True, False, False]), "one.rule", np.array([1, 2, 3]), threshold=9
    )
    marked = mark(
        marked, np.array([True, True, False]), "two.rule", np.array([4.0, np.nan, 6.0]), threshold=8
    )
    assert marked["drop_reason"].to_pylist() == ["one.rule", "two.rule", None]
    assert marked["drop_value"].to_pylist() == [1.0, None, None]
    assert marked["drop_threshold"].to_pylist() == [9.0, 8.0, None]
    assert alive(marked).tolist() == [False, False, True]
    assert marked.schema == table().schema


def test_an_empty_table_passes() -> None:
    empty = mark(table(0), np.zeros(0, bool), "one.rule", np.zeros(0), 1.0)
    assert empty.num_rows == 0
    assert alive(empty).tolist() == []
