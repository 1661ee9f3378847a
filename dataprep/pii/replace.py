"""What stands in the place of a finding, and one text with all of them replaced.

In: a text, its findings and each kind's mode. Out: the text with a mark or a substitute where each
finding was. A mark is the kind's placeholder (`<EMAIL>`), or the same with a keyed hash of the
value (`<EMAIL:3f9a0c12b4d5>`, HMAC-SHA-256, RFC 2104, its first 48 bits).

Marks and substitutes are never replaced again, whatever a finder sees in them: a finding counts
only if it has a letter or digit outside marks and is no substitute, and one that touches a mark
takes it whole. So every pass over a text leaves fewer characters outside marks, but for
substitutes, of which `SUBSTITUTING_PASSES` passes are made and then marks; and it ends.
"""

import functools
import hashlib
import hmac
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from dataprep.config_pii import Pii
from dataprep.pii.kinds import PLACEHOLDERS, Finding, find
from dataprep.pii.modes import mode_of, wanted
from dataprep.pii.normal_form import normal_form
from dataprep.pii.substitutes import SHOWN, is_substitute, substitute

HASH_CHARACTERS = 12
SUBSTITUTING_PASSES = 3
_NAMES = "|".join(re.escape(placeholder[1:-1]) for placeholder in PLACEHOLDERS.values())
MARK = re.compile(f"<(?:{_NAMES})(?::[0-9a-f]{{{HASH_CHARACTERS}}})?>")
_MARK_CHARACTERS_MAX = max(map(len, PLACEHOLDERS.values())) + HASH_CHARACTERS + 1


@dataclass(frozen=True)
class Replacing:
    """What decides every replacement: the recipe's table, the key that it names, the kinds that are
    looked for, and whether one of them is substituted."""

    config: Pii
    key: bytes | None
    kinds: tuple[str, ...]
    substitutes: bool


def make_replacing(config: Pii, key: bytes | None) -> Replacing:
    """With `key` as `modes.load_key` gives it."""
    kinds = wanted(config)
    return Replacing(config, key, kinds, "substitute" in {mode_of(config, kind) for kind in kinds})


def rewrite(
    text: str, replacing: Replacing, kinds: Collection[str], number_of_pass: int
) -> tuple[str, list[Finding]]:
    """`text` with what is found in it once, of `kinds`, replaced, and the findings."""
    found = find(text, replacing.config, kinds)
    if not found:
        return text, []
    replaced = list(_open_findings(text, found, replacing))
    pieces, position = [], 0
    for finding in replaced:
        pieces += [
            text[position : finding.start], _replacement(text, finding, replacing, number_of_pass)
        ]  # fmt: skip
        position = finding.end
    return "".join([*pieces, text[position:]]), replaced


def _open_findings(
    text: str, found: Collection[Finding], replacing: Replacing
) -> Iterator[Finding]:
    """Those findings that are to be replaced, each with the whole of every mark that it touches."""
    taken = 0
    for finding in found:
        start, end = finding.start, finding.end
        left = max(0, start - _MARK_CHARACTERS_MAX)
        marks = [
            mark.span()
            for mark in MARK.finditer(text, left, end + _MARK_CHARACTERS_MAX)
            if mark.start() < end and start < mark.end()
        ]
        if marks and not _is_open(text, start, end, marks):
            continue
        if replacing.substitutes and is_substitute(text[start:end]):
            continue
        start = min([start, *(mark[0] for mark in marks)])
        if start < taken:
            continue  # a mark that both touch: in the next pass, if anything is left of it
        taken = max([end, *(mark[1] for mark in marks)])
        yield Finding(start, taken, finding.kind, finding.counted_as)


def _is_open(text: str, start: int, end: int, marks: Collection[tuple[int, int]]) -> bool:
    """Whether a letter or digit from `start` to `end` stands in none of `marks`."""
    return any(
        text[place].isalnum() and not any(first <= place < last for first, last in marks)
        for place in range(start, end)
    )


def _replacement(text: str, finding: Finding, replacing: Replacing, number_of_pass: int) -> str:
    config = replacing.config
    mode, placeholder = mode_of(config, finding.kind), PLACEHOLDERS[finding.counted_as]
    if mode not in ("hash", "substitute"):
        return placeholder
    value = text[finding.start : finding.end]
    normal = normal_form(finding.kind, value, config.phone_regions)
    if mode == "hash":
        assert replacing.key is not None, "modes.load_key gives the key where a kind is hashed"
        content = f"{finding.counted_as}\0{normal}".encode("utf-8", "surrogatepass")
        digest = hmac.new(replacing.key, content, hashlib.sha256).hexdigest()
        return f"{placeholder[:-1]}:{digest[:HASH_CHARACTERS]}>"
    if number_of_pass >= SUBSTITUTING_PASSES:
        return placeholder
    seed = config.substitute_seed
    drawn = substitute(finding.kind, value, normal, seed, config.phone_regions)
    return placeholder if drawn is None else drawn


@functools.cache
def shown_pattern(counted_as: str) -> re.Pattern[str]:
    """What stands where something was replaced that is counted so: its marks and substitutes."""
    mark = f"{re.escape(PLACEHOLDERS[counted_as][:-1])}(?::[0-9a-f]{{{HASH_CHARACTERS}}})?>"
    return re.compile("|".join([mark, *SHOWN.get(counted_as, ())]))


def nothing_left(text: str) -> bool:
    """Whether only marks and punctuation are left of a text."""
    return not any(map(str.isalnum, MARK.sub("", text)))
