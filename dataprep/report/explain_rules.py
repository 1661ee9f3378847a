"""What every rule says of one document: those that it passes and those that it fails.

In: a row of the written documents and the configuration they were made with. Out: one verdict for
each rule that judged it, in the order of the steps, from stored columns alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.config import Dataprep
from dataprep.models import calibration, quality, toxicity
from dataprep.models.selection import pareto_thresholds
from dataprep.pii.kinds import PLACEHOLDERS
from dataprep.pii.modes import dropping
from dataprep.signals.rules import STOP_WORDS, judged_rows, judgements
from dataprep.signals.stop_words import languages_with_stop_words, own_lists


@dataclass(frozen=True)
class Verdict:
    """A rule, the value that it judged (None: not computed), its threshold, and the outcome."""

    reason: str
    value: float | None
    minimum: bool
    threshold: float
    fails: bool


def verdicts(
    row: Mapping[str, Any], config: Dataprep, found: Mapping[str, Any] | None = None
) -> Iterator[Verdict]:
    """Every rule that applies to the document. A dropped one may fail several: the first counts.

    `found` are the manifest's facts of classifiers, which hold thresholds that stand for a share.
    """
    if config.languages:
        score, least = row["language_score"], config.language_score_min
        foreign = row["language"] not in config.languages
        if foreign:
            yield Verdict("language.not_wanted", score, False, least, score >= least)
    yield from _presets(row, config)
    for counted in dropping(config.pii):
        number = row.get(f"pii_{counted}")
        yield Verdict(f"pii.{counted}", number, False, 0.0, bool(number))
    findings_max = config.pii.findings_max
    if findings_max is not None:
        total = sum(row.get(f"pii_{counted}") or 0 for counted in PLACEHOLDERS)
        yield Verdict("pii.findings", total, False, findings_max, total > findings_max)
    yield from _models(row, config, found or {})
    yield from _perplexity(row, config)


def _models(
    row: Mapping[str, Any], config: Dataprep, found: Mapping[str, Any]
) -> Iterator[Verdict]:
    """What the classifiers' scores come to; `found` are their facts in the manifest."""
    if config.quality is not None:
        own = calibration.with_threshold(config.quality, found.get("quality", {}))
        score, least, reason = row.get("quality_score"), own.threshold, quality.LOW
        if own.select == "pareto":
            hashes = pa.array([row["content_hash"]], pa.binary(16))
            reason = quality.DRAWN
            least = float(pareto_thresholds(hashes, own.pareto_alpha, own.draw_seed)[0])
            fails = score is not None and score < least
        else:
            fails = score is not None and np.float32(score) < np.float32(least)
        yield Verdict(reason, score, True, least, bool(fails))
    if config.toxicity is None or config.toxicity.mode == "cut":
        return
    table = calibration.with_threshold(config.toxicity, found.get("toxicity", {}))
    categories = table.categories("toxicity")
    judged = {
        toxicity.reason_of(category, categories): (column, table.threshold_of(category))
        for category, column in toxicity.category_columns(categories).items()
    }
    if table.drop_budget is not None:
        judged = {toxicity.HIGH: (toxicity.COLUMN, table.threshold)}
    for reason, (column, most) in judged.items():
        score = row.get(column)
        fails = score is not None and np.float32(score) >= np.float32(most)
        yield Verdict(reason, score, False, most, bool(fails))


def _perplexity(row: Mapping[str, Any], config: Dataprep) -> Iterator[Verdict]:
    table, score = config.perplexity, row.get("perplexity_score")
    for reason, limits, minimum in (
        (
            ("perplexity.too_low", table.perplexity_min, True),
            ("perplexity.too_high", table.perplexity_max, False),
        )
        if table is not None
        else ()
    ):
        limit = limits.get(row["language"])
        if limit is not None:
            bound, found = np.float32(limit), np.float32(np.nan if score is None else score)
            fails = found < bound if minimum else found > bound
            yield Verdict(reason, score, minimum, limit, bool(fails))


def _presets(row: Mapping[str, Any], config: Dataprep) -> Iterator[Verdict]:
    columns = {name: [row.get(name)] for name in ("language", "content_kind")}
    languages = np.array([row["language"]], object)
    listed = row["language"] in languages_with_stop_words(own_lists(config))
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    for preset, judged in judged_rows(table, config.presets).items():
        for judgement in judgements(config, preset) if judged[0] else ():
            rule, value = judgement.rule, row.get(judgement.rule.signal)
            if value is None or (rule.signal == STOP_WORDS and not listed):
                continue
            threshold = judgement.thresholds(languages)
            fails = judgement.failing(np.array([value], np.float64), threshold)[0]
            yield Verdict(rule.reason, value, rule.minimum, float(threshold[0]), bool(fails))
