"""Where each document of the encoded corpus lies, and of which source it is; no torch here.

Documents are numbered through all shards of a split, in the order of their names, and so are
tokens. A table of two numbers for each document is built once from the Parquet maps beside the
shards and mapped by every process: 12 bytes a document (16 above 2^31 documents). Building it
reads every token once, so that a file of another tokenizer is refused before training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from launch.errors import UserError
from launch.manifest import Manifest, digest_json
from launch.recipe import Recipe
from pretrain.data.shared_directory import built_once
from pretrain.data.sources import source_names
from pretrain.data.token_memory import TokenMemory, memory_of
from tokenizer.contract import Split, document_maps, token_prefixes

VERSION = 1
_BATCH_ROWS = 1 << 16
_SCAN_TOKENS = 1 << 24
_HINT = "the directory was changed after it was written: gristmill tokenizer encode --force"

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Documents:
    """The documents of one split."""

    prefixes: tuple[Path, ...]
    """Shards: paths without `.bin` and `.idx`."""
    maps: tuple[Path, ...]
    """The Parquet map of each shard."""
    dtype: np.dtype
    """Of the tokens."""
    vocab_size: int
    """Every token is below it."""
    sources: tuple[str, ...]
    """Names in order; a source's place is its number."""
    positions: Numbers
    """int64 [documents + 1]: the first token of each document, and the end."""
    members: Numbers
    """int32 (int64 from 2^31 on) [documents]: numbers of documents, source by source."""
    bounds: Numbers
    """int64 [sources + 1]: where each source's begin in `members`."""
    shard_documents: Numbers
    """int64 [shards + 1]: the first document of each shard, and the end."""
    tokens_by_source: Numbers
    """int64 [sources]"""

    @property
    def num_tokens(self) -> int:
        """Tokens of the split."""
        return int(self.positions[-1])

    @property
    def shard_tokens(self) -> Numbers:
        """int64 [shards + 1]: the first token of each shard, and the end."""
        return np.asarray(self.positions[self.shard_documents])

    def of_source(self, number: int) -> Numbers:
        """The documents of one source, in the order of the shards."""
        return self.members[self.bounds[number] : self.bounds[number + 1]]

    def source_tokens(self, number: int) -> int:
        """Tokens of one source."""
        return int(self.tokens_by_source[number])

    @cached_property
    def memory(self) -> TokenMemory:
        """The tokens of all shards, mapped and not read.

        Raises `UserError` if a file is not as long as its documents.
        """
        shards = tuple(
            map_shard(prefix, self.dtype, int(num_tokens))
            for prefix, num_tokens in zip(self.prefixes, np.diff(self.shard_tokens), strict=True)
        )
        return memory_of(shards, self.shard_tokens, self.dtype)


def map_shard(prefix: Path, dtype: np.dtype, num_tokens: int) -> npt.NDArray[Any]:
    """The tokens of one `.bin`. Raises `UserError` if it is not `num_tokens` long."""
    path = Path(f"{prefix}.bin")
    size = path.stat().st_size if path.exists() else -1
    expected = num_tokens * dtype.itemsize
    if size != expected:
        got = "no such file" if size < 0 else f"{size} bytes"
        raise UserError(str(path), got, f"the {expected} bytes of its documents", _HINT)
    return np.memmap(path, dtype=dtype, mode="r")


def open_documents(recipe: Recipe, tokens: Manifest, split: Split) -> Documents:
    """The documents of a split; their table is built if it is not there yet.

    Raises `UserError` if maps, indices, tokens and manifest of `tokens/` disagree, or a token is
    not below the tokenizer's vocabulary.
    """
    key = digest_json([VERSION, tokens.files_digest, split]).removeprefix("xxh3_128:")[:16]
    directory = recipe.run.root / "order" / f"{split}-{key}"
    prefixes = tuple(recipe.tokens / name for name in token_prefixes(tokens, split))
    maps = tuple(recipe.tokens / name for name in document_maps(tokens, split))
    for path in maps:
        if not path.exists():
            raise UserError(str(path), "no such file", "the map of a shard's documents", _HINT)
    built_once(directory, lambda below: _build(below, recipe, tokens, split, prefixes, maps))
    arrays = {
        name: np.load(directory / f"{name}.npy", mmap_mode="r")
        for name in ("positions", "members", "bounds", "shard_documents", "tokens_by_source")
    }
    dtype = np.dtype(tokens.facts["dtype"])
    vocabulary, names = int(tokens.facts["vocab_size"]), source_names(tokens.facts)
    return Documents(prefixes, maps, dtype, vocabulary, names, **arrays)


def read_ids(path: Path, rows: Numbers) -> list[str]:
    """The `id` of some rows of a map, in the order asked for; reads the row groups that hold them.

    `rows` is int64 [n].
    """
    from pyarrow import parquet

    found: dict[int, str] = {}
    with parquet.ParquetFile(path) as file:
        counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        ends = np.cumsum(counts)
        groups = np.searchsorted(ends, rows, side="right")
        for group in np.unique(groups):
            column = file.read_row_group(int(group), columns=["id"])["id"]
            first = int(ends[group]) - counts[group]
            for row in np.unique(rows[groups == group]):
                found[int(row)] = column[int(row) - first].as_py()
    return [found[int(row)] for row in rows]


