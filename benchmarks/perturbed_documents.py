"""Any number of documents with known near-duplicates, made of real sentences.

Document i depends on i alone. Seven of ten are originals: sentences drawn from English prose of
the developers' data. The others are copies of an earlier original: as it is, with some words
replaced, with sentences added, or with sentences taken out. So the truth is known without a file
of it: `family(i)` is the original's number, and a copy's similarity can be computed from both.
"""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.documents import sentences

_COPY_OF_TEN = 3
_LENGTHS = (6, 10, 14, 20, 30)
_WORDS_REPLACED = (1, 2, 4, 8, 16)


def _random(number: int) -> random.Random:
    return random.Random(number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)


def is_copy(number: int) -> bool:
    """Whether a document is a perturbed copy of another."""
    return number > 0 and _random(number).randrange(10) < _COPY_OF_TEN


def family(number: int) -> int:
    """The number of the original that a document is a copy of, or its own."""
    if not is_copy(number):
        return number
    draw = _random(~number)
    while True:
        original = draw.randrange(number)
        if not is_copy(original):
            return original


def text(number: int) -> str:
    """The text of a document, about 2 KB."""
    original = family(number)
    draw = _random(original + (1 << 60))
    chosen = draw.choices(sentences(), k=draw.choice(_LENGTHS))
    if original != number:
        chosen = _perturbed(chosen, _random(number + (1 << 61)))
    return "\n\n".join(" ".join(chosen[first : first + 4]) for first in range(0, len(chosen), 4))


def _perturbed(chosen: list[str], draw: random.Random) -> list[str]:
    kind = draw.choice(("same", "words", "words", "words", "added", "removed"))
    if kind == "added":
        return chosen + draw.choices(sentences(), k=draw.choice((1, 2, 3)))
    if kind == "removed":
        return chosen[: -draw.choice((1, 2, 3))]
    if kind == "words":
        chosen = list(chosen)
        for number in range(draw.choice(_WORDS_REPLACED)):
            place = draw.randrange(len(chosen))
            words = chosen[place].split(" ")
            words[draw.randrange(len(words))] = f"word{number}"
            chosen[place] = " ".join(words)
    return chosen


def write(folder: Path, num_documents: int, num_files: int) -> float:
    """Write documents 0 to num_documents - 1 into JSONL files below `folder`; their megabytes."""
    sentences()  # read before the processes fork
    with ProcessPoolExecutor() as pool:
        one = partial(_write_file, folder, num_documents, num_files)
        return sum(pool.map(one, range(num_files))) / 1e6


def _write_file(folder: Path, num_documents: int, num_files: int, file: int) -> int:
    path = folder / f"{file:04d}.jsonl"
    with path.open("wb") as out:
        out.writelines(_lines(range(file, num_documents, num_files)))
    return path.stat().st_size


def _lines(numbers: range) -> Iterator[bytes]:
    for number in numbers:
        yield json.dumps({"id": str(number), "text": text(number)}).encode() + b"\n"
