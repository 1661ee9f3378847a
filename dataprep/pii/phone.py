"""Telephone numbers: VALID in a number plan, or digits in groups that a word beside them names so.

A number with `+` must be valid in its country's plan; one without, in the plan of a configured
region, and grouped as that plan groups it. A word beside it ("tel", "call me at", 手机) makes
digits in groups count whatever the plans say: the region may be another one, and people write
numbers as they like.

Source: libphonenumber's number plans.
"""

import re
from collections.abc import Iterator, Sequence

import phonenumbers
import stdnum.isbn
from phonenumbers import Leniency, PhoneNumberMatcher

from dataprep.config_pii import Pii
from dataprep.pii.context import around
from dataprep.pii.phone_words import (
    HAN,
    MOBILE,
    likely_before,
    named_after,
    named_before,
    number_before,
    other_number_before,
)

ANCHOR = "[0-9](?:[-. ()/\u00a0\u2010-\u2013]{0,4}[0-9]){6}"
_SEPARATOR = "(?: ?[-./\u2010-\u2013] ?|[ \u00a0]|\\) ?[-./]? ?|[ \u00a0]?\\()?"
# What must not stand before the first digit is looked at after it: a pattern that begins with a
# digit is searched for much faster.
_PHONE = re.compile(
    rf"[0-9](?<![\w.,/@-][0-9])(?:{_SEPARATOR}[0-9]){{6,16}}"
    r"(?: ?(?:x|ext\.?|#) ?[0-9]{1,6})?(?!\w|[-.,/][0-9])",
    re.ASCII,
)
_PHONE_LEFT = re.compile(r"(?<![\w.,/@+(-])[(+]{0,3}\Z", re.ASCII)
_EXTENSION = re.compile(" ?(?:x|ext|#)")
_DATE = re.compile(
    r"(?:1[89]|20)[0-9]{2}[-./ ][0-9]{1,2}[-./ ][0-9]{1,2}(?![0-9])"
    r"|[0-9]{1,2}[-./ ][0-9]{1,2}[-./ ](?:1[89]|20)[0-9]{2}(?![0-9])"
    r"|(?:1[89]|20)[0-9]{2} ?[-/\u2013] ?(?:1[89]|20)[0-9]{2}(?![0-9])"
)
_CLOCK_BEFORE = re.compile(r"[0-9]:\Z")
# Groups of two with dots: "03.93.92.16.85". A version or an address has fewer, or a zero less.
_PAIRS = re.compile(r"0[0-9](?:\.[0-9]{2}){4}")

CN_MOBILE_ANCHOR = "1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}"
_CN_MOBILE = re.compile(
    r"1(?<![0-9A-Za-z_.,/+-]1)[3-9][0-9](?:[0-9]{8}|([- ])[0-9]{4}\1[0-9]{4})"
    r"(?![0-9A-Za-z_]|[-.,/][0-9])"
)
_CN_CODE = re.compile(r"(?<![0-9A-Za-z_.,/-])(?:\(?\+|00)86\)?[- ]?\Z")


def cn_mobile_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Chinese mobile numbers: with +86, or beside a Chinese character or a word for telephones."""
    for match in _CN_MOBILE.finditer(text):
        before, after = around(text, *match.span())
        code = _CN_CODE.search(before[-8:])
        if code or HAN.search(before + after) or named_before(before) or named_after(after):
            yield match.start() - (len(code[0]) if code else 0), match.end()


def phone_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Telephone numbers of any country."""
    position = 0
    while match := _PHONE.search(text, position):
        position = match.end()
        left = _PHONE_LEFT.search(text, max(0, match.start() - 3), match.start())
        if not left:
            continue
        start = left.start()
        before, after = around(text, start, position)
        span = phone_span(text[start:position], before, after, config.phone_regions)
        if span:
            yield start + span[0], start + span[1]
            position = start + span[1]


