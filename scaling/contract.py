"""The runs table: one row per finished training run, and what must hold before a law is fitted.

Ours is written by `scaling collect` from `result.json` files; other people's tables come in through
`table_of_frame` (pandas) or `read_table` (CSV) with a renaming of their columns. Either way a row
that would bend a fit silently is refused by name: unfinished runs, repeated epochs, another
tokenizer, another validation set, another unit.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from launch.errors import UserError
from scaling.laws import FLOP_PER_PARAMETER_TOKEN, ParameterCount

if TYPE_CHECKING:
    import pandas as pd

KIND = "runs"
VERSION = 1
FILE_NAME = "runs.csv"


@dataclass(frozen=True)
class Column:
    """One column of the runs table."""

    name: str
    unit: str
    kind: type[str] | type[float] | type[int]


COLUMNS = (
    Column("name", "name of the run", str),
    Column("status", "how it ended; only 'done' is fitted", str),
    Column("parameters_total", "trained numbers, embeddings included", int),
    Column("parameters_nonembedding", "trained numbers outside embedding and output", int),
    Column("layers", "transformer layers", int),
    Column("hidden_size", "width of the residual stream", int),
    Column("heads", "attention heads", int),
    Column("kv_heads", "key-value heads", int),
    Column("ffn_size", "inner width of the feed-forward", int),
    Column("sequence_length", "tokens per sequence", int),
    Column("batch_size", "sequences per iteration", int),
    Column("iterations", "optimizer updates", int),
    Column("tokens", "tokens trained on", int),
    Column("epochs", "times the training tokens were read", float),
    Column("flops", "training FLOP, by flops_convention", float),
    Column("flops_convention", "how flops were counted", str),
    Column("loss_first", "nats per token, training, first iteration", float),
    Column("loss_last", "nats per token, training, mean of the last logged", float),
    Column("loss_valid", "nats per token, validation: what the laws are fitted to", float),
    Column("bits_per_byte_valid", "validation loss in bits per byte of text", float),
    Column("valid_tokens", "tokens of the validation", int),
    Column("lr_peak", "peak learning rate", float),
    Column("schedule", "learning-rate schedule", str),
    Column("seed", "seed of the run", int),
    Column("tokenizer_digest", "which tokenizer", str),
    Column("tokens_digest", "which encoded corpus", str),
    Column("config_digest", "which training configuration", str),
)
_BY_NAME = {column.name: column for column in COLUMNS}
_POSITIVE = ("parameters_total", "parameters_nonembedding", "tokens", "loss_valid")
_SAME = {
    "tokenizer_digest": "one tokenizer: losses per token of two vocabularies do not compare",
    "tokens_digest": "one encoded corpus, and with it one validation set",
    "valid_tokens": "one validation set",
}


@dataclass(frozen=True)
class RunsTable:
    """Checked runs as arrays; each holds one number per run, in the order of `names`."""

    names: tuple[str, ...]
    tokens: NDArray[np.float64]
    """Tokens trained on."""
    loss: NDArray[np.float64]
    """Validation loss, nats per token."""
    parameters_total: NDArray[np.float64] | None = None
    parameters_nonembedding: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def has(self, count: ParameterCount) -> bool:
        """Whether the table holds this parameter count."""
        return self._count(count) is not None

    def parameters(self, count: ParameterCount) -> NDArray[np.float64]:
        """Parameters by the count that a law asks for. Raises `UserError` if it is not there."""
        values = self._count(count)
        if values is None:
            raise UserError(
                "runs table", f"no column 'parameters_{count}'", "one: the law needs it"
            )
        return values

    @property
    def flops(self) -> NDArray[np.float64]:
        """6 x parameters x tokens, by total parameters where they are known."""
        count: ParameterCount = "total" if self.has("total") else "nonembedding"
        return FLOP_PER_PARAMETER_TOKEN * self.parameters(count) * self.tokens

    def select(self, keep: NDArray[np.bool_]) -> "RunsTable":
        """The runs where `keep` (one per run) is true."""
        total, nonembedding = self.parameters_total, self.parameters_nonembedding
        return RunsTable(
            names=tuple(name for name, kept in zip(self.names, keep, strict=True) if kept),
            tokens=self.tokens[keep],
            loss=self.loss[keep],
            parameters_total=None if total is None else total[keep],
            parameters_nonembedding=None if nonembedding is None else nonembedding[keep],
        )

    def to_rows(self) -> list[dict[str, str | float]]:
        """The runs as rows again, keys as in `COLUMNS`."""
        rows: list[dict[str, str | float]] = []
        for index, name in enumerate(self.names):
            row: dict[str, str | float] = {"name": name}
            for count in ("total", "nonembedding"):
                values = self._count(count)
                if values is not None:
                    row[f"parameters_{count}"] = float(values[index])
            row |= {"tokens": float(self.tokens[index]), "loss_valid": float(self.loss[index])}
            rows.append(row)
        return rows

    def to_frame(self) -> "pd.DataFrame":
        """One row per run: parameter counts, tokens, flops (6 N D), loss_valid."""
        import pandas as pd

        columns: dict[str, Any] = {"tokens": self.tokens, "flops": self.flops}
        for count in ("total", "nonembedding"):
            values = self._count(count)
            if values is not None:
                columns[f"parameters_{count}"] = values
        columns["loss_valid"] = self.loss
        return pd.DataFrame(columns, index=pd.Index(self.names, name="name"))

    def _count(self, count: str) -> NDArray[np.float64] | None:
        return self.parameters_total if count == "total" else self.parameters_nonembedding


def table_of_rows(rows: Sequence[Mapping[str, Any]], where: str = "runs table") -> RunsTable:
    """Check rows (keys as in `COLUMNS`, unknown keys ignored) and return them as arrays.

    `tokens`, `loss_valid` and one of the parameter counts must be there. Raises `UserError` naming
    the rows that are at fault.
    """
    if not rows:
        raise UserError(where, "no rows", "at least one finished run")
    names = [str(row.get("name") or f"row {index + 1}") for index, row in enumerate(rows)]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise UserError(where, f"run {_list(duplicates)} more than once", "each run once")
    _check_finished(rows, names, where)
    for column, expected in _SAME.items():
        _check_same(rows, names, column, expected, where)
    numbers = {
        column: _numbers(rows, names, column, where)
        for column in _POSITIVE
        if any(row.get(column) not in (None, "") for row in rows)
    }
    for column in ("tokens", "loss_valid"):
        if column not in numbers:
            raise UserError(where, f"no column '{column}'", f"{_BY_NAME[column].unit}")
    if not {"parameters_total", "parameters_nonembedding"} & numbers.keys():
        raise UserError(where, "no parameter count", "parameters_total or parameters_nonembedding")
    return RunsTable(
        names=tuple(names),
        tokens=numbers["tokens"],
        loss=numbers["loss_valid"],
        parameters_total=numbers.get("parameters_total"),
        parameters_nonembedding=numbers.get("parameters_nonembedding"),
    )


def table_of_frame(
    frame: "pd.DataFrame", columns: Mapping[str, str] | None = None, where: str = "runs table"
) -> RunsTable:
    """A pandas frame as a runs table; `columns` maps our column names to the frame's.

    `table_of_frame(frame, {"parameters_total": "params", "loss_valid": "loss"})`. Losses must be
    nats per token, counts plain numbers (not millions). Raises `UserError`.
    """
    renamed = {theirs: ours for ours, theirs in (columns or {}).items()}
    _check_renaming(columns or {}, list(frame.columns), where)
    taken = frame.drop(columns=[name for name in renamed.values() if name in frame.columns
                                and name not in renamed])  # fmt: skip
    rows = taken.rename(columns=renamed).to_dict("records")
    return table_of_rows([{str(key): value for key, value in row.items()} for row in rows], where)


def read_rows(path: Path, columns: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """The rows of a CSV file as written, values as strings, renamed as in `table_of_frame`."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            header = list(reader.fieldnames or [])
    except OSError as error:
        raise UserError(str(path), error.strerror or "no file", "a runs table (CSV)") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(str(path), f"unreadable content ({error})", "a runs table (CSV)") from None
    _check_renaming(columns or {}, header, str(path))
    for ours, theirs in (columns or {}).items():
        for row in rows:
            row[ours] = row[theirs]
    return [dict(row) for row in rows]


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> RunsTable:
    """A CSV file as a runs table; `columns` as in `table_of_frame`. Raises `UserError`."""
    return table_of_rows(read_rows(path, columns), str(path))


