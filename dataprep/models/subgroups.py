"""Subgroups of texts by what they speak of, and whom a toxicity classifier wrongs.

A classifier that has met terms of identity mostly in attacks takes them for attacks. HateCheck
(Röttger et al. 2021, arXiv:2012.15606) tests that by kinds of harmless text: neutral mentions of
groups, reclaimed words, quotations, counter speech. Here the same is asked of held-out texts: of
those that their labels call harmless, which share would a budget drop, by subgroup, against the
share over all.

`subgroups.toml` holds the terms; those of identity can be masked (`preparation`), so that the
classifier sees that somebody is spoken of, but not who (Dixon et al. 2018, AIES, on the bias;
masking is one of the cures there discussed).
"""

import functools
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.config_models import Classifier
from dataprep.text import word_lists

BUDGET = 0.01
# A subgroup is compared if so many of its harmless texts would be dropped at the average share.
EXPECTED_MIN = 2.0
ANY_IDENTITY = "any_identity"
_Z = 1.959963984540054  # both tails of 5 %


@functools.cache
def own_subgroups() -> dict[str, dict[str, Any]]:
    """Gristmill's own, by name: `kind` (identity, dialect, medical, quotation), `meaning`,
    `words`."""
    content = Path(__file__).with_name("subgroups.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(content))


def identity_terms() -> tuple[str, ...]:
    """All terms of identity, in order."""
    tables = [table for table in own_subgroups().values() if table["kind"] == "identity"]
    return tuple(dict.fromkeys(word for table in tables for word in table["words"]))


def masked_terms() -> tuple[str, ...]:
    """The terms of identity, in order, of languages that put spaces between words.

    Chinese ones are not masked: there it cost 0.003 of AUC on tox_zh_cold, whose subjects are
    race, region and gender; in English no cost was seen (2026-11-26, validation part).
    """
    return tuple(word for word in identity_terms() if word.isascii())


def all_subgroups(config: Classifier, where: str) -> dict[str, tuple[str, ...]]:
    """The words of every subgroup, Gristmill's and the recipe's; one of the same name replaces it.
    `any_identity` is all those of identity together.

    Raises UserError if a file cannot be read.
    """
    found = {name: tuple(table["words"]) for name, table in own_subgroups().items()}
    found[ANY_IDENTITY] = identity_terms()
    for table in config.subgroups:
        place = f"{where}.subgroups.{table.name}.paths"
        found[table.name] = (*table.words, *word_lists.read_list(table.paths, place))
    return found


def members_of(
    texts: Sequence[str], groups: Mapping[str, tuple[str, ...]]
) -> dict[str, npt.NDArray[np.bool_]]:
    """By subgroup, bool [texts]: which texts hold one of its words."""
    array = pa.array(texts, pa.large_string())
    return {
        name: word_lists.count(array, word_lists.automaton(words))[0] > 0
        for name, words in groups.items()
    }


def measure(
    texts: Sequence[str],
    scores: npt.NDArray[np.float32],
    toxic: npt.NDArray[np.bool_],
    groups: Mapping[str, tuple[str, ...]],
    budget: float = BUDGET,
) -> dict[str, Any]:
    """Shares of harmless texts that would be dropped, by subgroup, under two budgets.

    `of_all`: the worst `budget` of all `texts` is dropped, toxic ones counted; `of_harmless`: so is
    the worst `budget` of those that are not toxic, a sharper question where many are. `ratio` is a
    subgroup's share over that of all harmless texts; `worst_ratio` the largest of subgroups of
    which at that share `EXPECTED_MIN` texts would go, None without one: in smaller ones it is
    noise. Intervals are Wilson's, 95 %.
    """
    found: dict[str, Any] = {"budget": budget, "texts": len(texts), "harmless": int((~toxic).sum())}
    inside = members_of(texts, groups)
    for name, pool in (("of_all", scores), ("of_harmless", scores[~toxic])):
        allowed = int(budget * len(pool))
        bound = np.sort(pool)[len(pool) - 1 - allowed] if len(pool) else np.float32(1)
        dropped = (scores > bound) & ~toxic
        average = _share(dropped, ~toxic)
        rows = {}
        for group, own in inside.items():
            share = _share(dropped & own, ~toxic & own)
            rate, whole = share["rate"], average["rate"]
            share["ratio"] = rate / whole if rate is not None and whole else None
            rows[group] = share
        counted = [
            row["ratio"]
            for row in rows.values()
            if row["ratio"] is not None and row["harmless"] * average["rate"] >= EXPECTED_MIN
        ]
        found[name] = {
            "average": average,
            "subgroups": rows,
            "worst_ratio": max(counted, default=None),
        }
    return found


def _share(dropped: npt.NDArray[np.bool_], harmless: npt.NDArray[np.bool_]) -> dict[str, Any]:
    hits, number = int(dropped.sum()), int(harmless.sum())
    low, high = wilson(hits, number)
    return {
        "harmless": number,
        "dropped": hits,
        "rate": hits / number if number else None,
        "low": low,
        "high": high,
    }


def wilson(hits: int, number: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); 0 to 1 of nothing."""
    if not number:
        return 0.0, 1.0
    share, square = hits / number, _Z * _Z
    centre = (share + square / (2 * number)) / (1 + square / number)
    spread = math.sqrt(share * (1 - share) / number + square / (4 * number * number))
    spread *= _Z / (1 + square / number)
    return max(0.0, centre - spread), min(1.0, centre + spread)
