"""Files of HTML, each one document: the article's text, as `extract` finds it.

The address is the page's canonical one, the licence what the page states as its own. Reasons
of refusal: page_too_long, page_too_complex, no_text, text_too_long, field_too_long, and truncated,
corrupt, decompressed_too_long, unreadable.
"""

from dataprep.config import Dataprep, Source
from dataprep.pages.extract import extract
from dataprep.reading.decompress import read_pieces
from dataprep.reading.delimited import BrokenStream, cut, no_ends
from dataprep.reading.fields import longer_than, recipe_evidence, text_problem
from dataprep.reading.records import File, Record, Refusal, digest_of


def read_record(file: File, id_prefix: str, source: Source, limits: Dataprep) -> Record | Refusal:
    """The document of one file (.gz and .zst are decompressed)."""
    pieces = read_pieces(file.path, bytes_max=limits.decompressed_bytes_max)
    whole = list(cut(pieces, limits.page_bytes_max, no_ends))
    if not whole:
        return Refusal(file.name, 0, 0, file.num_bytes, None, "no_text")
    (span,) = whole
    if isinstance(span, BrokenStream):
        return Refusal(file.name, 0, 0, span.length, span.digest, span.reason)
    if span.content is None:
        return Refusal(file.name, 0, 0, span.length, span.digest, "page_too_long")
    found = extract(bytes(span.content), None, source.extractor)
    problem = found if isinstance(found, str) else None
    if not isinstance(found, str):
        problem = text_problem(found.text, limits.document_bytes_max)
        known = {"title": found.title, "html_language": found.language}
        meta = tuple((key, value) for key in source.columns.meta if (value := known.get(key)))
        values = (found.url, found.license, *(text for _, text in meta))
        if any(value and longer_than(value, limits.document_bytes_max) for value in values):
            problem = "field_too_long"
        if problem is None:
            license = found.license or source.license
            evidence = found.evidence or recipe_evidence(source)
            own = f"{id_prefix}{file.name}#0"
            return Record(own, found.text, found.url, license, meta, evidence, found.marks)
    assert problem is not None
    return Refusal(file.name, 0, 0, span.length, digest_of(span.content), problem)
