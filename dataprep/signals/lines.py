"""The step that takes lines out of texts, as C4 and RefinedWeb do.

With preset `c4` (Raffel et al. 2020): a line stays if it has three words at least, none longer than
1,000 characters, names neither JavaScript nor cookies and terms of use, and, unless the recipe says
otherwise, ends as a sentence does; marks of citation go. With preset `refinedweb` (Penedo et al.
2023, section G.2): lines of capitals, of digits, of one word, counters ("3 likes") and short lines
of navigation go. What share of its words a document loses is a signal, which a rule of RefinedWeb
judges. Texts that no preset of prose judges (Chinese, code, mathematics) stay as they are.

Every row is edited, dropped ones too: what a text becomes does not depend on thresholds.
"""

import functools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Dataprep
from dataprep.signals.line_edit_kernels import (
    C4,
    C4_OPEN,
    REFINEDWEB,
    SHORT,
    find_lines,
    join_lines,
)
from dataprep.signals.rules import is_prose
from dataprep.step import BooleanArray, Step, mark
from dataprep.text.line_kernels import SUSPECT_PATTERN
from dataprep.text.word_characters import word_characters

REASON = "lines.empty"
_CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"
# RefinedWeb, table 8: counters, and phrases of navigation in lines of ten words at most.
_NAVIGATION = (
    r"(?i)^\W*\d[\d.,]*[kmb]?\s+(?:likes?|shares?|comments?|retweets?|reposts?|quotes?|bookmarks?|"
    r"upvotes?|downvotes?|downloads?|views?|followers?)\W*$"
    r"|^\W*sign[- ]in\b|\bread more(?:\.\.\.|…)\W*$|\bitems in cart\b"
)

_ADDS = (
    pa.field("lines_removed_words", pa.float64(), nullable=False),
    pa.field("lines_removed_bytes", pa.int64(), nullable=False),
    pa.field("lines_empty", pa.bool_(), nullable=False),
)


def make_step(config: Dataprep) -> Step:
    """The step `lines`: edits `text`; adds the share of words lost and the bytes removed.

    A document of which nothing remains is marked `lines.empty`.
    """
    edits = tuple(name for name in config.presets if name in ("c4", "refinedweb"))
    # Which rows are prose depends on these.
    kinds = tuple(name for name in config.presets if name in ("chinese", "code", "mathematics"))
    open_ended = not config.terminal_punctuation
    return Step(
        name="lines",
        needs=("text", "language", "drop_reason", "drop_value", "drop_threshold"),
        adds=_ADDS,
        apply=functools.partial(_apply, edits=edits, presets=kinds, open_ended=open_ended),
        decide=_decide,
        settings=(edits, kinds, open_ended) if edits else (),
    )


def edit(
    text: pa.ChunkedArray | pa.Array, rows: BooleanArray, edits: tuple[str, ...], open_ended: bool
) -> tuple[pa.Array, npt.NDArray[np.float64]]:
    """`text` (large_string) with lines taken out of `rows`, and the share of words each lost."""
    data, offsets = text_buffers(text)
    suspects = pc.match_substring_regex(text, SUSPECT_PATTERN).to_numpy(zero_copy_only=False)
    wanted = 0
    if "c4" in edits:
        wanted |= C4_OPEN if open_ended else C4
    if "refinedweb" in edits:
        wanted |= REFINEDWEB
    starts, row_lines, verdicts, words = find_lines(
        data, offsets, word_characters(), np.array(suspects, np.bool_), rows, wanted
    )
    if "refinedweb" in edits:
        short = np.flatnonzero(verdicts == SHORT)
        verdicts[short] = 0
        verdicts[short[_matches(data, starts, short)]] = 1
    kept_bytes, kept_offsets, lost = join_lines(
        data, offsets, starts, row_lines, verdicts, words, rows
    )
    edited = pa.Array.from_buffers(
        pa.large_string(),
        len(offsets) - 1,
        [None, pa.py_buffer(kept_offsets), pa.py_buffer(kept_bytes)],
    )
    if "c4" in edits:
        cited = pc.match_substring_regex(edited, _CITATION)
        cited = pc.and_(cited, pa.array(rows))
        if pc.any(cited).as_py():
            without = pc.replace_substring_regex(edited.filter(cited), _CITATION, "")
            edited = pc.replace_with_mask(edited, cited, without)
    return edited, lost


def _matches(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]
) -> BooleanArray:
    """Shape [chosen], bool: which of the chosen lines are counters or navigation."""
    lines = pa.Array.from_buffers(
        pa.large_string(), len(starts) - 1, [None, pa.py_buffer(starts), pa.py_buffer(data)]
    ).take(pa.array(chosen))
    trimmed = pc.utf8_trim_whitespace(lines)
    found = pc.match_substring_regex(trimmed, _NAVIGATION)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def _apply(
    table: pa.Table, edits: tuple[str, ...], presets: tuple[str, ...], open_ended: bool
) -> pa.Table:
    lost = np.zeros(table.num_rows, np.float64)
    removed = np.zeros(table.num_rows, np.int64)
    empty = np.zeros(table.num_rows, np.bool_)
    if edits:
        before = pc.binary_length(table["text"]).to_numpy()
        edited, lost = edit(table["text"], is_prose(table, presets), edits, open_ended)
        left = pc.binary_length(edited).to_numpy()
        removed = before - left
        empty = (left == 0) & (before > 0)
        position = table.schema.get_field_index("text")
        table = table.set_column(position, table.schema.field("text"), edited)
    for field, values in zip(_ADDS, (lost, removed, empty), strict=True):
        table = table.append_column(field, pa.array(values))
    return table


def _decide(table: pa.Table) -> pa.Table:
    empty = np.asarray(table["lines_empty"].to_numpy(), np.bool_)
    if not empty.any():
        return table
    return mark(table, empty, REASON, table["lines_removed_words"].to_numpy(), 1.0)
