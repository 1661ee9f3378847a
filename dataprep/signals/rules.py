"""The rules: which signal of a document must not lie below or above which threshold.

They decide from columns alone, so that other thresholds can be tried without reading a text again
(`retune`). Which presets judge a document depends on what it is: code and mathematics are judged by
the presets of these names, if the recipe has them; Chinese and Japanese by `chinese`, if it has it;
everything else by the other presets, in the recipe's order. The first rule that a document fails is
its reason. Values for one language (`language_rules`) stand in the place of the preset's.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config import Dataprep
from dataprep.signals.presets import Rule, load_preset
from dataprep.signals.signals import LANGUAGES_WITHOUT_SPACES
from dataprep.signals.stop_words import languages_with_stop_words, own_lists
from dataprep.step import BooleanArray, Step, mark

_KINDS = ("code", "mathematics")
STOP_WORDS = "signals_stop_words"

RealArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """A rule with the thresholds of this recipe: one for all, and others by language."""

    rule: Rule
    threshold: float
    by_language: Mapping[str, float]

    def thresholds(self, languages: npt.NDArray[np.object_]) -> RealArray:
        """Shape [rows], float64: the threshold of each row."""
        values = np.full(len(languages), self.threshold)
        for language, threshold in self.by_language.items():
            values[languages == language] = threshold
        return values

    def failing(self, values: npt.NDArray[np.generic], thresholds: RealArray) -> BooleanArray:
        """Which of `values` fail; a value equal to the threshold passes."""
        numbers = values.astype(np.float64)
        return numbers < thresholds if self.rule.minimum else numbers > thresholds


def judgements(config: Dataprep, preset: str) -> tuple[Judgement, ...]:
    """The rules of a preset in order, with the recipe's thresholds."""
    made = []
    for rule in load_preset(preset):
        by_language = {
            language: table.thresholds[preset][rule.name]
            for language, table in config.language_rules.items()
            if rule.name in table.thresholds.get(preset, {})
        }
        made.append(Judgement(rule, config.thresholds[preset][rule.name], by_language))
    return tuple(made)


def is_prose(table: pa.Table, presets: Sequence[str]) -> BooleanArray:
    """Shape [rows], bool: rows that no preset for a kind of content or for Chinese judges."""
    prose = np.ones(table.num_rows, np.bool_)
    for judged in _special(table, presets).values():
        prose &= ~judged
    return prose


def judged_rows(table: pa.Table, presets: Sequence[str]) -> dict[str, BooleanArray]:
    """By preset, in the order in which they judge: which rows are its own (bool [rows])."""
    special = _special(table, presets)
    prose = is_prose(table, presets)
    return {name: special.get(name, prose) for name in presets}


def _special(table: pa.Table, presets: Sequence[str]) -> dict[str, BooleanArray]:
    rows: dict[str, BooleanArray] = {}
    rest = np.ones(table.num_rows, np.bool_)
    for name in _KINDS:
        if name in presets:
            own = pc.equal(table["content_kind"], name).to_numpy(zero_copy_only=False)
            rows[name] = np.asarray(own, np.bool_)
            rest &= ~rows[name]
    if "chinese" in presets:
        unspaced = pc.is_in(table["language"], pa.array(LANGUAGES_WITHOUT_SPACES, pa.string()))
        rows["chinese"] = np.asarray(unspaced.to_numpy(zero_copy_only=False), np.bool_) & rest
    return rows


def make_step(config: Dataprep) -> Step:
    """The step `rules`: marks rows; adds nothing. Without a preset it marks nothing."""
    tables: dict[str, tuple[Judgement, ...]] = {
        name: judgements(config, name) for name in config.presets
    }
    columns = {judgement.rule.signal for table in tables.values() for judgement in table}
    kinds = ("content_kind",) if set(_KINDS) & set(config.presets) else ()
    with_list = languages_with_stop_words(own_lists(config))
    return Step(
        name="rules",
        needs=(
            *("language", "drop_reason", "drop_value", "drop_threshold", *kinds),
            *sorted(columns),
        ),
        adds=(),
        apply=_pass,
        decide=functools.partial(_decide, tables=tables, with_list=with_list) if tables else None,
    )


def _pass(table: pa.Table) -> pa.Table:
    return table


def _decide(
    table: pa.Table, tables: dict[str, tuple[Judgement, ...]], with_list: tuple[str, ...]
) -> pa.Table:
    languages = table["language"].to_numpy(zero_copy_only=False)
    listed = np.isin(languages.astype(str), with_list)
    for preset, rows in judged_rows(table, tuple(tables)).items():
        if not rows.any():
            continue
        for judgement in tables[preset]:
            values = table[judgement.rule.signal].to_numpy()
            thresholds = judgement.thresholds(languages)
            failing = judgement.failing(values, thresholds) & rows
            if judgement.rule.signal == STOP_WORDS:
                failing &= listed
            if failing.any():
                table = mark(table, failing, judgement.rule.reason, values, thresholds)
    return table
