"""An index of documents that were processed before: what others are compared against.

    manifest.json                              kind "index": settings, segments, files; written last
    segments/NAME/texts/part-*.parquet         documents (`TEXT_SCHEMA`), in reading order
    segments/NAME/bands/part-*.parquet         band_value, document; sorted
    segments/NAME/hashes/part-*.parquet        the text's hash as two halves, document; sorted

A segment holds the kept documents of one finished directory, by whose digest it is named, and
numbers them from 0. The sorted files are ranges of their first column in order, and their row
groups carry its least and greatest value, so that a range is read alone. Texts stand in small row
groups, so that a few are read alone. A reference is `segment << 32 | document`, int64.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.config_duplicates import NearDuplicates
from dataprep.contract import SHINGLING_VERSION
from dataprep.sealed import SealedFile
from launch.config import parse_model
from launch.errors import UserError
from launch.manifest import Manifest, read_manifest

KIND = "index"
VERSION = 1
# Documents of one band value in one segment that a query is compared with, the first ones: what a
# million pages share must not make a million comparisons for each document that shares it too.
BAND_SIZE_MAX = 1_000

TEXT_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("text_hash", pa.binary(16), nullable=False),
        pa.field("num_shingles", pa.int64(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)
BAND_SCHEMA = pa.schema(
    [
        pa.field("band_value", pa.uint64(), nullable=False),
        pa.field("document", pa.int64(), nullable=False),
    ]
)
HASH_SCHEMA = pa.schema(
    [
        pa.field("high", pa.uint64(), nullable=False),
        pa.field("low", pa.uint64(), nullable=False),
        pa.field("document", pa.int64(), nullable=False),
    ]
)
_BITS = 32
_AGAIN = "take it from a copy, or build the index again in another directory: dataprep index"

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


class Pairs(NamedTuple):
    """Documents that ask and documents of an index, both int64, shape [pairs], ascending."""

    rows: Rows
    references: Rows


def settings_of(near: NearDuplicates) -> dict[str, Any]:
    """What decides the band values of a text: it must be the same for all that is compared."""
    from dataprep.dedup.minhash import SEED

    keys = ["units", "words", "characters", "method"]
    keys += ["bands", "rows"] if near.method == "minhash" else ["simhash_distance"]
    found: dict[str, Any] = {key: getattr(near, key) for key in keys}
    return {"shingling_version": SHINGLING_VERSION, **found, "seed": SEED}


def near_of(settings: Mapping[str, Any], jaccard: float | None = None) -> NearDuplicates:
    """The recipe's table of near-duplicates that an index was made with, from `settings_of`."""
    tables = {key: settings[key] for key in NearDuplicates.model_fields if key in settings}
    if jaccard is not None:
        tables["jaccard"] = jaccard
    return parse_model(NearDuplicates, tables, "query")


def read_index(directory: Path) -> Manifest:
    """The manifest of an index. Raises UserError if there is none of this kind and version."""
    return read_manifest(directory, KIND, VERSION)


