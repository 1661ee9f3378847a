"""What a recipe says about models that judge documents: frozen, without a heavy import."""

from typing import Literal, Self

from pydantic import Field, model_validator

from dataprep.config_annotator import Annotator
from launch.config import Model

CATEGORY_PATTERN = r"^[a-z][a-z0-9_]{0,49}$"
# What a label speaks of if it does not say.
DEFAULT_CATEGORY = {"quality": "quality", "toxicity": "toxic"}
# Keys of the table `Classifier` that only one of the two steps knows.
QUALITY_ONLY = ("select", "top_share", "pareto_alpha", "draw_seed")
TOXICITY_ONLY = (
    "thresholds", "drop_budget", "mode", "sentence_threshold", "subgroups", "mask_identity",
)  # fmt: skip
Member = Literal["words", "subwords", "characters"]


class Label(Model):
    """A table `[[dataprep.quality.labels]]` or `[[dataprep.toxicity.labels]]`: labelled files."""

    paths: tuple[str, ...] = Field(min_length=1)
    """Globs of labelled files: JSONL (also .gz and .zst) or Parquet."""
    text_column: str = "text"
    """Field that holds the text."""
    label_column: str = "label"
    """Field that holds the label; `a.b` is b inside a."""
    positive: tuple[str | int | float | bool, ...] = ()
    """Values of the label that mean positive; every other value means negative."""
    unknown: tuple[str | int | float | bool, ...] = ()
    """Values of the label that mean neither; such records, and absent fields, are passed over."""
    every: Literal["positive", "negative"] | None = None
    """What every text of these files is, in the place of a label: a source of one class."""
    category: str | None = Field(None, pattern=CATEGORY_PATTERN)
    """What the label speaks of (threat, insult); unset: quality, or toxic. Of other categories
    these files say nothing."""
    language: str | None = None
    """Language of the texts (en); each has a model of its own. Unset: one for any language."""
    auxiliary: bool = False
    """Whether the category only helps to learn the others: it gets no score and decides nothing."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.every is None) == (not self.positive):
            raise ValueError("either positive (values of the label) or every, not both")
        return self


class Subgroup(Model):
    """A table `[[dataprep.toxicity.subgroups]]`: texts that speak of something, by its terms."""

    name: str = Field(pattern=CATEGORY_PATTERN)
    """Name in the report."""
    words: tuple[str, ...] = ()
    """Words or phrases, one of which puts a text into the subgroup."""
    paths: tuple[str, ...] = ()
    """Files of such words, one a line (also .gz)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.words and not self.paths:
            raise ValueError("words or paths must be there")
        return self


