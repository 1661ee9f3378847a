"""Which language a document is in, and the rule that drops those nobody asked for.

The classifier is py3langid's, whose model is inside its package: nothing is downloaded. It is good
on text of this kind (docs/dataprep.md has the numbers); what it confuses are languages that share
the Chinese script. There the scripts decide: hangul means Korean, a share of kana Japanese, Han
alone Chinese, and Cantonese and Wu, which it sees in any traditional text, count as Chinese.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Dataprep
from dataprep.language import language_model
from dataprep.language.language_kernels import (
    HAN_LETTERS,
    HANGUL_LETTERS,
    KANA_LETTERS,
    LETTERS,
    NUM_SCRIPTS,
    TABLE_STEP,
    classify,
    count_paragraphs,
    find_paragraphs,
)
from dataprep.language.languages import UNDETERMINED
from dataprep.step import Step, mark
from dataprep.text.characters import character_classes

REASON = "language.not_wanted"
MIXED = "language.mixed"

_CHINESE = {"yue": "zh", "wuu": "zh"}
_BLOCK_ROWS = 4096  # of the model's table that are turned at once, for the memory's sake
_HAN_FAMILY = ("zh", "ja", "ko")
# A Han character says about what three Latin letters say, and has as many bytes.
_HAN_WEIGHT = 3
_FAMILY_SHARE_MIN = 0.5
_KANA_SHARE_MIN = 0.05


@dataclass(frozen=True)
class Model:
    """py3langid's model as the arrays that the kernel takes, and the labels' names."""

    moves: npt.NDArray[np.int32]
    bases: npt.NDArray[np.int32]
    features: npt.NDArray[np.int32]
    table: npt.NDArray[np.int16]
    prior: npt.NDArray[np.float32]
    label_of: npt.NDArray[np.int32]
    names: tuple[str, ...]


def _in_steps(table: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """The logarithms in whole steps, half as many bytes: looking them up is what takes the time.

    The model was stored in half precision, so that nothing is lost.
    """
    steps = np.empty(table.shape, np.int16)
    for first in range(0, len(table), _BLOCK_ROWS):
        block = table[first : first + _BLOCK_ROWS] * np.float32(1 / TABLE_STEP)
        steps[first : first + _BLOCK_ROWS] = block
        assert (steps[first : first + _BLOCK_ROWS] == block).all(), "another kind of model"
    return steps


@functools.cache
def load_model() -> Model:
    """The model inside py3langid's package; 60 MB in memory, 0.6 s, once for each process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    columns = [_CHINESE.get(name, name) for name in identifier.nb_classes]
    names = tuple(sorted(set(columns)))
    return Model(
        moves=np.asarray(identifier.tk_nextmove, dtype=np.int32),
        bases=np.asarray(identifier.tk_row, dtype=np.int32) << 8,
        features=np.asarray(identifier.tk_output, dtype=np.int32),
        table=_in_steps(identifier.nb_ptc),
        prior=np.ascontiguousarray(identifier.nb_pc, dtype=np.float32),
        label_of=np.asarray([names.index(name) for name in columns], dtype=np.int32),
        names=names,
    )


def make_step(config: Dataprep) -> Step:
    """The step `language`: adds `language` (string) and `language_score` (float32, 0 to 1).

    With `config.language_paragraphs` also `language_share` (float32, 0 to 1): how much of the
    document, in bytes of paragraphs long enough to tell, is in its own language.

    Marks `language.not_wanted` where the language is none of `config.languages` and the score
    reaches `config.language_score_min`: a short text of which nobody can tell the language is left
    to the other rules. Marks `language.mixed` where the share is below `config.language_share_min`.
    Raises UserError if a model by path cannot be read or knows none of a wanted language.
    """
    if config.language_model is not None:
        language_model.check(config.language_model, config.languages)
    adds = [
        pa.field("language", pa.string(), nullable=False),
        pa.field("language_score", pa.float32(), nullable=False),
    ]
    if config.language_paragraphs:
        adds.append(pa.field("language_share", pa.float32(), nullable=False))
    return Step(
        name="language",
        needs=("text", "drop_reason", "drop_value", "drop_threshold"),
        adds=tuple(adds),
        apply=functools.partial(_apply, config=config),
        decide=functools.partial(_decide_wanted, config=config),
    )


def make_unmeasured_step() -> Step:
    """The step `language` of a recipe without signals: every document is `und`, certainty 0.

    `und` is ISO 639-2's code for a language that was not determined.
    """
    adds = (
        pa.field("language", pa.string(), nullable=False),
        pa.field("language_score", pa.float32(), nullable=False),
    )
    return Step("language", (), adds, functools.partial(_apply_unmeasured, fields=adds))


def _apply_unmeasured(table: pa.Table, fields: tuple[pa.Field, ...]) -> pa.Table:
    values = (pa.scalar("und", pa.string()), pa.scalar(0.0, pa.float32()))
    for field, value in zip(fields, values, strict=True):
        table = table.append_column(field, pa.repeat(value, table.num_rows))
    return table


