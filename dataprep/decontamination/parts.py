"""The parts of evaluation items: which texts are searched for, as units, and what each unit weighs.

The text of the first field, the question, is searched for by itself if it says enough; that of
another field, an answer or a passage, if it is as long as a run that counts: "the United States of
America" says something, but it is everywhere. Where nothing of an item is searched for by itself
("Who wrote it?"), its texts are searched for together, the question where all the others stand near
it. An item that says too little even so is not searched for, and reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Normalize
from dataprep.config_pii import Pii
from dataprep.decontamination.anchors import SHORT_ANCHOR
from dataprep.decontamination.items import Item
from dataprep.decontamination.units import (
    ALONE,
    count_units,
    folded_characters,
    write_parts,
)
from dataprep.pii.redact import make_step as make_pii_step
from dataprep.reading.records import Batch, Record
from dataprep.signals.function_words import function_words
from dataprep.text.normalize import normalize

# What a unit says, in words: a function word less than others, a Chinese character less than a
# word. Measured 2026-11-24 on 20,000 sentences of 4 to 8 words against 475,000 paragraphs of other
# sets (docs/decontamination.md): of sentences of four words that say less than this every fifth
# one stands somewhere by chance, "What do you mean?" in hundreds of places. Of three words even
# those that say most do: they are names.
_FUNCTION_WORD_SAYS = 0.4
_CHARACTER_SAYS = 0.55
_SAYS_MIN = 2.4
_ALONE_UNITS_MIN = 4

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """The texts that are searched for, as units: see `decontamination_units.write_parts`.

    `weights` is float32 [units]; `run_units` int64 [parts], the fewest units in a row that count;
    `companions` int64, the parts that must stand near part i, are those from
    `companion_offsets[i]`. `items` and `fields` name the first item that has the part, and the
    field: int64 [parts], a place among the index's items and in the item's texts.
    """

    offsets: Numbers
    hashes: Hashes
    code_offsets: Numbers
    codes: npt.NDArray[np.uint32]
    weights: npt.NDArray[np.float32]
    run_units: Numbers
    companion_offsets: Numbers
    companions: Numbers
    items: Numbers
    fields: Numbers


def make_parts(
    items: Sequence[Item],
    ngram_words: int,
    ngram_characters: int,
    normal: Normalize | None,
    pii: Pii | None,
) -> tuple[Parts, tuple[int, ...]]:
    """The parts of `items`, and the places of those that say too little. Texts are normalized, and
    their personal data replaced, as those of documents are."""
    texts = [text for item in items for _, text in item.texts]
    units = _units(_as_documents(texts, normal, pii))
    counted = _counted(
        units.offsets, units.code_offsets, units.codes, ngram_words, ngram_characters
    )
    chosen = _choose(items, units, counted)
    parts = _parts(units, chosen, counted)
    return parts, tuple(chosen.silent)


@dataclass(frozen=True)
class _Units:
    """The units of all texts of all items, and what each unit says (float32)."""

    offsets: Numbers
    hashes: Hashes
    code_offsets: Numbers
    codes: npt.NDArray[np.uint32]
    says: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Chosen:
    """Which texts become parts: their places, and the companions of each; the items that say too
    little; and item and field of every text."""

    texts: list[int]
    companions: list[tuple[int, ...]]
    silent: list[int]
    items: Numbers
    fields: Numbers


def _as_documents(
    texts: Sequence[str], normal: Normalize | None, pii: Pii | None
) -> pa.ChunkedArray:
    batch = Batch("items")
    for text in texts:
        batch.add(Record("", text, None, None, ()))
    table = pa.concat_tables([documents for documents, _ in batch.take()]).combine_chunks()
    position = table.schema.get_field_index("text")
    column = normalize(table["text"].combine_chunks(), normal)
    table = table.set_column(position, table.schema.field(position), column)
    return (table if pii is None else make_pii_step(pii).apply(table))["text"]


def _units(texts: pa.ChunkedArray | pa.Array) -> _Units:
    data, offsets = text_buffers(texts)
    folded = folded_characters()
    num_units, num_codes = count_units(data, offsets, folded)
    unit_offsets = np.zeros(len(offsets), np.int64)
    hashes = np.zeros(num_units, np.uint64)
    code_offsets = np.zeros(num_units + 1, np.int64)
    codes = np.zeros(num_codes, np.uint32)
    write_parts(data, offsets, folded, unit_offsets, hashes, code_offsets, codes)
    says = np.ones(num_units, np.float32)
    says[_are_alone(code_offsets, codes)] = _CHARACTER_SAYS
    says[np.isin(hashes, _function_hashes())] = _FUNCTION_WORD_SAYS
    return _Units(unit_offsets, hashes, code_offsets, codes, says)


def _are_alone(code_offsets: Numbers, codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Shape [units]: which units are characters of a script without spaces."""
    return (folded_characters()[codes[code_offsets[:-1]]] & ALONE) != 0


@cache
def _function_hashes() -> Hashes:
    column = pa.array(function_words(), pa.large_string())
    data, offsets = text_buffers(column)
    folded = folded_characters()
    num_units, num_codes = count_units(data, offsets, folded)
    hashes = np.zeros(num_units, np.uint64)
    write_parts(
        data, offsets, folded, np.zeros(len(offsets), np.int64), hashes,
        np.zeros(num_units + 1, np.int64), np.zeros(num_codes, np.uint32),
    )  # fmt: skip
    return np.unique(hashes)


