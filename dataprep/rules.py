"""The rules: which signal of a document must not lie below or above which threshold.

One table for languages that put spaces between words, `gopher`, and one for Chinese and Japanese,
`chinese`. A field of a table in `dataprep.thresholds` is a rule: `word_count_low = 50` judges the
signal `signals_word_count` and drops with reason `gopher.word_count_low`. The first rule that a
document fails, in the order of the table, is its reason. Signals stay, so that other thresholds can
be tried later without reading the text again.

Chinese documents are not judged by Gopher's paragraph rules, which FineWeb-2 switches off for them.
FineWeb's own rules on lines (its least share of lines that end a sentence, its most line ends for
each word) are signals here, not rules: they are no part of Gopher, and they dropped 11 % of good
technical Chinese, whose lines are headings, list items and code (2026-11-21, docs/dataprep.md).
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config import Dataprep
from dataprep.signals import FIELDS, LANGUAGES_WITHOUT_SPACES
from dataprep.step import Step, mark


@dataclass(frozen=True)
class Rule:
    """One rule: a document whose `signal` lies beyond `threshold` is dropped with `reason`."""

    reason: str
    signal: str
    minimum: bool
    threshold: float

    def failing(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
        """Which of `values` fail; a value equal to the threshold passes."""
        numbers = values.astype(np.float64)
        return numbers < self.threshold if self.minimum else numbers > self.threshold


def rules_of(config: Dataprep, table: str) -> tuple[Rule, ...]:
    """The rules of table `gopher` or `chinese`, in order, with the recipe's thresholds."""
    thresholds = getattr(config.thresholds, table)
    rules = []
    for name in type(thresholds).model_fields:
        signal, _, bound = name.rpartition("_")
        value = float(getattr(thresholds, name))
        rules.append(Rule(f"{table}.{name}", f"signals_{signal}", bound == "low", value))
    return tuple(rules)


def make_step(config: Dataprep) -> Step:
    """The step `rules`: marks rows by the table of their language; adds nothing.

    Without a preset it marks nothing.
    """
    tables = {"gopher": rules_of(config, "gopher"), "chinese": rules_of(config, "chinese")}
    columns = {rule.signal for rules in tables.values() for rule in rules}
    assert columns <= {field.name for field in FIELDS}, "a rule reads a signal that nobody makes"
    enabled = "gopher" in config.presets
    return Step(
        name="rules",
        needs=("language", "drop_reason", "drop_value", "drop_threshold", *sorted(columns)),
        adds=(),
        apply=_pass,
        decide=functools.partial(_decide, tables=tables) if enabled else None,
    )


def _decide(table: pa.Table, tables: dict[str, tuple[Rule, ...]]) -> pa.Table:
    unspaced = pc.is_in(table["language"], pa.array(LANGUAGES_WITHOUT_SPACES, pa.string()))
    chinese = np.asarray(unspaced.to_numpy(), dtype=np.bool_)
    for name, judged in (("gopher", ~chinese), ("chinese", chinese)):
        for rule in tables[name]:
            values = table[rule.signal].to_numpy()
            failing = rule.failing(values) & judged
            if failing.any():
                table = mark(table, failing, rule.reason, values, rule.threshold)
    return table


def _pass(table: pa.Table) -> pa.Table:
    return table
