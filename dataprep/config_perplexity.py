"""What a recipe says about perplexity: frozen models without a heavy import."""

import difflib
from typing import Literal, Self

from pydantic import Field, model_validator

from dataprep.language.languages import LANGUAGES
from launch.config import Model
from launch.errors import UserError

Bucket = Literal["head", "middle", "tail"]
BUCKETS: tuple[Bucket, ...] = ("head", "middle", "tail")
KENLM_SUFFIXES = (".arpa", ".bin")
# It names a directory too.
_CODE = r"^[A-Za-z][A-Za-z0-9_-]{0,39}$"


class PerplexityTraining(Model):
    """A table `[[dataprep.perplexity.training]]`: good text of one language."""

    language: str = Field(pattern=_CODE)
    """Language of the texts, as `dataprep.languages` names it; one table for each."""
    paths: tuple[str, ...] = Field(min_length=1)
    """Globs of JSONL files with good text (also .gz and .zst)."""
    text_column: str = "text"
    """Field that holds the text."""


class PerplexityModel(Model):
    """A table `[[dataprep.perplexity.models]]`: a KenLM model that is there already."""

    language: str = Field(pattern=_CODE)
    """Language of the documents that it scores, as `dataprep.languages` names it."""
    model: str = Field(min_length=1)
    """Path of the model, `.arpa` or KenLM's `.bin`; needs the extra `kenlm`."""
    pieces: str | None = None
    """Path of the SentencePiece model by which its training text was split, as CCNet does; unset:
    it was split into the words of our own models."""


class Perplexity(Model):
    """Table `[dataprep.perplexity]`: how little each document surprises a model of its language."""

    training: tuple[PerplexityTraining, ...] = ()
    """Good text by language, from which a model of our own is trained."""
    models: tuple[PerplexityModel, ...] = ()
    """KenLM models by language, where nothing is to be trained."""
    keep: tuple[Bucket, ...] = BUCKETS
    """Buckets whose documents are kept; a document without a bucket is never dropped for it."""
    boundaries: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """By language, the largest perplexity of `head` and of `middle`; unset: the terciles of the
    held-out tenth of the training text."""
    perplexity_max: dict[str, float] = Field(default_factory=dict)
    """By language, the largest perplexity that is kept."""
    perplexity_min: dict[str, float] = Field(default_factory=dict)
    """By language, the least perplexity that is kept: repetition surprises nobody."""
    order: int = Field(5, ge=2, le=5)
    """Longest run of tokens that a trained model knows, tokens."""
    vocabulary_max: int = Field(65_536, ge=256, le=1_000_000)
    """Most words and signs of a trained model; what it does not know is spelled."""
    ngrams_max: int = Field(4_000_000, ge=1000, le=200_000_000)
    """Most runs of two tokens and more in a trained model, about 12 bytes each; rare ones go."""
    training_bytes_max: int = Field(33_554_432, ge=65_536)
    """Most training text by language, bytes; of more a sample is drawn. Training takes up to 50
    times as much memory."""
    arpa: bool = False
    """Whether trained models are written as ARPA files too, for other programs."""

    @model_validator(mode="after")
    def _check_tables(self) -> Self:
        where = "dataprep.perplexity"
        named = [table.language for table in self.training]
        named += [given.language for given in self.models]
        if not named:
            expected = "a table [[dataprep.perplexity.training]] or [[dataprep.perplexity.models]]"
            raise UserError(where, "no language", expected)
        for language in named:
            if named.count(language) > 1:
                got = f"two tables for '{language}'"
                raise UserError(where, got, "one for each language, training or models")
        for name in ("boundaries", "perplexity_max", "perplexity_min"):
            for language in getattr(self, name):
                if language not in named:
                    got = f"'{language}', for which there is no model"
                    raise UserError(f"{where}.{name}", got, f"one of {', '.join(named)}")
        for language, (head, middle) in self.boundaries.items():
            if not 1.0 <= head <= middle:
                place = f"{where}.boundaries.{language}"
                raise UserError(
                    place, f"{head:g} and {middle:g}", "two ascending numbers from 1 on"
                )
        for given in self.models:
            if not given.model.lower().endswith(KENLM_SUFFIXES):
                expected = f"a KenLM file, {' or '.join(KENLM_SUFFIXES)}"
                raise UserError(f"{where}.models.{given.language}", f"'{given.model}'", expected)
            if set(self.keep) != set(BUCKETS) and given.language not in self.boundaries:
                place = f"{where}.boundaries.{given.language}"
                expected = "two numbers, because `keep` leaves out a bucket"
                raise UserError(place, "nothing", expected, "report.html shows the terciles")
        return self


def check_languages(config: Perplexity | None, language_model: str | None) -> None:
    """Raise UserError for a language that documents cannot have; a model by path names its own."""
    if config is None or language_model is not None:
        return
    for kind in ("training", "models"):
        for position, table in enumerate(getattr(config, kind)):
            language = table.language
            if language not in LANGUAGES:
                close = difflib.get_close_matches(language, sorted(LANGUAGES), n=3, cutoff=0.5)
                near = ", ".join(close)
                hint = f"near it: {near}" if close else "dataprep/language/languages.py lists them"
                where = f"dataprep.perplexity.{kind}.{position}.language"
                raise UserError(where, f"'{language}'", "a code that the classifier knows", hint)
