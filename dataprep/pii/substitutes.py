"""Values that look real and are nobody's, for mode substitute, and how they are recognized.

A substitute is drawn by a hash of the value and the recipe's seed, so that it is the same in every
document, shard and run. It comes from a range that is never given to anybody:

- e-mail: example.com, .net, .org (RFC 2606), with a number that carries a check;
- IPv4: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 (RFC 5737); IPv6: 2001:db8::/32 (RFC 3849);
- MAC: 00:00:5E:00:53:00 to FF (RFC 7042, 2.1.2);
- telephone: 555-0100 to 0199 of the North American plan (ATIS-0300115), and what the regulators
  of the United Kingdom (Ofcom), France (ARCEP), Germany (BNetzA), Australia (ACMA) and Ireland
  (ComReg) set aside for fiction; other countries have no such range that we know of;
- card: prefix 9999 99, which ISO/IEC 7812-1 leaves to a national body of a country code that there
  is not, with a Luhn digit; IBAN: check digits 00, which ISO 13616 never yields;
- US SSN: area 000 (Social Security Administration: never assigned);
- Chinese resident id: division 990000, which GB/T 2260 does not have, with its check digit.

Other kinds (passwords, wallets, national identity numbers) have no such range: they get their
placeholder.
"""

import hashlib
import ipaddress
import re
from collections.abc import Callable, Sequence

import phonenumbers
import stdnum.luhn
from phonenumbers import PhoneNumberType
from stdnum.cn import ric

from dataprep.pii.normal_form import compact, parsed_phone, visible

_FIRST = """
    adam alice amir anna ben carla chen clara dana david elena emil emma erik fatima felix
    grace hana hugo ines ivan jana jonas julia karim laura leo lin lucas maria marta max
    mei mila nadia nina noah omar paul petra rosa sam sara sofia tariq theo tom vera yusuf
    zoe
""".split()  # noqa: SIM905 (a list of words is read more easily)
_LAST = """
    adler baker bauer berg chan costa cruz dubois fischer fox gomez gray green hall hansen
    hill huang ito jensen kaya keller khan kim koch kovac lang lee lopez martin mason
    meyer moreau nakamura novak olsen park patel price reed rossi ruiz sato silva singh
    stone tanaka wang weber wolf wood
""".split()  # noqa: SIM905 (a list of words is read more easily)
_DOMAINS = ("example.com", "example.net", "example.org")
_NETWORKS = ("192.0.2.", "198.51.100.", "203.0.113.")
_DOCUMENTATION = ipaddress.IPv6Network("2001:db8::/32")
_AREAS = """
    202 206 212 213 214 215 216 303 305 312 313 314 404 405 407 412 415 502 503 504 512
    602 612 615 617 702 704 713 801 808 816 901 913 916 918
""".split()  # noqa: SIM905 (a list of words is read more easily)
# By country code: beginnings of national numbers that are set aside, and how many digits follow;
# the first for fixed lines, the second for mobile telephones.
_FICTION = {
    33: (("19900", 4), ("63998", 4)),
    44: (("2079460", 3), ("7700900", 3)),
    49: (("3023125", 3), ("17139200", 2)),
    61: (("25550", 4), ("25550", 4)),
    353: (("2091", 5), ("2091", 5)),
}
_FICTION_PATTERN = "|".join(
    f"(?:(?:00)?{code})?0?(?:{'|'.join(f'{start}[0-9]{{{number}}}' for start, number in ranges)})"
    for code, ranges in _FICTION.items()
)
_CARD_PREFIX = "999999"
_CN_ID_PREFIX = "99000019000101"

_EMAIL = re.compile(r"([a-z]+\.[a-z]+)([0-9]{3})([0-9]{3})@(example\.(?:com|net|org))")
_MAC = re.compile("00005E0053[0-9A-F]{2}")
_NUMBER = re.compile(
    rf"(?:001)?1?[2-9][0-9]{{2}}55501[0-9]{{2}}|{_FICTION_PATTERN}|{_CARD_PREFIX}[0-9]{{6,13}}"
    rf"|[A-Z]{{2}}00[A-Z0-9]{{8,30}}|000[0-9]{{6}}|{_CN_ID_PREFIX}[0-9]{{3}}[0-9X]"
)

# What substitutes look like in a text, by what they count as, for the report.
SHOWN = {
    "email": (r"[a-z]+\.[a-z]+[0-9]{6}(?:@|%40)example\.(?:com|net|org)",),
    "ip_address": (
        *(rf"{re.escape(network)}[0-9]{{1,3}}" for network in _NETWORKS),
        "2001:db8:[0-9a-f:]+",
    ),
    "mac_address": ("(?i:00[:-]00[:-]5e[:-]00[:-]53[:-][0-9a-f]{2})",),
    "phone": (r"[+(]*[0-9][-0-9 ().]{2,12}555[-. ]?01[0-9]{2}",),
    "card": (r"9999[ -]?99[0-9][0-9 -]{6,14}[0-9]",),
    "us_ssn": (r"000[- ]?[0-9]{2}[- ]?[0-9]{4}",),
}

Draw = Callable[[int], int]
"""The next number below its argument."""


