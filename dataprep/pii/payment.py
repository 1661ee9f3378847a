"""Numbers of payment: cards and bank accounts.

Sources: ISO/IEC 7812 (Luhn, issuer prefixes), ISO 13616 (IBAN) as python-stdnum holds them.
"""

import functools
import re
from collections.abc import Iterator

import stdnum.iban
import stdnum.luhn
import stdnum.numdb

from dataprep.config_pii import Pii
from dataprep.pii.context import around

CARD_ANCHOR = "[0-9]{4}[ -]?[0-9]{4}[0-9 -]{4}"
_CARD = re.compile(
    r"[0-9](?<![\w.,/+-][0-9])(?:[0-9]{11,18}"
    r"|[0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?"
    r"|[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5})(?![\w/]|[.,-][0-9])",
    re.ASCII,
)
_CARD_BEFORE = re.compile(
    r"(?<![<\w])(?:cards?|credit|debit|visa|mastercard|maestro|amex|discover|diners|jcb|unionpay"
    r"|ccn?|payment)(?![\w>])|卡号|卡號|信用卡|银行卡|銀行卡",
    re.IGNORECASE,
)
# Issuer prefixes with the lengths that are in use (ISO/IEC 7812-1 registrations in public use).
_ISSUERS = re.compile(
    r"4[0-9]{15}|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12}"
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}|62[0-9]{14}|(?:50|5[6-8]|6[37])[0-9]{14}"
)


def card_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Payment cards."""
    for match in _CARD.finditer(text):
        before = around(text, *match.span())[0]
        if is_card(match[0], before, config.identifiers == "anywhere"):
            yield match.span()


def is_card(candidate: str, before: str, anywhere: bool) -> bool:
    """Whether 12 to 19 digits, perhaps in groups, are a payment card's number.

    The Luhn checksum must hold. One long number in ten passes it by chance, so the digits must
    also begin as an issuer's do, in that issuer's length, and not be a literal of a program
    (`seed=...`, `f(...)`), or a word before them must speak of a card, or the recipe ask for
    identifiers `anywhere`.
    """
    digits = re.sub("[^0-9]", "", candidate)
    if not 12 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    if not stdnum.luhn.is_valid(digits):
        return False
    if _CARD_BEFORE.search(before):
        return True
    if anywhere:
        # Thirteen digits from 1 on are a point in time, in milliseconds.
        return len(digits) != 13 or digits[0] != "1"
    literal = candidate.isdecimal() and before.rstrip(" ")[-1:] in set("([{=,")
    return bool(_ISSUERS.fullmatch(digits)) and not literal


IBAN_ANCHOR = "(?:^|[^0-9A-Za-z_])[A-Z]{2}[0-9]{2}(?:[ \u00a0-]?[0-9A-Z]){11}|(?i:iban)"
_IBAN = re.compile(
    r"(?<![0-9A-Za-z_])(?:[A-Z]{2}[0-9]{2}(?:[ \u00a0-]?[0-9A-Z]){11,30}"
    r"|([a-z]{2})[0-9]{2}(?:[ \u00a0-]?[0-9a-z]){11,30})"
)
_SEPARATORS = re.compile("[ \u00a0-]")
_IBAN_NAMED = re.compile(r"(?<![<\w])iban(?![\w>])", re.IGNORECASE)


def iban_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """International bank account numbers, in one piece or in groups.

    Country, length, structure and checksum must be right. How far a number with blanks goes only
    its country's length tells.
    """
    position = 0
    while match := _IBAN.search(text, position):
        start = match.start()
        position = start + 4
        if match[1] and not _IBAN_NAMED.search(around(text, start, start)[0]):
            continue
        end = _end_of(text, start, match.end(), _iban_length(match[0][:2].upper()))
        if end and stdnum.iban.is_valid(_SEPARATORS.sub("", text[start:end]), check_country=False):
            yield start, end
            position = end


def _end_of(text: str, start: int, end: int, num_characters: int) -> int:
    """Where the `num_characters`th letter or digit from `start` ends; 0 if a word goes on there."""
    for place in range(start, end):
        num_characters -= text[place].isalnum()
        if num_characters == 0:
            after = text[place + 1 : place + 2]
            return 0 if after.isascii() and (after.isalnum() or after == "_") else place + 1
    return 0


@functools.cache
def _iban_length(country: str) -> int:
    """Characters of an IBAN of `country`; 0 if it has none."""
    known = stdnum.numdb.get("iban").info(country)[0][1]
    return 4 + sum(map(int, re.findall("([0-9]+)!", known["bban"]))) if "bban" in known else 0
