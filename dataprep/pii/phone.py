"""Telephone numbers: VALID in a number plan, or digits that a word beside them names so.

Source: libphonenumber's number plans.
"""

import re
from collections.abc import Iterator, Sequence

import phonenumbers
import stdnum.isbn
from phonenumbers import Leniency, PhoneNumberMatcher

from dataprep.config_pii import Pii
from dataprep.pii.context import around

ANCHOR = "[0-9](?:[-. ()/\u00a0\u2010-\u2013]{0,4}[0-9]){6}"
_SEPARATOR = "(?: ?[-./\u2010-\u2013] ?|[ \u00a0]|\\) ?[-./]? ?|[ \u00a0]?\\()?"
_PHONE = re.compile(
    rf"[0-9](?<![\w.,/@-][0-9])(?:{_SEPARATOR}[0-9]){{6,16}}"
    r"(?: ?(?:x|ext\.?) ?[0-9]{1,6})?(?!\w|[-.,/][0-9])",
    re.ASCII,
)
_PHONE_LEFT = re.compile(r"(?<![\w.,/@+(-])[(+]{0,3}\Z", re.ASCII)

# A word that says "this is a telephone number", and one that makes it likely.
_PHONE_NAMED = re.compile(
    r"(?<![<\w])(?:tel|telephones?|phones?|mobile|mob|cell|fax|whatsapp|hotline|landline"
    r"|phone ?number|contact (?:no|number)|telefon|téléphone|tél|teléfono|móvil)(?![\w>])"
    r"|[电電][话話]|手[机機]|热线|熱線|[传傳]真|[号號][码碼]|联系方式",
    re.IGNORECASE,
)
_PHONE_LIKELY = re.compile(
    r"(?<![<\w])(?:call|dial|sms|contact)(?![\w>])|联系|聯繫|致[电電]|[拨撥]打", re.IGNORECASE
)
_NAMED_CHARACTERS = 24
_NO_PHONE_BEFORE = re.compile(
    r"(?:isbn|issn|doi|pmid|arxiv|rfc|bug|issue|ticket|serial|oid|order|part|model|patent|id|no\."
    r"|[#§$€£¥])[-:.]?[ 0-9-]{0,5}\Z",
    re.IGNORECASE,
)
_CLOCK_BEFORE = re.compile(r"[0-9]:\Z")
_DATE = re.compile(
    r"(?:1[89]|20)[0-9]{2}[-./ ][0-9]{1,2}[-./ ][0-9]{1,2}(?![0-9])"
    r"|[0-9]{1,2}[-./ ][0-9]{1,2}[-./ ](?:1[89]|20)[0-9]{2}(?![0-9])"
    r"|(?:1[89]|20)[0-9]{2} ?[-/\u2013] ?(?:1[89]|20)[0-9]{2}(?![0-9])"
)
_CHINESE_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_HAN = re.compile("[\u4e00-\u9fff]")


def phone_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    position = 0
    while match := _PHONE.search(text, position):
        position = match.end()
        left = _PHONE_LEFT.search(text, max(0, match.start() - 3), match.start())
        if not left:
            continue
        start = left.start()
        span = phone_span(
            text[start:position], *around(text, start, position), config.phone_regions
        )
        if span:
            yield start + span[0], start + span[1]
            position = start + span[1]


def phone_span(
    candidate: str, before: str, after: str, regions: Sequence[str]
) -> tuple[int, int] | None:
    """Start and end, in characters of `candidate`, of a telephone number in it, or None.

    A number with `+` must be valid in its country's number plan. One without must be valid in the
    plan of one of `regions` (ISO 3166-1 codes) and either be grouped the way its plan groups it or
    be introduced by a word such as "call". Digits without any separator need a word such as "phone"
    (2147483647 is a valid number in Dallas), except a Chinese mobile number in Chinese text.
    After such a word digits in groups count whatever the plan says: the region may be another one.
    """
    groups = re.findall("[0-9]+", candidate)
    digits = "".join(groups)
    if not 7 <= len(digits) <= 17 or _DATE.match(candidate) or not _has_shape(candidate, groups):
        return None
    if _NO_PHONE_BEFORE.search(before[-16:]) or _CLOCK_BEFORE.search(before[-3:]):
        return None
    if digits.startswith(("978", "979")) and stdnum.isbn.is_valid(digits):
        return None
    international = candidate.lstrip("(").startswith("+")
    named = bool(_PHONE_NAMED.search(before[-_NAMED_CHARACTERS:]))
    likely = named or bool(_PHONE_LIKELY.search(before))
    leniency = Leniency.VALID if international or likely else Leniency.STRICT_GROUPING
    if not (international or likely or _could_stand_alone(candidate, before + after)):
        return None
    for region in regions[:1] if international else regions:
        for match in PhoneNumberMatcher(candidate, region, leniency=leniency):
            # A part of a longer chain of digits is a coincidence; a blank may end the number.
            rest = candidate[: match.start], candidate[match.end :]
            if rest[0].strip() or (rest[1] and rest[1][0] not in " \u00a0/x"):
                continue
            grouped = not match.raw_string.strip("()").isdecimal()
            if international or named or (likely and grouped):
                return match.start, match.end
            if _could_stand_alone(match.raw_string, before + after):
                return match.start, match.end
    if named and len(groups) > 1 and 8 <= len(digits) <= 15:
        return 0, len(candidate)
    return None


def _has_shape(candidate: str, groups: Sequence[str]) -> bool:
    """Whether digits in `groups` are written as telephone numbers are, whatever stands around."""
    if sum(len(group) == 1 for group in groups) > 2:
        return False
    if set(re.sub("[0-9]", "", candidate)) == {"."}:
        # One dot is a decimal number; a chain of small ones a version, an address or an OID.
        return len(groups) > 2 and any(int(group) > 255 for group in groups)
    return True


def _could_stand_alone(candidate: str, around: str) -> bool:
    """Whether a national number may count as one without a word that introduces it."""
    groups = re.findall("[0-9]+", candidate)
    separators = set(re.sub("[0-9]", "", candidate.strip("()")))
    if len(groups) == 1:
        return bool(_CHINESE_MOBILE.fullmatch(groups[0]) and _HAN.search(around))
    if "/" in separators:
        return False  # fractions, paths
    if separators <= set(" \u00a0"):
        return groups[0].startswith("0") and len(groups[0]) >= 3  # else, columns of a table
    return len(groups) >= 3 or ")" in separators


def known_region(region: str) -> bool:
    """Whether `region` is an ISO 3166-1 code for which there is a number plan."""
    return region in phonenumbers.SUPPORTED_REGIONS
