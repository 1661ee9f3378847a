"""Addresses on a network: IPv4, IPv6, MAC, and the user and password of a URL.

Sources: the IANA special-purpose address registries as Python's `ipaddress` holds them,
RFC 4291 and 3986.
"""

import ipaddress
import re
from collections.abc import Iterator

from dataprep.config_pii import Pii
from dataprep.pii.context import around, words_pattern

IPV6_ANCHOR = ":[0-9A-Fa-f]{0,4}:"
IPV4_ANCHOR = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
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
_PREFIX_AFTER = re.compile(r"/([0-9]{1,3})(?![0-9/A-Za-z_]|\.[0-9])")
_UNSPECIFIED_BEFORE = re.compile(
    r"(?<!\w)(?:ipv6|ip|src|dst|source|address|addr|host|bind|listen|unspecified)[ =:]{1,3}\Z",
    re.IGNORECASE,
)
# "27.2.8.2. Synchronous replication" at the start of a line is a heading.
_HEADING_BEFORE = re.compile(r"(?:^|\n)[ \t#*]*\Z")
_HEADING_AFTER = re.compile(r"\.[ \t]")
# Versions and section numbers keep their parts small; of all addresses one in 256 does.
_VERSION_PART_MAX = 63

# ASCII, because a Chinese character may stand right beside a number. What must not stand before the
# first digit is looked at after it: a pattern that begins with a digit is searched for much faster.
_IPV4 = re.compile(r"[0-9](?<![\w.][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\w|\.\w)", re.ASCII)
_IPV6_ANCHOR = re.compile(":[0-9A-Fa-f]{0,4}:")
_IPV6_LEFT = re.compile(r"[0-9A-Fa-f:.]{0,48}\Z")
_IPV6_RIGHT = re.compile(r"[0-9A-Fa-f:.]{0,48}(?:%[A-Za-z0-9]{1,15})?")


CREDENTIALS_ANCHOR = "://[^\\s/@]{1,256}@"
_CREDENTIALS = re.compile(r"://([^\s/@:<>\"'`]{0,128}:[^\s/@<>\"'`]{1,256})@(?=[\w\[$])")
# Not a password but the place of one: `$PASS`, `{password}`, `%s`, `***`, `...`.
_BLANK = re.compile(r"\$?\{{1,2}[^{}]{0,80}\}{1,2}|\$\w{1,64}|%s|%\(\w{1,64}\)s|[*.xX]{1,64}|")


def credentials_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """`user:password` of `scheme://user:password@host`; the rest of the URL stays."""
    for match in _CREDENTIALS.finditer(text):
        if not _BLANK.fullmatch(match[1].partition(":")[2]):
            yield match.span(1)


MAC_ANCHOR = (
    "[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{4}[.][0-9A-Fa-f]{4}[.][0-9A-Fa-f]{4}"
)
_MAC = re.compile(
    r"(?<![0-9A-Za-z_])(?<![0-9A-Fa-f][:.-])(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}"
    r"[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})"
    r"(?![0-9A-Za-z_])(?![:.-][0-9A-Fa-f])"
)
_MAC_WORDS = words_pattern(
    ("mac", "macs", "ethernet", "hardware", "hwaddr", "ether", "bssid", "physical", "wi-fi", "网卡")
)


def mac_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Hardware addresses of one device; not groups', everybody's or nobody's.

    Digits alone with dashes or dots may be a date or an amount and need a word.
    """
    for match in _MAC.finditer(text):
        digits = re.sub("[^0-9A-Fa-f]", "", match[0])
        doubtful = digits.isdecimal() and match[1] != ":"
        if doubtful and not _MAC_WORDS.search(around(text, *match.span())[0]):
            continue
        if len(set(digits.lower())) > 1 and not _is_group(digits):
            yield match.span()


def _is_group(digits: str) -> bool:
    """Whether twelve digits are a multicast address of IPv4 or IPv6 (RFC 1112, 2464)."""
    return digits.lower().startswith(("01005e", "3333"))


def ipv4_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Addresses of four octets, with the length of their network if it follows (`/24`)."""
    for match in _IPV4.finditer(text):
        if is_ipv4(match[0], *around(text, *match.span()), config.addresses == "all"):
            yield match.start(), _network_end(text, *match.span(), 32)


def ipv6_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Addresses of eight groups, shortened or not, with the length of their network."""
    done = 0
    everywhere = config.addresses == "all"
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
        whole = _network_end(text, start, end, 128)
        if text[start:end] == "::":
            # In code it stands between names; nobody has this address.
            named = whole > end or _UNSPECIFIED_BEFORE.search(around(text, start, end)[0])
            if everywhere and named:
                yield start, whole
        elif is_ipv6(text[start:end], everywhere):
            yield start, whole


def _network_end(text: str, start: int, end: int, length_max: int) -> int:
    """The end of the address with the length of its network, if one follows; not in a URL."""
    length = _PREFIX_AFTER.match(text, end)
    if not length or int(length[1]) > length_max or text[max(0, start - 3) : start] == "://":
        return end
    return length.end()


def _is_word(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


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
    if "." in candidate:
        embedded = ipaddress.IPv4Address(address.packed[-4:])
        return everywhere or _is_public(embedded)
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
    groups = [group for group in candidate.split(":") if group]
    digits = any(character.isdecimal() for character in candidate)
    return everywhere and (_is_special(address) or (len(groups) > 2 and digits))


def _is_special(address: ipaddress.IPv6Address) -> bool:
    return (
        address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    )


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved
