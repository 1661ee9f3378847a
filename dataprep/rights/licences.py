"""From whatever states a licence to an SPDX expression, and from that to how restrictive it is.

In: an address, an identifier, an SPDX expression or words. Out: the expression with SPDX's own
spelling, or None where nothing known is named: a licence is never guessed. Expressions and the list
of identifiers are `license-expression`'s; it is loaded when the first one is met.

Restrictiveness: public-domain < permissive < attribution < share-alike < copyleft < non-commercial
< no-derivatives < proprietary. Of alternatives (OR) the freest counts, of what holds together (AND)
the most restrictive; within a family, what has more conditions is more restrictive.
"""

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from dataprep.rights.licence_names import (
    ADDRESSES,
    ALL_RIGHTS_RESERVED,
    FAMILIES,
    FAMILY_OF_CATEGORY,
    FAMILY_OF_IDENTIFIER,
    NAMES,
    RESERVED,
)

UNKNOWN = "unknown"
# Longest statement that is looked at, characters; longest that may be an expression.
STATEMENT_MAX = 600
_EXPRESSION_MAX = 300
_SYMBOLS_MAX = 12

_CC_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses/(by(?:-(?:nc|nd|sa)){0,3}|nc(?:-(?:nd|sa))?|nd|sa)"
    r"|(publicdomain/(?:zero|mark|certification)|licenses/publicdomain))"
    r"(?:/(\d\.\d))?(?:/([a-z]{2,3})(?=[/?#]|$))?",
    re.IGNORECASE,
)
_CC_SHORT = re.compile(
    r"(?:\b(?:cc|creative[\s-]?commons)(?:[\s-]li[cz]en[sz]e?)?[\s_:\"'„-]{1,3}|\bcc)(by)((?:[\s_/-]{0,2}(?:nc|nd|sa)){0,3})(?![a-z])"
    r"[\s_,\"'“-]{0,3}(?:v(?:ersion)?\.?[\s]?)?(\d\.\d)?(?:[\s_-](igo|[a-z]{2})(?![a-z]))?",
    re.IGNORECASE,
)
_CC_PART = (
    r"attribution|namensnennung|paternit[ée]|reconocimiento|署名"
    r"|non[\s-]?commercial|nicht[\s-]?kommerziell|keine[\s-]kommerzielle[\s-]nutzung|nc|非商业性使用"
    r"|no[\s-]?deriv(?:ative)?s?(?:[\s-]works)?|keine[\s-]bearbeitung(?:en)?|nd|禁止演绎"
    r"|share[\s-]?alike|weitergabe[\s-]unter[\s-]gleichen[\s-]bedingungen|sa|相同方式共享"
)
_CC_LONG = re.compile(
    rf"(?:(?:creative[\s-]?commons|知识共享|創用)[\s,:\"'-]{{0,4}}((?:(?:{_CC_PART})[\s,/–-]{{0,4}}){{1,4}})"
    rf"|\b(attribution(?:[\s,/–-]{{0,4}}(?:{_CC_PART})){{0,3}})(?=[\s-]\d\.\d[\s-](?:int|unp|gen)))"
    r"(?:(?:licen[sc]e|lizenz|public|version|v|international|unported|generic|许可协议)?[\s,.-]{0,3}"
    r"){0,4}(\d\.\d)?(?:[\s-](igo)\b)?",
    re.IGNORECASE,
)
_CC_LETTERS = (
    ("nc", re.compile(r"non[\s-]?comm|kommerziell|\bnc\b|非商业", re.IGNORECASE)),
    ("nd", re.compile(r"no[\s-]?deriv|bearbeitung|\bnd\b|禁止演绎", re.IGNORECASE)),
    ("sa", re.compile(r"share[\s-]?alike|weitergabe|\bsa\b|相同方式", re.IGNORECASE)),
)
_GNU = re.compile(
    r"\b(?:gnu[\s/-]{0,3})?(?:(?P<kind>affero|lesser|library)[\s-]{1,3})?"
    r"(?P<name>general public licen[sc]e|free documentation licen[sc]e|agpl|lgpl|gpl|gfdl)"
    r"(?:[\s-]licen[sc]e)?"
    r"[\s,-]{0,3}(?:version|v\.?)?[\s-]?(?P<version>\d(?:\.\d)?)?"
    r"(?P<later>\+|[\s,-]{1,3}or[\s-](?:\(at your option\) )?(?:any[\s-])?later)?",
    re.IGNORECASE,
)
_BSD = re.compile(
    r"\b(?:(?P<before>[0-4]|two|three|four)[\s-]?clause[\s-])?"
    r"(?P<kind>new|modified|simplified|original|revised)?[\s-]?\b(?:free)?bsd\b"
    r"(?:[\s-]{0,2}(?P<after>[0-4])[\s-]?clause)?",
    re.IGNORECASE,
)
_BSD_CLAUSES = {
    "two": "2", "three": "3", "four": "4", "simplified": "2", "new": "3", "modified": "3",
    "revised": "3", "original": "4",
}  # fmt: skip
_APACHE = re.compile(
    r"\bapache(?:[\s-]software)?(?:[\s-]foundation)?(?P<named>[\s-]licen[sc]e)?"
    r"[\s,_-]{0,3}(?:version|v\.?)?[\s_-]?(?P<version>1\.0|1\.1|2(?:\.0)?)?\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{2,40}")