class Classifier(Model):
    """Tables `[dataprep.quality]` and `[dataprep.toxicity]`: classifiers from your own labels."""

    labels: tuple[Label, ...] = ()
    """Files that it is trained from; these, or an annotator's answers, or both."""
    annotator: Annotator | None = None
    """Who labels a sample of the recipe's own documents (`gristmill dataprep annotate`)."""
    threshold: float = Field(0.5, ge=0.0, le=1.0)
    """Probability of positive at which it decides, 0 to 1."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Toxicity, by category: thresholds in the place of `threshold`, 0 to 1; above 1: never."""
    select: Literal["threshold", "top_share", "pareto"] = "threshold"
    """Quality: kept is what reaches `threshold`, the best `top_share`, or what a draw lets by."""
    top_share: float = Field(0.1, gt=0.0, le=1.0)
    """Share of the documents that top_share keeps, found on a sample of them, 0 to 1."""
    pareto_alpha: float = Field(9.0, gt=0.0)
    """Shape of the Pareto draw: kept if it is above 1 - score (GPT-3 took 9)."""
    draw_seed: int = Field(1, ge=0)
    """What the Pareto draw is made from, with a document's content hash."""
    drop_budget: float | None = Field(None, gt=0.0, lt=1.0)
    """Toxicity: share of the documents that is dropped, the worst of a sample telling the
    threshold, 0 to 1; unset: by `threshold`."""
    calibration_documents: int = Field(10_000, ge=1)
    """Documents of the sample on which a share is turned into a threshold."""
    mode: Literal["document", "cut"] = "document"
    """Toxicity: what is toxic is dropped whole, or its toxic sentences are cut out."""
    sentence_threshold: float = Field(0.4, ge=0.0, le=1.0)
    """Score at which a sentence is cut, 0 to 1."""
    members: tuple[Member, ...] = Field(("subwords", "characters"), min_length=1)
    """Models whose log-odds are averaged: fastText on `words`, fastText on words and their parts
    (`subwords`), and a linear model on runs of `characters`."""
    epochs: int = Field(20, ge=1)
    """Passes of fastText over the labelled texts."""
    character_epochs: int = Field(6, ge=1)
    """Passes of the model on characters."""
    dimension: int = Field(16, ge=1)
    """Length of a fastText vector."""
    word_ngrams: int = Field(2, ge=1, le=5)
    """Longest run of words that is a feature of fastText, words."""
    subword_characters: tuple[int, int] = (3, 5)
    """Shortest and longest part of a word that is a feature of subwords, characters."""
    run_characters: tuple[int, int] = (1, 4)
    """Shortest and longest run that is a feature of characters, characters."""
    word_dropout: float = Field(0.3, ge=0.0, lt=1.0)
    """Share of a text's words that fastText does not see in a pass, 0 to 1."""
    learning_rate: float = Field(0.3, gt=0.0)
    """Learning rate of fastText's first example."""
    character_learning_rate: float = Field(0.4, gt=0.0)
    """Learning rate of the model on characters."""
    refit: bool = True
    """Whether, after the evaluation, all members learn once more, from the held-out texts too."""
    buckets: int = Field(400_000, ge=1)
    """Slots that runs of words and parts of words are hashed to."""
    mask_identity: bool = True
    """Toxicity: whether terms of identity count only as such a term, whichever it is."""
    subgroups: tuple[Subgroup, ...] = ()
    """Toxicity: subgroups of the report, beside Gristmill's own."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        known = {label.category for label in self.labels if not label.auxiliary}
        for label in self.labels:
            if label.auxiliary and label.category in {*known, None}:
                raise ValueError("an auxiliary label needs a category of its own")
        names = {name or DEFAULT_CATEGORY["toxicity"] for name in known}
        if self.annotator is not None:
            names.add(DEFAULT_CATEGORY["toxicity"])
        for name, value in self.thresholds.items():
            if name not in names:
                raise ValueError(f"thresholds of '{name}', which no label has as category")
            if value < 0:
                raise ValueError("thresholds are at least 0")
        for least, most in (self.subword_characters, self.run_characters):
            if not 1 <= least <= most <= 8:
                raise ValueError("runs of characters are from 1 to 8, the least first")
        if not self.labels and self.annotator is None:
            raise ValueError("labels (files) or an annotator must be there to learn from")
        if self.labels and all(label.auxiliary for label in self.labels):
            raise ValueError("only auxiliary labels")
        return self

    def categories(self, name: str) -> tuple[str, ...]:
        """The categories that get a score, in the order of the labels; `name` is the step's."""
        default = DEFAULT_CATEGORY[name]
        found = [label.category or default for label in self.labels if not label.auxiliary]
        answered = [] if self.annotator is None else [default]
        return tuple(dict.fromkeys([*found, *answered]))

    @property
    def languages(self) -> tuple[str | None, ...]:
        """The languages of the labels, in order: each has its model. What an annotator says
        is of any language."""
        answered = [] if self.annotator is None else [None]
        return tuple(dict.fromkeys([*(label.language for label in self.labels), *answered]))

    def threshold_of(self, category: str) -> float:
        """The threshold at which a category decides."""
        return self.thresholds.get(category, self.threshold)
