"""Evaluation items, from the JSONL files that the recipe names.

In: one JSON object a line, plain, .gz or .zst. Out: items with their texts, one for each field that
is searched for, in the order of the recipe and the files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import orjson

from dataprep.config_decontamination import Decontamination, EvaluationSet
from dataprep.reading.decompress import read_pieces
from dataprep.reading.delimited import BrokenStream, cut
from launch.errors import UserError

# Before the paths of evaluation sets among the manifest's inputs.
PREFIX = "decontamination:"

_WHERE = "dataprep.decontamination.sets"
_EXAMPLES = 5
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Item:
    """One item of an evaluation set: its texts by the fields that they come from.

    `first` is the field of the question, which an item may lack.
    """

    set: str
    id: str
    texts: tuple[tuple[str, str], ...]
    first: str

    @property
    def name(self) -> str:
        """What the recipe calls it in `allow`."""
        return f"{self.set}:{self.id}"


def set_files(config: Decontamination) -> list[tuple[EvaluationSet, Path]]:
    """Every file with the set that it belongs to, in order; none in mode "off".

    Raises UserError if a glob finds nothing.
    """
    if config.mode == "off":
        return []
    found = []
    for table in config.sets:
        for pattern in table.paths:
            # Path.glob takes no absolute pattern.
            paths = sorted(glob(pattern, recursive=True))  # noqa: PTH207
            if not paths:
                place = f"{_WHERE}.{table.name}.paths"
                raise UserError(place, f"'{pattern}', which finds no file", "JSONL files")
            found += [(table, Path(path)) for path in paths]
    return found


def files(config: Decontamination) -> list[Path]:
    """The files of all sets, each once, in order. Raises UserError as `set_files` does."""
    return list(dict.fromkeys(path for _, path in set_files(config)))


def read_items(config: Decontamination) -> list[Item]:
    """All items of all sets. Holds them in memory: about a kilobyte for each.

    Raises UserError, naming file and line, for a line that is no JSON object, is too long, or has a
    field of another type; and for a set without an item, two items of one id, a field that no
    record of the set has, and an item in `allow` that is not there.
    """
    items: list[Item] = []
    for table in config.sets if config.mode != "off" else ():
        before = len(items)
        for own, path in set_files(config):
            if own is table:
                items += _read(table, path, config)
        _check_set(table, items[before:])
        if len(items) > config.items_max:
            got, expected = f"more than {config.items_max:,} items", "fewer"
            raise UserError(_WHERE, got, expected, "dataprep.decontamination.items_max")
    _check_allowed(config, items)
    return items


def _check_set(table: EvaluationSet, items: list[Item]) -> None:
    where = f"{_WHERE}.{table.name}"
    if not items:
        raise UserError(f"{where}.paths", "no item at all", "at least one")
    found = {field for item in items for field, _ in item.texts}
    for field in table.fields:
        if field not in found:
            got = f"'{field}', which no record has"
            raise UserError(f"{where}.fields", got, "fields of the records")
    names: set[str] = set()
    for item in items:
        if item.id in names:
            raise UserError(f"{where}.id", f"two items '{item.id}'", "an id for each")
        names.add(item.id)


def _check_allowed(config: Decontamination, items: list[Item]) -> None:
    missing = {*config.allow} - {item.name for item in items} if config.allow else set()
    if missing and config.mode != "off":
        where = "dataprep.decontamination.allow"
        raise UserError(where, f"'{min(missing)}'", "an item that is in its set")


def _read(table: EvaluationSet, path: Path, config: Decontamination) -> Iterator[Item]:
    for line in cut(read_pieces(str(path)), config.item_bytes_max):
        place = f"{path}:{line.row + 1}"
        if isinstance(line, BrokenStream):
            raise UserError(place, f"a file that is {line.reason}", "a whole one")
        if line.content is None:
            got = f"a line of more than {config.item_bytes_max:,} bytes"
            raise UserError(place, got, "a shorter one", "dataprep.decontamination.item_bytes_max")
        try:
            record = orjson.loads(line.content.removeprefix(_BYTE_ORDER_MARK))
        except orjson.JSONDecodeError as error:
            raise UserError(place, f"a line that is not JSON ({error})", "an object") from None
        if not isinstance(record, Mapping):
            raise UserError(place, "JSON that is no object", "an object")
        texts = tuple(
            (field, text)
            for field in table.fields
            if (text := _text(_value(record, field), place, field)).strip()
        )
        yield Item(table.name, _id(record, table, path, line.row + 1), texts, table.fields[0])


def _id(record: Mapping[str, Any], table: EvaluationSet, path: Path, number: int) -> str:
    if table.id is None:
        return f"{path.name}:{number}"
    value = _value(record, table.id)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        known = ", ".join(sorted(record)[:_EXAMPLES])
        expected = f"the id of {_WHERE}.{table.name}.id"
        raise UserError(f"{path}:{number}", f"no '{table.id}'", expected, f"here: {known}")
    return str(value)


def _value(record: Mapping[str, Any], field: str) -> Any:
    """The field of that name, or, for `a.b`, field b of the object in field a; else None."""
    if field in record:
        return record[field]
    value: Any = record
    for part in field.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _text(value: Any, place: str, field: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "\n".join(_text(part, place, field) for part in value)
    raise UserError(place, f"'{field}' = {value!r:.40}", "a text, a number or a list of them")
