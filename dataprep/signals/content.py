"""What kind of text a document is: prose, code or mathematics; each has rules of its own.

A file's name decides where there is one: the end of `meta["path"]`, of the id or of the URL's path
(a page's address may end in .php or .html, which says how a server makes it, and is not looked at).
Else the lines decide (content_kernels.py): a weighted sum of the shares of code, comments, prose
and signs, whose weights were fitted on half of the prose in shared/data and of the sources of
installed packages, and agreed on the other half (docs/language.md). A document with enough of
LaTeX's commands for formulas, or MathML's elements, is mathematics.
"""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import text_buffers
from dataprep.signals import content_kernels as k
from dataprep.signals import content_names
from dataprep.step import Step

PROSE = "prose"
CODE = "code"
MATHEMATICS = "mathematics"

_NUMBERS = (
    "line_length_longest",
    "line_length_mean",
    "alphanumeric_characters",
    "alphabetic_characters",
    "digit_characters",
    "hexadecimal_characters",
    "white_characters",
    "code_lines",
    "comment_lines",
    "formulas",
    "generated",
)
FIELDS = (
    pa.field("content_kind", pa.string(), nullable=False),
    pa.field("content_language", pa.string()),
    *(pa.field(f"content_{name}", pa.float64(), nullable=False) for name in _NUMBERS),
)

# Commands and formulas for each character from which a text is mathematics.
_FORMULAS_MIN = 0.004
_COMMANDS_MIN = 3
# The weighted sum above which lines are code, and the least share of signs.
_WEIGHTS = {"code_share": 3.0, "code_lines": 3.0, "prose": -7.0, "signs": 4.0, "comments": 5.0}
_BIAS = -3.2
_SIGNS_MIN = 0.05

Numbers = dict[str, npt.NDArray[np.float64]]


class Tables(NamedTuple):
    """What the kernel looks up, as arrays."""

    flags: npt.NDArray[np.uint8]
    pairs: npt.NDArray[np.uint8]
    commands: npt.NDArray[np.uint64]
    elements: npt.NDArray[np.uint64]
    keywords: npt.NDArray[np.uint64]
    marks: npt.NDArray[np.uint8]


def make_step() -> Step:
    """The step `content`: adds the columns of `FIELDS`.

    `content_kind` is "prose", "code" or "mathematics"; `content_language` is the programming
    language that a file's name tells, or null. Shares are of the first 128 KB of a text.
    """
    return Step(name="content", needs=("text", "id", "url", "meta"), adds=FIELDS, apply=_apply)


def measure(text: pa.ChunkedArray | pa.Array) -> tuple[pa.Array, Numbers]:
    """Kind of each text (string) by its lines alone, and the numbers, float64 [rows], by name."""
    data, offsets = text_buffers(text)
    counts = np.zeros((len(offsets) - 1, k.NUM_COUNTS), dtype=np.int64)
    k.measure(data, offsets, *_tables(), counts)
    c = counts.astype(np.float64).T
    visible = c[k.CHARACTERS] - c[k.WHITE_CHARACTERS]
    numbers = {
        "line_length_longest": c[k.LINE_LENGTH_LONGEST],
        "line_length_mean": _share(c[k.CHARACTERS], c[k.LINES]),
        "alphanumeric_characters": _share(
            c[k.ALPHABETIC_CHARACTERS] + c[k.DIGIT_CHARACTERS], c[k.CHARACTERS]
        ),
        "alphabetic_characters": _share(c[k.ALPHABETIC_CHARACTERS], c[k.CHARACTERS]),
        "digit_characters": _share(c[k.DIGIT_CHARACTERS], visible),
        "hexadecimal_characters": _share(c[k.HEXADECIMAL_CHARACTERS], visible),
        "white_characters": _share(c[k.WHITE_CHARACTERS], c[k.CHARACTERS]),
        "code_lines": _share(c[k.CODE_LINES], c[k.FULL_LINES] - c[k.COMMENT_LINES]),
        "comment_lines": _share(c[k.COMMENT_LINES], c[k.FULL_LINES]),
        # Dollar signs alone are prices and variables: they count where commands stand by them.
        "formulas": _share(
            c[k.COMMANDS] + np.minimum(c[k.FORMULAS], 3 * c[k.COMMANDS]), c[k.FULL_CHARACTERS]
        ),
        "generated": (c[k.GENERATED_MARKS] > 0).astype(np.float64),
    }
    own = c[k.FULL_CHARACTERS] - c[k.COMMENT_CHARACTERS]
    signs = _share(c[k.SIGNS], own)
    shares = {
        "code_share": _share(c[k.CODE_CHARACTERS], own),
        "code_lines": numbers["code_lines"],
        "prose": _share(c[k.PROSE_CHARACTERS], own),
        "signs": signs,
        "comments": _share(c[k.COMMENT_CHARACTERS], c[k.FULL_CHARACTERS]),
    }
    total = sum(weight * shares[name] for name, weight in _WEIGHTS.items()) + _BIAS
    code = (total > 0) & (signs >= _SIGNS_MIN)
    formulas = (numbers["formulas"] >= _FORMULAS_MIN) & (c[k.COMMANDS] >= _COMMANDS_MIN)
    kinds = np.where(formulas, MATHEMATICS, np.where(code, CODE, PROSE)).astype(object)
    return pa.array(kinds, pa.string()), numbers


