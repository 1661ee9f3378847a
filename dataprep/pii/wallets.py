"""Addresses of crypto money: Bitcoin by its checksums, Ethereum by its capital letters or a word.

Sources: python-stdnum's `bitcoin` (base58check; bech32 of BIP 173), BIP 350 (bech32m, which differs
by one constant), EIP-55.
"""

import re
from collections.abc import Iterator

import stdnum.bitcoin

from dataprep.config_pii import Pii
from dataprep.pii.context import around, words_pattern
from dataprep.pii.keccak import keccak_256

ANCHOR = "[13][1-9A-HJ-NP-Za-km-z]{25}|(?:bc|BC)1[02-9AC-HJ-NP-Zac-hj-np-z]{11}|0x[0-9A-Fa-f]{40}"
_BITCOIN = re.compile(
    r"(?<![0-9A-Za-z_/+=])(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71}"
    r"|BC1[02-9AC-HJ-NP-Z]{11,71})(?![0-9A-Za-z_/+=])"
)
_ETHEREUM = re.compile(r"(?<![0-9A-Za-z_])0x([0-9A-Fa-f]{40})(?![0-9A-Za-z_])")
_ETHEREUM_WORDS = words_pattern(
    (
        "ethereum",
        "eth",
        "ether",
        "erc20",
        "wallet",
        "wallets",
        "metamask",
        "token",
        "contract",
        "钱包",
    )
)
# A checksum takes a millisecond. A text with more addresses than this is about such money anyway.
_CHECKED_MAX = 32
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32M_CONSTANT = 0x2BC830A3
_BC_EXPANDED = [3, 3, 0, 2, 3]  # "bc": the high bits of each letter, 0, the low bits


def wallet_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Addresses of Bitcoin (all four forms in use) and of Ethereum and what is built like it."""
    for match in _BITCOIN.finditer(text):
        if stdnum.bitcoin.is_valid(match[0]) or _is_bech32m(match[0].lower()):
            yield match.span()
    num_checked = 0
    for match in _ETHEREUM.finditer(text):
        digits = match[1]
        found = bool(_ETHEREUM_WORDS.search(" ".join(around(text, *match.span()))))
        if not found and digits not in (digits.lower(), digits.upper()):
            num_checked += 1
            found = num_checked > _CHECKED_MAX or _has_checksum(digits)
        if found:
            yield match.span()


def _is_bech32m(address: str) -> bool:
    if not address.startswith("bc1"):
        return False
    values = [_BECH32.find(character) for character in address[3:]]
    checksum: int = stdnum.bitcoin.bech32_checksum(_BC_EXPANDED + values)
    return 1 <= values[0] <= 16 and checksum == _BECH32M_CONSTANT


def _has_checksum(digits: str) -> bool:
    """EIP-55: a letter is a capital where the digest of the small ones has a digit above 7."""
    digest = keccak_256(digits.lower().encode()).hex()
    return all(
        digit.isdecimal() or digit.isupper() == (int(digest[place], 16) > 7)
        for place, digit in enumerate(digits)
    )
