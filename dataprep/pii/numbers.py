"""Numbers of payment: cards.

Source: ISO/IEC 7812 (Luhn, issuer prefixes).
"""

import re
from collections.abc import Iterator

import stdnum.luhn

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
        if is_card(match[0], around(text, *match.span())[0]):
            yield match.span()


def is_card(candidate: str, before: str) -> bool:
    """Whether 12 to 19 digits, perhaps in groups, are a payment card's number.

    The Luhn checksum must hold. One long number in ten passes it by chance, so the digits must
    also begin as an issuer's do, in that issuer's length, and not be a literal of a program
    (`seed=...`, `f(...)`), or a word before them must speak of a card.
    """
    digits = re.sub("[^0-9]", "", candidate)
    if not 12 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    if not stdnum.luhn.is_valid(digits):
        return False
    if _CARD_BEFORE.search(before):
        return True
    literal = candidate.isdecimal() and before.rstrip(" ")[-1:] in set("([{=,")
    return bool(_ISSUERS.fullmatch(digits)) and not literal
