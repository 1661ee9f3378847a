"""National numbers made by chance, valid and invalid, for every row of the table.

Shapes come from the table, dates, regions and check digits from python-stdnum, written forms from
its `format`: so what is measured on them is that words, shapes, borders and checks work together,
and that no form in use is missing, not that python-stdnum is right.
"""

import importlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dataprep.pii.national import is_valid
from dataprep.pii.national_table import NationalId

_parser: Any = importlib.import_module("re._parser")
_TRIALS = 20_000
_TRIALS_TO_BREAK = 20
_REPEATS_MAX = 9
# Rows of python-stdnum's modules that the table names otherwise.
_MODULES = {"de": "de.idnr", "es": "es.nif", "fi": "fi.hetu"}
# Words before a number and what stands around both: dates, versions, amounts.
_SENTENCES = (
    "The form of 2024-03-12 gives {word} {number} and nothing else.",
    "{word}: {number}",
    "Please quote your {word} ({number}) when you write to us; version 2.14.1 is out.",
    "On 03/12/2024 the clerk noted {word} no. {number}, amount 1,299.00.",
)


@dataclass(frozen=True)
class Case:
    """A sentence, where its number stands, the row, and how the number is written."""

    text: str
    start: int
    end: int
    row: NationalId
    form: str


def cases(row: NationalId, num: int) -> Iterator[Case]:
    """Sentences with a valid number each, the same ones every time; every word of the row's own
    comes in turn."""
    source = random.Random(f"national {row.name}")
    for number in range(num):
        value = valid_number(row, source)
        forms = {"drawn": value, "compact": compact(value)} | _formatted(row, value)
        form = sorted(forms)[number % len(forms)]
        yield _sentence(row, forms[form], form, number, source)


def wrong_cases(row: NationalId, num: int) -> Iterator[Case]:
    """The same with numbers of which the check says that they are none: one character of a valid
    number is another. None for rows without a check, or whose check knows no digit."""
    source = random.Random(f"wrong {row.name}")
    for number in range(num if row.check else 0):
        value = _broken(row, source)
        if value is None:
            return
        yield _sentence(row, value, "broken", number, source)


def valid_number(row: NationalId, source: random.Random) -> str:
    """A number of the row's shape that its check accepts."""
    for _ in range(_TRIALS):
        separator = source.choice(("", " ", "-"))
        # The separator stands for `~`, the same in the whole number.
        value = _draw(_parser.parse(row.shape.replace("~", separator)), source)
        # The last character is nearly always the check: all of its values are tried.
        kind = "0123456789" if value[-1].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        for last in source.sample(kind, len(kind)):
            changed = value[:-1] + last
            if _has_shape(row, changed) and is_valid(row, changed, named=False):
                return changed
    raise AssertionError(f"no valid number of {row.name} in {_TRIALS} trials")


def compact(number: str) -> str:
    """The number without its separators, but for a sign that belongs to it (Finland's century)."""
    if re.fullmatch("[0-9]{6}[-+A-Ya-y][0-9]{3}[0-9A-Za-z]", number):
        return number
    return re.sub("[-. /]", "", number)


def _broken(row: NationalId, source: random.Random) -> str | None:
    for _ in range(_TRIALS_TO_BREAK):
        value = valid_number(row, source)
        # The check stands at the end mostly; another place would be as wrong.
        kind = "0123456789" if value[-1].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        other = source.choice([each for each in kind if each != value[-1].upper()])
        changed = value[:-1] + other
        if _has_shape(row, changed) and not is_valid(row, changed, named=False):
            return changed
    return None


def _formatted(row: NationalId, value: str) -> dict[str, str]:
    """The number as python-stdnum writes it, if it does."""
    if not row.check or row.check == "mrz" or row.prefix:
        return {}
    module = importlib.import_module(f"stdnum.{_MODULES.get(row.check, row.check)}")
    if not hasattr(module, "format"):
        return {}
    return {"formatted": module.format(compact(value))}


def _sentence(row: NationalId, value: str, form: str, number: int, source: random.Random) -> Case:
    before, after = source.choice(_SENTENCES).split("{number}")
    before = before.format(word=row.words[number % len(row.words)])
    return Case(before + value + after, len(before), len(before) + len(value), row, form)


def _has_shape(row: NationalId, value: str) -> bool:
    shape = row.shape.replace("~", "([-. ]?)", 1).replace("~", r"\1")
    return re.fullmatch(shape, value) is not None


def _draw(parsed: Any, source: random.Random) -> str:
    """A text that the parsed expression matches, as far as its lookaheads let it."""
    return "".join(_draw_one(str(name), value, source) for name, value in parsed)


def _draw_one(name: str, value: Any, source: random.Random) -> str:
    if name == "LITERAL":
        return chr(value)
    if name == "IN":
        characters = [character for part in value for character in _members(*part)]
        return source.choice(characters)
    if name == "MAX_REPEAT":
        least, most, part = value
        count = source.randint(least, min(int(most), least + _REPEATS_MAX))
        return "".join(_draw(part, source) for _ in range(count))
    if name == "BRANCH":
        return _draw(source.choice(value[1]), source)
    if name == "SUBPATTERN":
        return _draw(value[-1], source)
    assert name in ("ASSERT", "ASSERT_NOT"), name
    return ""


def _members(name: Any, value: Any) -> list[str]:
    if str(name) == "RANGE":
        return [chr(code) for code in range(value[0], value[1] + 1)]
    assert str(name) == "LITERAL", name
    return [chr(value)]