def _sayings(units: _Units, owners: Numbers) -> npt.NDArray[np.float64]:
    """By owner (int64, shape [units]): what its distinct units say together."""
    order = np.lexsort((units.hashes, owners))
    hashes, sorted_owners = units.hashes[order], owners[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (hashes[1:] != hashes[:-1]) | (sorted_owners[1:] != sorted_owners[:-1])
    return np.bincount(sorted_owners, weights=units.says[order] * new).astype(np.float64)


def _choose(items: Sequence[Item], units: _Units, counted: Numbers) -> _Chosen:
    """`counted` are the units of the shortest run that counts, by text (int64)."""
    counts = np.array([len(item.texts) for item in items], np.int64)
    text_items = np.repeat(np.arange(len(items)), counts)
    firsts = np.concatenate([[0], np.cumsum(counts)])
    fields = np.arange(len(text_items)) - firsts[text_items]
    lengths = np.diff(units.offsets)
    owners = np.repeat(np.arange(len(text_items)), lengths)
    own = np.zeros(len(text_items))
    alone, together = _sayings(units, owners), _sayings(units, text_items[owners])
    own[: len(alone)] = alone
    chosen = _Chosen([], [], [], text_items, fields)
    known: set[tuple[bytes, ...]] = set()
    for place in range(len(items)):
        texts = range(firsts[place], firsts[place + 1])
        searched: list[tuple[int, ...]] = [
            (text,)
            for text, (field, _) in zip(texts, items[place].texts, strict=True)
            if own[text] >= _SAYS_MIN
            and lengths[text]
            >= (_ALONE_UNITS_MIN if field == items[place].first else counted[text])
        ]
        if not searched and place < len(together) and together[place] >= _SAYS_MIN:
            present = [text for text in texts if lengths[text]]
            # The question, unless it is too short for an anchor: then the longest of the others.
            lead = max(present, key=lambda text: (min(lengths[text], SHORT_ANCHOR), -text))
            if lengths[lead] >= SHORT_ANCHOR and len(present) > 1:
                searched = [(lead, *(text for text in present if text != lead))]
        if not searched:
            chosen.silent.append(place)
        for group in searched:
            key = tuple(
                units.hashes[units.offsets[text] : units.offsets[text + 1]].tobytes()
                for text in group
            )
            if key not in known:
                known.add(key)
                chosen.texts.append(group[0])
                chosen.companions.append(group[1:])
    return chosen


def _counted(
    offsets: Numbers,
    code_offsets: Numbers,
    codes: npt.NDArray[np.uint32],
    ngram_words: int,
    ngram_characters: int,
) -> Numbers:
    """Shape [texts], int64: the shortest run that counts, by what most units of a text are."""
    lengths = np.diff(offsets)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    alone = np.bincount(owners, weights=_are_alone(code_offsets, codes), minlength=len(lengths))
    return np.where(2 * alone > lengths, ngram_characters, ngram_words).astype(np.int64)


def _parts(units: _Units, chosen: _Chosen, counted: Numbers) -> Parts:
    beside = [text for companions in chosen.companions for text in companions]
    texts = np.array([*chosen.texts, *beside], np.int64)
    num_searched = len(chosen.texts)
    offsets, taken = _ragged(units.offsets, texts)
    hashes = units.hashes[taken]
    code_offsets, taken_codes = _ragged(units.code_offsets, taken)
    codes = units.codes[taken_codes]
    says = units.says[taken]
    lengths = np.diff(offsets)
    owners = np.repeat(np.arange(len(texts)), lengths)
    # A part without anchors is not searched for by itself.
    run_units = np.where(
        np.arange(len(texts)) < num_searched, np.minimum(lengths, counted[texts]), 0
    )
    companion_counts = np.zeros(len(texts), np.int64)
    companion_counts[:num_searched] = [len(companions) for companions in chosen.companions]
    return Parts(
        offsets=offsets,
        hashes=hashes,
        code_offsets=code_offsets,
        codes=codes,
        weights=(_rarity(hashes, owners, len(texts)) * says).astype(np.float32),
        run_units=run_units.astype(np.int64),
        companion_offsets=np.concatenate([[0], np.cumsum(companion_counts)]).astype(np.int64),
        companions=np.arange(num_searched, len(texts), dtype=np.int64),
        items=chosen.items[texts],
        fields=chosen.fields[texts],
    )


def _ragged(offsets: Numbers, rows: Numbers) -> tuple[Numbers, Numbers]:
    """Offsets of the chosen rows put one after the other, and the places of their values."""
    lengths = offsets[rows + 1] - offsets[rows]
    new = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return new, np.repeat(offsets[rows] - new[:-1], lengths) + np.arange(new[-1])


def _rarity(hashes: Hashes, owners: Numbers, num_parts: int) -> npt.NDArray[np.float64]:
    """Shape [units]: log2(1 + parts / parts with this unit)."""
    order = np.lexsort((owners, hashes))
    first = np.ones(len(order), np.bool_)
    first[1:] = hashes[order][1:] != hashes[order][:-1]
    new = first.copy()
    new[1:] |= owners[order][1:] != owners[order][:-1]
    groups = np.cumsum(first) - 1
    frequency = np.bincount(groups, weights=new)
    weights = np.empty(len(order), np.float64)
    weights[order] = np.log2(1.0 + num_parts / frequency[groups])
    return weights
