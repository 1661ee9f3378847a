"""Normalization: one spelling for text that looks the same, and nothing that cannot be seen.

1. Line ends (CR LF, CR, VT, FF, NEL, U+2028, U+2029) become a line feed.
2. Removed: controls but tab and line feed, the byte order mark, zero width space and word joiner,
   soft hyphen, the code points that Unicode keeps for no character. Joiners (U+200C, U+200D) and
   marks of direction stay: Persian, Indic scripts and emoji mean something by them.
3. Unicode NFC, after the removals, because they can bring a letter and its accent together.

Two more, if the recipe asks for them, by row and only where a pattern over the column says that a
row needs it: text that was decoded with a wrong encoding is repaired, before all else, because what
is removed is a part of such damage; traditional Chinese becomes simplified, after all else
(`repair.py`).

Doing it twice changes nothing. A kernel finds the rows that need work, Arrow's compute functions do
it; the others are not copied.
"""

import functools
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Normalize
from dataprep.step import Step, mark
from dataprep.text import repair
from dataprep.text.normalize_kernels import characters, look

REASON = "normalize.empty"

_LINE_ENDS = r"\r\n?|[\x0b\x0c\x{85}\x{2028}\x{2029}]"
_REMOVED = (
    r"[\x00-\x08\x0e-\x1f\x7f-\x{84}\x{86}-\x{9f}\x{ad}\x{200b}\x{2060}\x{feff}"
    r"\x{fdd0}-\x{fdef}\x{fffe}\x{ffff}]"
)

# Repair may bring together what can be repaired again; text needs one round, rarely two.
_REPAIRS_MAX = 4


def make_step(config: Normalize | None = None) -> Step:
    """The step `normalize`: edits `text`, adds `normalize_removed_bytes` (int64, net).

    A document of which nothing but white space remains is marked `normalize.empty`.
    """
    return Step(
        name="normalize",
        needs=("text", "drop_reason", "drop_value", "drop_threshold"),
        adds=(pa.field("normalize_removed_bytes", pa.int64(), nullable=False),),
        apply=functools.partial(_apply, config=config or Normalize()),
    )


def normalize(text: pa.Array, config: Normalize | None = None) -> pa.Array:
    """`text` (large_string without nulls) in normal form, row by row; repaired if so configured."""
    config = config or Normalize()
    for _ in range(_REPAIRS_MAX if config.repair else 0):
        rows = repair.damaged(text)
        repaired = _rewrite(text, rows, repair.repair)
        text, before = _spell(repaired), text
        if text.equals(before):
            break
    text = _spell(text)
    if config.chinese == "simplified":
        text = _spell(_rewrite(text, repair.traditional(text), repair.simplify))
    return text


def _spell(text: pa.Array) -> pa.Array:
    edited, composed, _ = look(*text_buffers(text), characters())
    if edited.any():
        text = _rewrite(text, pa.array(edited), _edit)
        # A letter and its accent may have come together.
        _, composed, _ = look(*text_buffers(text), characters())
    return _rewrite(text, pa.array(composed), _compose)


def _apply(table: pa.Table, config: Normalize) -> pa.Table:
    before = table["text"].combine_chunks()
    after = normalize(before, config)
    removed = pc.subtract(pc.binary_length(before), pc.binary_length(after))
    position = table.schema.get_field_index("text")
    table = table.set_column(position, table.schema.field("text"), after)
    field = pa.field("normalize_removed_bytes", pa.int64(), nullable=False)
    table = table.append_column(field, removed)
    _, _, seen = look(*text_buffers(after), characters())
    return mark(table, ~seen, REASON, seen, 1.0)


def _edit(text: pa.Array) -> pa.Array:
    text = pc.replace_substring_regex(text, pattern=_LINE_ENDS, replacement="\n")
    return pc.replace_substring_regex(text, pattern=_REMOVED, replacement="")


def _compose(text: pa.Array) -> pa.Array:
    return pc.utf8_normalize(text, form="NFC")


def _rewrite(text: pa.Array, rows: pa.Array, function: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`text` with `function` applied to the rows that are true in `rows`."""
    num_rows = pc.sum(rows).as_py() or 0
    if num_rows == 0:
        return text
    if num_rows == len(text):
        return function(text)
    return pc.replace_with_mask(text, rows, function(text.filter(rows)))
