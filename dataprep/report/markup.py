"""Pieces of the report's markup: numbers as people read them, tables, and every text escaped.

Whatever is not a number of ours goes through `escape`.
"""

import html
import re
from collections.abc import Iterable, Sequence

from dataprep.pii.replace import MARK

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Angle brackets are escaped on the page.
_MARK = re.compile(MARK.pattern.replace("<", "&lt;").replace(">", "&gt;"))


def escape(value: object) -> str:
    """A value as text of the page, whoever it comes from."""
    shown = _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", str(value))
    return html.escape(shown, quote=True)


def count(value: float) -> str:
    """A whole number with separators."""
    return f"{value:,}"


def size(num_bytes: float) -> str:
    """Bytes in a unit that keeps the number short."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(num_bytes) >= unit:
            return f"{num_bytes / unit:.1f} {name}"
    return f"{num_bytes:.0f} B"


def share(part: float, whole: float) -> str:
    """`part` of `whole` in percent."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if abs(percent) >= 0.05 or not part else "< 0.1 %"


def decimal(value: float | None) -> str:
    """A number in four digits; a dash where there is none."""
    return "–" if value is None else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def bar(parts: Iterable[tuple[str, float]], whole: float) -> str:
    """A cell with a bar of coloured parts (class, number) on a track of length `whole`."""
    pieces = "".join(
        f'<i class="{name}" style="width:{100 * part / whole:.2f}%"></i>'
        for name, part in parts
        if whole and part
    )
    return f'<td class="bar"><div class="track">{pieces}</div></td>'


def table(heads: Sequence[str], rows: Iterable[str]) -> str:
    """A table; a head that begins with `#` is that of a column of numbers."""
    cells = "".join(
        f'<th class="number">{head[1:]}</th>' if head.startswith("#") else f"<th>{head}</th>"
        for head in heads
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def row(*cells: str) -> str:
    """A row; a cell that begins with `#` holds a number, one that is a cell already stays so."""
    return "<tr>" + "".join(_cell(cell) for cell in cells) + "</tr>"


def _cell(cell: str) -> str:
    if cell.startswith("<td"):
        return cell
    return f'<td class="number">{cell[1:]}</td>' if cell.startswith("#") else f"<td>{cell}</td>"


def details(title: str, about: str, body: str) -> str:
    """A folded part of the page; `title` is escaped here, `body` is markup."""
    return (
        f"<details><summary><code>{escape(title)}</code><small>{about}</small></summary>"
        f"{body}</details>"
    )


def sampled(text: str) -> str:
    """A document's text with the marks of personal data marked."""
    return _MARK.sub(r"<mark>\g<0></mark>", escape(text))


KEY = '<div class="key"><i class="kept"></i>kept<i class="dropped"></i>dropped</div>'
