"""Which licences a recipe allows and denies: identifiers, families, and both with `*`.

In doubt the stricter reading holds. In `allow` a `*` behind a hyphen stands for a version, so that
`cc-by-*` is not CC-BY-NC-4.0, and a family is what a licence is on the whole; in `deny` a `*`
stands for anything, and a family is any condition: `non-commercial` denies CC-BY-NC-ND-4.0, whose
family is no-derivatives.
"""

import difflib
import functools
import re
from collections.abc import Callable, Sequence

from dataprep.rights.licence_names import (
    ADDRESSES,
    ALL_RIGHTS_RESERVED,
    FAMILIES,
    NAMES,
    PUBLIC_DOMAIN,
)
from dataprep.rights.licences import Tree, family_of, listed_identifiers, traits, tree_of
from launch.errors import UserError

_REFERENCE = "licenseref-"
# What `licences` names itself, beside the templates of `licence_names`.
_OWN = ("gpl", "lgpl", "agpl", "gfdl", "bsd", "apache")
_OWN_CC = ("by", "by-nc", "by-nd", "by-sa", "by-nc-nd", "by-nc-sa")


def check(patterns: Sequence[str], where: str, *, is_allow: bool) -> None:
    """Raise `UserError` for a pattern that no licence can match."""
    for pattern in patterns:
        lowered = pattern.lower()
        if lowered == "unknown":
            raise UserError(where, "'unknown'", "licences", "dataprep.rights.unknown says it")
        test = _regex(lowered, is_allow)
        if any(test.fullmatch(name) for name in _names()):
            continue
        names = [name.removeprefix(_REFERENCE) for name in _names()]
        close = difflib.get_close_matches(lowered.strip("*-"), names, n=3, cutoff=0.6)
        hint = (
            f"did you mean {', '.join(close)}?" if close else f"families: {', '.join(FAMILIES[1:])}"
        )
        if (
            is_allow
            and "-*" in lowered
            and any(_regex(lowered, False).fullmatch(name) for name in _names())
        ):
            hint = "in allow, a * behind a hyphen stands for a version"
        raise UserError(where, f"'{pattern}'", "SPDX identifiers or families, also with *", hint)


def allows(patterns: Sequence[str], expression: str) -> bool:
    """Whether a licence is allowed: of alternatives one, of what holds together all."""

    def test(identifier: str) -> bool:
        names = (*_spellings(identifier), family_of(identifier))
        return any(_regex(p.lower(), True).fullmatch(n) for p in patterns for n in names)

    return _holds(tree_of(expression), test, any_of="or")


def denies(patterns: Sequence[str], expression: str) -> bool:
    """Whether a licence is denied: of alternatives all, of what holds together one."""

    def test(identifier: str) -> bool:
        names = (*_spellings(identifier), *traits(identifier))
        return any(_regex(p.lower(), False).fullmatch(n) for p in patterns for n in names)

    return _holds(tree_of(expression), test, any_of="and")


def _holds(tree: Tree, test: Callable[[str], bool], *, any_of: str) -> bool:
    if isinstance(tree, str):
        return test(tree)
    operator, parts = tree
    combine = any if operator == any_of else all
    return combine(_holds(part, test, any_of=any_of) for part in parts)


def _spellings(identifier: str) -> tuple[str, ...]:
    """Lower case, without SPDX's prefix of unlisted ones, and without an exception."""
    name = identifier.lower().removeprefix(_REFERENCE)
    return (name, name.partition(" with ")[0])


@functools.lru_cache(maxsize=1024)
def _regex(pattern: str, is_allow: bool) -> re.Pattern[str]:
    pattern = pattern.removeprefix(_REFERENCE)
    parts = re.split(r"(\*)", pattern)
    made = ""
    for part in parts:
        if part != "*":
            made += re.escape(part)
        else:
            made += "[0-9].*" if is_allow and made.endswith("\\-") else ".*"
    return re.compile(made)


@functools.cache
def _names() -> tuple[str, ...]:
    """What patterns may mean: families, listed identifiers, and those of our own."""
    templates = [identifier for _, identifier in (*ADDRESSES, *NAMES)]
    own = [name.removeprefix("LicenseRef-") for name in templates if name.startswith("LicenseRef-")]
    own += [
        ALL_RIGHTS_RESERVED.removeprefix("LicenseRef-"),
        PUBLIC_DOMAIN.removeprefix("LicenseRef-"),
    ]
    own += [*_OWN, *(f"cc-{letters}" for letters in _OWN_CC), "inc", "noc-us", "noc-nc"]
    return (*FAMILIES[1:], *sorted({name.lower() for name in own}), *listed_identifiers())
