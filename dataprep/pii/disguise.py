"""Characters that hide an address from a pattern and not from a reader.

Invisible characters (zero width, soft hyphen, direction marks) are taken out; full-width,
mathematical and other scripts' forms of ASCII characters become ASCII; what stands after U+202E,
which turns the direction of writing, is also read backwards. Findings keep their place in the text
as it was: `View.span` translates.

Sources: Unicode 15, general category Cf and Default_Ignorable_Code_Point; UAX #9 for U+202E.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff"
)
# Not the full-width comma, colon, brackets: they are plain Chinese punctuation.
_LOOKALIKE_RANGES = (
    *((0xFF10, 0xFF1A), (0xFF20, 0xFF3B), (0xFF41, 0xFF5B), (0xFE52, 0xFE53), (0xFE6B, 0xFE6C)),
    *((0xFF0E, 0xFF0F), (0xFF0D, 0xFF0E), (0xFF0B, 0xFF0C), (0xFF3F, 0xFF40), (0xFE63, 0xFE64)),
    *((0x1D400, 0x1D800), (0x24B6, 0x24EA)),
    *((0x660, 0x66A), (0x6F0, 0x6FA), (0x966, 0x970), (0x9E6, 0x9F0), (0xE50, 0xE5A)),
)


def _plain(character: str) -> str | None:
    """The one ASCII character that `character` looks like, or None."""
    plain = unicodedata.normalize("NFKC", character)
    if len(plain) == 1 and plain.isdecimal():
        plain = str(unicodedata.decimal(plain))
    return plain if len(plain) == 1 and plain.isascii() else None


_LOOKALIKES = {
    code: plain
    for first, end in _LOOKALIKE_RANGES
    for code in range(first, end)
    if (plain := _plain(chr(code)))
}
_LOOKALIKE = "".join(f"{chr(first)}-{chr(end - 1)}" for first, end in _LOOKALIKE_RANGES)
# RE2 reads it too: a value with a disguised character is looked at whatever its other anchors say.
ANCHOR = f"[{_INVISIBLE}{_LOOKALIKE}]"
_ANY = re.compile(ANCHOR)
_RUNS = re.compile(f"[{_INVISIBLE}]+")
_TURNED = re.compile("\u202e([^\u202c\u202e\u2069\n]{3,512})")


@dataclass(frozen=True)
class View:
    """A text as it is looked at, and the place of each of its characters in the original."""

    text: str
    places: list[int] | None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Characters of the original from the first to the last of `start` to `end`."""
        if self.places is None:
            return start, end
        first, last = self.places[start], self.places[end - 1]
        return (first, last + 1) if first <= last else (last, first + 1)


def views(text: str) -> Iterator[View]:
    """The text as it is looked at: itself, undisguised, and each turned piece by itself."""
    if text.isascii() or not _ANY.search(text):
        yield View(text, None)
        return
    plain = text.translate(_LOOKALIKES)
    yield _without_invisible(plain, list(range(len(plain))))
    for match in _TURNED.finditer(plain):
        turned = list(range(match.end(1) - 1, match.start(1) - 1, -1))
        yield _without_invisible(match[1][::-1], turned)


def _without_invisible(text: str, places: list[int]) -> View:
    pieces: list[str] = []
    kept: list[int] = []
    position = 0
    for run in _RUNS.finditer(text):
        pieces.append(text[position : run.start()])
        kept += places[position : run.start()]
        position = run.end()
    pieces.append(text[position:])
    kept += places[position:]
    return View("".join(pieces), kept)
