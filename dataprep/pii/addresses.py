"""Addresses on a network: e-mail, IPv4, IPv6.

Sources: the IANA special-purpose address registries as Python's `ipaddress` holds them, RFC 4291.
"""

import ipaddress
import re
from collections.abc import Iterator

from dataprep.config_pii import Pii
from dataprep.pii.context import around

EMAIL_ANCHOR = "@|%40"
IPV6_ANCHOR = ":[0-9A-Fa-f]{0,4}:"
IPV4_ANCHOR = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
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

_AT = re.compile(
    r"(?:@|%40)((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
    r"(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24}))"
)
_LOCAL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.%+'-]{0,126}[A-Za-z0-9_.%+-])?\Z")
# ASCII, because a Chinese character may stand right beside a number. What must not stand before the
# first digit is looked at after it: a pattern that begins with a digit is searched for much faster.
_IPV4 = re.compile(r"[0-9](?<![\w.][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\w|\.\w)", re.ASCII)
_IPV6_ANCHOR = re.compile(":[0-9A-Fa-f]{0,4}:")
_IPV6_LEFT = re.compile(r"[0-9A-Fa-f:.]{0,48}\Z")
_IPV6_RIGHT = re.compile(r"[0-9A-Fa-f:.]{0,48}(?:%[A-Za-z0-9]{1,15})?")


def email_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    done = 0
    for match in _AT.finditer(text):
        local = _LOCAL.search(text, max(done, match.start() - 128), match.start())
        if local and is_email(local[0], match[1]):
            done = match.end()
            yield local.start(), match.end()


def ipv4_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Addresses of four octets."""
    for match in _IPV4.finditer(text):
        if is_ipv4(match[0], *around(text, *match.span()), config.addresses == "all"):
            yield match.span()


def ipv6_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    done = 0
    for anchor in _IPV6_ANCHOR.finditer(text):
        if anchor.start() < done:
            continue
        left = _IPV6_LEFT.search(text, max(0, anchor.start() - 48), anchor.start())
        right = _IPV6_RIGHT.match(text, anchor.start())
        assert left and right, "both patterns match the empty string"
        start, end = left.start(), right.end()
        done = end
        while text[start:end].endswith((".", ":")) and not text[start:end].endswith("::"):
            end -= 1  # the sentence's, not the address's
        before, after = text[start - 1 : start] if start else "", text[end : end + 1]
        if _is_word(before) or _is_word(after):
            continue
        if is_ipv6(text[start:end], config.addresses == "all"):
            yield start, end


def _is_word(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


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
