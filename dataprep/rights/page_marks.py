"""What a page's markup says of its licence and of its use: read once from the parsed tree.

Statements, from those that certainly are the page's own to those that may be:

    0  rel="license" (links, also RDFa's cc:license), `itemprop="license"`, JSON-LD, a meta that
       names a licence
    1  a plain link to a licence for texts, in a footer or beside words that speak of a licence
    2  a meta of rights or copyright
    3  words in the page: "this work is licensed under ...", "all rights reserved"

The first level that names a known licence decides; of several on it the most restrictive one. What
states the licence of a picture or a video (within a figure, an ImageObject) is not the page's.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from dataprep.pages.page_scan import Scan
from dataprep.rights import opt_out
from dataprep.rights.licence_names import CONTENT_HOSTS
from dataprep.rights.licences import Licence, read_licence
from dataprep.rights.linked_data import licences_in

# Of more elements only the first and the last ones are looked at: a footer's are the last.
_NODES_FIRST, _NODES_LAST = 48, 16
_CONTEXTS_MAX = 4
_VALUE_MAX = 2_000
_VERBATIM_MAX = 300
_OTHERS_MAX = 3
_DATA_MAX = 1 << 18

_RELATIONS = (
    '[rel~="license" i], [rel$=":license" i], [itemprop~="license" i], [property="license" i], '
    '[property$=":license" i], meta[name$="license" i], meta[name$="rights" i], '
    'meta[property$="rights" i], meta[name="copyright" i]'
)
_PLAIN = ", ".join(f'a[href*="{host}" i]' for host in CONTENT_HOSTS)
_PICTURES = (
    'figure, [itemtype*="ImageObject"], [itemtype*="VideoObject"], [itemtype*="AudioObject"], '
    '[typeof*="ImageObject"], [class*="caption" i]'
)
_OWN_PLACES = (
    'footer, [id*="foot" i], [class*="foot" i], [id*="licen" i], [class*="licen" i], '
    '[id*="copyright" i], [class*="copyright" i]'
)
_OF_LICENCE = re.compile(
    r"licen[sc]|lizenz|©|\(c\)|copyright|creative commons|\bunter (?:einer|der)\b", re.IGNORECASE
)
_OF_PICTURES = re.compile(
    r"photo|\bfotos?\b|images?\b|\bbild|picture|icons?\b|grafik|illustration|abbildung|video|audio"
    r"|music|\bfonts?\b|\bvia\b|\bcredits?\b",
    re.IGNORECASE,
)
_TAG = re.compile(rb"<[^<>]{0,600}>|<!--|&nbsp;")
_UNDER = re.compile(
    r"\b(?:contents?|texts?|works?|pages?|(?:web[\s-]?)?sites?|articles?|blog|posts?|book|manual"
    r"|documents?|documentation|materials?|contributions|wiki|database|publication|tutorial|guide"
    r"|dataset)\b(?: (?:on|of|in|from|by|at)(?: [^\s.;]{1,30}){1,5}?)?(?: is| are|,)?"
    r"(?: also| hereby| made| available and)? licensed under (.{3,200})",
    re.IGNORECASE,
)
_RESERVED = re.compile(
    r"(?:©|\bcopyright\b|\(c\)).{0,120}?all rights reserved"
    r"|all rights reserved.{0,60}?(?:©|copyright)",
    re.IGNORECASE,
)
_HITS_MAX = 8
# Words are looked for in the last bytes of a page, where its foot is: of 126 real pages with such
# words anywhere 113 have them there (2026-11-26), and the search costs a third.
_FOOT_BYTES = 65_536
_BEFORE, _AFTER = 400, 500


class Statement(NamedTuple):
    """A licence as it is stated: where, how surely the page's own, and what it is, if known."""

    level: int
    evidence: str
    value: str
    licence: Licence | None


class PageRights(NamedTuple):
    """What was found; nothing of it is more than a claim of the page."""

    license: str | None = None
    evidence: str | None = None
    marks: tuple[str, ...] = ()


def page_rights(tree: Any, html: bytes, seen: Scan, given: Iterable[Statement] = ()) -> PageRights:
    """Licence and marks of a page; `given` is what the response's headers state."""
    marks = opt_out.together(_marks(tree)) if seen.may_hold_marks else ()
    found = [*given]
    if seen.may_state_license:
        found += _related(tree)
    if seen.may_state_in_data:
        found += _in_data(tree)
    if not _known(found) and seen.may_state_license:
        found += _plain_links(tree)
    if not _known(found):
        found += _in_words(html)
    license, evidence = choose(found)
    return PageRights(license, evidence, marks)


def statement(level: int, evidence: str, value: str | None) -> Statement | None:
    """A statement, if its value can be one: an address of the web, or words that name a licence or
    are short. Words in which a person may be named by an address are left out."""
    value = (value or "").strip()
    if not value or len(value) > _VALUE_MAX:
        return None
    if value.startswith("//"):
        value = f"https:{value}"
    licence = read_licence(value)
    is_address = value[:8].lower().startswith(("http://", "https://")) and len(value) > 10
    if licence is None and (
        "@" in value or len(value) > _VERBATIM_MAX or (not is_address and level < 2)
    ):
        return None
    return Statement(level, evidence, value[:_VALUE_MAX], licence)


