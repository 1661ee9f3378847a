"""The step `perplexity`: what surprises a model of its language, and three buckets.

In: documents and, by language, a model trained from good text (`perplexity_training`) or a KenLM
model that is there. Out: a score for each document of such a language that is still alive, `head`,
`middle` or `tail`, and, by the recipe's rules, drop reasons. Documents in other languages have
null and are never dropped here.

Source: CCNet (Wenzek et al. 2020, arXiv:1911.00359), which cuts a corpus into thirds by perplexity
under a 5-gram model of Wikipedia; RedPajama and Dolma keep the score beside each document.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_perplexity import BUCKETS, Bucket, Perplexity
from dataprep.models import kenlm_model, ngram, ngram_file
from dataprep.models.ngram import Perplexities
from dataprep.models.perplexity_training import NAME, WHERE, facts, model_file
from dataprep.step import Step, alive, mark

SCORE = "perplexity_score"
BUCKET = "perplexity_bucket"
FIELDS = (pa.field(SCORE, pa.float32()), pa.field(BUCKET, pa.string()))

Scorer = Callable[[pa.Array], Perplexities]
Bounds = Mapping[str, tuple[float, float]]


def make_step(config: Perplexity, directory: Path | None) -> Step:
    """The step: `perplexity_score` (float32, per word and line end, from 1 on) and
    `perplexity_bucket` (string) for rows still alive whose language has a model, null for others.

    A score up to the first boundary of its language is in `head`, up to the second in `middle`.
    Marks, in this order: `perplexity.too_low` and `perplexity.too_high` beyond the recipe's bounds,
    and `perplexity.head`, `.middle` or `.tail` for a bucket that is not kept; the threshold is then
    the boundary at that side of the bucket where the kept ones are, or nearest to the score.

    `directory` holds the trained models (`perplexity_training.models_directory`); they are loaded
    here, so make the step in the process that uses it. Without it the step can decide as far as the
    recipe says the boundaries, but not score.

    Raises UserError if a model cannot be loaded.
    """
    scorers = {} if directory is None else _scorers(config, directory)
    bounds = {
        language: (known["boundaries"][0], known["boundaries"][1])
        for language, known in facts(config, directory).items()
        if known["boundaries"] is not None
    }
    return Step(
        name=NAME,
        needs=("text", "language", "drop_reason", "drop_value", "drop_threshold"),
        adds=FIELDS,
        apply=functools.partial(_apply, scorers=scorers, bounds=bounds),
        decide=functools.partial(_decide, config=config, bounds=bounds),
        of_living=True,
    )


def _scorers(config: Perplexity, directory: Path) -> dict[str, Scorer]:
    found: dict[str, Scorer] = {}
    for table in config.training:
        tables = ngram_file.load(model_file(directory, table.language))
        found[table.language] = functools.partial(ngram.perplexities, tables=tables)
    for position, given in enumerate(config.models):
        pieces = None if given.pieces is None else Path(given.pieces)
        where = f"{WHERE}.models.{position}"
        found[given.language] = _load_kenlm(Path(given.model), pieces, where)
    return found


@functools.lru_cache(maxsize=32)
def _load_kenlm(path: Path, pieces: Path | None, where: str) -> Scorer:
    """Once in a process: an ARPA file takes seconds."""
    return kenlm_model.load(path, pieces, where)


def _apply(table: pa.Table, scorers: Mapping[str, Scorer], bounds: Bounds) -> pa.Table:
    living = alive(table)
    scores = np.full(table.num_rows, np.nan, np.float32)
    for language, scorer in scorers.items():
        own = living & pc.equal(table["language"], language).to_numpy()
        if own.any():
            texts = table["text"].filter(pa.array(own)).combine_chunks()
            scores[own] = scorer(texts)
    table = table.append_column(FIELDS[0], pa.array(scores, from_pandas=True))
    return table.append_column(FIELDS[1], _buckets(table, bounds))


def _decide(table: pa.Table, config: Perplexity, bounds: Bounds) -> pa.Table:
    # Other boundaries make other buckets of the same scores.
    place = table.schema.get_field_index(BUCKET)
    table = table.set_column(place, FIELDS[1], _buckets(table, bounds))
    scores = _scores(table)
    for reason, limits, sign in (
        ("too_low", config.perplexity_min, -1),
        ("too_high", config.perplexity_max, 1),
    ):
        limit = _by_row(table, limits)
        # A comparison with NaN is false: no score, or no limit.
        failing = sign * scores > sign * limit.astype(np.float32)
        table = mark(table, failing, f"{NAME}.{reason}", scores, limit)
    for bucket in BUCKETS:
        if bucket not in config.keep:
            inside = pc.fill_null(pc.equal(table[BUCKET], bucket), False).to_numpy()
            index = _side(bucket, config.keep)
            limit = _by_row(table, {language: both[index] for language, both in bounds.items()})
            table = mark(table, inside, f"{NAME}.{bucket}", scores, limit)
    return table


def _side(bucket: Bucket, keep: tuple[Bucket, ...]) -> int:
    """Which boundary a dropped bucket is told with: `middle` lies between both."""
    return 0 if bucket == "head" or (bucket == "middle" and "head" in keep) else 1


def _scores(table: pa.Table) -> npt.NDArray[np.float32]:
    """Shape [rows], float32: the scores, NaN where there is none."""
    column = table[SCORE].combine_chunks()
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)


def _by_row(table: pa.Table, limits: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Shape [rows], float64: the limit of each row's language, NaN where it has none."""
    found = np.full(table.num_rows, np.nan)
    for language, limit in limits.items():
        found[pc.equal(table["language"], language).to_numpy()] = limit
    return found


def _buckets(table: pa.Table, bounds: Bounds) -> pa.Array:
    """Shape [rows], string: the bucket of each score, null without score or boundaries."""
    scores = _scores(table)
    head, middle = (
        _by_row(table, {language: both[index] for language, both in bounds.items()}).astype(
            np.float32
        )
        for index in (0, 1)
    )
    codes = (scores > head).astype(np.int8) + (scores > middle)
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, mask=np.isnan(scores) | np.isnan(head)), pa.array(BUCKETS, pa.string())
    ).cast(pa.string())
