"""Licences in JSON-LD (schema.org's `license`), in bounded time whatever the data is.

What describes a picture, a video, a comment or another work is passed over: its licence is not the
page's.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_NODES_MAX = 5_000
_FOUND_MAX = 8
_OTHER_THINGS = re.compile(
    r"Image|Video|Audio|Media|Music|Photo|Comment|Software|Product|Offer|Person|Organization"
)
_OTHER_KEYS = frozenset(
    (
        "image", "images", "thumbnail", "video", "audio", "logo", "photo", "associatedMedia",
        "primaryImageOfPage", "comment", "citation", "isBasedOn", "mentions", "about", "author",
        "publisher", "creator", "review",
    )
)  # fmt: skip
_BROKEN = re.compile(r"\"license\"\s{0,20}:\s{0,20}\"([^\"\\]{3,300})\"")


def licences_in(text: str) -> Iterator[str]:
    """Values of `license` in one block of JSON-LD, as they stand there, at most 8.

    A block that is no JSON (nor is one deeper than 1,024 levels) is searched for a string only if
    it describes nothing else.
    """
    try:
        document = orjson.loads(text.strip().strip(";"))
    except orjson.JSONDecodeError:
        if not _OTHER_THINGS.search(text):
            found = _BROKEN.search(text)
            if found is not None:
                yield found[1].replace("\\/", "/")
        return
    waiting: list[Any] = [document]
    looked_at = num_found = 0
    while waiting and looked_at < _NODES_MAX:
        looked_at += 1
        node = waiting.pop()
        if isinstance(node, list):
            waiting += reversed(node[:_NODES_MAX])
        elif isinstance(node, dict) and not _is_other(node.get("@type")):
            for value in _values(node.get("license")):
                yield value
                num_found += 1
                if num_found == _FOUND_MAX:
                    return
            waiting += [
                value
                for key, value in node.items()
                if isinstance(value, dict | list) and key != "license" and key not in _OTHER_KEYS
            ]


def _is_other(kinds: Any) -> bool:
    names = kinds if isinstance(kinds, list) else [kinds]
    return any(isinstance(name, str) and _OTHER_THINGS.search(name) for name in names[:20])


def _values(license: Any) -> Iterator[str]:
    for value in license[:_FOUND_MAX] if isinstance(license, list) else [license]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            named = (value.get(key) for key in ("@id", "url", "sameAs", "name"))
            yield next((name for name in named if isinstance(name, str) and name), "")
