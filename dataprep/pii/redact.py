"""Personal data out of every document: text, address and metadata, dropped documents included.

In: the chain's table. Out: the same rows with each finding replaced by its kind's placeholder, the
counts per kind, and the bytes that the text lost (net). Nothing of ours writes a document before
this step has seen it.

Cheap before dear: RE2 (through `pyarrow.compute`) looks over the whole column for the anchor of
each kind, and only rows that have one become Python strings; there bounded patterns propose and
`validators` decides. A value is rewritten until nothing is found in it, which makes the step
idempotent by construction; each pass removes digits or an @ sign, so it ends.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_pii import Pii
from dataprep.pii.validators import (
    CONTEXT_CHARACTERS,
    is_card,
    is_email,
    is_ipv4,
    is_ipv6,
    known_region,
    phone_span,
)
from dataprep.step import Step, mark
from launch.errors import UserError

NAME = "pii"
EMPTY_REASON = "pii.empty"
# What is counted in one column and shown by one placeholder.
PLACEHOLDERS = {
    "email": "<EMAIL>",
    "ip_address": "<IP_ADDRESS>",
    "phone": "<PHONE>",
    "card": "<CARD>",
}
COUNTED_AS = {
    "email": "email",
    "ipv4": "ip_address",
    "ipv6": "ip_address",
    "card": "card",
    "phone": "phone",
}
ADDED = (
    *(pa.field(f"pii_{counted}", pa.int32()) for counted in PLACEHOLDERS),
    pa.field("pii_removed_bytes", pa.int64()),
    # Stored beside the documents, not in them (contract.stands_beside).
    pa.field("pii_empty", pa.bool_()),
)

# RE2 patterns: every value with a finding of the kind matches; most values without do not.
_ANCHORS = {
    "email": "@|%40",
    "ipv6": ":[0-9A-Fa-f]{0,4}:",
    "ipv4": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    "card": "[0-9]{4}[ -]?[0-9]{4}[0-9 -]{4}",
    "phone": "[0-9](?:[-. ()/\u00a0\u2010-\u2013]{0,4}[0-9]){6}",
}

_AT = re.compile(
    r"(?:@|%40)((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
    r"(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24}))"
)
_LOCAL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.%+'-]{0,126}[A-Za-z0-9_.%+-])?\Z")
# ASCII, because a Chinese character may stand right beside a number. What must not stand before the
# first digit is looked at after it: a pattern that begins with a digit is searched for much faster.
_IPV4 = re.compile(r"[0-9](?<![\w.][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\w|\.\w)", re.ASCII)
_IPV6_ANCHOR = re.compile(":[0-9A-Fa-f]{0,4}:")
_IPV6_LEFT = re.compile(r"[0-9A-Fa-f:.]{0,48}\Z")
_IPV6_RIGHT = re.compile(r"[0-9A-Fa-f:.]{0,48}(?:%[A-Za-z0-9]{1,15})?")
_CARD = re.compile(
    r"[0-9](?<![\w.,/+-][0-9])(?:[0-9]{11,18}"
    r"|[0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?"
    r"|[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5})(?![\w/]|[.,-][0-9])",
    re.ASCII,
)
_SEPARATOR = "(?: ?[-./\u2010-\u2013] ?|[ \u00a0]|\\) ?[-./]? ?|[ \u00a0]?\\()?"
_PHONE = re.compile(
    rf"[0-9](?<![\w.,/@-][0-9])(?:{_SEPARATOR}[0-9]){{6,16}}"
    r"(?: ?(?:x|ext\.?) ?[0-9]{1,6})?(?!\w|[-.,/][0-9])",
    re.ASCII,
)
_PHONE_LEFT = re.compile(r"(?<![\w.,/@+(-])[(+]{0,3}\Z", re.ASCII)


Counts = npt.NDArray[np.int32]
IntegerArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Finding:
    """One piece of personal data: characters `start` to `end`, and what it is counted as."""

    start: int
    end: int
    counted_as: str


def find(text: str, config: Pii, kinds: Collection[str] | None = None) -> list[Finding]:
    """All findings in `text` of the configured kinds, or of `kinds`, in order, without overlap.

    Where two kinds claim the same characters, the one that is named first wins: e-mail, IPv6,
    IPv4, card, phone.
    """
    taken: list[Finding] = []
    for kind in ("email", "ipv6", "ipv4", "card", "phone"):
        if kind not in (config.kinds if kinds is None else kinds):
            continue
        spans = list(_spans(kind, text, config))
        if spans:
            taken += [
                Finding(start, end, COUNTED_AS[kind])
                for start, end in spans
                if not any(start < other.end and other.start < end for other in taken)
            ]
    return sorted(taken, key=lambda finding: finding.start)


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


def _spans(kind: str, text: str, config: Pii) -> Iterator[tuple[int, int]]:
    everywhere = config.addresses == "all"
    if kind == "email":
        yield from _email_spans(text)
    elif kind == "ipv6":
        yield from _ipv6_spans(text, everywhere)
    elif kind == "ipv4":
        for match in _IPV4.finditer(text):
            if is_ipv4(match[0], *_around(text, match.start(), match.end()), everywhere):
                yield match.span()
    elif kind == "card":
        for match in _CARD.finditer(text):
            if is_card(match[0], _around(text, *match.span())[0]):
                yield match.span()
    else:
        yield from _phone_spans(text, config.phone_regions)


def _around(text: str, start: int, end: int) -> tuple[str, str]:
    return text[max(0, start - CONTEXT_CHARACTERS) : start], text[end : end + CONTEXT_CHARACTERS]


def _email_spans(text: str) -> Iterator[tuple[int, int]]:
    done = 0
    for match in _AT.finditer(text):
        local = _LOCAL.search(text, max(done, match.start() - 128), match.start())
        if local and is_email(local[0], match[1]):
            done = match.end()
            yield local.start(), match.end()


def _ipv6_spans(text: str, everywhere: bool) -> Iterator[tuple[int, int]]:
    done = 0
    for anchor in _IPV6_ANCHOR.finditer(text):
        if anchor.start() < done:
            continue
        left = _IPV6_LEFT.search(text, max(0, anchor.start() - 48), anchor.start())
        right = _IPV6_RIGHT.match(text, anchor.start())
        assert left and right, "both patterns match the empty string"
        start, end = left.start(), right.end()
        done = end
        while text[start:end].endswith((".", ":")) and not text[start:end].endswith("::"):
            end -= 1  # the sentence's, not the address's
        before, after = text[start - 1 : start] if start else "", text[end : end + 1]
        if _is_word(before) or _is_word(after):
            continue
        if is_ipv6(text[start:end], everywhere):
            yield start, end


def _is_word(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


def _phone_spans(text: str, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    position = 0
    while match := _PHONE.search(text, position):
        position = match.end()
        left = _PHONE_LEFT.search(text, max(0, match.start() - 3), match.start())
        if not left:
            continue
        start = left.start()
        span = phone_span(text[start:position], *_around(text, start, position), regions)
        if span:
            yield start + span[0], start + span[1]
            position = start + span[1]


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
    anchored = {kind: _matches(values, _ANCHORS[kind]) for kind in config.kinds}
    hits = np.flatnonzero(np.logical_or.reduce([*anchored.values(), np.zeros(len(values), bool)]))
    changed: list[int] = []
    replaced: list[str] = []
    for row in hits.tolist():
        old = values[row].as_py()
        kinds = [kind for kind in config.kinds if anchored[kind][row]]
        new, found = redact(old, config, kinds)
        if new != old:
            changed.append(row)
            replaced.append(new)
            for counted, number in found.items():
                counts[counted][owners[row]] += number
    if not changed:
        return values, []
    selected = np.zeros(len(values), np.bool_)
    selected[changed] = True
    new_values = pc.replace_with_mask(values, pa.array(selected), pa.array(replaced, values.type))
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
