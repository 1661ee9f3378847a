"""What the headers of an HTTP response say of licence and use."""

import re
from typing import Any

from dataprep.rights import opt_out
from dataprep.rights.page_marks import Statement, statement

_VALUE_MAX = 4_000
_HEADERS_MAX = 32
# RFC 8288, and RFC 4946 for the relation.
_LINK = re.compile(r"<([^<>]{1,2000})>([^<,]{0,300})")
_RELATION = re.compile(r";\s*rel\s*=\s*\"?[^\";]{0,100}?\blicense\b", re.IGNORECASE)


def marks_in(headers: Any) -> tuple[str, ...]:
    """The marks (`opt_out`) of a response."""
    found: list[str] = []
    for name in opt_out.HEADERS:
        for value in _values(headers, name):
            found += opt_out.marks("header", name.decode(), value)
    return opt_out.together(found) if found else ()


def stated_in(headers: Any) -> list[Statement]:
    """The licences to which a response links as such."""
    found = []
    for value in _values(headers, b"Link"):
        for link in _LINK.finditer(value):
            if _RELATION.search(link[2]):
                made = statement(0, "header:link", link[1])
                if made is not None:
                    found.append(made)
    return found


def _values(headers: Any, name: bytes) -> list[str]:
    """The values of a header, which may stand there several times."""
    if headers.get_bytes(name) is None:
        return []
    wanted = name.decode().lower()
    values = [value for key, value in headers.items() if key.lower() == wanted]
    return [value[:_VALUE_MAX] for value in values[:_HEADERS_MAX]]
