"""Keywords: how often the words of a list occur in a text, and the rules on it.

A list without `matches_max` and `share_max` drops nothing: its counts are there to be looked at.
Counting costs about 130 MB/s a list and core, and nothing where no list is configured.
"""

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config import KeywordList
from dataprep.step import BooleanArray, Step, mark
from dataprep.text import word_lists


def make_steps(lists: tuple[KeywordList, ...]) -> list[Step]:
    """The step `keywords`, or none if there is no list.

    For each list it adds `keywords_NAME` (int64, occurrences) and `keywords_NAME_share` (float64,
    0 to 1, of the text's bytes), 0 in the languages that it is not for, and marks `keywords.NAME`.
    Raises UserError if a file cannot be read.
    """
    if not lists:
        return []
    for table in lists:
        _automata(table)
    adds = []
    for table in lists:
        adds.append(pa.field(f"keywords_{table.name}", pa.int64(), nullable=False))
        adds.append(pa.field(f"keywords_{table.name}_share", pa.float64(), nullable=False))
    return [
        Step(
            name="keywords",
            needs=("text", "language", "drop_reason", "drop_value", "drop_threshold"),
            adds=tuple(adds),
            apply=functools.partial(_apply, lists=lists),
            decide=functools.partial(_decide, lists=lists),
        )
    ]


def _apply(table: pa.Table, lists: tuple[KeywordList, ...]) -> pa.Table:
    sizes = pc.binary_length(table["text"]).to_numpy()
    for own in lists:
        found, allowed = _automata(own)
        searched = _searched(table, own)
        matches = np.zeros(table.num_rows, dtype=np.int64)
        covered = np.zeros(table.num_rows, dtype=np.int64)
        text = table["text"] if searched.all() else table["text"].filter(pa.array(searched))
        matches[searched], covered[searched] = word_lists.count(text, found, allowed)
        field = pa.field(f"keywords_{own.name}", pa.int64(), nullable=False)
        table = table.append_column(field, pa.array(matches))
        field = pa.field(f"keywords_{own.name}_share", pa.float64(), nullable=False)
        table = table.append_column(field, pa.array(covered / np.maximum(sizes, 1)))
    return table


def _automata(own: KeywordList) -> tuple[word_lists.Automaton, word_lists.Automaton | None]:
    """The list's words, and what protects words inside it (Scunthorpe), if there is such a list."""
    where = f"dataprep.keywords.{own.name}"
    found = word_lists.load(own.paths, f"{where}.paths")
    if not own.allow_paths:
        return found, None
    return found, word_lists.load(own.allow_paths, f"{where}.allow_paths")


def _searched(table: pa.Table, own: KeywordList) -> BooleanArray:
    if not own.languages:
        return np.ones(table.num_rows, dtype=np.bool_)
    wanted = pc.is_in(table["language"], pa.array(own.languages, pa.string()))
    return np.asarray(wanted.to_numpy(), np.bool_)


def _decide(table: pa.Table, lists: tuple[KeywordList, ...]) -> pa.Table:
    for own in lists:
        reason = f"keywords.{own.name}"
        for suffix, most in (("", own.matches_max), ("_share", own.share_max)):
            if most is not None:
                values = table[f"keywords_{own.name}{suffix}"].to_numpy()
                table = mark(table, values > most, reason, values, most)
    return table