_OPERATOR = re.compile(r"\b(?:or|and|with)\b|[()]", re.IGNORECASE)
_ALTERNATIVE = re.compile(r"(?:^|[\s(])(?:or|oder|ou|或)(?:$|[\s)])", re.IGNORECASE)


class Licence(NamedTuple):
    """A licence that is known, or an expression of several."""

    expression: str
    family: str
    rank: int
    """What is more restrictive has more; 0 for the family unknown."""


def read_licence(statement: str) -> Licence | None:
    """The licence that `statement` names, or None; only its first 600 characters are read."""
    text = " ".join(statement[: STATEMENT_MAX + 1].split())[:STATEMENT_MAX]
    expression = _read(text) if text else None
    return None if expression is None else licence_of(expression)


@functools.lru_cache(maxsize=4096)
def licence_of(expression: str) -> Licence:
    """Family and rank of an expression as `read_licence` makes them."""
    rank, family = _strictness(tree_of(expression))
    return Licence(expression, family, rank)


Tree = str | tuple[str, tuple[Any, ...]]
"""An identifier (with its exception: `A WITH B`), or ("or" | "and", trees)."""


@functools.lru_cache(maxsize=4096)
def tree_of(expression: str) -> Tree:
    """An expression of `read_licence` taken apart."""
    if " " not in expression:
        return expression
    return _tree(_spdx().parse(expression))


def traits(identifier: str) -> frozenset[str]:
    """The families whose conditions a licence has: of CC-BY-NC-SA-4.0 attribution, non-commercial
    and share-alike."""
    letters = _cc_letters(identifier)
    if letters is None:
        return frozenset((_family_of_other(identifier),))
    names = {"by": "attribution", "nc": "non-commercial", "nd": "no-derivatives"}
    names |= {"sa": "share-alike"}
    return frozenset(names[letter] for letter in letters)


@functools.lru_cache(maxsize=4096)
def family_of(identifier: str) -> str:
    """The family of one licence: of its traits the most restrictive."""
    return max(traits(identifier), key=FAMILIES.index)


def is_listed(identifier: str) -> bool:
    """Whether `identifier`, in any case, is one of SPDX's."""
    return identifier.lower() in _identifiers()


def listed_identifiers() -> tuple[str, ...]:
    """SPDX's identifiers, lower case, sorted."""
    return tuple(sorted(_identifiers()))


def strictest(found: Iterable[tuple[Licence, str]]) -> tuple[Licence, str] | None:
    """Of licences with where they stand, the most restrictive one; of equal ones the expression
    that comes first, then the place: no order of `found` matters."""
    return min(found, key=lambda pair: (-pair[0].rank, pair[0].expression, pair[1]), default=None)


