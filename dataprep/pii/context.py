"""The characters around a candidate, in which words may speak for it or against it."""

import re
from collections.abc import Iterable

CONTEXT_CHARACTERS = 40


def around(text: str, start: int, end: int, num: int = CONTEXT_CHARACTERS) -> tuple[str, str]:
    """Up to `num` characters before `start` and after `end`."""
    return text[max(0, start - num) : start], text[end : end + num]


def words_source(words: Iterable[str]) -> str:
    """A pattern, for `re` and for RE2, of any of `words`, longest first."""
    ordered = sorted(set(words), key=lambda word: (-len(word), word))
    return "|".join(re.escape(word).replace(r"\ ", "[ _-]?") for word in ordered)


def words_pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Any of `words`, in any case, as whole words; not inside a placeholder such as `<PHONE>`.

    A blank in a word may be missing, or be a dash or an underscore. Chinese, Japanese and Thai have
    no blanks between words, so that a word in these scripts counts wherever it stands.
    """
    return re.compile(
        rf"(?<![<A-Za-z\u00c0-\u052f])(?:{words_source(words)})(?![>A-Za-z\u00c0-\u052f])",
        re.IGNORECASE,
    )


def words_anchor(words: Iterable[str]) -> str:
    """An RE2 pattern of every text in which `words.Words` finds one of `words`."""
    spaced = [word for word in words if word.isascii()]
    capitals = words_source(word for word in spaced if word.isupper())
    others = words_source(word for word in spaced if not word.isupper())
    unspaced = words_source(word for word in words if not word.isascii())
    parts = [
        f"(?:^|[^A-Za-z])(?:{capitals})(?:[^A-Za-z]|$)" if capitals else "",
        f"(?i:(?:^|[^A-Za-z])(?:{others})(?:[^A-Za-z]|$))" if others else "",
        f"(?i:{unspaced})" if unspaced else "",
    ]
    return "|".join(part for part in parts if part)


def is_placeholder(text: str, start: int, end: int) -> bool:
    """Whether a word stands in a placeholder: `<PHONE>`."""
    return text[start - 1 : start] == "<" and text[end : end + 1] == ">"
