"""A trained classifier as a file: tables of numbers and what they are, no code.

A classifier has a group for each language that its labels name (or one for all), a group an average
of members with weights for each category. The format is numpy's `.npz` (arrays in a zip archive,
read without pickle) with an entry `description`, a JSON text: kind, version, categories, groups.
The same model gives the same bytes.
"""

import json
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.models.character_member import CharacterTable
from dataprep.models.fasttext_member import WordTable
from dataprep.models.preparation import prepare
from launch.errors import UserError

KIND = "gristmill-classifier"
VERSION = 1
SUFFIX = ".npz"
Table = WordTable | CharacterTable
Scores = npt.NDArray[np.float32]
Odds = npt.NDArray[np.float64]
_TABLES: dict[str, type[Table]] = {
    "words": WordTable, "subwords": WordTable, "characters": CharacterTable,
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """The members for one language (None: any), the places of the categories that they score among
    the model's, and how their log-odds are combined: weights (float64 [members, scored]) and bias
    (float64 [scored])."""

    language: str | None
    scored: tuple[int, ...]
    members: dict[str, Table]
    weights: Odds
    bias: Odds

    def odds(self, texts: pa.Array) -> Odds:
        """Shape [members, texts, scored]: log-odds of prepared texts by each member."""
        found = np.zeros((len(self.members), len(texts), len(self.scored)), np.float64)
        for index, member in enumerate(self.members.values()):
            member.add_scores(texts, found[index])
        return found


@dataclass(frozen=True)
class Model:
    """Groups, at least one, the categories that are scored, and terms that are masked before."""

    categories: tuple[str, ...]
    masked: tuple[str, ...]
    groups: tuple[Group, ...]

    def scores(
        self, texts: pa.Array | pa.ChunkedArray, languages: pa.ChunkedArray | None = None
    ) -> Scores:
        """Shape [texts, categories], float32, 0 to 1, of texts (large_string) as they are; NaN
        where the text's group has no such category.

        A text whose language has no group is scored by the one for any, else by the first.
        """
        prepared = prepare(texts, self.masked)
        scores = np.full((len(prepared), len(self.categories)), np.nan, np.float32)
        for group, rows in self.parts(len(prepared), languages):
            part = prepared if len(rows) == len(prepared) else prepared.take(pa.array(rows))
            values = combined(group.odds(part), group.weights, group.bias)
            scores[np.ix_(rows, np.array(group.scored))] = values
        return scores

    def parts(
        self, num_texts: int, languages: pa.ChunkedArray | None
    ) -> list[tuple[Group, npt.NDArray[np.int64]]]:
        """Each group with the rows that it scores."""
        default = next((group for group in self.groups if group.language is None), self.groups[0])
        if languages is None or len(self.groups) == 1:
            return [(default, np.arange(num_texts))]
        owner = np.full(num_texts, self.groups.index(default))
        for index, group in enumerate(self.groups):
            if group.language is not None:
                same = pc.fill_null(pc.equal(languages, group.language), False)
                owner[np.asarray(same.to_numpy(zero_copy_only=False), np.bool_)] = index
        found = [(group, np.flatnonzero(owner == i)) for i, group in enumerate(self.groups)]
        return [(group, rows) for group, rows in found if len(rows)]


def combined(odds: Odds, weights: Odds, bias: Odds) -> Scores:
    """Shape [texts, categories], 0 to 1, from log-odds [members, texts, categories]."""
    total = np.einsum("mtc,mc->tc", odds, weights) + bias
    return (1.0 / (1.0 + np.exp(-np.clip(total, -500, 500)))).astype(np.float32)


def save_model(model: Model, path: Path) -> None:
    """Write the model."""
    described = {
        "kind": KIND,
        "version": VERSION,
        "categories": model.categories,
        "masked": model.masked,
        "groups": [
            {"language": own.language, "scored": own.scored, "members": list(own.members)}
            for own in model.groups
        ],
    }
    arrays: dict[str, Any] = {"description": np.array(json.dumps(described))}
    for index, group in enumerate(model.groups):
        arrays[f"{index}.weights"], arrays[f"{index}.bias"] = group.weights, group.bias
        for name, table in group.members.items():
            for field in fields(table):
                arrays[f"{index}.{name}.{field.name}"] = getattr(table, field.name)
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def load_model(path: Path) -> Model:
    """Read a model. Raises UserError, in one line, for a file of another kind."""
    expected = "a classifier of gristmill dataprep train-classifier"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            described = json.loads(str(arrays["description"]))
            if described["kind"] != KIND or described["version"] != VERSION:
                got = f"kind {described['kind']!r}, version {described['version']!r}"
                raise UserError(str(path), got, f"kind '{KIND}', version {VERSION}")
            groups = tuple(
                Group(
                    own["language"], tuple(own["scored"]),
                    {name: _table(arrays, f"{index}.{name}", name) for name in own["members"]},
                    arrays[f"{index}.weights"], arrays[f"{index}.bias"],
                )
                for index, own in enumerate(described["groups"])
            )  # fmt: skip
            return Model(tuple(described["categories"]), tuple(described["masked"]), groups)
    except FileNotFoundError:
        raise UserError(str(path), "no file", expected) from None
    except (
        OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        got = f"no model ({str(error)[:80] or type(error).__name__})"
        raise UserError(str(path), got, expected, "train it again: --force") from None


def _table(arrays: Any, prefix: str, name: str) -> Table:
    kind = _TABLES[name]
    return kind(**{field.name: arrays[f"{prefix}.{field.name}"] for field in fields(kind)})


def rehearse(texts: pa.Array) -> None:
    """Score `texts` with a model that knows nothing, so that all kernels are compiled."""
    words = WordTable(
        np.zeros(16, np.uint64), np.zeros(16, np.int32), np.zeros((1, 1), np.float32),
        np.ones(1, np.int32), np.zeros((16, 1), np.float32), np.array([3, 5, 2, -1], np.int64),
    )  # fmt: skip
    characters = CharacterTable(
        np.zeros((16, 1), np.float32), np.zeros(1, np.float64), np.array([1, 4], np.int64)
    )
    members: dict[str, Table] = {"subwords": words, "characters": characters}
    group = Group(None, (0,), members, np.ones((2, 1)), np.zeros(1))
    assert (Model(("toxic",), ("mill",), (group,)).scores(texts) == 0.5).all()
