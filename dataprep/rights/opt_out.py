"""Marks by which a site asks that its pages be left out: of training, of mining, of an index.

A mark is `PLACE:WHOM=WHAT`: `meta:robots=noai`, `header:gptbot=noindex`, `record:robots=noai`,
`header:tdm-reservation=1`. PLACE is a page's `meta`, the response's `header` or a record's field.

Sources: robots directives in pages and `X-Robots-Tag` (developers.google.com/search/docs/crawling-
indexing/robots-meta-tag); `noai` and `noimageai` (DeviantArt, 2022-11-11), `noml` (Mojeek); TDM
Reservation Protocol, W3C Community Group final report of 2024-02-02 (w3.org/community/reports/
tdmrep/CG-FINAL-tdmrep-20240202); `Content-Usage: train-ai=n` (draft-ietf-aipref-attach, a draft).
"""

import re
from collections.abc import Iterable
from typing import Literal, get_args

Kind = Literal[
    "noai", "noimageai", "ai-bots", "tdm-reservation", "content-usage", "noindex", "nosnippet",
    "noarchive",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

# Marks of one document, and characters of one mark, that are kept.
MARKS_MAX = 16
_MARK_MAX = 200
_CONTENT_MAX = 1_000

# Crawlers that gather text to train models on, by the names that their makers publish.
AI_BOTS = frozenset(
    (
        "ai2bot", "amazonbot", "anthropic-ai", "applebot-extended", "bytespider", "ccbot",
        "claude-web", "claudebot", "cohere-ai", "cohere-training-data-crawler", "diffbot",
        "facebookbot", "google-extended", "gptbot", "meta-externalagent", "omgili", "omgilibot",
        "timpibot", "webzio-extended",
    )
)  # fmt: skip
_ROBOTS = "robots"
_BOT = re.compile(r"(?:[a-z0-9]{1,30}[-_])?[a-z0-9]{0,30}bot(?:-[a-z]{1,20})?")
_BOT_NAME = re.compile(r"[a-z][a-z0-9_-]{1,60}")
# Directives that say how pages may be used; follow, max-snippet and the like say nothing of that.
_DIRECTIVES: dict[str, Kind] = {
    "noai": "noai", "noml": "noai", "noimageai": "noimageai", "noindex": "noindex",
    "none": "noindex", "nosnippet": "nosnippet", "noarchive": "noarchive", "nocache": "noarchive",
}  # fmt: skip
# `nofollow` to one crawler of this kind is what many sites were told to write.
_OF_AI_BOTS = frozenset((*_DIRECTIVES, "nofollow"))
_WITH_VALUES = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
_RESERVATION, _POLICY, _USAGE = "tdm-reservation", "tdm-policy", "content-usage"

HEADERS = (b"X-Robots-Tag", b"tdm-reservation", b"tdm-policy", b"Content-Usage")
"""Response headers that hold marks."""


def is_name(name: str) -> bool:
    """Whether a `meta` of this name (lower case) may hold marks."""
    return (
        name in (_ROBOTS, _RESERVATION, _POLICY)
        or name in AI_BOTS
        or (name.endswith("bot") and _BOT.fullmatch(name) is not None)
    )


def marks(place: str, name: str, content: str) -> list[str]:
    """The marks in what stands under `name`: of a meta, a header, or a record's field."""
    name = name.strip().lower().replace("_", "-")
    content = " ".join(content[:_CONTENT_MAX].split())
    if name == "x-robots-tag":
        return _of_header(place, content)
    if name == _RESERVATION:
        return [f"{place}:{_RESERVATION}=1"] if content.strip("\"' ") == "1" else []
    if name == _POLICY:
        # The address where a licence is offered; one that names a person is left out.
        known = content.startswith(("http://", "https://", "/")) and "@" not in content
        return [f"{place}:{_POLICY}={content[:_MARK_MAX]}"] if known else []
    if name == _USAGE:
        refused = re.search(r"\btrain-ai\s*=\s*\"?n\b", content.lower())
        return [f"{place}:{_USAGE}=train-ai=n"] if refused else []
    return _directives(place, name, content.lower().split(","))


def kind_of(mark: str) -> Kind | None:
    """What a mark asks; None for one that asks nothing by itself (`tdm-policy`)."""
    whom, _, what = mark.partition(":")[2].partition("=")
    if whom in (_RESERVATION, _USAGE):
        return "tdm-reservation" if whom == _RESERVATION else "content-usage"
    if whom in AI_BOTS:
        return "ai-bots"
    return _DIRECTIVES.get(what)


def together(found: Iterable[str]) -> tuple[str, ...]:
    """Each mark once, in order, and no more than 16."""
    return tuple(sorted({*found}))[:MARKS_MAX]


def _of_header(place: str, content: str) -> list[str]:
    """`gptbot: noai, noindex`: a name before a colon is meant by what follows it."""
    whom = _ROBOTS
    found = []
    for part in content.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and _BOT_NAME.fullmatch(name.strip()) and name.strip() not in _WITH_VALUES:
            whom, part = name.strip(), rest
        found += _directives(place, whom, [part])
    return found


def _directives(place: str, whom: str, parts: Iterable[str]) -> list[str]:
    if whom != _ROBOTS and not is_name(whom):
        return []
    wanted = _OF_AI_BOTS if whom in AI_BOTS else _DIRECTIVES
    words = {word for part in parts for word in part.split() if word in wanted}
    return [f"{place}:{whom}={word}" for word in sorted(words)]
