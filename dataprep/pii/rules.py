"""The recipe's own kinds: a pattern, and words beside it. RE2 runs the patterns, in linear time."""

import functools
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_pii import Pii
from dataprep.pii import re2
from dataprep.pii.context import around, words_pattern
from launch.errors import UserError

# A finding inside a placeholder would be replaced for ever.
_PLACEHOLDER = re.compile("<[A-Z][A-Z_]{1,31}>")
_UNBOUNDED = re.compile(
    r"\\Q|\\.|\[\^?\]?(?:\\.|\[:[a-z^]{1,12}:\]|[^\]\\]){0,1000}\]|(?P<found>[*+]|\{[0-9]{1,4},\})",
    re.DOTALL,
)


def check_rules(config: Pii) -> None:
    """Raise UserError for a rule that RE2 refuses, that has no bound, or that matches nothing."""
    for number, rule in enumerate(config.rules):
        where = f"dataprep.pii.rules[{number}].pattern"
        for match in _UNBOUNDED.finditer(rule.pattern):
            if match["found"]:
                expected = "a pattern whose matches have a greatest length"
                hint = f"write a count instead of '{match['found']}', such as {{1,20}}"
                raise UserError(where, f"'{rule.pattern}'", expected, hint)
            if match[0] == r"\Q":
                raise UserError(where, r"'\Q'", "a pattern without literal quoting")
        try:
            empty = pc.match_substring_regex(pa.array([""]), rule.pattern)[0].as_py()
        except pa.ArrowInvalid as error:
            reason = str(error).partition("regular expression: ")[2] or str(error)
            raise UserError(where, f"'{rule.pattern}' ({reason})", "an RE2 pattern") from None
        if empty:
            expected = "a pattern that does not match the empty text"
            raise UserError(where, f"'{rule.pattern}'", expected)


def anchor(config: Pii) -> str:
    """The RE2 pattern of every value in which a rule could find something."""
    return "|".join(f"(?:{rule.pattern})" for rule in config.rules)


def rule_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Matches of the recipe's rules that have one of their words near, outside placeholders."""
    if not config.rules:
        return
    barred = [match.span() for match in _PLACEHOLDER.finditer(text)]
    for rule in config.rules:
        words = _words(rule.words)
        for start, end in re2.spans(text, rule.pattern):
            near = " ".join(around(text, start, end, rule.window))
            if words and not words.search(near):
                continue
            if not any(start < last and first < end for first, last in barred):
                yield start, end


@functools.cache
def _words(words: tuple[str, ...]) -> re.Pattern[str] | None:
    return words_pattern(words) if words else None
