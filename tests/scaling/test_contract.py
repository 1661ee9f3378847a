"""The runs table: what is accepted, what is refused and how it is said."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from launch.errors import UserError
from scaling.collect import csv_text
from scaling.contract import COLUMNS, read_table, table_of_frame, table_of_rows


def rows(count: int = 4) -> list[dict[str, Any]]:
    return [
        {
            "name": f"run-{index}",
            "status": "done",
            "parameters_total": 1_000_000 * (index + 1),
            "parameters_nonembedding": 200_000 * (index + 1),
            "tokens": 5_000_000,
            "epochs": 0.5,
            "loss_valid": 5.0 - 0.25 * index,
            "valid_tokens": 4096,
            "tokenizer_digest": "a",
            "tokens_digest": "b",
        }
        for index in range(count)
    ]


def test_a_good_table_becomes_floats() -> None:
    table = table_of_rows(rows())
    assert len(table) == 4
    assert table.parameters("total").dtype == float
    assert table.flops[1] == 6.0 * 2e6 * 5e6
    assert list(table.to_frame().index) == ["run-0", "run-1", "run-2", "run-3"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "failed"}, r"unfinished runs: run-2 \(failed\)"),
        ({"status": "running"}, r"run-2 \(running\)"),
        ({"epochs": 2.5}, r"repeated epochs: run-2 \(2\.50\)"),
        ({"tokenizer_digest": "other"}, r"tokenizer_digest \(odd: run-2\)"),
        ({"tokens_digest": "other"}, r"tokens_digest \(odd: run-2\)"),
        ({"valid_tokens": 8192}, r"valid_tokens \(odd: run-2\)"),
        ({"loss_valid": None}, r"loss_valid: got run-2 \(None\)"),
        ({"loss_valid": float("nan")}, "loss_valid: got run-2"),
        ({"loss_valid": "n/a"}, r"loss_valid: got run-2 \('n/a'\)"),
        ({"tokens": 0}, "tokens: got run-2"),
        ({"parameters_total": -5}, "parameters_total: got run-2"),
        ({"name": "run-1"}, "run run-1 more than once"),
    ],
)
def test_a_row_that_would_bend_the_fit_is_refused_by_name(
    change: dict[str, Any], message: str
) -> None:
    bad = rows()
    bad[2] |= change
    with pytest.raises(UserError, match=message):
        table_of_rows(bad)


@pytest.mark.parametrize("column", ["tokens", "loss_valid"])
def test_a_missing_column_is_named(column: str) -> None:
    bad = [{key: value for key, value in row.items() if key != column} for row in rows()]
    with pytest.raises(UserError, match=f"no column '{column}'"):
        table_of_rows(bad)


def test_a_table_needs_a_parameter_count_and_the_one_that_is_asked_for() -> None:
    none = [{k: v for k, v in row.items() if not k.startswith("param")} for row in rows()]
    with pytest.raises(UserError, match="no parameter count"):
        table_of_rows(none)
    total = [{k: v for k, v in row.items() if k != "parameters_nonembedding"} for row in rows()]
    with pytest.raises(UserError, match="no column 'parameters_nonembedding'"):
        table_of_rows(total).parameters("nonembedding")


def test_the_csv_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    made = rows()
    made[0]["loss_valid"] = 4.123456789012345
    complete = [{column.name: row.get(column.name) for column in COLUMNS} for row in made]
    path = tmp_path / "runs.csv"
    path.write_text(csv_text(complete))
    table = read_table(path)
    assert table.loss[0] == 4.123456789012345
    assert table.names == tuple(row["name"] for row in made)


def test_other_peoples_tables_come_in_by_renaming(shared_data: Path) -> None:
    folder = shared_data / "scaling"
    columns = {"parameters_total": "params", "loss_valid": "loss"}
    table = read_table(folder / "chinchilla_245.csv", columns)
    assert len(table) == 245
    same = table_of_frame(pd.read_csv(folder / "chinchilla_245.csv"), columns)
    assert (same.loss == table.loss).all()
    gadre = pd.read_csv(folder / "gadre_overtraining_losses.csv")
    both = table_of_frame(
        gadre.dropna(subset=["loss__paloma_c4_en_00000001_tar"]),
        {"parameters_total": "params", "parameters_nonembedding": "params_no_embed",
         "loss_valid": "loss__paloma_c4_en_00000001_tar"},
    )  # fmt: skip
    assert both.has("total")
    assert both.has("nonembedding")


def test_a_wrong_renaming_is_refused() -> None:
    frame = pd.DataFrame({"params": [1.0], "tokens": [1.0], "loss": [1.0]})
    with pytest.raises(UserError, match="no column 'size'"):
        table_of_frame(frame, {"parameters_total": "size"})
    with pytest.raises(UserError, match="column name 'parameters'"):
        table_of_frame(frame, {"parameters": "params"})


def test_repeated_epochs_in_public_data_are_refused(shared_data: Path) -> None:
    path = shared_data / "scaling" / "datablations_c4_182_fit_runs.csv"
    with pytest.raises(UserError, match="repeated epochs"):
        read_table(path, {"parameters_total": "params", "loss_valid": "loss"})
