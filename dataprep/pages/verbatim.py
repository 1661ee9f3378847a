"""Passages that extraction must not touch: taken out of a page before it, put back after it.

An extractor joins lines, collapses spaces and judges what is prose, all of which destroys code and
equations. So each such passage is replaced by a mark, a number between two noncharacters, and the
mark by the passage once the text is made. Noncharacters cannot be part of good text: a page that
holds marks of its own loses them, and each passage comes back once at most.
"""

import re
from typing import NamedTuple

_BEGIN = "\ufdd0"
_END = "\ufdd1"
_MARK = re.compile(f"{_BEGIN}([0-9]{{1,9}}){_END}")
_STRAY = str.maketrans("", "", _BEGIN + _END)


class Passage(NamedTuple):
    """A text to keep as it is; `is_block` says that it stands on lines of its own."""

    text: str
    is_block: bool


def mark(index: int) -> str:
    """What stands for passage number `index` while the page is extracted."""
    return f"{_BEGIN}{index}{_END}"


def has_mark(text: str) -> bool:
    """Whether a passage stands in `text`."""
    return _BEGIN in text


def without_marks(text: str) -> str:
    """`text` without any of the marks' characters: for text that comes from a page."""
    return text.translate(_STRAY) if _BEGIN in text or _END in text else text


def restore(text: str, passages: list[Passage]) -> str:
    """`text` with every mark replaced by its passage, the first time that it occurs."""
    if _BEGIN not in text and _END not in text:
        return text
    left: list[Passage | None] = list(passages)
    made: list[str] = []
    end = 0
    after_block = False
    for found in _MARK.finditer(text):
        index = int(found[1])
        passage = left[index] if index < len(left) else None
        between = text[end : found.start()].translate(_STRAY)
        end = found.end()
        if passage is None:
            made.append(between)
            continue
        left[index] = None
        if after_block:
            between = _from_new_line(between)
        made.append(between)
        after_block = passage.is_block
        if passage.is_block:
            made.append(_line_end(between if between else "".join(made[-2:])))
        made.append(passage.text)
    rest = text[end:].translate(_STRAY)
    made.append(_from_new_line(rest) if after_block else rest)
    return "".join(made)


def _line_end(before: str) -> str:
    """The line feed that a block needs after `before`, if it needs one."""
    return "" if not before or before.endswith("\n") else "\n"


def _from_new_line(after: str) -> str:
    """`after` beginning on a new line."""
    if not after.strip(" "):
        return after.strip(" ")
    return after if after.startswith("\n") else "\n" + after.lstrip(" ")
