"""Files of text, each one document: plain text, Markdown, anything that is UTF-8.

The block of metadata at the head of a Markdown file (front matter: between two lines `---`, the
first line after it a key) is no part of the text. Reasons of refusal: those of a text (`fields`),
bad_utf8, and truncated, corrupt, decompressed_too_long, unreadable.
"""

import re

from dataprep.config import Dataprep, Source
from dataprep.reading.decompress import plain_suffix, read_pieces
from dataprep.reading.delimited import BrokenStream, cut, no_ends
from dataprep.reading.fields import recipe_evidence, text_problem
from dataprep.reading.records import File, Record, Refusal, digest_of

_MARKDOWN_SUFFIXES = (".md", ".markdown", ".mdx")
_FRONT_MATTER_BEGINS = re.compile(r"---[ \t]*\r?\n[A-Za-z_][^\n:]*:")
_FRONT_MATTER_ENDS = re.compile(r"\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)")


def read_record(file: File, id_prefix: str, source: Source, limits: Dataprep) -> Record | Refusal:
    """The document of one file (.gz and .zst are decompressed)."""
    pieces = read_pieces(file.path, bytes_max=limits.decompressed_bytes_max)
    whole = list(cut(pieces, limits.document_bytes_max, no_ends))
    if not whole:
        return Refusal(file.name, 0, 0, file.num_bytes, None, "text_empty")
    (span,) = whole
    if isinstance(span, BrokenStream):
        return Refusal(file.name, 0, 0, span.length, span.digest, span.reason)
    if span.content is None:
        return Refusal(file.name, 0, 0, span.length, span.digest, "text_too_long")
    problem: str | None = "bad_utf8"
    text = ""
    try:
        text = span.content.decode()
        if plain_suffix(file.name) in _MARKDOWN_SUFFIXES:
            text = without_front_matter(text)
        problem = text_problem(text, limits.document_bytes_max)
    except UnicodeDecodeError:
        pass
    if problem is not None:
        return Refusal(file.name, 0, 0, span.length, digest_of(span.content), problem)
    return Record(
        f"{id_prefix}{file.name}#0", text, None, source.license, (), recipe_evidence(source)
    )


def without_front_matter(text: str) -> str:
    """Markdown without the block of metadata that it may begin with."""
    begins = _FRONT_MATTER_BEGINS.match(text)
    ends = _FRONT_MATTER_ENDS.search(text, begins.end()) if begins else None
    return text if ends is None else text[ends.end() :]
