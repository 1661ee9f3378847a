"""The kinds of personal data, in order of precedence, and `find`, which looks for them in a text.

A kind is decided in two steps: bounded patterns propose, and checksums, number plans, registries
and the words beside a candidate decide. `anchor` is what RE2 looks for in a whole Arrow column
before any Python string is made.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from dataprep.config_pii import Pii
from dataprep.pii import (
    addresses,
    disguise,
    keys,
    mail,
    national,
    payment,
    persons,
    phone,
    rules,
    wallets,
)


@dataclass(frozen=True)
class Kind:
    """One kind: its name in a recipe, its column `pii_{counted_as}`, its anchor and its finder.

    `anchor` is an RE2 pattern that every value with a finding of the kind matches.
    """

    name: str
    counted_as: str
    anchor: str
    spans: Callable[[str, Pii], Iterator[tuple[int, int]]]


@dataclass(frozen=True)
class Finding:
    """One piece of personal data: characters `start` to `end`, its kind, what it is counted as."""

    start: int
    end: int
    kind: str
    counted_as: str


# The recipe's own rules; they have no anchor until there is a recipe (`selected`).
RULE = "rule"
_KINDS = (
    Kind(RULE, "rule", "", rules.rule_spans),
    Kind("credentials", "credentials", addresses.CREDENTIALS_ANCHOR, addresses.credentials_spans),
    Kind("email", "email", mail.ANCHOR, mail.email_spans),
    Kind("email_spelled", "email", mail.SPELLED_ANCHOR, mail.spelled_spans),
    Kind("secret", "secret", keys.ANCHOR, keys.secret_spans),
    Kind("crypto_wallet", "crypto_wallet", wallets.ANCHOR, wallets.wallet_spans),
    Kind("mac", "mac_address", addresses.MAC_ANCHOR, addresses.mac_spans),
    Kind("ipv6", "ip_address", addresses.IPV6_ANCHOR, addresses.ipv6_spans),
    Kind("ipv4", "ip_address", addresses.IPV4_ANCHOR, addresses.ipv4_spans),
    Kind("iban", "iban", payment.IBAN_ANCHOR, payment.iban_spans),
    Kind("cn_id", "cn_id", persons.CN_ID_ANCHOR, persons.cn_id_spans),
    Kind("cn_id_pattern", "cn_id_pattern", persons.CN_ID_ANCHOR, persons.cn_id_pattern_spans),
    Kind("us_ssn", "us_ssn", persons.SSN_ANCHOR, persons.ssn_spans),
    Kind("cn_mobile", "phone", phone.CN_MOBILE_ANCHOR, phone.cn_mobile_spans),
    Kind("national_id", "national_id", national.NATIONAL_ANCHOR, national.national_spans),
    Kind("passport", "passport", persons.PASSPORT_ANCHOR, persons.passport_spans),
    Kind("card", "card", payment.CARD_ANCHOR, payment.card_spans),
    Kind("phone", "phone", phone.ANCHOR, phone.phone_spans),
)
# Where two kinds claim the same characters, the first one has them. A value with a disguised
# character has every anchor.
KINDS = tuple(
    dataclasses.replace(kind, anchor=f"{kind.anchor}|{disguise.ANCHOR}" if kind.anchor else "")
    for kind in _KINDS
)
# What is counted in one column and shown by one placeholder.
PLACEHOLDERS = {kind.counted_as: f"<{kind.counted_as.upper()}>" for kind in KINDS}
_ANYWHERE_ANCHORS = {
    "national_id": national.ANYWHERE_ANCHOR,
    "passport": persons.PASSPORT_ANYWHERE_ANCHOR,
}


def selected(config: Pii) -> tuple[Kind, ...]:
    """The kinds that the recipe wants, in order, with the anchors that they have under it."""
    kinds = [kind for kind in KINDS if kind.name in config.kinds or (kind.name == RULE)]
    if not config.rules:
        kinds = kinds[1:]
    anchors = {RULE: rules.anchor(config)}
    if config.identifiers == "anywhere":
        anchors |= _ANYWHERE_ANCHORS
    return tuple(
        dataclasses.replace(kind, anchor=f"{anchors[kind.name]}|{disguise.ANCHOR}")
        if kind.name in anchors
        else kind
        for kind in kinds
    )


def find(text: str, config: Pii, kinds: Collection[str] | None = None) -> list[Finding]:
    """All findings in `text` of the configured kinds, or of `kinds`, in order, without overlap.

    The recipe's rules have the name "rule". Characters that hide an address are seen through
    (`disguise`); places are those of `text` as it is.
    """
    wanted = {*config.kinds, RULE} if kinds is None else kinds
    taken = bytearray()
    findings: list[Finding] = []
    for view in disguise.views(text):
        for kind in KINDS:
            if kind.name not in wanted:
                continue
            for start, end in kind.spans(view.text, config):
                start, end = view.span(start, end)
                taken = taken or bytearray(len(text))
                if taken.find(1, start, end) < 0:
                    taken[start:end] = b"\1" * (end - start)
                    findings.append(Finding(start, end, kind.name, kind.counted_as))
    return sorted(findings, key=lambda finding: finding.start)
