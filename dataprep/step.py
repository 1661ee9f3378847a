"""The step: one pure function on a table, with the columns it needs and those it adds.

A chain of steps is an ordinary list, read from the top. `check_chain` folds needs and adds over it
before any data is touched; `apply_chain` runs it and holds each step to its word.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

BooleanArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Step:
    """A named pure function on a table of documents.

    `needs` are names of columns it reads. `adds` are the fields it appends, in this order. A step
    keeps the number and order of rows and all columns that were there; it may change their values.

    `decide` marks rows, after `apply`, from stored columns alone, never from text, so that
    `retune` can repeat it. Only the first step of a chain may mark in `apply`: a later one's mark
    would be hidden where another step had marked the row first, and lost when that is undone.

    `of_living` says that `apply` fills its columns only for rows still alive there, each row from
    its own text alone; the others are null, and `retune` computes those that it revives.

    `settings` is what of the recipe decides the outcome of `apply`, for a step that reads keys
    which `retune` may change (`presets`): it must be the same then.
    """

    name: str
    needs: tuple[str, ...]
    adds: tuple[pa.Field, ...]
    apply: Callable[[pa.Table], pa.Table]
    decide: Callable[[pa.Table], pa.Table] | None = None
    of_living: bool = False
    settings: tuple[object, ...] = ()


def check_chain(steps: Sequence[Step], columns: Iterable[str]) -> tuple[str, ...]:
    """The names of the columns after the last step.

    Raises AssertionError, before any data is touched, if a step needs a column that nothing before
    it adds, or adds one that is there already: the chain is ours, so this is never the user's.
    """
    have = list(columns)
    for step in steps:
        for need in step.needs:
            assert need in have, (
                f"step {step.name} needs column {need}, which no step before it adds; "
                f"have: {', '.join(have)}"
            )
        for field in step.adds:
            assert field.name not in have, f"step {step.name} adds column {field.name} again"
            have.append(field.name)
    return tuple(have)


def apply_chain(steps: Sequence[Step], table: pa.Table) -> pa.Table:
    """`table` after every step in order; raises AssertionError if a step breaks its promise."""
    for step in steps:
        expected = [*table.schema.names, *(field.name for field in step.adds)]
        num_rows = table.num_rows
        table = step.apply(table)
        assert table.num_rows == num_rows, f"step {step.name} changed the number of rows"
        assert table.schema.names == expected, (
            f"step {step.name} left columns {table.schema.names}, expected {expected}"
        )
        for field in step.adds:
            got = table.schema.field(field.name).type
            assert got == field.type, f"step {step.name}: {field.name} is {got}, not {field.type}"
        if step.decide is not None:
            table = step.decide(table)
    return table


def alive(table: pa.Table) -> BooleanArray:
    """Shape [rows], bool: which rows no rule has marked so far."""
    null = pc.is_null(table["drop_reason"])
    return np.asarray(null.to_numpy(zero_copy_only=False), dtype=np.bool_)


def mark(
    table: pa.Table,
    failing: BooleanArray,
    reason: str,
    values: npt.NDArray[np.generic],
    threshold: float | npt.NDArray[np.float64],
) -> pa.Table:
    """`table` with `reason`, value and threshold written on failing rows that are still alive.

    `failing` is bool of shape [rows]; `values` is numeric of shape [rows] and is recorded as
    float64, NaN as null; `threshold` is one number, or one for each row. A row keeps the first
    reason it gets.
    """
    assert failing.shape == values.shape == (table.num_rows,), "one flag and value for each row"
    chosen = pa.array(failing & alive(table))
    recorded = pa.array(values.astype(np.float64), from_pandas=True)
    columns = {
        "drop_reason": pa.scalar(reason, pa.string()),
        "drop_value": recorded,
        "drop_threshold": (
            pa.array(threshold)
            if isinstance(threshold, np.ndarray)
            else pa.scalar(float(threshold), pa.float64())
        ),
    }
    for name, value in columns.items():
        position = table.schema.get_field_index(name)
        merged = pc.if_else(chosen, value, table[name].combine_chunks())
        table = table.set_column(position, table.schema.field(name), merged)
    return table