def check_settings(where: str, own: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raise UserError, naming the first setting in which an index is made otherwise."""
    for key in own:
        if own[key] != theirs.get(key):
            raise UserError(
                f"{where}: {key}",
                f"{own[key]!r}",
                f"{theirs.get(key)!r}, as the index was made",
                "only what was made alike can be compared",
            )


@dataclass(frozen=True)
class Segment:
    """The files of one segment, and the name of the index that it belongs to."""

    index: str
    texts: tuple[Path, ...]
    bands: tuple[Path, ...]
    hashes: tuple[Path, ...]

    def find_bands(self, keys: Keys, most: int | None = None) -> Iterator[tuple[Rows, pa.Table]]:
        """Places in `keys` (ascending, distinct) and the records (`BAND_SCHEMA`) found there, of
        each key the first `most`."""
        yield from _find(self._open_bands, self._bounds_of_bands, keys, most)

    def find_texts(self, halves: Keys) -> Iterator[tuple[Rows, Rows]]:
        """Rows of `halves`, the hashes of texts (uint64, shape [n, 2]), and documents with them."""
        keys, owners = _grouped(halves[:, 0], np.arange(len(halves)))
        for places, table in _find(self._open_hashes, self._bounds_of_hashes, keys, None):
            asking, of = owners.at(places)
            same = halves[asking, 1] == table["low"].to_numpy()[of]
            yield asking[same], table["document"].to_numpy()[of[same]]

    def documents(self, numbers: Rows, columns: Sequence[str]) -> Iterator[tuple[Rows, pa.Table]]:
        """Documents by number (ascending, distinct): places in `numbers`, and their rows.

        One row group at a time, and only those that hold one of them.
        """
        files, groups, starts = self._text_groups
        bounds = np.searchsorted(numbers, starts)
        for at in np.flatnonzero(np.diff(bounds)).tolist():
            table = self._open_texts[files[at]].read([groups[at]], columns)
            places = np.arange(bounds[at], bounds[at + 1])
            yield places, table.take(pa.array(numbers[places] - starts[at]))

    def __reduce__(self) -> tuple[Any, ...]:
        # Open files stay in the process that has opened them.
        return Segment, (self.index, self.texts, self.bands, self.hashes)

    @cached_property
    def _open_texts(self) -> list[SealedFile]:
        return [SealedFile(path, _AGAIN) for path in self.texts]

    @cached_property
    def _open_bands(self) -> list[SealedFile]:
        return [SealedFile(path, _AGAIN) for path in self.bands]

    @cached_property
    def _open_hashes(self) -> list[SealedFile]:
        return [SealedFile(path, _AGAIN) for path in self.hashes]

    @cached_property
    def _text_groups(self) -> tuple[list[int], list[int], Rows]:
        """File and place in it of each row group, and its first document (one more at the end)."""
        files, groups, sizes = [], [], [0]
        for number, file in enumerate(self._open_texts):
            for group in range(file.num_row_groups):
                files.append(number)
                groups.append(group)
                sizes.append(file.group_rows(group))
        return files, groups, np.cumsum(sizes)

    @cached_property
    def _bounds_of_bands(self) -> list[Keys]:
        return [_bounds(file) for file in self._open_bands]

    @cached_property
    def _bounds_of_hashes(self) -> list[Keys]:
        return [_bounds(file) for file in self._open_hashes]


@dataclass(frozen=True)
class Index:
    """All segments of one or several indexes, as one."""

    segments: tuple[Segment, ...]

    def near_pairs(self, values: Keys, rows: Rows) -> Pairs:
        """Who shares a band value: `values` and the documents that have them, shape [n] each."""
        keys, owners = _grouped(values, rows)
        found = [
            (owners.at(places), (number << _BITS) + table["document"].to_numpy())
            for number, segment in enumerate(self.segments)
            for places, table in segment.find_bands(keys, BAND_SIZE_MAX)
        ]
        return _pairs((asking, references[of]) for (asking, of), references in found)

    def equal_pairs(self, halves: Keys, rows: Rows) -> Pairs:
        """Who has the same text: its hash as two halves, shape [n, 2], and the documents, [n]."""
        return _pairs(
            (rows[asking], (number << _BITS) + documents)
            for number, segment in enumerate(self.segments)
            for asking, documents in segment.find_texts(halves)
        )

    def documents(
        self, references: Rows, columns: Sequence[str]
    ) -> Iterator[tuple[Rows, str, pa.Table]]:
        """By reference (ascending, distinct): places in them, the index's name, and their rows."""
        for number, segment in enumerate(self.segments):
            bounds = [number << _BITS, (number + 1) << _BITS]
            start, stop = np.searchsorted(references, bounds).tolist()
            numbers = references[start:stop] - bounds[0]
            for places, table in segment.documents(numbers, columns):
                yield start + places, segment.index, table


def open_index(directory: Path, manifest: Manifest, name: str = "") -> Index:
    """The index that `manifest`, read from `directory`, describes."""
    segments = []
    for entry in manifest.facts["segments"]:
        parts = {
            kind: tuple(
                directory / file.path
                for file in manifest.files
                if file.path.startswith(f"segments/{entry['name']}/{kind}/")
            )
            for kind in ("texts", "bands", "hashes")
        }
        segments.append(Segment(name, **parts))
    return Index(tuple(segments))


class _Owners(NamedTuple):
    """For each key the run of `rows` that have it."""

    rows: Rows
    starts: Rows

    def at(self, places: Rows) -> tuple[Rows, Rows]:
        """The rows of the keys at `places`, and for each of them the place in `places`."""
        sizes = np.diff(self.starts)[places]
        of = np.repeat(np.arange(len(places)), sizes)
        within = np.arange(len(of)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self.rows[np.repeat(self.starts[places], sizes) + within], of


def _grouped(values: Keys, rows: Rows) -> tuple[Keys, _Owners]:
    """The distinct values, ascending, and the rows of each."""
    order = np.argsort(values, kind="stable")
    keys, starts = np.unique(values[order], return_index=True)
    return keys, _Owners(rows[order], np.append(starts, len(rows)))


def _pairs(found: Iterable[tuple[Rows, Rows]]) -> Pairs:
    """All of `found`, each pair once, sorted."""
    empty = np.zeros(0, np.int64)
    parts = [(empty, empty), *found]
    rows = np.concatenate([part[0] for part in parts])
    references = np.concatenate([part[1] for part in parts])
    order = np.lexsort((references, rows))
    rows, references = rows[order], references[order]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows[1:] != rows[:-1]) | (references[1:] != references[:-1])
    return Pairs(rows[new], references[new])


def _bounds(file: SealedFile) -> Keys:
    """Least and greatest first column of each row group, uint64, shape [groups, 2]."""
    metadata = file.parquet_metadata
    bounds = np.empty((metadata.num_row_groups, 2), np.uint64)
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(0).statistics
        bounds[group] = statistics.min, statistics.max
    return bounds


def _find(
    files: Sequence[SealedFile], bounds: Sequence[Keys], keys: Keys, most: int | None
) -> Iterator[tuple[Rows, pa.Table]]:
    """Places in `keys` (ascending, distinct) and the records whose first column they are, of each
    key the first `most`; one row group at a time, and only those that may hold a key."""
    left = np.full(len(keys), np.iinfo(np.int64).max if most is None else most)
    for file, of_groups in zip(files, bounds, strict=True):
        starts = np.searchsorted(keys, of_groups[:, 0], "left")
        stops = np.searchsorted(keys, of_groups[:, 1], "right")
        groups = np.flatnonzero(starts < stops).tolist()
        for group in groups:
            table = file.read([group])
            found = table.column(0).to_numpy()
            own = slice(starts[group], stops[group])
            first = np.searchsorted(found, keys[own], "left")
            sizes = np.searchsorted(found, keys[own], "right") - first
            sizes = np.minimum(sizes, left[own])
            left[own] -= sizes
            places = np.repeat(np.arange(len(sizes)), sizes)
            within = np.arange(len(places)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            if len(places):
                yield starts[group] + places, table.take(pa.array(first[places] + within))
