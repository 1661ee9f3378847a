"""Labelled sentences for the figures of personal data, made here: identifiers from number plans,
registries and a seeded generator, in sentences of our own.

The rules were never tuned on these sentences; `tests/` has others. What stands around is hard on
purpose: versions, dates, times, ISBN, amounts, order numbers.
"""

import ipaddress
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import phonenumbers
import stdnum.iban
import stdnum.luhn
import stdnum.numdb
from phonenumbers import PhoneNumberFormat, PhoneNumberType

NUM_EACH = 400
REGIONS = (
    *("US", "CA", "GB", "IE", "AU", "NZ", "IN", "DE", "AT", "CH", "FR", "BE", "NL", "LU", "IT"),
    *("ES", "PT", "SE", "NO", "DK", "FI", "PL", "CZ", "HU", "BR"),
)
_SENTENCES = {
    "email": (
        "Please forward the minutes of 2024-03-12 to {}, not to the whole team.",
        "Contact: {}; ISBN 978-3-16-148410-0 is out of print.",
        "The maintainer <{}> released version 2.14.1 yesterday.",
    ),
    "ip_address": (
        "The last login came from {} at 12:45:10.",
        "We saw 1,024 requests by {} before version 4.2 was rolled out.",
        "Traffic between {} and the cluster (build 20240312) was dropped.",
    ),
    "card": (
        "The customer paid with {} on 03/12/2024, invoice 2024-000123.",
        "Card {} was declined three times; amount 1,299.00.",
        "Charge {} for both rooms, please.",
    ),
    "iban": (
        "Transfer the deposit to {} before 1 April 2025.",
        "Our bank changed; the new account is {}. Order 4711-0815 is paid.",
        "Refunds (12 in March) go to {} from now on.",
    ),
    "us_ssn": (
        "The applicant's Social Security number ({}) does not match.",
        "SSN {} was entered twice on 2024-03-12.",
        "Write your social security number, such as {}, on form 1040.",
    ),
    "phone": (
        "Our office moved; the new telephone number is {} as of 2024-03-12.",
        "If version 2.3.1 fails, phone {} and ask for Maria.",
        "Tel: {}, open 9:00-17:30.",
        "Mobile {} (after 6 pm). Order 2024-000123.",
        "You can call us at {} until Friday.",
    ),
}


@dataclass(frozen=True)
class Labelled:
    """A sentence and the characters from which to which its identifier stands."""

    text: str
    start: int
    end: int
    form: str


def sentences(kind: str) -> Iterator[Labelled]:
    """`NUM_EACH` sentences with one identifier of `kind` each, the same ones every time."""
    source = random.Random(f"pii {kind}")
    make: Callable[[random.Random, int], tuple[str, str]] = _MAKERS[kind]
    for number in range(NUM_EACH):
        value, form = make(source, number)
        before, after = source.choice(_SENTENCES[kind]).split("{}")
        yield Labelled(before + value + after, len(before), len(before) + len(value), form)


def _email(source: random.Random, number: int) -> tuple[str, str]:
    names = ("ana", "bjorn", "chen", "dmitri", "eve", "farid", "grace.hopper", "h_k", "ida-marie")
    hosts = ("example", "uni-bonn", "mail.corp", "post", "x1", "müller", "пример", "xn--mller-kva")
    endings = ("com", "org", "de", "co.uk", "io", "museum", "ac.jp", "email")
    host = source.choice(hosts)
    form = "ascii" if host.isascii() else "internationalised"
    name = source.choice(names) + source.choice(("", str(number), "+list", ".jr"))
    return f"{name}@{host}.{source.choice(endings)}", form


def _ip_address(source: random.Random, number: int) -> tuple[str, str]:
    while True:
        if number % 2:
            address = ipaddress.ip_address(source.getrandbits(32))
            if address.is_global and not address.is_multicast and not address.is_reserved:
                return str(address), "IPv4"
        else:
            value = (0x2 << 124) | (source.getrandbits(28) << 96) | source.getrandbits(64)
            six = ipaddress.IPv6Address(value)
            if six.is_global and not six.is_reserved:
                return source.choice((str(six), six.exploded)), "IPv6"


def _card(source: random.Random, number: int) -> tuple[str, str]:
    prefix, length = source.choice((("4", 16), ("53", 16), ("2305", 16), ("6011", 16), ("37", 15)))
    digits = prefix + "".join(source.choices("0123456789", k=length - len(prefix) - 1))
    digits += stdnum.luhn.calc_check_digit(digits)
    groups = (4, 6, 5) if length == 15 else (4, 4, 4, 4)
    separator = source.choice(("", " ", "-"))
    return separator.join(_grouped(digits, groups)), separator or "undivided"


def _grouped(digits: str, groups: tuple[int, ...]) -> Iterator[str]:
    position = 0
    for group in groups:
        yield digits[position : position + group]
        position += group


def _iban(source: random.Random, number: int) -> tuple[str, str]:
    countries = ("AT", "BE", "CH", "DE", "ES", "FI", "FR", "GB", "IE", "IT", "LU", "NL", "NO", "PL")
    country = source.choice((*countries, "PT", "SE", "TR", "SA", "AE", "BR"))
    structure = stdnum.numdb.get("iban").info(country)[0][1]["bban"]
    letters = {"n": "0123456789", "a": "ABCDEFGHIJKL", "c": "0123456789ABCDEF"}
    account = "".join(
        "".join(source.choices(letters[kind], k=int(count)))
        for count, kind in re.findall("([0-9]+)!([nac])", structure)
    )
    whole = country + stdnum.iban.calc_check_digits(f"{country}00{account}") + account
    return (whole, "undivided") if number % 2 else (stdnum.iban.format(whole), "in groups")


def _us_ssn(source: random.Random, number: int) -> tuple[str, str]:
    area = source.choice([*range(1, 666), *range(667, 900)])
    parts = f"{area:03}", f"{source.randint(1, 99):02}", f"{source.randint(1, 9999):04}"
    separator = source.choice(("-", "-", " ", ""))
    return separator.join(parts), separator or "undivided"


def _phone(source: random.Random, number: int) -> tuple[str, str]:
    """A number that its region's plan has, by changing digits of the plan's example."""
    region = REGIONS[number % len(REGIONS)]
    kind = source.choice((PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE))
    example = phonenumbers.example_number_for_type(region, kind)
    digits = phonenumbers.national_significant_number(example)
    form = source.choice(("NATIONAL", "NATIONAL", "INTERNATIONAL", "E164"))
    while True:
        kept = source.randint(2, 4)
        changed = digits[:kept] + "".join(source.choices("0123456789", k=len(digits) - kept))
        value = phonenumbers.parse(f"+{example.country_code}{changed}")
        if phonenumbers.is_valid_number_for_region(value, region):
            shown = phonenumbers.format_number(value, getattr(PhoneNumberFormat, form))
            return shown, form.lower()


_MAKERS: dict[str, Callable[[random.Random, int], tuple[str, str]]] = {
    "email": _email,
    "ip_address": _ip_address,
    "card": _card,
    "iban": _iban,
    "us_ssn": _us_ssn,
    "phone": _phone,
}