def _strictness(tree: Tree) -> tuple[int, str]:
    if isinstance(tree, str):
        family = family_of(tree)
        place = FAMILIES.index(family)
        return (place * 8 + len(traits(tree)) if place else 0), family
    operator, parts = tree
    choose: Callable[..., tuple[int, str]] = min if operator == "or" else max
    return choose(_strictness(part) for part in parts)


def _read(text: str) -> str | None:
    if "://" in text[:12] or text.startswith("//"):
        found = _from_address(text)
        return found if found is not None or " " not in text else _from_words(text)
    known = _identifiers().get(text.lower())
    if known is not None:
        return known
    if len(text) <= _EXPRESSION_MAX and _OPERATOR.search(text):
        expression = _from_expression(text)
        if expression is not None:
            return expression
    return _from_words(text)


def _from_address(address: str) -> str | None:
    found = _CC_ADDRESS.search(address)
    if found is not None:
        letters, public, version, port = found.groups()
        if public:
            mark = "zero" not in public
            return ("CC-PDM-1.0" if "mark" in public else "CC-PDDC") if mark else "CC0-1.0"
        return _cc(letters.lower(), version, port)
    for pattern, identifier in ADDRESSES:
        found = pattern.search(address)
        if found is None:
            continue
        if identifier == "GNU":
            kind = found[1].upper().replace("FDL", "GFDL")
            return _gnu(kind, found[2], later=False)
        if identifier == "RIGHTS":
            return f"LicenseRef-{found[1]}{found[2] or ''}".replace("inc", "InC").replace(
                "noc", "NoC"
            )
        if identifier == "{}":
            return _identifiers().get(found[1].lower()) or _from_words(found[1].replace("-", " "))
        if found.re.groups == 2:
            return _listed_or_ref(identifier.replace("{}", f"{found[1]}.{found[2]}"))
        return _listed_or_ref(identifier.replace("{}", found[1] if found.re.groups else ""))
    return None


def _from_expression(text: str) -> str | None:
    from license_expression import ExpressionError, ExpressionParseError

    try:
        parsed = _spdx().parse(text, validate=True, strict=True)
    except (ExpressionError, ExpressionParseError):
        return None
    if parsed is None or len(_spdx().license_symbols(parsed, unique=False)) > _SYMBOLS_MAX:
        return None
    return str(parsed)


def _from_words(text: str) -> str | None:
    """The licences that `text` names, in their order: joined by OR if only "or" is between them,
    else by AND, because then nothing says that one may choose."""
    found: list[tuple[int, int, str]] = []
    for match in _CC_SHORT.finditer(text):
        letters = "-".join(["by", *re.findall("nc|nd|sa", match[2].lower())])
        found.append((*match.span(), _cc(letters, match[3], match[4])))
    for match in _CC_LONG.finditer(text):
        parts = match[1] or match[2]
        letters = "-".join(["by", *(name for name, mark in _CC_LETTERS if mark.search(parts))])
        found.append((*match.span(), _cc(letters, match[3], match[4])))
    for match in _GNU.finditer(text):
        later = match["later"] is not None
        found.append((*match.span(), _gnu(_gnu_kind(match), match["version"], later=later)))
    for match in _BSD.finditer(text):
        clauses = match["before"] or match["after"] or (match["kind"] or "").lower()
        number = _BSD_CLAUSES.get(clauses.lower(), clauses)
        named = {"": "LicenseRef-BSD", "0": "0BSD"}.get(number, f"BSD-{number}-Clause")
        found.append((*match.span(), named))
    for match in _APACHE.finditer(text):
        if match["version"]:
            found.append(
                (*match.span(), f"Apache-{match['version'][:1]}.{match['version'][2:] or 0}")
            )
        elif match["named"] or match[0].strip().lower() == text.lower():
            found.append((*match.span(), "LicenseRef-Apache"))
    for pattern, identifier in NAMES:
        for match in pattern.finditer(text):
            version = next((group for group in match.groups() if group), "")
            found.append((*match.span(), _listed_or_ref(identifier.replace("{}", version))))
    for match in _WORD.finditer(text):
        word = match[0].rstrip(".").lower()
        # Words without a digit may be words of a language: Ruby, Fair, Intel are identifiers too.
        if any(character.isdigit() for character in word) and word in _identifiers():
            found.append((*match.span(), _identifiers()[word]))
    if not found:
        return ALL_RIGHTS_RESERVED if RESERVED.search(text) else None
    return _joined(text, found)


