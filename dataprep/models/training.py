"""From examples to a model: members for each language, and how they are combined.

Each language that labels name is learnt by itself: words of one say nothing of the other, and what
they share (signs, digits, how often the label is given) misleads: Chinese loses 0.004 of AUC when
it is learnt together with English (tox_zh_cold, 2026-11-26, validation part). When the members are
weighed and judged, they learn once more from all texts, also those that were held out: what is said
of the classifier was measured on one that had learnt a tenth less.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.config_models import Classifier
from dataprep.models import character_member, combination, fasttext_member
from dataprep.models.labelled import Examples, Labels
from dataprep.models.model_file import Group, Model, Scores, Table
from dataprep.models.preparation import prepare
from launch.errors import UserError


class Trained(NamedTuple):
    """The model that is shipped, and scores (float32 [held-out texts, categories]) of held-out
    texts by one that has not seen them: with `refit` that is the model before it learnt them too.
    """

    model: Model
    held_out_scores: Scores


def train_model(
    config: Classifier,
    categories: tuple[str, ...],
    examples: Examples,
    masked: tuple[str, ...],
    directory: Path,
    seed: int,
) -> Trained:
    """Train the members of every group; `directory` takes fastText's files for a while."""
    learnt = prepare(pa.array(examples.training_texts, pa.large_string()), masked)
    unseen = prepare(pa.array(examples.held_out_texts, pa.large_string()), masked)
    scores = np.full((len(unseen), len(categories)), np.nan, np.float32)
    groups = []
    for language in config.languages:
        rows = _rows(examples.training_languages, language)
        labels = [examples.training[row][1] for row in rows.tolist()]
        known = _known(labels, categories)
        scored = tuple(i for i in range(len(categories)) if len({*known[:, i]} - {-1}) == 2)
        if not scored:
            raise UserError(
                "labels", f"no category with both classes in language '{language}'", "one",
            )  # fmt: skip
        names = [categories[i] for i in scored]
        members = _members(
            config, learnt.take(pa.array(rows)), labels, names, known[:, scored], directory, seed
        )
        held_out = _rows(examples.held_out_languages, language)
        ones = np.full((len(members), len(scored)), 1.0 / len(members))
        group = Group(language, scored, members, ones, np.zeros(len(scored)))
        odds = group.odds(unseen.take(pa.array(held_out)))
        own = [examples.held_out[row][1] for row in held_out.tolist()]
        truth = _known(own, categories)[:, scored]
        scores[np.ix_(held_out, np.array(scored))] = combination.cross_fitted(odds, truth)
        weights, bias = combination.fit(odds, truth)
        if config.refit:
            every = pa.concat_arrays([learnt.take(pa.array(rows)), unseen.take(pa.array(held_out))])
            both = np.concatenate([known[:, scored], truth])
            members = _members(config, every, labels + own, names, both, directory, seed)
        groups.append(Group(language, scored, members, weights, bias))
    return Trained(Model(categories, masked, tuple(groups)), scores)


def _rows(languages: Sequence[str | None], language: str | None) -> npt.NDArray[np.int64]:
    return np.array([i for i, own in enumerate(languages) if own == language], np.int64)


def _known(labels: Sequence[Labels], categories: Sequence[str]) -> npt.NDArray[np.int8]:
    """Shape [texts, categories]: 1, 0, or -1 where a text has no label of the category."""
    values = [[int(own.get(name, -1)) for name in categories] for own in labels]
    return np.array(values, np.int8).reshape(-1, len(categories))


def _members(
    config: Classifier,
    texts: pa.Array,
    labels: list[Labels],
    categories: list[str],
    known: npt.NDArray[np.int8],
    directory: Path,
    seed: int,
) -> dict[str, Table]:
    copies = fasttext_member.COPIES if config.word_dropout else 1
    rotated = rotate(labels, min(copies, config.epochs))
    members: dict[str, Table] = {}
    for position, member in enumerate(dict.fromkeys(config.members)):
        if member == "characters":
            table: Table = character_member.train_member(texts, known, config, seed)
        else:
            table = fasttext_member.train_member(
                texts, rotated, categories, config, directory, seed + position,
                subwords=member == "subwords",
            )  # fmt: skip
        members[member] = table
    return members


def rotate(labels: Sequence[Labels], copies: int) -> list[list[str]]:
    """For each copy of the texts the one label that fastText learns of each: in every second copy
    that of its first category, in the others each of the rest in turn.

    All labels of a text in every copy were tried: six times the lines, and a worse first category
    (0.930 against 0.938 of AUC on tox_en_jigsaw, 2026-11-26, validation part).
    """
    found = []
    for copy in range(copies):
        chosen = []
        for row, own in enumerate(labels):
            names = list(own)
            turn = 0
            if copy % 2 and len(names) > 1:
                turn = 1 + (row + copy // 2) % (len(names) - 1)
            chosen.append(_label(names[turn], own[names[turn]]))
        found.append(chosen)
    # Few texts may leave a label without a turn; fastText must know every one.
    missing = {_label(name, value) for own in labels for name, value in own.items()}
    missing -= {label for chosen in found for label in chosen}
    for row, own in enumerate(labels):
        for name, value in own.items():
            if _label(name, value) in missing:
                found[-1][row] = _label(name, value)
                missing.discard(_label(name, value))
    return found


def _label(category: str, positive: bool) -> str:
    return f"{category}{'+' if positive else '-'}"
