"""The step `rights`: what each document's licence is, and whether its site asks to be left out.

In: `license` as it was stated, and the marks that a reader found. Out: the licence in SPDX's
spelling with its family, and all marks, those in fields of the record (`columns.meta`) too. An
opt-out drops the document here: it is a mark of the place where this copy stands. Licences are
judged after deduplication (`clusters`), because a copy's licence counts for all of them.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_rights import Rights
from dataprep.rights import opt_out
from dataprep.rights.licences import UNKNOWN, read_licence
from dataprep.step import BooleanArray, Step, mark

NAME = "rights"
LICENSE, FAMILY = "rights_license", "rights_family"
EVIDENCE, OPT_OUT = "rights_evidence", "rights_opt_out"
OPT_OUT_REASON = "rights.opt_out"

_ADDS = (
    pa.field(LICENSE, pa.string()),
    pa.field(FAMILY, pa.string(), nullable=False),
)
# Names of fields in `meta` that hold marks, with `_` for `-` too.
_FIELDS = ("robots", "x-robots-tag", "tdm-reservation", "tdm-policy", "content-usage")


def make_step(config: Rights) -> Step:
    """The step: `rights_license` (SPDX expression, null if unknown), `rights_family`, and
    `rights_opt_out` completed; rows that opt out are marked `rights.opt_out`, with the number of
    their marks, unless the recipe only records them."""

    def apply(table: pa.Table) -> pa.Table:
        position = table.schema.get_field_index(OPT_OUT)
        field = table.schema.field(position)
        table = table.set_column(position, field, _with_record_marks(table))
        for field, column in zip(_ADDS, normalized(table["license"]), strict=True):
            table = table.append_column(field, column)
        return table

    def decide(table: pa.Table) -> pa.Table:
        counts = _opt_outs(table[OPT_OUT], config)
        failing = (counts > 0) & _respecting(table["source"], config)
        return mark(table, failing, OPT_OUT_REASON, counts, 0.0)

    needs = ("license", OPT_OUT, "source", "meta", "drop_reason", "drop_value", "drop_threshold")
    return Step(NAME, needs, _ADDS, apply, decide)


def normalized(licenses: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """SPDX expressions (string, null if unknown) and families of stated licences; each different
    statement is read once."""
    encoded = licenses.combine_chunks().dictionary_encode()
    read = [
        None if stated is None else read_licence(stated)
        for stated in encoded.dictionary.to_pylist()
    ]
    expressions = pa.array([None if one is None else one.expression for one in read], pa.string())
    families = pa.array([UNKNOWN if one is None else one.family for one in read], pa.string())
    return (
        expressions.take(encoded.indices),
        pc.fill_null(families.take(encoded.indices), UNKNOWN),
    )


def _opt_outs(marks: pa.ChunkedArray, config: Rights) -> np.ndarray:
    """Shape [rows], int64: how many marks of the recipe's kinds each row has."""
    column = marks.combine_chunks()
    offsets = column.offsets.to_numpy()
    flat = column.values[offsets[0] : offsets[-1]].dictionary_encode()
    counting = np.array(
        [opt_out.kind_of(one) in config.opt_out_kinds for one in flat.dictionary.to_pylist()],
        np.bool_,
    )
    own = counting[flat.indices.to_numpy()] if len(flat) else np.zeros(0, np.bool_)
    before = np.concatenate(([0], np.cumsum(own, dtype=np.int64)))
    places = offsets - offsets[0]
    return before[places[1:]] - before[places[:-1]]


def _respecting(sources: pa.ChunkedArray, config: Rights) -> BooleanArray:
    """Shape [rows], bool: rows of sources whose opt-outs count."""
    other = [
        name
        for name, table in config.sources.items()
        if table.opt_out is not None and table.opt_out != config.opt_out
    ]
    differs = pc.is_in(sources, pa.array(other, pa.string())).to_numpy()
    return np.asarray(differs ^ (config.opt_out == "respect"), np.bool_)


def _with_record_marks(table: pa.Table) -> pa.Array:
    """The marks that readers found, with those in the fields of `meta`."""
    meta = table["meta"].combine_chunks()
    known = table[OPT_OUT].combine_chunks()
    first, last = meta.offsets[0].as_py(), meta.offsets[len(meta)].as_py()
    keys = meta.keys[first:last].dictionary_encode()
    names = [_field_name(key) for key in keys.dictionary.to_pylist()]
    wanted = np.array([name is not None for name in names], np.bool_)
    places = np.flatnonzero(wanted[keys.indices.to_numpy()]) if len(keys) else ()
    if not len(places):
        return known
    owners = np.repeat(np.arange(len(meta)), np.diff(meta.offsets.to_numpy()))
    added: dict[int, list[str]] = {}
    values = meta.items[first:last]
    for place in places:
        value, name = values[int(place)].as_py(), names[keys.indices[int(place)].as_py()]
        if value and name:
            found = opt_out.marks("record", name, value)
            added.setdefault(int(owners[place]), []).extend(found)
    rows = known.to_pylist()
    for row, found in added.items():
        rows[row] = opt_out.together([*rows[row], *found])
    return pa.array(rows, known.type)


def _field_name(key: str) -> str | None:
    """`http.x_robots_tag` is a field of the name x-robots-tag."""
    name = key.rpartition(".")[2].lower().replace("_", "-")
    return name if name in _FIELDS else None
