"""Signatures against datasketch, document by document, bit by bit."""

import gzip
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash

from dataprep.dedup.minhash import signatures
from dataprep.dedup.shingles import Shingling, jaccard, shingle_sets

ENGLISH = [
    "The mill turns, and the water that turned it flows on; the mill turns again.",
    "Ärger über Öfen: STRASSE, straße, Straẞe – viele Wörter in einer Zeile, gewiß!",
    "word " * 5000,
]
CHINESE = [
    "水车转动，推动它的水继续流淌；水车再次转动。GPU 与 CPU 都可以。",
    "数据 清洗\n与去重" * 700,
]


def datasketch_signature(
    text: str, characters: bool, num_permutations: int, size: int = 5
) -> MinHash:
    text = text.lower()
    if characters:
        text = re.sub(r"\s+", "", text)
        shingles = [text[i : i + size] for i in range(len(text) - size + 1)]
    else:
        words = re.findall(r"\w+", text)
        shingles = [" ".join(words[i : i + size]) for i in range(len(words) - size + 1)]
    sketch = MinHash(num_permutations, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")
    sketch.update_batch([shingle.encode() for shingle in shingles])
    return sketch


@pytest.mark.parametrize("num_permutations", [1, 112, 256])
@pytest.mark.parametrize(("texts", "characters"), [(ENGLISH, False), (CHINESE, True)])
def test_signatures_equal_datasketch(
    texts: list[str], characters: bool, num_permutations: int
) -> None:
    found, _ = signatures(pa.array(texts, pa.large_string()), num_permutations)
    for row, text in enumerate(texts):
        expected = datasketch_signature(text, characters, num_permutations)
        assert np.array_equal(found[row], expected.hashvalues), text[:40]


@pytest.mark.parametrize(
    ("file", "characters"), [("neardup_manpages", False), ("neardup_zh_vuedocs", True)]
)
def test_signatures_of_real_documents_equal_datasketch(
    file: str, characters: bool, shared_data: Path
) -> None:
    with gzip.open(shared_data / file / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in itertools.islice(lines, 0, 250, 5)]
    found, counts = signatures(pa.array(texts, pa.large_string()), 256)
    assert counts.min() > 20
    for row, text in enumerate(texts):
        expected = datasketch_signature(text, characters, 256)
        assert np.array_equal(found[row], expected.hashvalues), text[:40]


@pytest.mark.parametrize("size", [1, 3, 13])
@pytest.mark.parametrize("characters", [False, True])
def test_signatures_of_other_shingles_equal_datasketch(size: int, characters: bool) -> None:
    texts = [
        text for text in (*ENGLISH, *CHINESE) if characters or len(re.findall(r"\w+", text)) >= size
    ]
    shingling = Shingling("characters" if characters else "words", size, size)
    found, _ = signatures(pa.array(texts, pa.large_string()), 64, shingling)
    for row, text in enumerate(texts):
        expected = datasketch_signature(text, characters, 64, size)
        assert np.array_equal(found[row], expected.hashvalues), text[:40]


def test_a_column_in_pieces_gives_the_same_signatures() -> None:
    texts = [*ENGLISH, "", *CHINESE]
    whole = pa.array(texts, pa.large_string())
    pieces = pa.chunked_array([whole.slice(2, 3), whole.slice(5), whole.slice(0, 2)])
    expected, _ = signatures(whole, 64)
    found, _ = signatures(pieces, 64)
    assert np.array_equal(found, expected[[2, 3, 4, 5, 0, 1]])


def test_a_text_without_words_is_told_from_others_by_its_count() -> None:
    texts = ["", "...", "one two three four", "a b c d e", "a b c d e f"]
    found, counts = signatures(pa.array(texts, pa.large_string()), 8)
    assert counts.tolist() == [0, 0, 1, 1, 2]
    short = MinHash(8, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")
    short.update(b"one two three four")
    assert np.array_equal(found[2], short.hashvalues)


def test_agreement_of_signatures_estimates_jaccard() -> None:
    # Binomial with 256 draws: standard deviation at most 1/32, so 4 of them are 0.125.
    words = [f"w{i}" for i in range(2000)]
    texts = [" ".join(words), " ".join(words[:1800]), " ".join(words[600:])]
    column = pa.array(texts, pa.large_string())
    found, _ = signatures(column, 256)
    offsets, hashes = shingle_sets(column)
    sets = [hashes[offsets[i] : offsets[i + 1]] for i in range(3)]
    for left, right in itertools.combinations(range(3), 2):
        estimate = float(np.mean(found[left] == found[right]))
        assert estimate == pytest.approx(jaccard(sets[left], sets[right]), abs=0.125)