def _build(
    directory: Path,
    recipe: Recipe,
    tokens: Manifest,
    split: Split,
    prefixes: tuple[Path, ...],
    maps: tuple[Path, ...],
) -> dict[str, Any]:
    facts = tokens.facts
    names = source_names(facts)
    counts = [facts["by_source"][split].get(name, {}).get("documents", 0) for name in names]
    total = sum(counts)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    by_source = np.zeros(len(names), np.int64)
    create = np.lib.format.open_memmap
    positions = create(directory / "positions.npy", "w+", np.int64, (total + 1,))
    kind = np.int32 if total < 1 << 31 else np.int64
    # numpy cannot map an empty array.
    members = create(directory / "members.npy", "w+", kind, (max(total, 1),))
    cursors = bounds[:-1].copy()
    shard_documents = [0]
    where = f"{recipe.tokens}: {split}"
    for prefix, path in zip(prefixes, maps, strict=True):
        first = document = shard_documents[-1]
        for sources, lengths in _rows(path, names):
            end = document + len(lengths)
            if end > total:
                raise _disagree(where, f"{end} documents or more in the maps", str(total))
            positions[document + 1 : end + 1] = positions[document] + np.cumsum(lengths)
            for number in np.unique(sources):
                own = np.flatnonzero(sources == number) + document
                place = cursors[number]
                if place + len(own) > bounds[number + 1]:
                    raise _disagree(
                        where, f"more documents of '{names[number]}'", f"{counts[number]}"
                    )
                members[place : place + len(own)] = own
                cursors[number] += len(own)
                by_source[number] += lengths[sources == number].sum()
            document = end
        _check_shard(prefix, np.diff(positions[first : document + 1]), facts)
        shard_documents.append(document)
    expected = int(facts["splits"][split]["tokens"])
    if shard_documents[-1] != total or int(positions[-1]) != expected:
        got = f"{shard_documents[-1]} documents, {positions[-1]} tokens in the maps"
        raise _disagree(where, got, f"{total} and {expected}")
    positions.flush()
    members.flush()
    np.save(directory / "bounds.npy", bounds)
    np.save(directory / "tokens_by_source.npy", by_source)
    np.save(directory / "shard_documents.npy", np.array(shard_documents, np.int64))
    return {"documents": total, "tokens": expected}


def _rows(path: Path, names: tuple[str, ...]) -> Iterator[tuple[Numbers, Numbers]]:
    """Numbers of sources and lengths of documents, int64, some rows of a map at a time."""
    from pyarrow import parquet

    numbers = {name: number for number, name in enumerate(names)}
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=["source", "tokens"]):
            column = batch["source"].dictionary_encode()
            found = column.dictionary.to_pylist()
            unknown = [name for name in found if name not in numbers]
            if unknown:
                raise _disagree(str(path), f"source '{unknown[0]}'", f"one of {', '.join(names)}")
            codes = np.array([numbers[name] for name in found], np.int64)
            yield codes[column.indices.to_numpy()], batch["tokens"].to_numpy().astype(np.int64)


def _check_shard(prefix: Path, lengths: Numbers, facts: Any) -> None:
    """The `.idx` has the same documents, and the `.bin` tokens of this tokenizer, EOD last."""
    path = Path(f"{prefix}.idx")
    stored = read_lengths(path)
    if len(stored) != len(lengths) or not np.array_equal(stored, lengths):
        got = f"{len(stored)} documents of {int(stored.sum(dtype=np.int64))} tokens"
        expected = f"the {len(lengths)} of {int(lengths.sum())} in its map, alike"
        raise UserError(str(path), got, expected, _HINT)
    tokens = map_shard(prefix, np.dtype(facts["dtype"]), int(lengths.sum()))
    vocabulary = int(facts["vocab_size"])
    for start in range(0, len(tokens), _SCAN_TOKENS):
        part = tokens[start : start + _SCAN_TOKENS]
        low, high = int(part.min()), int(part.max())
        if low < 0 or high >= vocabulary:
            raise UserError(
                f"{prefix}.bin", f"token {high if high >= vocabulary else low}",
                f"ids from 0 to {vocabulary - 1}, those of the tokenizer",
                "the tokens are another tokenizer's: gristmill tokenizer encode --force",
            )  # fmt: skip
    last = tokens[np.cumsum(lengths) - 1]
    wrong = np.flatnonzero(last != facts["eod_id"])
    if len(wrong):
        got = f"token {int(last[wrong[0]])} at the end of document {int(wrong[0])}"
        expected = f"the end-of-document token {facts['eod_id']}"
        raise UserError(f"{prefix}.bin", got, expected, _HINT)


def read_lengths(path: Path) -> Numbers:
    """Tokens of each document, int32, by an `.idx` of Megatron's format (`tokenizer.indexed`).

    Raises `UserError` if it is not one.
    """
    size = path.stat().st_size if path.exists() else -1
    header = path.open("rb").read(34) if size >= 34 else b""
    num = int.from_bytes(header[18:26], "little")
    bounds = int.from_bytes(header[26:34], "little")
    if header[:9] != b"MMIDIDX\x00\x00" or size != 34 + 12 * num + 8 * bounds:
        got = "no such file" if size < 0 else f"{size} bytes that are not one"
        raise UserError(str(path), got, "an index of Megatron's format", _HINT)
    return np.memmap(path, "<i4", "r", offset=34, shape=(num,)) if num else np.empty(0, np.int32)


def _disagree(where: str, got: str, expected: str) -> UserError:
    return UserError(where, got, f"{expected} by the manifest", _HINT)
