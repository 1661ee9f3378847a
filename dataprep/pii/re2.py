"""Places of an RE2 pattern's matches in one text.

Arrow says whether and how often RE2 matches, not where; but it replaces. So each match is written
again between two marks that the text does not have, and the marks are read off.
"""

import pyarrow as pa
import pyarrow.compute as pc

_MARKS = [chr(code) for code in (*range(1, 9), *range(0xF0000, 0xFFFFD))]


def spans(text: str, pattern: str) -> list[tuple[int, int]]:
    """Start and end of each match, in characters, in order; empty matches are left out.

    Raises pyarrow.ArrowInvalid if RE2 does not take the pattern.
    """
    free = (mark for mark in _MARKS if mark not in text)
    opening, closing = next(free), next(free)
    # A lone surrogate, which no Arrow text has, becomes a question mark.
    values = pa.array([text.encode("utf-8", "replace").decode()], pa.large_string())
    replacement = rf"{opening}\0{closing}"
    marked = pc.replace_substring_regex(values, pattern=pattern, replacement=replacement)
    first, *others = marked[0].as_py().split(opening)
    place = len(first)
    found = []
    for piece in others:
        match, _, rest = piece.partition(closing)
        if match:
            found.append((place, place + len(match)))
        place += len(match) + len(rest)
    return found
