"""What a recipe says about evaluation sets: their files, how they are matched, what follows.

Frozen models without a heavy import, like `config.py`, in which they stand.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from launch.config import Model
from launch.errors import UserError


class EvaluationSet(Model):
    """A table `[[dataprep.decontamination.sets]]`: an evaluation set as JSONL files."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Name of the set, unique in the recipe; the ids of its items begin with it."""
    paths: tuple[str, ...] = Field(min_length=1)
    """Globs of JSONL files (also .gz and .zst)."""
    fields: tuple[str, ...] = Field(("question",), min_length=1, max_length=16)
    """Fields that are searched for, the question first: texts, numbers, or lists of them, which are
    joined; `a.b` is b inside a. What a record does not have or what is null is passed over."""
    id: str | None = None
    """Field with an id that is unique in the set; unset: the file's name and line."""


class Decontamination(Model):
    """Table `[dataprep.decontamination]`: documents that hold items of evaluation sets."""

    mode: Literal["off", "mark", "drop"] = "off"
    """off: nothing is looked for; mark: what is found becomes columns; drop: and is dropped."""
    sets: tuple[EvaluationSet, ...] = ()
    """The evaluation sets."""
    ngram_words: int = Field(13, ge=5, le=64)
    """Shortest run of words that counts; a text with fewer is searched for as a whole."""
    ngram_characters: int = Field(20, ge=5, le=128)
    """The same for scripts without spaces (Chinese, Japanese, Thai), in characters."""
    score_min: float = Field(0.8, gt=0.0, le=1.0)
    """Share of an item's text, by the weight of its words, from which a document is dropped."""
    near_words: int = Field(50, ge=1, le=1000)
    """How far from a question too short to tell alone its answer may stand, words."""
    allow: tuple[str, ...] = ()
    """Items reviewed and found harmless, SET:ID; what only they match is not dropped."""
    item_bytes_max: int = Field(1_048_576, ge=1024)
    """Longest line of an evaluation set, bytes."""
    items_max: int = Field(5_000_000, ge=1)
    """Most items of all sets together."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        where = "dataprep.decontamination"
        if self.mode != "off" and not self.sets:
            hint = "name one: [[dataprep.decontamination.sets]] name = ..., paths = [...]"
            raise UserError(
                f"{where}.sets", "no evaluation set", f"one for mode '{self.mode}'", hint
            )
        names = [table.name for table in self.sets]
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"{where}.sets", f"two sets '{name}'", "a name for each")
        for entry in self.allow:
            known, _, item = entry.partition(":")
            if not item or known not in names:
                expected = "SET:ID with the name of a set of the recipe"
                raise UserError(f"{where}.allow", f"'{entry}'", expected)
        return self
