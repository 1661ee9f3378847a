"""The recipe's allow and deny rules over licences: which reason drops a document, if any."""

import difflib
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_rights import Rights
from dataprep.rights.licences import UNKNOWN, licence_of
from dataprep.rights.patterns import allows, denies
from launch.errors import UserError

if TYPE_CHECKING:
    from dataprep.config import Source

DENIED, NOT_ALLOWED, UNKNOWN_REASON = "rights.denied", "rights.not_allowed", "rights.unknown"
REASONS = (DENIED, NOT_ALLOWED, UNKNOWN_REASON)


def check(config: Rights, sources: "Sequence[Source]") -> None:
    """Raise `UserError` for a table of a source that the recipe does not have."""
    names = [source.name for source in sources]
    for name in config.sources:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean '{close[0]}'?" if close else ""
            expected = f"names of sources: {', '.join(names)}"
            raise UserError(f"dataprep.rights.sources.{name}", "no source", expected, hint)


def of_source(config: Rights, source: str) -> Rights:
    """The rules for one source: its own keys in the place of the others'."""
    own = config.sources.get(source)
    if own is None:
        return config
    return config.model_copy(update=own.model_dump(exclude_none=True))


def judges(config: Rights) -> bool:
    """Whether any licence can be a reason to drop a document."""
    tables = [config, *(of_source(config, name) for name in config.sources)]
    return any(table.allow or table.deny or table.unknown == "drop" for table in tables)


def verdict(config: Rights, expression: str | None) -> str | None:
    """The reason why a document of this licence (None: unknown) is dropped, or None.

    `config` is that of its source (`of_source`).
    """
    if expression is not None:
        if denies(config.deny, expression):
            return DENIED
        if allows(config.allow, expression):
            return None
        if licence_of(expression).family != UNKNOWN:
            return NOT_ALLOWED if config.allow else None
    drop_unknown = config.unknown == "drop" or (config.unknown is None and bool(config.allow))
    return UNKNOWN_REASON if drop_unknown else None


def marked(table: pa.Table, config: Rights) -> pa.Table:
    """`table` with the rows that its own licences drop, as if no document had a copy."""
    reasons = verdicts(config, *(table[n].combine_chunks() for n in ("source", "rights_license")))
    position = table.schema.get_field_index("drop_reason")
    merged = pc.coalesce(table["drop_reason"].combine_chunks(), reasons)
    return table.set_column(position, table.schema.field(position), merged)


def verdicts(config: Rights, sources: pa.Array, expressions: pa.Array) -> pa.Array:
    """`verdict` of each row (string, null: kept); each different pair is judged once."""
    encoded = [column.dictionary_encode() for column in (sources, expressions)]
    names, licences = (column.dictionary.to_pylist() for column in encoded)
    licences.append(None)
    codes = [
        np.asarray(pc.fill_null(column.indices, fill).to_numpy(), np.int64)
        for column, fill in zip(encoded, (0, len(licences) - 1), strict=True)
    ]
    pairs, of_row = np.unique(codes[0] * len(licences) + codes[1], return_inverse=True)
    judge = functools.lru_cache(maxsize=None)(functools.partial(of_source, config))
    found = [
        verdict(judge(names[pair // len(licences)]), licences[pair % len(licences)])
        for pair in pairs.tolist()
    ]
    return pa.array(found, pa.string()).take(pa.array(of_row))