def languages_by_name(table: pa.Table) -> pa.Array:
    """The language that a file's name tells, string, null where there is none known.

    `mathematics` and `prose` stand for files of text: .tex is one, .md the other.
    """
    known = content_names.EXTENSIONS
    names, languages = pa.array(list(known)), pa.array(list(known.values()))
    path = pc.map_lookup(table["meta"].combine_chunks(), pa.scalar("path"), "first")
    found = None
    for column, pattern, served in (
        (path, content_names.PATH_PATTERN, True),
        (table["id"].combine_chunks(), content_names.PATH_PATTERN, True),
        (table["url"].combine_chunks(), content_names.URL_PATTERN, False),
    ):
        extension = pc.utf8_lower(pc.struct_field(pc.extract_regex(column, pattern), "extension"))
        if not served:
            by_server = pc.is_in(extension, pa.array(content_names.MADE_BY_SERVERS))
            extension = pc.if_else(by_server, pa.scalar(None, pa.string()), extension)
        language = languages.take(pc.index_in(extension, names))
        found = language if found is None else pc.coalesce(found, language)
    return found


def _apply(table: pa.Table) -> pa.Table:
    kinds, numbers = measure(table["text"])
    named = languages_by_name(table)
    # A docstring is what a file holds, not the file.
    part = pc.map_lookup(table["meta"].combine_chunks(), pa.scalar("kind"), "first")
    is_part = pc.fill_null(pc.equal(part, "docstring"), False)
    named = pc.if_else(is_part, pa.scalar(None, pa.string()), named)
    is_text = pc.is_in(named, pa.array([PROSE, MATHEMATICS]))
    by_name = pc.if_else(is_text, named, pa.scalar(CODE))
    by_name = pc.if_else(pc.is_null(named), pa.scalar(None, pa.string()), by_name)
    # What is called prose may still hold mathematics; a source file is what it is called.
    keep = pc.and_(pc.equal(named, PROSE), pc.equal(kinds, MATHEMATICS))
    kinds = pc.if_else(pc.fill_null(keep, False), kinds, pc.coalesce(by_name, kinds))
    language = pc.if_else(pc.fill_null(is_text, False), pa.scalar(None, pa.string()), named)
    table = table.append_column(FIELDS[0], kinds).append_column(FIELDS[1], language)
    for field, name in zip(FIELDS[2:], _NUMBERS, strict=True):
        table = table.append_column(field, pa.array(numbers[name], field.type))
    return table


@functools.cache
def _tables() -> Tables:
    flags = np.zeros(256, dtype=np.uint8)
    for byte in range(256):
        character = chr(byte)
        for flag, holds in (
            (k.ALPHABETIC, byte >= 128 or character.isalpha()),
            (k.DIGIT, "0" <= character <= "9"),
            (k.HEXADECIMAL, character in "0123456789abcdefABCDEF"),
            (k.WHITE, character in " \t\r\n"),
            (k.SIGN, character in "{}[]();=<>_+*/&|!%^~\"'#@\\$:`,-"),
            (k.ENDING, character in ";{}"),
            (k.OPENING, character in "(),[:]=\\"),
        ):
            flags[byte] |= flag if holds else 0
    pairs = np.zeros(1 << 14, dtype=np.uint8)
    for pair in content_names.OPERATORS:
        pairs[ord(pair[0]) << 7 | ord(pair[1])] = 1
    width = max(len(mark) for mark in content_names.GENERATED_MARKS)
    rows = [list(mark.encode().ljust(width, b"\0")) for mark in content_names.GENERATED_MARKS]
    return Tables(
        flags,
        pairs,
        _packed(content_names.LATEX_COMMANDS),
        _packed(content_names.MATHML_ELEMENTS),
        _packed(content_names.KEYWORDS),
        np.array(rows, dtype=np.uint8),
    )


def _packed(names: tuple[str, ...]) -> npt.NDArray[np.uint64]:
    """Names of at most eight bytes as numbers, in order; longer ones are left out."""
    short = (name.encode() for name in names if len(name) <= 8)
    return np.array(sorted({int.from_bytes(name, "big") for name in short}), dtype=np.uint64)


def _share(
    part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
