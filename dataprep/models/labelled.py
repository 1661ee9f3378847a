"""Labelled texts for a classifier: from the files that the recipe names to examples.

In: JSONL files (also .gz, .zst) or Parquet, each record with a text and perhaps a label. Out: every
text once, with what is known of it by category, and a fixed share of them held out for evaluation.
Text and seed alone decide which are held out and in which order the others are learnt, never the
order of files; texts that differ in signs and spaces only are on the same side.
"""

import gzip
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
import zstandard

from dataprep.config_models import DEFAULT_CATEGORY, Classifier, Label
from dataprep.models.preparation import prepare
from launch.errors import UserError
from launch.manifest import Input, digest_file

__all__ = ["Examples", "input_digests", "labelled_files", "prepare", "read_examples"]

HELD_OUT_FRACTION = 0.1
_PARQUET = (".parquet", ".pq")

Labels = dict[str, bool]


@dataclass(frozen=True)
class Examples:
    """Prepared texts with their labels by category; `held_out` ones take no part in training.

    `training_texts` and `held_out_texts` are the same texts as they were read, the languages what
    their labels say. `num_conflicts` counts labels that were there with both values: they count as
    unknown.
    """

    training: tuple[tuple[str, Labels], ...]
    training_texts: tuple[str, ...]
    training_languages: tuple[str | None, ...]
    held_out: tuple[tuple[str, Labels], ...]
    held_out_texts: tuple[str, ...]
    held_out_languages: tuple[str | None, ...]
    num_conflicts: int


@dataclass
class _Text:
    raw: str
    language: str | None
    labels: dict[str, bool | None] = field(default_factory=dict)


def labelled_files(config: Classifier, where: str) -> list[tuple[Label, Path]]:
    """Every labelled file with the table that names it, in order.

    Raises UserError if a glob finds nothing.
    """
    found = []
    for position, label in enumerate(config.labels):
        for pattern in label.paths:
            # Path.glob takes no absolute pattern.
            paths = sorted(glob(pattern, recursive=True))  # noqa: PTH207
            if not paths:
                place = f"{where}.labels.{position}.paths"
                raise UserError(place, f"'{pattern}', which finds no file", "labelled files")
            found += [(label, Path(path)) for path in paths]
    return found


def input_digests(config: Classifier, where: str) -> tuple[Input, ...]:
    """What a classifier is trained from: path and digest of every labelled file."""
    paths = dict.fromkeys(path for _, path in labelled_files(config, where))
    return tuple(Input(str(path), digest_file(path)) for path in paths)


def read_examples(config: Classifier, where: str, seed: int) -> Examples:
    """All examples of the labelled files. Holds them in memory.

    `where` is the table's place in the recipe, `dataprep.quality` or `dataprep.toxicity`. Raises
    UserError for a record that is no object, a column that is missing or of the wrong type, and for
    a category whose labels are of one class only.
    """
    default = DEFAULT_CATEGORY.get(where.rpartition(".")[2], "positive")
    texts: dict[str, _Text] = {}
    for label, path in labelled_files(config, where):
        raws, positives = [], []
        for text, positive in _read(label, path, where):
            raws.append(text)
            positives.append(positive)
        prepared = prepare(pa.array(raws, pa.large_string())).to_pylist()
        category = label.category or default
        for raw, text, positive in zip(raws, prepared, positives, strict=True):
            # Which of several texts that are one is kept must not depend on the order of files.
            known = texts.setdefault(text, _Text(raw, label.language))
            known.raw = min(known.raw, raw)
            known.language = known.language or label.language
            if known.labels.setdefault(category, positive) is not positive:
                known.labels[category] = None
    conflicts = sum(value is None for text in texts.values() for value in text.labels.values())
    order = list(dict.fromkeys(label.category or default for label in config.labels))
    return _split(texts, order, where, seed, conflicts)


