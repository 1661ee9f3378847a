"""The kinds of personal data, in order of precedence, and `find`, which looks for them in a text.

A kind is decided in two steps: bounded patterns propose, and checksums, number plans, registries
and the words beside a candidate decide. `anchor` is what RE2 looks for in a whole Arrow column
before any Python string is made.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from dataprep.config_pii import Pii
from dataprep.pii import addresses, numbers, phone


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


# Where two kinds claim the same characters, the first one has them.
KINDS = (
    Kind("email", "email", addresses.EMAIL_ANCHOR, addresses.email_spans),
    Kind("ipv6", "ip_address", addresses.IPV6_ANCHOR, addresses.ipv6_spans),
    Kind("ipv4", "ip_address", addresses.IPV4_ANCHOR, addresses.ipv4_spans),
    Kind("card", "card", numbers.CARD_ANCHOR, numbers.card_spans),
    Kind("phone", "phone", phone.ANCHOR, phone.phone_spans),
)
# What is counted in one column and shown by one placeholder.
PLACEHOLDERS = {kind.counted_as: f"<{kind.counted_as.upper()}>" for kind in KINDS}


def find(text: str, config: Pii, kinds: Collection[str] | None = None) -> list[Finding]:
    """All findings in `text` of the configured kinds, or of `kinds`, in order, without overlap."""
    wanted = config.kinds if kinds is None else kinds
    taken = bytearray()
    findings: list[Finding] = []
    for kind in KINDS:
        if kind.name not in wanted:
            continue
        for start, end in kind.spans(text, config):
            taken = taken or bytearray(len(text))
            if taken.find(1, start, end) < 0:
                taken[start:end] = b"\1" * (end - start)
                findings.append(Finding(start, end, kind.name, kind.counted_as))
    return sorted(findings, key=lambda finding: finding.start)
