"""The step `decontamination`: which items of evaluation sets stand in a document, and where.

In: the text after its last edit, of rows still alive. Out: the best hit as columns that rules can
read, and up to 32 hits with the passages that are their evidence. A hit is a text of an item of
which a passage holds a run of words long enough to count; its score is the share of that text, by
weight, in the passage. The decision is made from the columns alone, so that `retune` can repeat it.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Dataprep
from dataprep.config_decontamination import Decontamination
from dataprep.decontamination.index import Index, build_index, load_index
from dataprep.decontamination.items import PREFIX, Item
from dataprep.decontamination.kernels import find_runs, rows_with_anchor
from dataprep.decontamination.passages import best_passages
from dataprep.decontamination.units import folded_characters
from dataprep.step import Step, alive, mark
from launch.log import get_logger
from launch.manifest import Input, Manifest

NAME = "decontamination"
REASON = "decontamination.match"
SCORE = "decontamination_score"
HITS = "decontamination_hits"
SET = "decontamination_set"
ITEM = "decontamination_item"
PASSAGES = "decontamination_passages"
# Of an evaluation set that is there as a whole the best items are evidence enough.
PASSAGES_MAX = 32
# Runs of an item's text that stand as far apart as this, in units, are two passages.
_GAP = 50
_IDS_MAX = 20

PASSAGE_TYPE = pa.struct(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("stop", pa.int64(), nullable=False),
    ]
)
FIELDS = (
    pa.field(SCORE, pa.float32()),
    pa.field(HITS, pa.int64()),
    pa.field(SET, pa.string()),
    pa.field(ITEM, pa.string()),
    pa.field(PASSAGES, pa.list_(pa.field("item", PASSAGE_TYPE, nullable=False))),
)
Scores = npt.NDArray[np.float32]


def make_steps(config: Dataprep) -> list[Step]:
    """The step, or none in mode "off".

    It adds, for rows still alive, null for the others: `decontamination_score` (float32, that of
    the best hit, 0 without one), `decontamination_hits` (int64), `decontamination_set` and
    `decontamination_item` (string, of the best hit, null without one) and
    `decontamination_passages`, a list of the best hits with their set, item, field, score, and the
    place in the text, bytes. In mode "drop" it marks `decontamination.match` from
    `score_min` on, unless only items in `allow` reach it.
    """
    table = config.decontamination
    if table.mode == "off":
        return []
    needs = ("text", "drop_reason", "drop_value", "drop_threshold")
    decide = functools.partial(_decide, config=table) if table.mode == "drop" else None
    apply = functools.partial(_apply, config=config)
    return [Step(NAME, needs, FIELDS, apply, decide, of_living=True)]


def check(config: Dataprep) -> None:
    """Read the evaluation sets before anything is spent, and say which items are too short.

    Raises UserError for sets that cannot be used (`read_items`).
    """
    for name, found in facts(config).items():
        if found["too_short"]:
            get_logger("dataprep").warning(
                "decontamination: %d of %d items of %s say too little to be searched for, as %s",
                found["too_short"], found["items"], name, found["too_short_ids"][0],
            )  # fmt: skip


def facts(config: Dataprep) -> dict[str, Any]:
    """By set: its items, and those that say too little to be searched for (with the first ids).

    Empty in mode "off". Raises UserError for sets that cannot be used (`read_items`).
    """
    if config.decontamination.mode == "off":
        return {}
    index = load_index(config.decontamination, config.normalize, config.pii)
    silent = [index.items[place] for place in index.silent]
    found = {}
    for table in config.decontamination.sets:
        ids = [item.id for item in silent if item.set == table.name]
        found[table.name] = {
            "items": sum(item.set == table.name for item in index.items),
            "too_short": len(ids),
            "too_short_ids": ids[:_IDS_MAX],
        }
    return found


def is_stored(old: Manifest, config: Decontamination, inputs: Sequence[Input]) -> bool:
    """Whether the columns that `old` names are those that `config` would find in `inputs`."""
    then = old.config["dataprep"].get("decontamination", {"mode": "off"})
    decided = {"mode": None, "score_min": None, "allow": None}
    same = {**then, **decided} == {**config.model_dump(mode="json"), **decided}
    files = [
        {entry for entry in entries if entry.path.startswith(PREFIX)}
        for entries in (old.inputs, inputs)
    ]
    return "off" not in (then["mode"], config.mode) and same and files[0] == files[1]


def find_passages(
    texts: pa.ChunkedArray | pa.Array, index: Index, near: int
) -> tuple[npt.NDArray[np.int64], Scores]:
    """Every text's hits: row, part, byte of beginning and end (int64, shape [hits, 4]) and scores
    (float32 [hits]), sorted by row, the best hit of a row first."""
    return passages_of(runs_of(texts, index, near), index)


def passages_of(runs: npt.NDArray[np.int64], index: Index) -> tuple[npt.NDArray[np.int64], Scores]:
    """The hits, as `find_passages` gives them, that sorted runs make up."""
    found, scores = best_passages(runs, index.parts.offsets, index.parts.weights, _GAP)
    order = np.lexsort((found[:, 1], -scores, found[:, 0]))
    return found[order], scores[order]


def runs_of(texts: pa.ChunkedArray | pa.Array, index: Index, near: int) -> npt.NDArray[np.int64]:
    """The runs of units that texts and parts have in common: see `find_runs`; sorted by row, part,
    place in the text."""
    data, offsets = text_buffers(texts)
    folded, parts, anchors = folded_characters(), index.parts, index.anchors
    rows = np.flatnonzero(
        rows_with_anchor(
            data, offsets, folded, anchors.bitmap, anchors.slots, anchors.keys, anchors.short
        )
    )
    runs = find_runs(
        data, offsets, rows, folded, anchors.bitmap, anchors.slots, anchors.keys,
        anchors.posting_offsets, anchors.postings, parts.offsets, parts.hashes, parts.code_offsets,
        parts.codes, parts.run_units, parts.companion_offsets, parts.companions, near,
        anchors.short,
    )  # fmt: skip
    return runs[np.lexsort((runs[:, 3], runs[:, 2], runs[:, 1], runs[:, 0]))]


def rehearse(text: str) -> None:
    """Compile the kernels: search `text` for itself."""
    index = build_index([Item("rehearsal", "0", (("text", text),), "text")], 13, 20)
    found, _ = find_passages(pa.array([text], pa.large_string()), index, 50)
    assert len(found) == 1


def _apply(table: pa.Table, config: Dataprep) -> pa.Table:
    own = config.decontamination
    index = load_index(own, config.normalize, config.pii)
    living = np.flatnonzero(alive(table))
    found, scores = find_passages(table["text"].take(pa.array(living)), index, own.near_words)
    counts = np.zeros(table.num_rows, np.int64)
    counts[living] = np.bincount(found[:, 0], minlength=len(living))
    stored = np.arange(len(found)) - np.searchsorted(found[:, 0], found[:, 0]) < PASSAGES_MAX
    passages = _passages(found[stored], scores[stored], index)
    dead = np.ones(table.num_rows, np.bool_)
    dead[living] = False
    # Of each row the first passage is its best.
    sizes = np.minimum(counts, PASSAGES_MAX)
    ends = np.cumsum(sizes)
    best = pa.array(ends - sizes, mask=sizes == 0)
    best_scores = pc.fill_null(pc.struct_field(passages, "score").take(best), 0.0)
    columns = (
        pc.if_else(pa.array(dead), pa.scalar(None, pa.float32()), best_scores),
        pa.array(counts, mask=dead),
        pc.struct_field(passages, "set").take(best),
        pc.struct_field(passages, "item").take(best),
        pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], ends]), pa.int32()),
            passages,
            type=FIELDS[-1].type,
            mask=pa.array(dead),
        ),
    )
    for field, column in zip(FIELDS, columns, strict=True):
        table = table.append_column(field, column)
    return table


def _passages(found: npt.NDArray[np.int64], scores: Scores, index: Index) -> pa.Array:
    """The hits as structures of `PASSAGE_TYPE`."""
    parts = index.parts
    items = [index.items[place] for place in parts.items[found[:, 1]]]
    fields = parts.fields[found[:, 1]]
    arrays = [
        pa.array([item.set for item in items], pa.string()),
        pa.array([item.id for item in items], pa.string()),
        pa.array(
            [item.texts[field][0] for item, field in zip(items, fields, strict=True)], pa.string()
        ),
        pa.array(scores, pa.float32()),
        pa.array(found[:, 2]),
        pa.array(found[:, 3]),
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(PASSAGE_TYPE))


def _decide(table: pa.Table, config: Decontamination) -> pa.Table:
    scores = pc.fill_null(table[SCORE], 0.0).to_numpy()
    if config.allow:
        scores = _scores_without(table[PASSAGES].combine_chunks(), config.allow)
    failing = scores >= np.float32(config.score_min)
    return mark(table, failing, REASON, scores, config.score_min)


def _scores_without(lists: pa.ListArray, allow: tuple[str, ...]) -> Scores:
    """Shape [rows]: the best score of each row's passages whose item is not in `allow`."""
    passages = lists.flatten()
    names = pc.binary_join_element_wise(
        pc.struct_field(passages, "set"), pc.struct_field(passages, "item"), ":"
    )
    counted = ~np.asarray(
        pc.is_in(names, pa.array(allow, pa.string())).to_numpy(zero_copy_only=False), np.bool_
    )
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    best = np.zeros(len(lists), np.float32)
    rows = np.repeat(np.arange(len(lists)), counts)
    scores = pc.struct_field(passages, "score").to_numpy(zero_copy_only=False)
    np.maximum.at(best, rows[counted], scores[counted])
    return best