def _split(
    texts: Mapping[str, _Text], categories: list[str], where: str, seed: int, conflicts: int
) -> Examples:
    suffix = seed.to_bytes(8, "little")
    drawn = []
    for text, found in texts.items():
        # In the order of the recipe's labels.
        labels = {
            name: bool(found.labels[name])
            for name in categories
            if found.labels.get(name) is not None
        }
        if labels:
            letters = "".join(filter(str.isalpha, text)) or text
            side = xxhash.xxh3_64_intdigest(letters.encode() + suffix)
            draw = xxhash.xxh3_64_intdigest(text.encode() + suffix)
            drawn.append((draw, text, side, labels, found))
    drawn.sort(key=lambda entry: entry[:2])
    bound = HELD_OUT_FRACTION * 2.0**64
    learnt = [entry for entry in drawn if entry[2] >= bound]
    held_out = [entry for entry in drawn if entry[2] < bound]
    for name in categories:
        _check_classes([entry[3] for entry in drawn], name, where, "")
        _check_classes([entry[3] for entry in learnt], name, where, " that are learnt from")
    return Examples(
        training=tuple((text, labels) for _, text, _, labels, _ in learnt),
        training_texts=tuple(found.raw for *_, found in learnt),
        training_languages=tuple(found.language for *_, found in learnt),
        held_out=tuple((text, labels) for _, text, _, labels, _ in held_out),
        held_out_texts=tuple(found.raw for *_, found in held_out),
        held_out_languages=tuple(found.language for *_, found in held_out),
        num_conflicts=conflicts,
    )


def _check_classes(labels: list[Labels], category: str, where: str, which: str) -> None:
    values = [known[category] for known in labels if category in known]
    if len(set(values)) < 2:
        got = "no example" if not values else f"only {'positive' if values[0] else 'negative'}"
        raise UserError(
            f"{where}.labels", f"{got} labels of '{category}' in {len(values)} texts{which}",
            "examples of both classes",
            "check label_column and positive: values are compared with their JSON type",
        )  # fmt: skip


def _read(label: Label, path: Path, where: str) -> Iterator[tuple[str, bool]]:
    records = _rows(label, path, where) if path.suffix in _PARQUET else _lines(path)
    for place, record in records:
        text = _field(record, label.text_column, place, f"{where}.labels.text_column")
        if not isinstance(text, str):
            raise UserError(place, f"'{label.text_column}' = {text!r:.40}", "a text")
        if label.every is not None:
            yield text, label.every == "positive"
            continue
        if label.unknown and not _has(record, label.label_column):
            continue
        value = _field(record, label.label_column, place, f"{where}.labels.label_column")
        if any(_same(value, unknown) for unknown in label.unknown):
            continue
        yield text, any(_same(value, positive) for positive in label.positive)


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            try:
                yield place, orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise UserError(place, f"a line that is not JSON ({error})", "an object") from None


def _rows(label: Label, path: Path, where: str) -> Iterator[tuple[str, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            wanted = [label.text_column, *([] if label.every else [label.label_column])]
            known = file.schema_arrow.names
            for column, key in zip(wanted, ("text_column", "label_column"), strict=False):
                if column.partition(".")[0] not in known and column not in known:
                    raise UserError(
                        str(path), f"no column '{column}'", f"the one of {where}.labels.{key}",
                        f"here: {', '.join(known)}",
                    )  # fmt: skip
            names = [name if name in known else name.partition(".")[0] for name in wanted]
            number = 0
            for batch in file.iter_batches(columns=names):
                for record in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", record
    except pa.ArrowInvalid as error:
        raise UserError(str(path), f"no Parquet ({str(error)[:60]})", "a Parquet file") from None


def _field(record: Any, column: str, place: str, where: str) -> Any:
    """The field `column`; `a.b` also finds field b of the object in field a."""
    value = record
    for part in _parts(record, column):
        if not isinstance(value, Mapping) or part not in value:
            known = ", ".join(sorted(record)) if isinstance(record, Mapping) else "no object"
            raise UserError(place, f"no field '{column}'", f"the one of {where}", f"here: {known}")
        value = value[part]
    return value


def _has(record: Any, column: str) -> bool:
    value = record
    for part in _parts(record, column):
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return value is not None


def _parts(record: Any, column: str) -> list[str]:
    return [column] if isinstance(record, Mapping) and column in record else column.split(".")


def _same(value: Any, positive: Any) -> bool:
    # 1 and true are the same label to whoever wrote them; "1" and 1 are not.
    return isinstance(value, str) == isinstance(positive, str) and bool(value == positive)


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path))  # type: ignore[arg-type]
    if path.suffix == ".zst":
        return io.BufferedReader(zstandard.open(path, "rb"))
    return path.open("rb")
