"""Personal data out of every document: text, address and metadata, dropped documents included.

In: the chain's table. Out: the same rows with each finding replaced as its kind's mode says, the
counts per kind, and the bytes that the text lost (net). Nothing of ours writes a document before
this step has seen it.

Cheap before dear: `prefilter` says in which windows of which rows something may stand; only those
become Python strings, and what is replaced in them is put back into the bytes of the row. Rows that
changed go round again until nothing is found in any, which makes the step idempotent by
construction; `replace` says why that ends.
"""

import itertools
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_pii import Pii
from dataprep.pii import modes
from dataprep.pii.kinds import PLACEHOLDERS, selected
from dataprep.pii.phone import known_region
from dataprep.pii.prefilter import candidates
from dataprep.pii.replace import Replacing, make_replacing, nothing_left, rewrite
from dataprep.pii.rules import check_rules
from dataprep.step import Step, mark
from launch.errors import UserError

NAME = "pii"
EMPTY_REASON = "pii.empty"
MANY_REASON = "pii.findings"
ADDED = (
    *(pa.field(f"pii_{counted}", pa.int32()) for counted in PLACEHOLDERS),
    pa.field("pii_removed_bytes", pa.int64()),
    # Stored beside the documents, not in them (contract.stands_beside).
    pa.field("pii_empty", pa.bool_()),
)

Counts = npt.NDArray[np.int32]
IntegerArray = npt.NDArray[np.int64]


def redact(
    text: str, config: Pii, kinds: Collection[str] | None = None, key: bytes | None = None
) -> tuple[str, dict[str, int]]:
    """`text` with every finding replaced, and the number of findings by what they count as.

    What the step does with one value, without looking for windows first. `key` is that of the
    hashes (`modes.load_key`); `kinds` are names, by default the configured ones.
    """
    counts = dict.fromkeys(PLACEHOLDERS, 0)
    replacing = make_replacing(config, key)
    names = replacing.kinds if kinds is None else kinds
    for number_of_pass in itertools.count():
        text, found = rewrite(text, replacing, names, number_of_pass)
        for finding in found:
            counts[finding.counted_as] += 1
        if not found:
            break
    return text, counts


def make_step(config: Pii) -> Step:
    """The step: text, url, license and values of meta rewritten, `pii_KIND` counts and
    `pii_removed_bytes`.

    Counts (int32) are over all four places; `pii_removed_bytes` (int64) is over the text alone,
    bytes of UTF-8 before minus after, negative where marks are longer. A document of which only
    marks and punctuation are left is marked `pii.empty`; one with a finding of a kind whose mode is
    drop `pii.KIND`; one with more than `findings_max` findings `pii.findings`. With mode "off" the
    columns are there and zero.

    Raises UserError for a phone region that has no number plan, and for what `modes.check` refuses;
    `apply` raises it for a key that is missing or short.
    """
    for region in config.phone_regions:
        if not known_region(region):
            raise UserError(
                "dataprep.pii.phone_regions", f"'{region}'", "an ISO 3166-1 code such as 'US'"
            )
    check_rules(config)
    modes.check(config)
    return Step(
        name=NAME,
        needs=("text", "url", "license", "meta", "drop_reason", "drop_value", "drop_threshold"),
        adds=ADDED,
        apply=lambda table: _apply(table, config),
        decide=lambda table: _decide(table, config),
        settings=modes.edits(config),
    )


def _apply(table: pa.Table, config: Pii) -> pa.Table:
    counts = {counted: np.zeros(table.num_rows, np.int32) for counted in PLACEHOLDERS}
    empty = np.zeros(table.num_rows, np.bool_)
    before_bytes = _num_bytes(table["text"])
    replacing = make_replacing(config, modes.load_key(config))
    if replacing.kinds:
        text, changed = _redact_column(table["text"], replacing, counts)
        for row in changed:
            empty[row] = nothing_left(text[row].as_py())
        table = _set(table, "text", text)
        for name in ("url", "license"):
            table = _set(table, name, _redact_column(table[name], replacing, counts)[0])
        table = _set(table, "meta", _redact_meta(table["meta"], replacing, counts))
    for counted, values in counts.items():
        table = table.append_column(f"pii_{counted}", pa.array(values, pa.int32()))
    removed = before_bytes - _num_bytes(table["text"])
    table = table.append_column("pii_removed_bytes", pa.array(removed, pa.int64()))
    return table.append_column("pii_empty", pa.array(empty))