def own_share(
    text: pa.ChunkedArray | pa.Array, languages: pa.Array, model: str | None = None
) -> npt.NDArray[np.float32]:
    """Shape [rows], float32, 0 to 1: the share of each text's bytes that is in its language.

    A paragraph ends at a blank line. Those in the first 32 KB with at least 40 letters are looked
    at; where there is none the share is 1.
    """
    data, offsets = text_buffers(text)
    bounds = np.empty(count_paragraphs(data, offsets) + 1, dtype=np.int64)
    owners = np.empty(len(bounds) - 1, dtype=np.int64)
    find_paragraphs(data, offsets, bounds, owners)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    paragraphs = pa.Array.from_buffers(pa.large_string(), len(owners), buffers)
    telling = np.asarray(owners >= 0)
    paragraphs, owners = paragraphs.filter(pa.array(telling)), owners[telling]
    found, _ = identify(paragraphs, model)
    equal = pc.equal(found, languages.take(pa.array(owners))).to_numpy(zero_copy_only=False)
    sizes = pc.binary_length(paragraphs).to_numpy(zero_copy_only=False)
    num_rows = len(offsets) - 1
    whole = np.bincount(owners, weights=sizes, minlength=num_rows)
    own = np.bincount(owners, weights=sizes * equal, minlength=num_rows)
    return np.where(whole > 0, own / np.maximum(whole, 1), 1.0).astype(np.float32)


def identify(
    text: pa.ChunkedArray | pa.Array, path: str | None = None
) -> tuple[pa.Array, npt.NDArray[np.float32]]:
    """Language (string) and score (float32 [rows], 0 to 1) of each text (large_string).

    `path` is that of a fastText model; without it py3langid's model tells.
    """
    if path is not None:
        whole = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
        return language_model.identify(path, whole)
    model = load_model()
    data, offsets = text_buffers(text)
    num_rows = len(offsets) - 1
    labels = np.zeros(num_rows, dtype=np.int32)
    scores = np.zeros(num_rows, dtype=np.float32)
    scripts = np.zeros((num_rows, NUM_SCRIPTS), dtype=np.int64)
    classify(
        data, offsets, character_classes(), model.moves, model.bases, model.features,
        model.table, model.prior, model.label_of, labels, scores, scripts,
    )  # fmt: skip
    return _decide(model.names, labels, scores, scripts)


def _decide(
    names: tuple[str, ...],
    labels: npt.NDArray[np.int32],
    scores: npt.NDArray[np.float32],
    scripts: npt.NDArray[np.int64],
) -> tuple[pa.Array, npt.NDArray[np.float32]]:
    """The classifier's label, or what the scripts say where Chinese, Japanese and Korean meet."""
    languages = np.array(names, dtype=object)[labels]
    letters = scripts[:, LETTERS]
    han, kana, hangul = (scripts[:, c] for c in (HAN_LETTERS, KANA_LETTERS, HANGUL_LETTERS))
    family = (han + kana + hangul) * _HAN_WEIGHT
    share = family / np.maximum(family + letters - han - kana - hangul, 1)
    called = np.isin(languages, _HAN_FAMILY)
    written = share >= _FAMILY_SHARE_MIN
    by_script = np.where(
        hangul > han + kana, "ko", np.where(kana > _KANA_SHARE_MIN * (han + kana), "ja", "zh")
    )
    decided = (called | written) & (family > 0)
    languages = np.where(decided, by_script, languages)
    scores = np.where(decided & ~called, share, scores).astype(np.float32)
    languages = np.where(letters == 0, UNDETERMINED, languages)
    scores = np.where(letters == 0, 0, scores).astype(np.float32)
    return pa.array(languages, pa.string()), scores


def _apply(table: pa.Table, config: Dataprep) -> pa.Table:
    languages, scores = identify(table["text"], config.language_model)
    table = table.append_column(pa.field("language", pa.string(), nullable=False), languages)
    field = pa.field("language_score", pa.float32(), nullable=False)
    table = table.append_column(field, pa.array(scores))
    if config.language_paragraphs:
        share = own_share(table["text"], languages, config.language_model)
        field = pa.field("language_share", pa.float32(), nullable=False)
        table = table.append_column(field, pa.array(share))
    return table


def _decide_wanted(table: pa.Table, config: Dataprep) -> pa.Table:
    if config.languages:
        scores = table["language_score"].to_numpy()
        wanted = pc.is_in(table["language"], pa.array(config.languages, pa.string()))
        certain = scores >= config.language_score_min
        foreign = ~np.asarray(wanted.to_numpy(), np.bool_) & certain
        table = mark(table, foreign, REASON, scores, config.language_score_min)
    if config.language_paragraphs:
        share = table["language_share"].to_numpy()
        least = config.language_share_min
        table = mark(table, share < least, MIXED, share, least)
    return table
