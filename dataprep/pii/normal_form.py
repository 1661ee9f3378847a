"""One form for the ways in which one value is written: what is hashed, and what draws a substitute.

`(415) 555-2671` and `+1 415.555.2671` are one telephone number, `Jane@Site.DE` and `Jane@site.de`
one address. Where nothing is known of a kind, letters keep their case and only what cannot be seen
is taken out, so that two values never become one by mistake.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Sequence

import phonenumbers

_SEPARATORS = re.compile(r"[\s().,/_\u00b7\u2010-\u2015-]+")
_SPELLED_AT = re.compile(r" ?[\[({<]? ?\bat\b ?[\])}>]? ?", re.IGNORECASE)
_SPELLED_DOT = re.compile(r" ?[\[({<] ?(?:dot|\.) ?[\])}>] ?| dot ", re.IGNORECASE)
_HEXADECIMAL = re.compile("[^0-9a-f]+")


def normal_form(kind: str, value: str, regions: Sequence[str]) -> str:
    """The one form of `value`, which was found as `kind`.

    `regions` (ISO 3166-1) are where telephone numbers without a country code are looked up.
    """
    seen = visible(value)
    if kind in ("email", "email_spelled"):
        if kind == "email_spelled":
            seen = _SPELLED_DOT.sub(".", _SPELLED_AT.sub("@", seen, count=1))
        local, _, domain = seen.replace("%40", "@").rpartition("@")
        return f"{local}@{domain.lower()}"
    if kind in ("ipv4", "ipv6"):
        try:
            return str(ipaddress.ip_address(seen.partition("%")[0]))
        except ValueError:
            return seen.lower()
    if kind == "mac":
        return _HEXADECIMAL.sub("", seen.lower())
    if kind in ("phone", "cn_mobile"):
        number = parsed_phone(seen, ("CN",) if kind == "cn_mobile" else regions)
        if number is not None:
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        return re.sub("[^0-9]", "", seen)
    short = compact(seen)
    # Numbers of persons and accounts are written with and without separators; keys are not.
    digits = sum(character.isdecimal() for character in short)
    return short if kind in ("iban", "card") or 2 * digits >= len(short) else seen


def visible(value: str) -> str:
    """`value` in compatibility form (full-width digits become digits) without what is not seen:
    zero-width characters and marks of direction."""
    if value.isascii():
        return value
    folded = unicodedata.normalize("NFKC", value)
    return "".join(character for character in folded if unicodedata.category(character) != "Cf")


def compact(value: str) -> str:
    """`value` without separators, in upper case."""
    return _SEPARATORS.sub("", value).upper()


def parsed_phone(value: str, regions: Sequence[str]) -> phonenumbers.PhoneNumber | None:
    """The telephone number, by the first region in whose plan it is valid; None if in none."""
    for region in regions or (None,):
        try:
            number = phonenumbers.parse(value, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return number
    return None
