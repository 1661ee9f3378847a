"""Sentences that a classifier finds toxic, cut out of their documents.

A sentence ends as for `dataprep.spans` (`span_kernels.find_units`): at its line's end, or after a
sign that ends sentences, English or Chinese. What is cut takes its white space along as there
(`cut_kernels.settle`).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.arrow_buffers import text_buffers
from dataprep.dedup.span_kernels import SENTENCES, find_units
from dataprep.models.model_file import Model
from dataprep.models.preparation import text_array
from dataprep.text.cut_kernels import CHARACTERS, settle, take_out
from dataprep.text.word_characters import word_characters

# Sentences that are scored at once: their texts are a second copy of the batch's.
_BATCH = 100_000


class Cut(NamedTuple):
    """Texts (large_string) without the cut sentences; of each the scores (float32 [rows,
    categories], highest of its sentences, 0 without one), the number of cut sentences (int64), the
    bytes removed (int64), and whether no word is left of what had some (bool)."""

    texts: pa.Array
    scores: npt.NDArray[np.float32]
    cut: npt.NDArray[np.int64]
    removed: npt.NDArray[np.int64]
    empty: npt.NDArray[np.bool_]


def cut_sentences(
    texts: pa.ChunkedArray | pa.Array,
    model: Model,
    threshold: float,
    languages: pa.ChunkedArray | None = None,
) -> Cut:
    """Cut every sentence one of whose categories scores `threshold` or more; `languages` are those
    of the texts."""
    data, offsets = text_buffers(texts)
    num_rows = len(offsets) - 1
    rows, starts, ends = find_units(data, offsets, word_characters(), SENTENCES)
    scores = np.zeros((num_rows, len(model.categories)), np.float32)
    of_sentences = np.zeros((len(rows), len(model.categories)), np.float32)
    for first in range(0, len(rows), _BATCH):
        part = slice(first, first + _BATCH)
        own = None if languages is None else languages.take(pa.array(rows[part]))
        of_sentences[part] = model.scores(_slices(data, starts[part], ends[part]), own)
    if len(rows):
        owners, begins = np.unique(rows, return_index=True)
        scores[owners] = np.fmax.reduceat(of_sentences, begins, axis=0)
    toxic = np.fmax.reduce(of_sentences, axis=1, initial=0.0) >= np.float32(threshold)
    counts = np.bincount(rows[toxic], minlength=num_rows).astype(np.int64)
    places = (starts - offsets[rows])[toxic], (ends - offsets[rows])[toxic]
    none = np.zeros(int(toxic.sum()), np.int64)
    cuts = settle(data, offsets, rows[toxic], *places, none, word_characters(), CHARACTERS)
    left, left_offsets, _, _ = take_out(data, offsets, cuts[0], cuts[1], cuts[2])
    removed = np.diff(offsets) - np.diff(left_offsets)
    kept = np.zeros(num_rows, np.bool_)
    kept[rows[~toxic]] = True
    return Cut(text_array(left, left_offsets), scores, counts, removed, (counts > 0) & ~kept)


def _slices(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> pa.Array:
    """The pieces of `data` as texts; they stand in order and do not overlap."""
    bounds = np.empty(2 * len(starts) + 1, np.int64)
    bounds[0:-1:2], bounds[1::2], bounds[-1] = starts, ends, ends[-1] if len(ends) else 0
    # Every second text is what stands between two pieces: it goes.
    whole = text_array(data, bounds)
    return whole.take(pa.array(np.arange(0, 2 * len(starts), 2)))