def _check_renaming(columns: Mapping[str, str], header: Sequence[str], where: str) -> None:
    for ours, theirs in columns.items():
        if ours not in _BY_NAME:
            raise UserError(where, f"column name '{ours}'", f"one of {', '.join(_BY_NAME)}")
        if theirs not in header:
            raise UserError(where, f"no column '{theirs}'", f"one of {', '.join(map(str, header))}")


def _check_finished(rows: Sequence[Mapping[str, Any]], names: Sequence[str], where: str) -> None:
    states = [str(row.get("status") or "done") for row in rows]
    unfinished = [f"{n} ({s})" for n, s in zip(names, states, strict=True) if s != "done"]
    if unfinished:
        hint = "an unfinished run's loss is not the law's loss: finish it or leave it out"
        raise UserError(where, f"unfinished runs: {_list(unfinished)}", "status 'done'", hint)
    epochs = [_number(row.get("epochs")) for row in rows]
    repeated = [
        f"{name} ({count:.2f})"
        for name, count in zip(names, epochs, strict=True)
        # A last sequence that wraps is no repetition.
        if count is not None and count > 1.01
    ]
    if repeated:
        hint = "these laws are for unrepeated tokens: use fewer tokens or a larger corpus"
        raise UserError(where, f"repeated epochs: {_list(repeated)}", "at most one epoch", hint)


def _check_same(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], column: str, expected: str, where: str
) -> None:
    groups: dict[str, list[str]] = {}
    for row, name in zip(rows, names, strict=True):
        value = row.get(column)
        if value not in (None, ""):
            groups.setdefault(str(value), []).append(name)
    if len(groups) > 1:
        odd = min(groups.values(), key=len)
        raise UserError(
            where, f"{len(groups)} different values of {column} (odd: {_list(odd)})", expected
        )


def _numbers(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], column: str, where: str
) -> NDArray[np.float64]:
    values = [_number(row.get(column)) for row in rows]
    wrong = [
        f"{name} ({rows[index].get(column)!r})"
        for index, (name, value) in enumerate(zip(names, values, strict=True))
        if value is None or not math.isfinite(value) or value <= 0.0
    ]
    if wrong:
        raise UserError(
            f"{where}: {column}", _list(wrong), f"a positive number ({_BY_NAME[column].unit})"
        )
    return np.array(values, dtype=np.float64)


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
