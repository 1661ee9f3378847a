"""National and tax identification numbers.

The table of `national_table` says which; python-stdnum decides on checksums, dates and regions.
Most such numbers have one check digit, which one number in ten has by chance: they count only
beside a word that names them, unless the recipe says `identifiers = "anywhere"`.

Sources: python-stdnum's modules; ICAO 9303 part 3 (check digits of travel documents).
"""

import functools
import importlib
import re
from collections.abc import Callable, Iterator

import stdnum.es.nif
import stdnum.fi.hetu
import stdnum.iso7064.mod_11_10
from stdnum.exceptions import ValidationError

from dataprep.config_pii import Pii
from dataprep.pii.context import words_anchor
from dataprep.pii.national_table import GENERIC_WORDS, NATIONAL_IDS, NationalId
from dataprep.pii.phone_words import named_before
from dataprep.pii.words import Words

# What may not touch an identifier. Chinese characters may.
LEFT = r"(?<![0-9A-Za-z_])(?<![0-9][-.,/+])"
# The same after a first digit, which a search finds faster than what must not stand before it.
LEFT_OF_FIRST = r"(?<![0-9A-Za-z_][0-9])(?<![0-9][-.,/+][0-9])"
RIGHT = r"(?![0-9A-Za-z_])(?![-.,/+][0-9])"
# A word may stand this far before a number, and this far after it.
BEFORE_CHARACTERS, AFTER_CHARACTERS = 48, 24

_GENERIC = frozenset(GENERIC_WORDS)
_GENERIC_KEY = ""
_ALL_WORDS = (*GENERIC_WORDS, *(word for row in NATIONAL_IDS for word in row.words))
_WORDS = Words(_ALL_WORDS)
# The shortest shape, a driver's licence with three letters, has three digits.
_SOME_NUMBER = re.compile("[0-9](?:[-. /]?[0-9A-Za-z]){2}")
# What may stand between a word and the number that it names.
_COLONS = " \t:：#(=."
NATIONAL_ANCHOR = "|".join(
    [
        words_anchor(_ALL_WORDS),
        *(row.shape.replace("~", "[-. ]?") for row in NATIONAL_IDS if row.stands_alone),
    ]
)
ANYWHERE_ANCHOR = "[0-9](?:[-. /]?[0-9A-Za-z]){4}"


def national_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Numbers of the rows that `config.national_ids` names."""
    rows = _rows(config.national_ids)
    anywhere = config.identifiers == "anywhere"
    if anywhere:
        for row in rows:
            for match in _pattern(row).finditer(text):
                if is_valid(row, match[0], named=True):
                    yield match.span()
        return
    alone = tuple(row for row in rows if row.stands_alone)
    if alone:
        for match in _any_pattern(alone).finditer(text):
            if any(
                _pattern(row).fullmatch(match[0]) and is_valid(row, match[0], named=False)
                for row in alone
            ):
                yield match.span()
    yield from _named_spans(text, rows)


def _named_spans(text: str, rows: tuple[NationalId, ...]) -> Iterator[tuple[int, int]]:
    by_word = _rows_by_word(rows)
    done: dict[tuple[NationalId, ...], int] = {}
    for start, end, word in sorted(_WORDS.find(text)):
        generic = word in _GENERIC
        named = by_word[_GENERIC_KEY if generic else word]
        # A generic word speaks of what follows it only. What two words have in common is looked at
        # once, so that the time stays linear.
        left = max(end if generic else start - AFTER_CHARACTERS, done.get(named, 0))
        right = min(len(text), end + BEFORE_CHARACTERS)
        if not named or not _SOME_NUMBER.search(text, left, right):
            continue
        done[named] = end
        for match in _any_pattern(named).finditer(text, left, right):
            # "Tax file number: 123 456 782" is named by that word, not by "number:" alone.
            directly = match.start() >= end and not text[end : match.start()].strip(_COLONS)
            if not directly and named_before(text[max(0, match.start() - 24) : match.start()]):
                continue  # a telephone number
            found = _named_end(text, match.start(), right, named)
            if found:
                done[named] = max(found, end)
                yield match.start(), found


def _named_end(text: str, start: int, right: int, rows: tuple[NationalId, ...]) -> int:
    """The end of the longest number of `rows` that begins at `start`; 0 if there is none."""
    longest = 0
    for row in rows:
        match = _pattern(row).match(text, start, right)
        if (
            match
            and match.end() > longest
            and (match.end() < right or ends(text, right))
            and is_valid(row, match[0], True)
        ):
            longest = match.end()
    return longest


def ends(text: str, place: int) -> bool:
    """Whether a number may end at `place`."""
    return not re.match(r"[0-9A-Za-z_]|[-.,/+][0-9]", text[place : place + 2])


@functools.cache
def _rows(names: tuple[str, ...]) -> tuple[NationalId, ...]:
    return tuple(row for row in NATIONAL_IDS if "all" in names or row.name in names)


@functools.cache
def _rows_by_word(rows: tuple[NationalId, ...]) -> dict[str, tuple[NationalId, ...]]:
    """The rows that each word speaks of; `_GENERIC_KEY`: those that generic words speak of."""
    words = {word for row in NATIONAL_IDS for word in row.words}
    named = {word: tuple(row for row in rows if word in row.words) for word in words}
    return {**named, _GENERIC_KEY: tuple(row for row in rows if not row.own_words_only)}


@functools.cache
def _pattern(row: NationalId) -> re.Pattern[str]:
    """The row's shape with its borders; the separators `~` of a number are all the same."""
    shape = row.shape.replace("~", "([-. ]?)", 1).replace("~", r"\1")
    return re.compile(f"{LEFT}(?:{shape}){RIGHT}", re.ASCII)