def phone_span(
    candidate: str, before: str, after: str, regions: Sequence[str]
) -> tuple[int, int] | None:
    """Start and end, in characters of `candidate`, of a telephone number in it, or None.

    Digits without any separator need a word such as "phone" (2147483647 is a valid number in
    Dallas), except a Chinese mobile number in Chinese text. After such a word digits in groups
    count whatever the plan says, and undivided ones if there are eight to thirteen of them.
    """
    number = _EXTENSION.split(candidate)[0]
    groups = re.findall("[0-9]+", number)
    digits = "".join(groups)
    if not 7 <= len(digits) <= 17 or _DATE.match(number.lstrip("(")):
        return None
    if other_number_before(before) or _CLOCK_BEFORE.search(before[-3:]):
        return None
    if digits.startswith(("978", "979")) and stdnum.isbn.is_valid(digits):
        return None
    named = named_before(before) or named_after(after)
    likely = named or likely_before(before) or (len(groups) > 1 and number_before(before))
    if not _has_shape(number, groups, likely):
        return None
    international = number.lstrip("(").startswith("+")
    if not (international or likely or _could_stand_alone(number, before + after)):
        return None
    if likely and len(groups) > 1 and len(digits) <= 11 and not international:
        return 0, len(candidate)
    found = _valid_span(candidate, before + after, regions, named, likely)
    if found:
        return found
    if likely and len(groups) > 1 and len(digits) <= 15:
        return 0, len(candidate)
    if named and 8 <= len(digits) <= 13:
        return 0, len(candidate)
    return None


def _valid_span(
    candidate: str, beside: str, regions: Sequence[str], named: bool, likely: bool
) -> tuple[int, int] | None:
    """The piece that a number plan knows, if it is all of the candidate or ends at a blank."""
    international = candidate.lstrip("(").startswith("+")
    leniency = Leniency.VALID if international or likely else Leniency.STRICT_GROUPING
    for region in regions[:1] if international else regions:
        for match in PhoneNumberMatcher(candidate, region, leniency=leniency):
            # A part of a longer chain of digits is a coincidence; a blank may end the number.
            rest = candidate[: match.start], candidate[match.end :]
            if rest[0].strip() or (rest[1] and rest[1][0] not in " \u00a0/x"):
                continue
            grouped = not match.raw_string.strip("()").isdecimal()
            if international or named or (likely and (grouped or _starts_as_in_plan(candidate))):
                return match.start, match.end
            if _could_stand_alone(match.raw_string, beside):
                return match.start, match.end
    return None


def _starts_as_in_plan(candidate: str) -> bool:
    """Whether undivided digits are no point in time: those of our days begin with 1."""
    return not candidate.startswith("1") or bool(MOBILE.fullmatch(candidate))


def _has_shape(candidate: str, groups: Sequence[str], likely: bool) -> bool:
    """Whether digits in `groups` are written as telephone numbers are, whatever stands around."""
    if sum(len(group) == 1 for group in groups) > 2:
        return False
    inner = candidate.lstrip("(+")
    if not 0 <= candidate.count("(") - inner.count(")") <= 1 or inner.count("(") > inner.count(")"):
        return False  # "7667 (76.670%)", "64/255)-23"
    if set(re.sub("[0-9]", "", candidate)) == {"."}:
        # One dot is a decimal number; a chain of small ones a version, an address or an OID.
        if likely and _PAIRS.fullmatch(candidate):
            return True
        return len(groups) > 2 and any(int(group) > 255 for group in groups)
    return True


def _could_stand_alone(candidate: str, around: str) -> bool:
    """Whether a national number may count as one without a word that introduces it."""
    groups = re.findall("[0-9]+", candidate)
    separators = set(re.sub("[0-9]", "", candidate.strip("()")))
    if len(groups) == 1:
        return bool(MOBILE.fullmatch(groups[0]) and HAN.search(around))
    if "/" in separators or ". " in candidate:
        return False  # fractions, paths, "pages 205-206. 1804"
    if separators <= set(" \u00a0"):
        return groups[0].startswith("0") and len(groups[0]) >= 3  # else, columns of a table
    return len(groups) >= 3 or ")" in separators


def known_region(region: str) -> bool:
    """Whether `region` is an ISO 3166-1 code for which there is a number plan."""
    return region in phonenumbers.SUPPORTED_REGIONS
