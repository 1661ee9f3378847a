"""Personal data out of every document: text, address and metadata, dropped documents included.

In: the chain's table. Out: the same rows with each finding replaced by its kind's placeholder, the
counts per kind, and the bytes that the text lost (net). Nothing of ours writes a document before
this step has seen it.

Cheap before dear: RE2 (through `pyarrow.compute`) looks over the whole column for the anchor of
each kind, and only rows that have one become Python strings; there bounded patterns propose and
the checks of each kind decide. A value is rewritten until nothing is found in it, which makes the
step idempotent by construction; each pass removes digits or an @ sign, so it ends.
"""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_pii import Pii
from dataprep.pii.kinds import PLACEHOLDERS, find, selected
from dataprep.pii.phone import known_region
from dataprep.pii.rules import check_rules
from dataprep.step import Step, mark
from launch.errors import UserError

NAME = "pii"
EMPTY_REASON = "pii.empty"
ADDED = (
    *(pa.field(f"pii_{counted}", pa.int32()) for counted in PLACEHOLDERS),
    pa.field("pii_removed_bytes", pa.int64()),
    # Stored beside the documents, not in them (contract.stands_beside).
    pa.field("pii_empty", pa.bool_()),
)

Counts = npt.NDArray[np.int32]
IntegerArray = npt.NDArray[np.int64]


def redact(
    text: str, config: Pii, kinds: Collection[str] | None = None
) -> tuple[str, dict[str, int]]:
    """`text` with every finding replaced, and the number of findings by what they count as."""
    counts = dict.fromkeys(PLACEHOLDERS, 0)
    while findings := find(text, config, kinds):
        pieces = []
        position = 0
        for finding in findings:
            pieces += [text[position : finding.start], PLACEHOLDERS[finding.counted_as]]
            counts[finding.counted_as] += 1
            position = finding.end
        text = "".join([*pieces, text[position:]])
    return text, counts


def make_step(config: Pii) -> Step:
    """The step: text, url and meta values rewritten, `pii_KIND` counts and `pii_removed_bytes`.

    Counts (int32) are over all three places; `pii_removed_bytes` (int64) is over the text alone,
    bytes of UTF-8 before minus after, negative where placeholders are longer. A document of which
    only placeholders and punctuation are left is marked `pii.empty`. With mode "off" the columns
    are there and zero.

    Raises UserError for a phone region that has no number plan.
    """
    for region in config.phone_regions:
        if not known_region(region):
            raise UserError(
                "dataprep.pii.phone_regions", f"'{region}'", "an ISO 3166-1 code such as 'US'"
            )
    check_rules(config)
    return Step(
        name=NAME,
        needs=("text", "url", "meta", "drop_reason", "drop_value", "drop_threshold"),
        adds=ADDED,
        apply=lambda table: _apply(table, config),
        decide=_decide,
    )


def _apply(table: pa.Table, config: Pii) -> pa.Table:
    counts = {counted: np.zeros(table.num_rows, np.int32) for counted in PLACEHOLDERS}
    empty = np.zeros(table.num_rows, np.bool_)
    before_bytes = _num_bytes(table["text"])
    if config.mode == "placeholder":
        text, changed = _redact_column(table["text"], config, counts)
        for row in changed:
            empty[row] = _nothing_left(text[row].as_py())
        table = _set(table, "text", text)
        table = _set(table, "url", _redact_column(table["url"], config, counts)[0])
        table = _set(table, "meta", _redact_meta(table["meta"], config, counts))
    for counted, values in counts.items():
        table = table.append_column(f"pii_{counted}", pa.array(values, pa.int32()))
    removed = before_bytes - _num_bytes(table["text"])
    table = table.append_column("pii_removed_bytes", pa.array(removed, pa.int64()))
    return table.append_column("pii_empty", pa.array(empty))


def _decide(table: pa.Table) -> pa.Table:
    empty = np.asarray(table["pii_empty"].to_numpy(), np.bool_)
    if not empty.any():
        return table
    total = np.sum([table[f"pii_{counted}"].to_numpy() for counted in PLACEHOLDERS], axis=0)
    return mark(table, empty, EMPTY_REASON, total.astype(np.float64), 0.0)


def _redact_column(
    column: pa.ChunkedArray | pa.Array,
    config: Pii,
    counts: dict[str, Counts],
    rows: IntegerArray | None = None,
) -> tuple[pa.Array, list[int]]:
    """The rewritten column and the positions of changed values; adds to `counts` in place."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    owners = np.arange(len(values)) if rows is None else rows
    # A placeholder holds no anchor, so that the kinds of a row stay the same from pass to pass.
    anchored = {kind.name: _matches(values, kind.anchor) for kind in selected(config)}
    hits = np.flatnonzero(np.logical_or.reduce([*anchored.values(), np.zeros(len(values), bool)]))
    changed: list[int] = []
    replaced: list[str] = []
    for row in hits.tolist():
        old = values[row].as_py()
        kinds = [kind for kind, found in anchored.items() if found[row]]
        new, found = redact(old, config, kinds)
        if new != old:
            changed.append(row)
            replaced.append(new)
            for counted, number in found.items():
                counts[counted][owners[row]] += number
    if not changed:
        return values, []
    mask = np.zeros(len(values), np.bool_)
    mask[changed] = True
    new_values = pc.replace_with_mask(values, pa.array(mask), pa.array(replaced, values.type))
    return new_values, changed


def _redact_meta(column: pa.ChunkedArray, config: Pii, counts: dict[str, Counts]) -> pa.Array:
    """The map column with its values rewritten; keys are the recipe's field names and stay."""
    meta = column.combine_chunks()
    assert meta.null_count == 0, "the contract has no null meta"
    offsets = meta.offsets.to_numpy()
    first, last = int(offsets[0]), int(offsets[-1])
    owners = np.repeat(np.arange(len(meta)), np.diff(offsets))
    items, _ = _redact_column(meta.items[first:last], config, counts, owners)
    starts = pa.array(offsets - first, pa.int32())
    return pa.MapArray.from_arrays(starts, meta.keys[first:last], items, type=meta.type)


def _matches(values: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    found = pc.fill_null(pc.match_substring_regex(values, pattern), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _nothing_left(text: str) -> bool:
    for placeholder in PLACEHOLDERS.values():
        text = text.replace(placeholder, "")
    return not any(character.isalnum() for character in text)


def _num_bytes(column: pa.ChunkedArray) -> IntegerArray:
    lengths = pc.fill_null(pc.binary_length(column.combine_chunks()), 0)
    return lengths.to_numpy(zero_copy_only=False).astype(np.int64)


def _set(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    position = table.schema.get_field_index(name)
    return table.set_column(position, table.schema.field(name), values)
