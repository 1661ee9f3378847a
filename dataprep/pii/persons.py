"""Numbers of persons with rules of their own: United States social security, Chinese resident ids,
passports.

Sources: GB 11643 and GB/T 2260 through python-stdnum, the Social Security Administration's rules on
numbers that are never given out, ICAO 9303 parts 3 and 4.
"""

import datetime
import re
from collections.abc import Iterator

import stdnum.cn.ric
import stdnum.us.ssn

from dataprep.config_pii import Pii
from dataprep.pii.context import around, words_pattern, words_source
from dataprep.pii.national import (
    BEFORE_CHARACTERS,
    LEFT,
    LEFT_OF_FIRST,
    RIGHT,
    ends,
    is_travel_number,
)
from dataprep.pii.words import Words

SSN_ANCHOR = "[0-9]{3}[-\u2010-\u2013 ]?[0-9]{2}[-\u2010-\u2013 ]?[0-9]{4}"
_SSN = re.compile(
    rf"[0-9]{LEFT_OF_FIRST}[0-9]{{2}}([-\u2010-\u2013 ]?)[0-9]{{2}}"
    rf"([-\u2010-\u2013 ]?)[0-9]{{4}}{RIGHT}"
)
_SSN_WORDS = words_pattern(
    ("social security", "social security number", "ssn", "ssns", "soc sec", "ss number", "ss#")
)


def ssn_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Social security numbers, which have no check digit: only groups that are never given out.

    They count beside a word that names them; digits without separators too.
    """
    for match in _SSN.finditer(text):
        number = re.sub("[^0-9]", "", match[0])
        if not stdnum.us.ssn.is_valid(number):
            continue
        same = bool(match[1]) == bool(match[2])
        before, after = around(text, *match.span(), num=64)
        if config.identifiers == "anywhere" or (
            same and (_SSN_WORDS.search(before) or _SSN_WORDS.search(after[:24]))
        ):
            yield match.span()


CN_ID_ANCHOR = "[1-9][0-9]{14}"
_CN_ID = re.compile(
    r"[1-9](?<![0-9A-Za-z_.][1-9])[0-9]{5}(?:18|19|20)[0-9]{9}[0-9Xx](?![0-9A-Za-z_])(?!\.[0-9])"
)
_CN_ID_SHORT = re.compile(r"[1-9](?<![0-9A-Za-z_.][1-9])[0-9]{14}(?![0-9A-Za-z_])(?!\.[0-9])")
_CN_ID_WORDS = re.compile(
    r"身份证|身份證|公民身份|证件号|證件號"
    r"|(?<![<\w])(?:id(?: card)?|identity|identification|resident)(?![\w>])",
    re.IGNORECASE,
)
# The first two digits: provinces, Taiwan, Hong Kong, Macao (GB/T 2260), and foreigners' cards.
_PROVINCES = frozenset(
    map(
        str,
        (
            *(*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47)),
            *(*range(50, 55), *range(61, 66), 71, 81, 82, 83, 91),
        ),
    )
)


def cn_id_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Chinese resident ids of 18 digits: checksum, birth date and province.

    The register of counties is not asked: it has not all that ever were.
    """
    for match in _CN_ID.finditer(text):
        number = match[0].upper()
        if stdnum.cn.ric.calc_check_digit(number) == number[-1] and _has_cn_form(number):
            yield match.span()


def _has_cn_form(number: str) -> bool:
    return number[:2] in _PROVINCES and _is_date(number[6:14])


def cn_id_pattern_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """The same by pattern alone: province and birth date, or birth date and a word.

    And those of 15 digits, which were given out until 1999, beside a word.
    """
    for match in _CN_ID.finditer(text):
        named = _CN_ID_WORDS.search(around(text, *match.span())[0])
        if _has_cn_form(match[0]) or (named and _is_date(match[0][6:14])):
            yield match.span()
    for match in _CN_ID_SHORT.finditer(text):
        named = _CN_ID_WORDS.search(around(text, *match.span())[0])
        if named and match[0][:2] in _PROVINCES and _is_date("19" + match[0][6:12]):
            yield match.span()


def _is_date(digits: str) -> bool:
    try:
        date = datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return date.year >= 1860


_PASSPORT_WORDS = (
    *("passport", "passports", "passport number", "travel document", "passeport", "reisepass"),
    *("reisepassnummer", "pasaporte", "passaporto", "passaporte", "paspoort", "paszport"),
    *("паспорт", "护照", "護照", "旅券", "パスポート", "여권"),
)
PASSPORT_ANCHOR = f"(?i:{words_source(_PASSPORT_WORDS)})|P[A-Z<][A-Z<]{{20}}"
PASSPORT_ANYWHERE_ANCHOR = "[0-9]{6}"
_PASSPORT_NAMED = Words(_PASSPORT_WORDS)
_PASSPORT = re.compile(
    rf"{LEFT}(?:[A-Z]{{1,2}} ?[0-9]{{6,8}}[A-Z]?|[0-9]{{2}}[A-Z]{{2}}[0-9]{{5}}|[0-9]{{8,9}}"
    rf"|[A-Z]{{2}}[0-9]{{5}}[A-Z]{{2}}|[CFGHJK][0-9CFGHJKLMNPRTVWXYZ]{{8}}){RIGHT}",
)
# The two lines at the foot of a passport's page (ICAO 9303 part 4).
_PASSPORT_LINES = re.compile(
    r"(?<![A-Z0-9<])P[A-Z<][A-Z]{3}[A-Z<]{39}\r?\n?([A-Z0-9<]{9}[0-9])[A-Z<]{3}[0-9]{7}[MFX<]"
    r"[0-9]{7}[A-Z0-9<]{14}[0-9<][0-9](?![A-Z0-9<])"
)
_PASSPORT_ANYWHERE = re.compile(rf"{LEFT}[A-Z0-9][0-9]{{8}}{RIGHT}")


def passport_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Passport numbers beside a word that names them, and machine-readable lines."""
    for match in _PASSPORT_LINES.finditer(text):
        if is_travel_number(match[1].replace("<", "0")):
            yield match.span()
    if config.identifiers == "anywhere":
        for match in _PASSPORT_ANYWHERE.finditer(text):
            yield match.span()
        return
    done = 0
    for _, word_end, _ in _PASSPORT_NAMED.find(text):
        right = min(len(text), word_end + BEFORE_CHARACTERS)
        for match in _PASSPORT.finditer(text, max(word_end, done), right):
            if match.end() < right or ends(text, right):
                yield match.span()
        done = right
