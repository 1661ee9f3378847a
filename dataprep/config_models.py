"""What a recipe says about models that judge documents: frozen, without a heavy import."""

from typing import Self

from pydantic import Field, model_validator

from dataprep.config_annotator import Annotator
from launch.config import Model


class Label(Model):
    """A table `[[dataprep.quality.labels]]`: labelled JSONL files."""

    paths: tuple[str, ...] = Field(min_length=1)
    """Globs of labelled JSONL files (also .gz and .zst)."""
    text_column: str = "text"
    """Field that holds the text."""
    label_column: str = "label"
    """Field that holds the label."""
    positive: tuple[str | int | float | bool, ...] = Field(min_length=1)
    """Values of the label that mean positive; every other value means negative."""


class Classifier(Model):
    """Tables `[dataprep.quality]` and `[dataprep.toxicity]`: a fastText classifier of our own."""

    labels: tuple[Label, ...] = ()
    """Files that it is trained from; these, or an annotator's answers, or both."""
    annotator: Annotator | None = None
    """Who labels a sample of the recipe's own documents (`gristmill dataprep annotate`)."""
    threshold: float = Field(0.5, ge=0.0, le=1.0)
    """Probability of positive at which it decides, 0 to 1."""
    epochs: int = Field(5, ge=1)
    """Passes over the labelled files."""
    dimension: int = Field(32, ge=1)
    """Length of a word's vector."""
    word_ngrams: int = Field(2, ge=1, le=5)
    """Longest run of words that is a feature, words."""
    learning_rate: float = Field(0.5, gt=0.0)
    """Learning rate of the first example."""
    buckets: int = Field(200_000, ge=1)
    """Slots that runs of words are hashed to."""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if not self.labels and self.annotator is None:
            raise ValueError("labels (files) or an annotator must be there to learn from")
        return self
