"""Which candidates are personal data: one function for each kind of identifier.

A pattern finds what has the shape of an identifier; technical prose is full of strings that have
the shape and are none (versions, constants, dates, ISBN). The functions here decide, from the
candidate itself (checksum, number plan, address registry) and from the few characters around it.
Each is pure and looks at a bounded window.

Sources: ISO/IEC 7812 (Luhn, issuer prefixes), the IANA special-purpose address registries as
Python's `ipaddress` holds them, libphonenumber's number plans, RFC 4291 for IPv6.
"""

import ipaddress
import re
from collections.abc import Sequence

import phonenumbers
import stdnum.isbn
import stdnum.luhn
from phonenumbers import Leniency, PhoneNumberMatcher

CONTEXT_CHARACTERS = 40

# File names and unit names that have the shape of an e-mail address: `logo@2x.png`,
# `getty@tty1.service`. None of these endings is a top-level domain of the root zone (2026-11-21).
_NO_DOMAINS = frozenset(
    """
    bin bmp bz2 cfg class conf config css csv dat dll exe gif gz htm html ico ini jar jpeg jpg
    json js log lock lua mount mjs pdf php png ps1 pyc pyi rar rst scope service slice socket sql
    svg swap swp tar target tex tgz tif tiff timer tmp toml ts ttf txt vue wav webp whl woff woff2
    xhtml xml xz yaml yml
    """.split()  # noqa: SIM905 (a list of words is read more easily than a list of strings)
)
# The user name by which code hosts are reached over ssh, not a person.
_SERVICE_USERS = frozenset({"git", "hg", "svn"})

_VERSION_BEFORE = re.compile(
    r"(?:\b(?:versions?|ver|v|releases?|released|rev|revision|build|patch|firmware|driver|upgrade"
    r"|upgraded|section|sections|chapter|clause|figure|fig|table|appendix|oid|rfc|iso)"
    r"\b[ .:=\"'(\[]{0,4}|[=<>~!^]=[ \"']{0,2}|§ ?|[A-Za-z]-|版本[ :：]{0,2}|第 ?)\Z",
    re.IGNORECASE | re.ASCII,
)
_VERSION_AFTER = re.compile(r"[-+~_][A-Za-z]|-[0-9]{1,3}(?![0-9.])")
_ADDRESS_BEFORE = re.compile(
    r"\b(?:ips?|ipv4|address|addresses|addr|hosts?|server|servers|ping|gateway|dns|nameserver"
    r"|resolver|inet|peer|client|subnet|proxy|listen)\b|(?:://|@)[^\s/]{0,20}\Z"
    r"|地址|主机|主機|服务器|伺服器",
    re.IGNORECASE | re.ASCII,
)
_PORT_AFTER = re.compile(r":[0-9]{1,5}(?![0-9:])")
_PREFIX_AFTER = re.compile(r"/([0-9]{1,2})(?![0-9./])")
# "27.2.8.2. Synchronous replication" at the start of a line is a heading.
_HEADING_BEFORE = re.compile(r"(?:^|\n)[ \t#*]*\Z")
_HEADING_AFTER = re.compile(r"\.[ \t]")
# Versions and section numbers keep their parts small; of all addresses one in 256 does.
_VERSION_PART_MAX = 63

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


def is_email(local: str, domain: str) -> bool:
    """Whether `local@domain`, which has the shape of an address, can belong to a person."""
    if local.lower() in _SERVICE_USERS:
        return False
    return domain.rpartition(".")[2].lower() not in _NO_DOMAINS


def is_ipv4(candidate: str, before: str, after: str, everywhere: bool) -> bool:
    """Whether four dotted numbers are an address that tells of somebody.

    Private, loopback, link-local, multicast, reserved and documentation addresses are the same for
    everybody and stay, unless `everywhere`. Versions and section numbers are no addresses: those
    that a word or sign beside them says to be one, and those of four numbers up to 63 unless a
    word or sign beside them speaks of an address.
    """
    try:
        address = ipaddress.IPv4Address(candidate)
    except ValueError:
        return False
    if _VERSION_BEFORE.search(before[-24:]) or _VERSION_AFTER.match(after):
        return False
    if not _is_public(address):
        return everywhere
    if _HEADING_BEFORE.search(before) and _HEADING_AFTER.match(after):
        return False
    if max(address.packed) > _VERSION_PART_MAX:
        return True
    prefix = _PREFIX_AFTER.match(after)
    if prefix and _is_network(f"{candidate}/{prefix[1]}"):
        return True
    return bool(_ADDRESS_BEFORE.search(before) or _PORT_AFTER.match(after))


def _is_network(candidate: str) -> bool:
    try:
        ipaddress.IPv4Network(candidate, strict=True)
    except ValueError:
        return False
    return True


def is_ipv6(candidate: str, everywhere: bool) -> bool:
    """Whether colon-separated hexadecimal groups are an address that tells of somebody.

    Written out in full (eight groups) any address counts that is not special; the short form with
    `::` counts only inside the blocks that are assigned (2000::/3; with `everywhere` also the
    special blocks), because `abc::def` is a name in several programming languages.
    """
    try:
        address = ipaddress.IPv6Address(candidate.partition("%")[0])
    except ValueError:
        return False
    if address.ipv4_mapped is not None:
        return everywhere or _is_public(address.ipv4_mapped)
    if "::" not in candidate:
        groups = candidate.split(":")
        # Eight groups of two digits are an EUI-64 or a fingerprint.
        if all(len(group) <= 2 for group in groups):
            return False
        return everywhere or not _is_special(address)
    if address.packed[0] >> 5 == 1:
        return everywhere or _is_public(address)
    return everywhere and _is_special(address) and address.packed != bytes(16)


def _is_special(address: ipaddress.IPv6Address) -> bool:
    return (
        address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    )


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


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