def substitute(kind: str, value: str, normal: str, seed: int, regions: Sequence[str]) -> str | None:
    """What stands for `value` (whose `normal_form` is `normal`), or None if its kind has nothing.

    Groups and separators stay as they are written where the lengths are equal.
    """
    draw = _draw(kind, normal, seed)
    if kind == "phone":
        return _phone(visible(value), regions, draw)
    make = _MAKERS.get(kind)
    return None if make is None else make(visible(value), draw)


def is_substitute(value: str) -> bool:
    """Whether `value`, whatever it was found as, is a substitute of some kind."""
    seen = visible(value)
    if "@" in seen or "%40" in seen:
        match = _EMAIL.fullmatch(seen.replace("%40", "@"))
        return match is not None and match[3] == _check(match[1] + match[2] + match[4])
    if ":" in seen or seen.count(".") == 3:
        if _MAC.fullmatch(compact(seen.replace(":", ""))):
            return True
        try:
            address = ipaddress.ip_address(seen.partition("%")[0])
        except ValueError:
            return False
        return address in _DOCUMENTATION or str(address).startswith(_NETWORKS)
    short = compact(seen).replace("+", "")
    return bool(_NUMBER.fullmatch(short) or _MAC.fullmatch(short))


def _draw(kind: str, normal: str, seed: int) -> Draw:
    key, person = seed.to_bytes(8, "little"), kind.encode()[:16]
    content = normal.encode("utf-8", "surrogatepass")
    left = int.from_bytes(hashlib.blake2b(content, key=key, person=person).digest(), "little")

    def draw(below: int) -> int:
        nonlocal left
        left, number = divmod(left, below)
        return number

    return draw


def _digits(number: int, draw: Draw) -> str:
    return f"{draw(10**number):0{number}d}"


def _check(content: str) -> str:
    digest = hashlib.blake2b(content.encode(), digest_size=8, person=b"substitute").digest()
    return f"{int.from_bytes(digest, 'little') % 1000:03d}"


def _email(value: str, draw: Draw) -> str:
    name = f"{_FIRST[draw(len(_FIRST))]}.{_LAST[draw(len(_LAST))]}"
    domain = _DOMAINS[draw(len(_DOMAINS))]
    number = _digits(3, draw)
    at = "%40" if "%40" in value and "@" not in value else "@"
    return f"{name}{number}{_check(name + number + domain)}{at}{domain}"


def _ipv4(value: str, draw: Draw) -> str:
    return f"{_NETWORKS[draw(len(_NETWORKS))]}{1 + draw(254)}"


def _ipv6(value: str, draw: Draw) -> str:
    return str(ipaddress.IPv6Address(int(_DOCUMENTATION.network_address) + draw(1 << 96)))


def _mac(value: str, draw: Draw) -> str:
    digits = f"00005e0053{draw(256):02x}"
    return _laid_out(value, digits if value == value.lower() else digits.upper())


def _card(value: str, draw: Draw) -> str:
    length = sum(character.isdecimal() for character in value)
    digits = _CARD_PREFIX + _digits(length - len(_CARD_PREFIX) - 1, draw)
    return _laid_out(value, digits + stdnum.luhn.calc_check_digit(digits))


def _iban(value: str, draw: Draw) -> str:
    short = compact(value)
    drawn = (
        chr(65 + draw(26)) if character.isalpha() else str(draw(10)) for character in short[4:]
    )
    return _laid_out(value, f"{short[:2]}00{''.join(drawn)}")


def _us_ssn(value: str, draw: Draw) -> str:
    return _laid_out(value, f"000{1 + draw(99):02d}{1 + draw(9999):04d}")


def _cn_id(value: str, draw: Draw) -> str | None:
    digits = _CN_ID_PREFIX + _digits(3, draw)
    return _laid_out(value, digits + ric.calc_check_digit(digits + "0"))


def _phone(value: str, regions: Sequence[str], draw: Draw) -> str | None:
    number = parsed_phone(value, regions)
    if number is None:
        return None
    code, old = number.country_code, phonenumbers.national_significant_number(number)
    if code == 1:
        new = f"{_AREAS[draw(len(_AREAS))]}55501{_digits(2, draw)}"
    elif code in _FICTION:
        mobile = phonenumbers.number_type(number) == PhoneNumberType.MOBILE
        start, following = _FICTION[code][mobile]
        new = start + _digits(following, draw)
    else:
        return None
    written = re.split(r"(?i)\s*(?:x|ext|;|#)", value)[0]
    before, found, after = re.sub("[^0-9]", "", written).rpartition(old)
    if found and not after and len(old) == len(new):
        return _laid_out(written, before + new)
    return f"+{code} {new}"


def _laid_out(value: str, content: str) -> str:
    """`content` in the groups and with the separators of `value`; plainly, if it does not fit."""
    places = [place for place, character in enumerate(value) if character.isalnum()]
    if len(places) != len(content):
        return content
    characters = list(value)
    for place, character in zip(places, content, strict=True):
        characters[place] = character
    return "".join(characters)


_MAKERS: dict[str, Callable[[str, Draw], str | None]] = {
    "email": _email,
    "email_spelled": _email,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "mac": _mac,
    "card": _card,
    "iban": _iban,
    "us_ssn": _us_ssn,
    "cn_id": _cn_id,
    "cn_id_pattern": _cn_id,
}