@functools.cache
def _any_pattern(rows: tuple[NationalId, ...]) -> re.Pattern[str]:
    """What has the shape of one of the rows; separators may differ within a number."""
    shapes = "|".join(row.shape.replace("~", "[-. ]?") for row in rows)
    return re.compile(f"{LEFT}(?:{shapes}){RIGHT}", re.ASCII)


def is_valid(row: NationalId, candidate: str, named: bool) -> bool:
    """Whether `candidate`, which has the row's shape, is such a number; `named`: a word says so."""
    digits = re.sub("[^0-9]", "", candidate)
    if len(digits) > 4 and len(set(digits)) == 1 and digits == candidate:
        return False
    if (named and row.shape_is_enough) or not row.check:
        return True
    compact = row.prefix + re.sub("[-. /]", "", candidate)
    check = _check(row.check)
    return check(compact) or (not row.prefix and check(candidate))


@functools.cache
def _check(name: str) -> Callable[[str], bool]:
    own = {"de": _is_german_tax_id, "es": _is_spanish, "fi": _is_finnish, "mrz": is_travel_number}
    if name in own:
        return own[name]
    check: Callable[[str], bool] = importlib.import_module(f"stdnum.{name}").is_valid
    return check


def _is_german_tax_id(number: str) -> bool:
    """By check digit alone: forms and examples repeat no digit, which real numbers must."""
    most = max(number.count(digit) for digit in number[:10])
    return most <= 3 and bool(stdnum.iso7064.mod_11_10.is_valid(number))


def _is_spanish(number: str) -> bool:
    """DNI, NIE and NIF; a DNI is often written without its leading zero."""
    return bool(stdnum.es.nif.is_valid(number.upper().rjust(9, "0")))


def _is_finnish(number: str) -> bool:
    """With the signs of centuries of 2023 and temporary numbers, which 900 to 999 are."""
    sign = {**dict.fromkeys("UVWXY", "-"), **dict.fromkeys("BCDEF", "A")}.get(number[6:7].upper())
    try:
        plain = number[:6] + (sign or number[6:7]) + number[7:]
        stdnum.fi.hetu.validate(plain, allow_temporary=True)
    except ValidationError:
        return False
    return True


def is_travel_number(number: str) -> bool:
    """Whether the last digit is that of ICAO 9303: weights 7, 3, 1, sum modulo 10."""
    values = [int(character, 36) for character in number[:-1]]
    total = sum(value * (7, 3, 1)[place % 3] for place, value in enumerate(values))
    return total % 10 == int(number[-1])
