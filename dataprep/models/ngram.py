"""A small n-gram model of our own: trained from texts, and asked how surprising others are.

`train` learns the words, counts and estimates; `perplexities` scores. The same texts in the same
order give the same model, byte for byte. Tables are hashed and costs are rounded to 1/4096 of a
decimal logarithm: about 12 bytes for each run of symbols. See `ngram_estimate` for the method.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import text_buffers
from dataprep.models import ngram_vocabulary
from dataprep.models.ngram_estimate import Estimate, Runs, estimate
from dataprep.models.ngram_file import Tables
from dataprep.models.ngram_kernels import COSTS_PER_DIGIT, insert, keys_of, score
from dataprep.models.ngram_vocabulary import Vocabulary, symbols_of
from dataprep.models.ngram_words import words

# What nobody could want to tell apart; it keeps sums of them from overflowing.
PERPLEXITY_MAX = 1e12
_SLOTS = 1.5

Perplexities = npt.NDArray[np.float32]


def train(
    texts: pa.Array, order: int, symbols_max: int, ngrams_max: int
) -> tuple[Vocabulary, Estimate]:
    """Vocabulary and runs of a model of `texts` (large_string, normalized)."""
    spoken = words(texts)
    vocabulary = ngram_vocabulary.learn(spoken, symbols_max)
    stream = symbols_of(spoken, vocabulary)
    return vocabulary, estimate(stream, len(vocabulary.symbols), order, ngrams_max)


def tables_of(vocabulary: Vocabulary, found: Estimate, facts: dict[str, Any]) -> Tables:
    """The model as it is asked, and as it lies in its file."""
    unigrams = _values(found.runs[0])
    num_runs = sum(len(runs.costs) for runs in found.runs[1:])
    ngrams = np.zeros(int(num_runs * _SLOTS) + 8, np.uint64)
    for runs in found.runs[1:]:
        insert(ngrams, keys_of(runs.symbols), _values(runs))
    for array in (unigrams, ngrams):
        array.flags.writeable = False
    return Tables(len(found.runs), vocabulary.table, unigrams, ngrams, facts)


def _values(runs: Runs) -> npt.NDArray[np.uint32]:
    return runs.costs.astype(np.uint32) << np.uint32(16) | runs.backoffs


def costs(spoken: pa.Array, tables: Tables) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Shape [texts], int64: what each costs in 1/4096 of a decimal logarithm, and its units.

    `spoken` is what `ngram_words.words` gives. Units are words, line ends, and every three
    characters of a spelled word.
    """
    data, offsets = text_buffers(spoken)
    longest = int(np.max(np.diff(offsets), initial=0))
    found, units = np.zeros(len(spoken), np.int64), np.zeros(len(spoken), np.int64)
    score(
        data, offsets, tables.vocabulary, tables.unigrams, tables.ngrams, tables.order,
        np.empty(2 * longest + 2, np.int32), found, units,
    )  # fmt: skip
    return found, units


def perplexities(texts: pa.ChunkedArray | pa.Array, tables: Tables) -> Perplexities:
    """Shape [texts], float32: the perplexity of each text for each unit (`costs`); NaN where it has
    none.

    That is 10 to the power of its cost for each unit, as CCNet counts it: a long text and a short
    one of the same kind have the same. Never above 1e12.
    """
    found, units = costs(words(texts), tables)
    return per_unit(found / COSTS_PER_DIGIT, units)


def per_unit(digits: npt.NDArray[np.float64], units: npt.NDArray[np.int64]) -> Perplexities:
    """The perplexity, from a text's cost in decimal digits and its number of units."""
    mean = np.minimum(digits / np.maximum(units, 1), np.log10(PERPLEXITY_MAX))
    return np.where(units > 0, 10.0**mean, np.nan).astype(np.float32)


def num_words(texts: pa.Array) -> int:
    """How many words texts have in all."""
    blanks = pc.count_substring_regex(words(texts), "[ \n]")
    return (pc.sum(blanks).as_py() or 0) + len(texts)
