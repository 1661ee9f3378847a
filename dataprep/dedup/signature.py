"""The step `signature`: what deduplication must know of a document, for rows still alive.

In: the text after its last edit. Out: its hash, its number of shingles and its band values, one
fixed-size binary a document, which the exchange sends where they are compared and which stay
beside the written documents, so that `retune` need not make them again.
"""

import functools
import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup import exact, lsh, minhash, simhash
from dataprep.dedup.shingles import shingling_of
from dataprep.step import Step, alive

NAME = "signature"
TEXT_HASH = "signature_text_hash"
NUM_SHINGLES = "signature_num_shingles"
BANDS = "signature_bands"
# Keys of `near_duplicates` that decide the columns of this step.
SETTINGS = ("method", "bands", "rows", "simhash_distance", "units", "words", "characters")


def num_bands(near: NearDuplicates) -> int:
    """Band values of a document: one for each band, or for each of SimHash's tables."""
    if near.method == "simhash":
        return math.comb(near.simhash_distance + 3, 3)
    return near.bands


def make_step(near: NearDuplicates) -> Step:
    """The step: `signature_text_hash` (xxh3_128), `signature_num_shingles` (int64, repeated ones
    counted) and `signature_bands` (uint64 of each band, little endian, as one binary).

    All three are null for dropped rows, the last two where near-duplicates are not looked for, and
    the last where a text has no word and cannot be compared.
    """
    fields = (
        pa.field(TEXT_HASH, pa.binary(16)),
        pa.field(NUM_SHINGLES, pa.int64()),
        pa.field(BANDS, pa.binary(8 * num_bands(near))),
    )
    apply = functools.partial(_apply, near=near, fields=fields)
    return Step(NAME, ("text", "drop_reason"), fields, apply, of_living=True)


def band_values(table: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """The positions of rows that can be compared (int64 [n]), their band values (uint64 [n, b])."""
    column = table[BANDS].combine_chunks()
    num_bands = column.type.byte_width // 8
    comparable = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    if not len(comparable):
        return comparable, np.zeros((0, num_bands), np.uint64)
    size = (column.offset + len(column)) * num_bands
    values = np.frombuffer(column.buffers()[1], "<u8", size).reshape(-1, num_bands)
    return comparable, values[column.offset :][comparable].astype(np.uint64)


def _apply(table: pa.Table, near: NearDuplicates, fields: tuple[pa.Field, ...]) -> pa.Table:
    living = np.flatnonzero(alive(table))
    texts = table["text"].take(pa.array(living))
    num_rows = table.num_rows
    hashes = np.zeros((num_rows, 16), np.uint8)
    hashes[living] = _bytes_of(exact.text_hashes(texts))
    counts = np.zeros(num_rows, np.int64)
    bands = np.zeros((num_rows, num_bands(near)), np.uint64)
    hashed, counted, compared = (np.zeros(num_rows, np.bool_) for _ in range(3))
    hashed[living] = True
    if near.enabled:
        bands[living], counts[living] = _bands_of(texts, near)
        counted = hashed
        compared = hashed & (counts > 0)
    arrays = (
        _fixed_size_binary(fields[0].type, hashes, hashed),
        pa.array(counts, pa.int64(), mask=~counted),
        _fixed_size_binary(fields[2].type, bands, compared),
    )
    for field, array in zip(fields, arrays, strict=True):
        table = table.append_column(field, array)
    return table


def _bands_of(
    texts: pa.ChunkedArray, near: NearDuplicates
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    shingling = shingling_of(near)
    if near.method == "simhash":
        fingerprints, counts = simhash.fingerprints(texts, shingling)
        return simhash.band_values(fingerprints, near.simhash_distance), counts
    signatures, counts = minhash.signatures(texts, near.bands * near.rows, shingling)
    return lsh.band_values(signatures, near.bands, near.rows), counts


def _bytes_of(hashes: pa.Array) -> npt.NDArray[np.uint8]:
    if len(hashes) == 0:
        return np.zeros((0, 16), np.uint8)
    return np.frombuffer(hashes.buffers()[1], np.uint8, 16 * len(hashes)).reshape(-1, 16)


def _fixed_size_binary(
    kind: pa.DataType, values: npt.NDArray[np.generic], valid: npt.NDArray[np.bool_]
) -> pa.Array:
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    content = pa.py_buffer(np.ascontiguousarray(values).tobytes())
    return pa.Array.from_buffers(kind, len(valid), [bitmap, content])
