"""From a record's fields to a document, as `columns` of the source says.

Reasons of refusal: text_missing, text_not_a_string, text_empty, text_too_long, id_missing,
field_too_long (url, licence or one of meta is longer than a text may be), bad_value (one of them
cannot be written as text).
"""

from collections.abc import Mapping
from typing import Any

import orjson

from dataprep.config import Dataprep, Source
from dataprep.reading.records import Record


def field_of(value: Mapping[str, Any], name: str) -> Any:
    """The field `name`, None if there is none; `a.b` is also field b of the object in field a."""
    found = value.get(name)
    if found is not None or "." not in name:
        return found
    found = value
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def record_of(
    value: Mapping[str, Any], place: str, id_prefix: str, source: Source, limits: Dataprep
) -> Record | str:
    """The document of a record's fields, or the reason why there is none.

    `place` is the id of a record of a source that names no field for it.
    """
    columns = source.columns
    text: Any = field_of(value, columns.text)
    problem = text_problem(text, limits.document_bytes_max)
    if problem is not None:
        return problem
    identity = place
    if columns.id is not None:
        own = field_of(value, columns.id)
        if isinstance(own, bool) or not isinstance(own, str | int) or own == "":
            return "id_missing"
        identity = str(own)
    try:
        url = as_text(field_of(value, columns.url)) if columns.url is not None else None
        stated = as_text(field_of(value, columns.license)) if columns.license is not None else None
        meta: tuple[tuple[str, str], ...] = ()
        if columns.meta:
            named = ((key, as_text(field_of(value, key))) for key in columns.meta)
            meta = tuple((key, found) for key, found in named if found is not None)
    except TypeError:
        return "bad_value"
    bytes_max = limits.document_bytes_max
    if (
        longer_than(identity, bytes_max)
        or (url is not None and longer_than(url, bytes_max))
        or (stated is not None and longer_than(stated, bytes_max))
        or any(longer_than(content, bytes_max) for _, content in meta)
    ):
        return "field_too_long"
    evidence = f"record:{columns.license}" if stated else recipe_evidence(source)
    return Record(id_prefix + identity, text, url, stated or source.license, meta, evidence)


def recipe_evidence(source: Source) -> str | None:
    """The evidence for the licence of a record that states none."""
    return None if source.license is None else "recipe"


def text_problem(text: Any, document_bytes_max: int) -> str | None:
    """Why `text` cannot be a document's text, or None if it can."""
    if text is None:
        return "text_missing"
    if not isinstance(text, str):
        return "text_not_a_string"
    if not text or text.isspace():
        return "text_empty"
    return "text_too_long" if longer_than(text, document_bytes_max) else None


def longer_than(text: str, bytes_max: int) -> bool:
    """Whether `text` has more than `bytes_max` bytes of UTF-8."""
    # Four bytes a character at most: most texts need no encoding to be known as short enough.
    return len(text) * 4 > bytes_max and len(text.encode()) > bytes_max


def as_text(value: Any) -> str | None:
    """A JSON value as text: a string as it is, null as None, others as JSON with sorted keys.

    Raises TypeError for a value that JSON cannot hold.
    """
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
