"""Labelled texts for a classifier: from the files that the recipe names to examples.

In: JSONL files (also .gz, .zst), each record with a text and a label. Out: every text once, with
its label as positive or not, and a fixed share of them held out for evaluation. Text and seed alone
decide which are held out and in which order the others are learnt, never the order of files.
"""

import gzip
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
import zstandard

from dataprep.config_models import Classifier, Label
from launch.errors import UserError
from launch.manifest import Input, digest_file

HELD_OUT_FRACTION = 0.1
# fastText takes words that begin with this for labels.
LABEL_PREFIX = "__label__"


@dataclass(frozen=True)
class Examples:
    """Texts and labels; `held_out` ones take no part in training.

    `num_conflicts` counts texts that were there with both labels; they are in neither part.
    """

    training: tuple[tuple[str, bool], ...]
    held_out: tuple[tuple[str, bool], ...]
    num_conflicts: int


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
                raise UserError(place, f"'{pattern}', which finds no file", "labelled JSONL files")
            found += [(label, Path(path)) for path in paths]
    return found


def input_digests(config: Classifier, where: str) -> tuple[Input, ...]:
    """What a classifier is trained from: path and digest of every labelled file."""
    paths = dict.fromkeys(path for _, path in labelled_files(config, where))
    return tuple(Input(str(path), digest_file(path)) for path in paths)


def read_examples(config: Classifier, where: str, seed: int) -> Examples:
    """All examples of the labelled files, texts prepared as for scoring. Holds them in memory.

    Raises UserError for a line that is no JSON object, a column that is missing or of the wrong
    type, and for labels of one class only.
    """
    labels: dict[str, bool | None] = {}
    for label, path in labelled_files(config, where):
        texts, positives = [], []
        for text, positive in _read(label, path, where):
            texts.append(text)
            positives.append(positive)
        prepared = prepare(pa.array(texts, pa.large_string())).to_pylist()
        for text, positive in zip(prepared, positives, strict=True):
            text = " ".join(text.split())
            known = labels.setdefault(text, positive)
            if known is not positive:
                labels[text] = None
    suffix = seed.to_bytes(8, "little")
    drawn = sorted(
        (xxhash.xxh3_64_intdigest(text.encode() + suffix), text, label)
        for text, label in labels.items()
        if label is not None
    )
    classes = {label for _, _, label in drawn}
    if len(classes) < 2:
        got = (
            "no example" if not classes else f"only {'positive' if True in classes else 'negative'}"
        )
        raise UserError(
            f"{where}.labels", f"{got} labels in {len(drawn)} texts", "examples of both classes",
            "check label_column and positive: values are compared with their JSON type",
        )  # fmt: skip
    # The draw is uniform, so that its smallest tenth is a random tenth of the texts.
    bound = HELD_OUT_FRACTION * 2.0**64
    return Examples(
        training=tuple((text, bool(label)) for draw, text, label in drawn if draw >= bound),
        held_out=tuple((text, bool(label)) for draw, text, label in drawn if draw < bound),
        num_conflicts=sum(label is None for label in labels.values()),
    )


def prepare(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """`texts` as fastText sees them in training and in scoring: one line, lower case.

    Punctuation becomes words of its own, and so does every Chinese or Japanese character, as those
    scripts put no spaces between words.
    """
    texts = pc.utf8_lower(texts)
    texts = pc.replace_substring(texts, LABEL_PREFIX, " ")
    texts = pc.replace_substring_regex(
        texts,
        r"([\p{Han}\p{Hiragana}\p{Katakana}]|[!-/:-@\[-^`{-~]|[。，、！？：；（）《》「」])",
        r" \1 ",
    )
    # Plain blanks stay as they are, being most of all: fastText counts several as one.
    return pc.replace_substring_regex(
        texts,
        r"[\t\n\r\x00\x0b\x0c\x1c-\x1f\x{85}\x{a0}\p{Zl}\p{Zp}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]",
        " ",
    )


def _read(label: Label, path: Path, where: str) -> Iterator[tuple[str, bool]]:
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise UserError(place, f"a line that is not JSON ({error})", "an object") from None
            text = _field(record, label.text_column, place, f"{where}.labels.text_column")
            if not isinstance(text, str):
                raise UserError(place, f"'{label.text_column}' = {text!r:.40}", "a text")
            value = _field(record, label.label_column, place, f"{where}.labels.label_column")
            yield text, any(_same(value, positive) for positive in label.positive)


def _field(record: Any, column: str, place: str, where: str) -> Any:
    """The field `column`; `a.b` also finds field b of the object in field a."""
    value = record
    for part in [column] if isinstance(record, Mapping) and column in record else column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = ", ".join(sorted(record)) if isinstance(record, Mapping) else "no object"
            raise UserError(place, f"no field '{column}'", f"the one of {where}", f"here: {known}")
        value = value[part]
    return value


def _same(value: Any, positive: Any) -> bool:
    # 1 and true are the same label to whoever wrote them; "1" and 1 are not.
    return isinstance(value, str) == isinstance(positive, str) and value == positive


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path))  # type: ignore[arg-type]
    if path.suffix == ".zst":
        return io.BufferedReader(zstandard.open(path, "rb"))
    return path.open("rb")


def example_lines(examples: tuple[tuple[str, bool], ...]) -> Iterator[str]:
    """Lines of a fastText training file."""
    for text, positive in examples:
        yield f"{LABEL_PREFIX}{'positive' if positive else 'negative'} {text}\n"
