"""Repair of wrongly decoded text (ftfy), and traditional Chinese made simplified (OpenCC).

Both work on a row at a time, in Python, so a pattern over the whole column first finds the rows
that they could change.
"""

import functools
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import ftfy
    import opencc

# UTF-8 read as Latin-1 or Windows-1252: a first byte as a letter, then what such bytes look like.
_WINDOWS_1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_DAMAGE = (
    rf"[\x{{c2}}-\x{{f4}}][\x{{80}}-\x{{bf}}{_WINDOWS_1252}]"
    r"|[\x{80}-\x{9f}]"  # controls that were Windows-1252's quotation marks
    r"|[\x{420}\x{421}\x{432}][\x{402}-\x{40f}\x{452}-\x{45f}\x{a0}-\x{bf}‘’“”†‡€‹›™]"  # as 1251
    r"|‚Ä|‚Ñ|√[©®¢ß]|Ôº|Γ[ÇÖ]"  # as Mac Roman and as code page 437
)
_OTHER_SCRIPTS = r"[\x{3041}-\x{3096}\x{30a1}-\x{30fa}\x{1100}-\x{11ff}\x{ac00}-\x{d7a3}]"
_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF))


def damaged(text: pa.Array) -> pa.Array:
    """Which rows hold a trace of a wrong encoding; bool [rows]."""
    return pc.match_substring_regex(text, _DAMAGE)


def repair(text: pa.Array) -> pa.Array:
    """Each row repaired: only what was decoded wrongly changes, not entities, quotes or width."""
    from ftfy import fix_text

    settings = _settings()
    return pa.array([fix_text(one, settings) for one in text.to_pylist()], pa.large_string())


def traditional(text: pa.Array) -> pa.Array:
    """Which rows hold a character that simplified Chinese writes otherwise; bool [rows].

    The language is not known yet: where kana or hangul stand, Han characters are not Chinese, and
    the row is left alone.
    """
    found = pc.match_substring_regex(text, _traditional_pattern())
    return pc.and_not(found, pc.match_substring_regex(text, _OTHER_SCRIPTS))


def simplify(text: pa.Array) -> pa.Array:
    """Each row in simplified characters, by phrases where a character has two simplified forms."""
    converter = _converter()
    return pa.array([converter.convert(one) for one in text.to_pylist()], pa.large_string())


@functools.cache
def _settings() -> "ftfy.TextFixerConfig":
    from ftfy import TextFixerConfig

    return TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
    )


@functools.cache
def _converter() -> "opencc.OpenCC":
    import opencc

    return opencc.OpenCC("t2s")


@functools.cache
def _traditional_pattern() -> str:
    """A class of the characters that change; 20 ms, once for each process."""
    characters = [chr(code) for first, last in _HAN for code in range(first, last + 1)]
    converted = _converter().convert("\n".join(characters)).split("\n")
    pairs = zip(characters, converted, strict=True)
    return "[" + "".join(old for old, new in pairs if old != new) + "]"