def _decide(table: pa.Table, config: Pii) -> pa.Table:
    counted = {name: table[f"pii_{name}"].to_numpy().astype(np.int64) for name in PLACEHOLDERS}
    total = np.sum([*counted.values()], axis=0)
    empty = np.asarray(table["pii_empty"].to_numpy(), np.bool_)
    if empty.any():
        table = mark(table, empty, EMPTY_REASON, total, 0.0)
    for name in modes.dropping(config):
        table = mark(table, counted[name] > 0, f"{NAME}.{name}", counted[name], 0.0)
    if config.findings_max is not None:
        many = total > config.findings_max
        table = mark(table, many, MANY_REASON, total, config.findings_max)
    return table


def _redact_column(
    column: pa.ChunkedArray | pa.Array,
    replacing: Replacing,
    counts: dict[str, Counts],
    owners: IntegerArray | None = None,
) -> tuple[pa.Array, list[int]]:
    """The rewritten column and the positions of changed values; adds to `counts` in place, for each
    value at the row that owns it."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kinds = [kind for kind in selected(replacing.config) if kind.name in replacing.kinds]
    names = np.array([kind.name for kind in kinds])
    rows = np.arange(len(values))
    looked_at = pc.fill_null(values.cast(pa.large_string()), "")
    newest: dict[int, bytes] = {}
    for number_of_pass in itertools.count():
        found = candidates(looked_at, kinds)
        pieces: dict[int, list[tuple[int, int, bytes]]] = {}
        for window, (place, start, stop) in enumerate(found.places.tolist()):
            old = found.texts[window].as_py()
            new, findings = rewrite(old, replacing, names[found.kinds[window]], number_of_pass)
            if findings:
                pieces.setdefault(place, []).append((start, stop, new.encode()))
            row = rows[place] if owners is None else owners[rows[place]]
            for finding in findings:
                counts[finding.counted_as][row] += 1
        if not pieces:
            break
        changed = [_spliced(looked_at[place].as_buffer(), pieces[place]) for place in pieces]
        rows = rows[[*pieces]]
        newest.update(zip(rows.tolist(), changed, strict=True))
        looked_at = pa.array(changed, pa.large_binary()).view(pa.large_string())
    if not newest:
        return values, []
    mask = np.zeros(len(values), np.bool_)
    mask[[*newest]] = True
    replaced = pa.array([newest[row] for row in sorted(newest)], pa.large_binary())
    replaced = replaced.view(pa.large_string()).cast(values.type)
    return pc.replace_with_mask(values, pa.array(mask), replaced), sorted(newest)


def _spliced(old: pa.Buffer, pieces: Collection[tuple[int, int, bytes]]) -> bytes:
    """`old` with the bytes of each piece, which are in order, in the place of those from its start
    to its stop."""
    view = memoryview(old)
    parts: list[bytes | memoryview] = []
    position = 0
    for start, stop, content in pieces:
        parts += [view[position:start], content]
        position = stop
    return b"".join([*parts, view[position:]])


def _redact_meta(
    column: pa.ChunkedArray, replacing: Replacing, counts: dict[str, Counts]
) -> pa.Array:
    """The map column with its values rewritten; keys are the recipe's field names and stay."""
    meta = column.combine_chunks()
    assert meta.null_count == 0, "the contract has no null meta"
    offsets = meta.offsets.to_numpy()
    first, last = int(offsets[0]), int(offsets[-1])
    owners = np.repeat(np.arange(len(meta)), np.diff(offsets))
    items, _ = _redact_column(meta.items[first:last], replacing, counts, owners)
    starts = pa.array(offsets - first, pa.int32())
    return pa.MapArray.from_arrays(starts, meta.keys[first:last], items, type=meta.type)


def _num_bytes(column: pa.ChunkedArray) -> IntegerArray:
    lengths = pc.fill_null(pc.binary_length(column.combine_chunks()), 0)
    return lengths.to_numpy(zero_copy_only=False).astype(np.int64)


def _set(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    position = table.schema.get_field_index(name)
    return table.set_column(position, table.schema.field(name), values)
