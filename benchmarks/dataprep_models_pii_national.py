"""Figures of national numbers: every row of the table, valid and invalid numbers beside its words.

A valid number counts as found if all of it lies in one finding; a number with a wrong check must
not be touched by one, unless the row says that the shape is enough once a word names it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.dataprep_models_pii import wilson
from benchmarks.national_numbers import Case, cases, wrong_cases
from dataprep.config_pii import Pii
from dataprep.pii.kinds import find
from dataprep.pii.national_table import NATIONAL_IDS, NationalId

NUM_EACH = 60
RECALL_LEAST = 0.98


def settings_of(row: NationalId) -> Pii:
    """Settings that look for this row alone, and for those that are the same number otherwise
    written."""
    same = (each.name for each in NATIONAL_IDS if each.check == row.check and row.check)
    return Pii(kinds=("national_id",), national_ids=tuple(dict.fromkeys((row.name, *same))))


def is_found(case: Case, config: Pii, counted_as: tuple[str, ...] = ("national_id",)) -> bool:
    """Whether all of the number lies in one finding of these kinds; no kinds: of any."""
    return any(
        finding.start <= case.start
        and case.end <= finding.end
        and (not counted_as or finding.counted_as in counted_as)
        for finding in find(case.text, config)
    )


def is_touched(case: Case, config: Pii) -> bool:
    """Whether any finding touches the number."""
    return any(
        finding.start < case.end and case.start < finding.end for finding in find(case.text, config)
    )


def rows(num_each: int = NUM_EACH) -> tuple[Any, float, bool]:
    """By row, what is found of valid numbers and of wrong ones; with default settings too, where
    other rows and kinds claim numbers first."""
    alone, default, removed, wrong, num_wrong = {}, {}, {}, {}, {}
    for row in NATIONAL_IDS:
        valid, broken = list(cases(row, num_each)), list(wrong_cases(row, num_each))
        own, every = settings_of(row), Pii()
        alone[row.name] = sum(is_found(case, own) for case in valid)
        default[row.name] = sum(is_found(case, every) for case in valid)
        removed[row.name] = sum(is_found(case, every, ()) for case in valid)
        wrong[row.name] = sum(is_touched(case, own) for case in broken)
        num_wrong[row.name] = len(broken)
    by_design = {row.name for row in NATIONAL_IDS if row.shape_is_enough}
    checked = [name for name in wrong if num_wrong[name] and name not in by_design]
    total = num_each * len(NATIONAL_IDS)
    found = sum(alone.values())
    answer = {
        "rows": len(NATIONAL_IDS),
        "numbers": total,
        "found": found,
        "interval": wilson(found, total),
        "found_default": sum(default.values()),
        "removed_default": sum(removed.values()),
        "below": {name: hits for name, hits in alone.items() if hits < RECALL_LEAST * num_each},
        "below_default": {
            name: hits for name, hits in default.items() if hits < RECALL_LEAST * num_each
        },
        "wrong_numbers": sum(num_wrong[name] for name in checked),
        "wrong_found": {name: wrong[name] for name in checked if wrong[name]},
        "wrong_found_by_design": {name: wrong[name] for name in sorted(by_design)},
        "no_check": sorted(name for name in wrong if not num_wrong[name]),
    }
    return answer, RECALL_LEAST, not answer["below"] and not answer["wrong_found"]


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """Names and computations of all figures."""
    yield "pii_national_rows", rows
