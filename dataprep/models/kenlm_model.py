"""A KenLM model that is there already (Heafield 2011), through the package of the extra `kenlm`.

Its training text was split into words in one of two ways: into ours (`ngram_words`), or into the
pieces of a SentencePiece model after CCNet's normalization, as its published models were. Of our
words one that the model does not know is spelled if it knows any of the spelled characters, as the
ARPA files that we write do; else it is `<unk>`.
"""

import functools
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.models.ngram import Perplexities, per_unit
from dataprep.models.ngram_kernels import SPELLED, SPELLED_UNIT
from dataprep.models.ngram_words import words
from launch.errors import UserError

_BINARY = b"mmap lm "
_ARPA = b"\\data\\"
_UNKNOWN = "<unk>"


def checked_kenlm(where: str) -> ModuleType:
    """The module `kenlm`. Raises UserError with the command that installs it."""
    try:
        import kenlm
    except ImportError:
        raise UserError(
            where, "a KenLM model, and no package `kenlm`", "the extra `kenlm`",
            "pip install 'gristmill[kenlm]'",
        ) from None  # fmt: skip
    module: ModuleType = kenlm
    return module


def check_file(path: Path, where: str) -> None:
    """Raise UserError unless the file begins as KenLM's two formats do."""
    try:
        with path.open("rb") as stream:
            begin = stream.read(4096)
    except OSError as error:
        raise UserError(where, f"'{path}' ({error.strerror})", "a KenLM model") from None
    text = begin.lstrip()
    if not (begin.startswith(_BINARY) or text.startswith(_ARPA) or b"\n" + _ARPA in begin):
        got = f"'{path}', which begins with {begin[:16]!r}"
        raise UserError(where, got, "a KenLM model, ARPA or binary")


def load(path: Path, pieces: Path | None, where: str) -> Callable[[pa.Array], Perplexities]:
    """What gives each text (large_string) its perplexity, as `ngram.perplexities` does.

    Raises UserError if the package is missing or one of the files is not what it should be.
    """
    module = checked_kenlm(where)
    check_file(path, where)
    try:
        config = module.Config()
        config.show_progress = False
        config.arpa_complain = module.ARPALoadComplain.NONE
        model = module.Model(str(path), config)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[-200:]
        raise UserError(where, f"'{path}' ({reason})", "a KenLM model, ARPA or binary") from None
    if pieces is None:
        return functools.partial(_of_words, model=model, known={})
    return functools.partial(_of_pieces, model=model, processor=_processor(pieces, where))


def _of_words(texts: pa.Array, model: Any, known: dict[str, str]) -> Perplexities:
    lines = [text.split("\n") if text else [] for text in words(texts).to_pylist()]
    if len(known) > 1_000_000:
        known.clear()
    return _scored(
        [
            [[_spoken(word, model, known) for word in line.split(" ")] for line in of]
            for of in lines
        ],
        model,
    )


def _spoken(word: str, model: Any, known: dict[str, str]) -> str:
    """The word as the model knows it: itself, its spelled characters, or `<unk>`."""
    found = known.get(word)
    if found is None:
        found = word
        if word not in model:
            spelled = [chr(SPELLED) + character for character in word]
            any_known = any(part in model for part in spelled)
            found = " ".join(spelled) if any_known else _UNKNOWN
        known[word] = found
    return found


def _of_pieces(texts: pa.Array, model: Any, processor: Any) -> Perplexities:
    lines = [
        [line for line in map(ccnet_normalized, text.split("\n")) if line]
        for text in texts.to_pylist()
    ]
    return _scored([processor.encode(of, out_type=str) if of else [] for of in lines], model)


def ccnet_normalized(line: str) -> str:
    """A line in CCNet's normal form: lower case, no accents, digits 0 (Wenzek et al. 2020).

    Signs stay as they are; CCNet also writes some of Unicode's quotation marks and dashes as ASCII.
    """
    apart = unicodedata.normalize("NFD", line.strip().lower())
    return "".join(
        "0" if character.isdecimal() else character
        for character in apart
        if unicodedata.category(character) != "Mn"
    )


def _scored(documents: list[list[list[str]]], model: Any) -> Perplexities:
    """Perplexities from each document's lines of words; a spelled one is several units."""
    digits = [sum(model.score(" ".join(line)) for line in lines) for lines in documents]
    units = [sum(1 + sum(map(_units, line)) for line in lines) for lines in documents]
    return per_unit(-np.array(digits, np.float64), np.array(units, np.int64))


def _units(word: str) -> int:
    return (word.count(" ") + SPELLED_UNIT) // SPELLED_UNIT


def _processor(path: Path, where: str) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[-200:]
        raise UserError(
            f"{where}.pieces", f"'{path}' ({reason})", "a SentencePiece model"
        ) from None
