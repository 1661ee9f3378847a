"""A model's file: a header that says what lies where, and the three arrays, to be mapped.

    8 bytes   "gmngram\\n"
    4 + 4     version and bytes of the header, uint32, little endian
    16        xxh3_128 over all bytes but these and the first eight
    header    JSON: order, numbers of entries, and facts of the training
    arrays    vocabulary uint64, unigrams uint32, ngrams uint64, each from a multiple of 64 on

No pickle, nothing that is run. A file is checked as a whole when it is opened: its digest, and that
no array leads outside of another, so that a damaged or a made-up one is refused in one line.
"""

import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from dataprep.models.ngram_kernels import NUM_SIGNS, ORDER_MAX, Unigrams
from dataprep.text.text_kernels import Hashes
from launch.errors import UserError

MAGIC = b"gmngram\n"
VERSION = 1
_START = 32
_HEADER_BYTES_MAX = 1 << 20
_ALIGNMENT = 64
_ARRAYS: tuple[tuple[str, npt.DTypeLike], ...] = (
    ("vocabulary", "<u8"),
    ("unigrams", "<u4"),
    ("ngrams", "<u8"),
)


@dataclass(frozen=True)
class Tables:
    """A model's arrays, read-only (see `ngram_kernels`), and what is known of its training."""

    order: int
    vocabulary: Hashes
    unigrams: Unigrams
    ngrams: Hashes
    facts: dict[str, Any]


def save(path: Path, tables: Tables) -> None:
    """Write the model; the same model gives the same bytes."""
    arrays = [np.ascontiguousarray(getattr(tables, name), kind) for name, kind in _ARRAYS]
    numbers = {name: len(array) for (name, _), array in zip(_ARRAYS, arrays, strict=True)}
    described = {"order": tables.order, "numbers": numbers, "facts": tables.facts}
    header = json.dumps(described, ensure_ascii=False, sort_keys=True).encode()
    begin = VERSION.to_bytes(4, "little") + len(header).to_bytes(4, "little")
    state = xxhash.xxh3_128(begin)
    with path.open("wb") as stream:
        stream.write(MAGIC + begin + bytes(16))
        for content in (header, *(array.tobytes() for array in arrays)):
            size = stream.tell()
            padding = bytes(-size % _ALIGNMENT if content is not header else 0)
            for part in (padding, content):
                stream.write(part)
                state.update(part)
        stream.seek(len(MAGIC) + len(begin))
        stream.write(state.digest())


def load(path: Path) -> Tables:
    """The model, its arrays mapped. Raises UserError for a file that is none, or not whole."""
    try:
        with path.open("rb") as stream:
            content = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise UserError(str(path), f"no readable file ({error})", "an n-gram model") from None
    problem, tables = _read(content)
    if tables is None:
        raise UserError(
            str(path), f"{len(content):,} bytes in which {problem}", "a whole n-gram model",
            "train it again: gristmill dataprep train-perplexity RECIPE --force",
        )  # fmt: skip
    return tables


def _read(content: memoryview) -> tuple[str, Tables | None]:
    """What is wrong with a file, or the model."""
    if len(content) < _START or content[: len(MAGIC)] != MAGIC:
        return "no model begins", None
    version, size = (int.from_bytes(content[place : place + 4], "little") for place in (8, 12))
    if version != VERSION:
        return f"a model of version {version} begins, not {VERSION}", None
    state = xxhash.xxh3_128(content[8:16])
    state.update(content[_START:])
    if state.digest() != content[16:_START]:
        return "a byte is another one, or missing", None
    if size > min(len(content) - _START, _HEADER_BYTES_MAX):
        return f"a header of {size:,} bytes begins", None
    try:
        described = json.loads(bytes(content[_START : _START + size]))
        order, numbers, facts = (described[name] for name in ("order", "numbers", "facts"))
        arrays, place = [], _START + size
        for name, kind in _ARRAYS:
            place += -place % _ALIGNMENT
            arrays.append(np.frombuffer(content, kind, numbers[name], place))
            place += arrays[-1].nbytes
    except (KeyError, TypeError, ValueError) as error:
        return f"the header is none ({error})", None
    vocabulary, unigrams, ngrams = arrays
    named = vocabulary & np.uint64(0xFFFFFFFF)
    for wrong, what in (
        (place != len(content), "more follows than the header says"),
        (not (isinstance(order, int) and 1 <= order <= ORDER_MAX), "the order is impossible"),
        (not isinstance(facts, dict), "the facts are none"),
        (len(unigrams) < NUM_SIGNS, "the signs have no costs"),
        (max(len(vocabulary), len(ngrams)) >= 1 << 32, "a table is too large"),
        # A search ends at an empty slot, and what it finds is a place among the unigrams.
        (not (vocabulary == 0).any() or not (ngrams == 0).any(), "a table has no empty slot"),
        (bool((named >= len(unigrams)).any()), "a word has a number beyond all symbols"),
    ):
        if wrong:
            return what, None
    return "", Tables(order, vocabulary, unigrams, ngrams, facts)