def choose(found: list[Statement]) -> tuple[str | None, str | None]:
    """Value and evidence of the statement that counts; the evidence names differing ones too."""
    known = _known(found)
    if not known:
        first = min(found, key=lambda stated: stated.level, default=None)
        return (None, None) if first is None else (first.value, first.evidence)
    level = min(stated.level for stated in known)
    # Of equals the first in the page.
    best = max((s for s in known if s.level == level), key=lambda s: s.licence.rank)
    others: dict[str, str] = {}
    for stated in known:
        if stated.licence.expression != best.licence.expression:
            others.setdefault(stated.licence.expression, stated.evidence)
    also = "".join(
        f"; also {name} by {evidence}" for name, evidence in [*others.items()][:_OTHERS_MAX]
    )
    return best.value, best.evidence + also


def _known(found: Iterable[Statement]) -> list[Any]:
    return [stated for stated in found if stated.licence is not None]


def _some(nodes: list[Any]) -> list[Any]:
    if len(nodes) <= _NODES_FIRST + _NODES_LAST:
        return nodes
    return [*nodes[:_NODES_FIRST], *nodes[-_NODES_LAST:]]


def _marks(tree: Any) -> Iterator[str]:
    # A page whose head was ended early has them in its body.
    for within in (tree.head, tree.document):
        named = [] if within is None else within.query_selector_all("meta[name]").values()
        names = [(node, (node.getattr("name") or "").strip().lower()) for node in named]
        found = [(node, name) for node, name in names if opt_out.is_name(name)]
        for node, name in _some(found):
            yield from opt_out.marks("meta", name, node.getattr("content") or "")
        if found:
            return


def _related(tree: Any) -> Iterator[Statement]:
    for node in _some(tree.document.query_selector_all(_RELATIONS).values()):
        level, evidence = _relation(node)
        if node.closest(_PICTURES) is not None:
            continue
        value = node.getattr("href") or node.getattr("content") or node.getattr("resource")
        made = statement(level, evidence, value)
        if made is None and node.tag != "meta" and node.tag != "link":
            # A link to a page of the site whose words name the licence.
            made = statement(level, evidence, node.text[:_VERBATIM_MAX])
        if made is not None:
            yield made


def _relation(node: Any) -> tuple[int, str]:
    rel = (node.getattr("rel") or "").lower()
    if "license" in rel.split():
        return 0, "page:rel-license"
    if rel.endswith(":license"):
        return 0, "page:rdfa"
    if "license" in (node.getattr("itemprop") or "").lower().split():
        return 0, "page:microdata"
    name = (node.getattr("property") or node.getattr("name") or "").lower()
    if node.tag != "meta":
        return 0, "page:rdfa"
    return (0, "page:meta-license") if name.endswith("license") else (2, "page:meta-rights")


def _in_data(tree: Any) -> Iterator[Statement]:
    left = _DATA_MAX
    for node in _some(tree.document.query_selector_all('script[type*="ld+json" i]').values()):
        text = node.text
        left -= len(text)
        if left < 0:
            return
        for value in licences_in(text) if "icen" in text else ():
            made = statement(0, "page:json-ld", value)
            if made is not None:
                yield made


def _plain_links(tree: Any) -> Iterator[Statement]:
    read: set[str] = set()
    contexts = 0
    for node in _some(tree.document.query_selector_all(_PLAIN).values()):
        address = (node.getattr("href") or "").strip()
        if address in read or node.closest(_PICTURES) is not None:
            continue
        if node.closest(_OWN_PLACES) is None:
            contexts += 1
            if contexts > _CONTEXTS_MAX or not _speaks_of_page(node):
                continue
        read.add(address)
        made = statement(1, "page:link", address)
        if made is not None and made.licence is not None:
            yield made


def _speaks_of_page(node: Any) -> bool:
    around = node.parent
    if around is None or around.tag in ("body", "html", "main", "article", "section"):
        return False
    text = around.text[:600]
    return bool(_OF_LICENCE.search(text)) and not _OF_PICTURES.search(text)


def _in_words(html: bytes) -> Iterator[Statement]:
    html = html[-_FOOT_BYTES:]
    for words in _around(html, b"icensed under"):
        stated = _UNDER.search(words)
        made = None if stated is None else read_licence(stated[1].partition(". ")[0])
        if stated is not None and made is not None:
            yield Statement(3, "page:text", stated[0][:_VERBATIM_MAX].strip(), made)
            return
    for words in _around(html, b"eserved"):
        stated = _RESERVED.search(words)
        if stated is not None:
            # Not who reserves them: that may be a person.
            yield _all_rights_reserved()
            return


@functools.cache
def _all_rights_reserved() -> Statement:
    """What many pages state: read once."""
    words = "All rights reserved"
    return Statement(3, "page:text", words, read_licence(words))


def _around(html: bytes, words: bytes) -> Iterator[str]:
    """The text around the last places where `words` stand, outside scripts and their comments."""
    at = len(html)
    for _ in range(_HITS_MAX):
        at = html.rfind(words, 0, at)
        if at < 0:
            return
        before, after = html[max(0, at - _BEFORE) : at], html[at : at + _AFTER]
        if b"/*" in before or b"*/" in after or _in_script(html, at):
            continue
        # The bounds may lie within a tag.
        before, after = before[before.find(b">") + 1 :], after
        text = _TAG.sub(b" ", before + after).decode("utf-8", "replace")
        text = text.replace("&copy;", "©").replace("&#169;", "©").replace("\xa0", " ")
        yield " ".join(text.split())


def _in_script(html: bytes, at: int) -> bool:
    """Whether the next script or style that ends after `at` has begun before it."""
    for name in (b"script", b"style"):
        end = html.find(b"</" + name, at)
        if end >= 0 and html.find(b"<" + name, at, end) < 0:
            return True
    return False