def _joined(text: str, found: list[tuple[int, int, str]]) -> str:
    found.sort(key=lambda entry: (entry[0], -entry[1]))
    named: list[str] = []
    alternatives = []
    end = 0
    for start, stop, identifier in found:
        if stop <= end or start < end:
            continue
        if named and identifier not in named:
            alternatives.append(bool(_ALTERNATIVE.search(text[end:start])))
        if identifier not in named:
            named.append(identifier)
        end = stop
    named = named[:_SYMBOLS_MAX]
    return (" OR " if alternatives and all(alternatives) else " AND ").join(named)


def _cc(letters: str, version: str | None, port: str | None) -> str:
    given = letters.split("-")
    # Nothing derived is nothing to share alike.
    without = "sa" if "nd" in given else ""
    ordered = [part for part in ("by", "nc", "nd", "sa") if part in given and part != without]
    base = f"CC-{'-'.join(ordered).upper()}"
    if version is None:
        return f"LicenseRef-{base}"
    ported = None if port is None else _identifiers().get(f"{base}-{version}-{port}".lower())
    return ported or _listed_or_ref(f"{base}-{version}")


def _gnu_kind(match: re.Match[str]) -> str:
    kind = {"affero": "AGPL", "lesser": "LGPL", "library": "LGPL"}.get(
        (match["kind"] or "").lower()
    )
    if kind is not None:
        return kind
    name = match["name"].lower()
    return "GPL" if name.startswith("general") else "GFDL" if "doc" in name else name.upper()


def _gnu(kind: str, version: str | None, *, later: bool) -> str:
    if version is None:
        return f"LicenseRef-{kind}"
    version = version if "." in version else f"{version}.0"
    return _listed_or_ref(f"{kind}-{version}-{'or-later' if later else 'only'}")


def _listed_or_ref(identifier: str) -> str:
    if identifier.startswith("LicenseRef-"):
        return identifier
    return _identifiers().get(identifier.lower()) or f"LicenseRef-{identifier}"


def _cc_letters(identifier: str) -> tuple[str, ...] | None:
    name = identifier.lower().removeprefix("licenseref-").removeprefix("scancode-")
    parts = name.split("-")
    letters = tuple(part for part in parts[1:] if part in ("by", "nc", "nd", "sa"))
    return letters if parts[0] == "cc" and letters else None


def _family_of_other(identifier: str) -> str:
    name = identifier.partition(" WITH ")[0].lower()
    for pattern, family in FAMILY_OF_IDENTIFIER:
        if pattern.fullmatch(name):
            return family
    return FAMILY_OF_CATEGORY.get(_categories().get(name, ""), UNKNOWN)


@functools.cache
def _index() -> list[dict[str, Any]]:
    from license_expression import get_license_index

    return [entry for entry in get_license_index() if entry.get("spdx_license_key")]


@functools.cache
def _categories() -> dict[str, str]:
    return {entry["spdx_license_key"].lower(): entry["category"] for entry in _index()}


@functools.cache
def _identifiers() -> dict[str, str]:
    """Lower-case identifiers and their older forms, with the spelling of the list."""
    names: dict[str, str] = {}
    for entry in _index():
        key = entry["spdx_license_key"]
        if key.startswith("LicenseRef-") or entry["is_exception"]:
            continue
        for older in entry["other_spdx_license_keys"]:
            names.setdefault(older.lower(), key)
    for entry in _index():
        key = entry["spdx_license_key"]
        if not key.startswith("LicenseRef-") and not entry["is_exception"]:
            names[key.lower()] = key
    return names


@functools.cache
def _spdx() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def _tree(parsed: Any) -> Tree:
    operator = getattr(parsed, "operator", "").strip().lower()
    if operator in ("or", "and"):
        return operator, tuple(_tree(part) for part in parsed.args)
    return str(parsed)
