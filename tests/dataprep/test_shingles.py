"""Shingling against its definition in plain Python, for all of Unicode."""

import gzip
import itertools
import json
import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup.shingle_units import lower_case
from dataprep.dedup.shingles import DEFAULT, Shingling, jaccard, shingle_sets, shingling_of

# Letters of these ranges: Han with radicals and all extensions, hiragana, katakana.
IDEOGRAPH = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)


def defined(text: str, shingling: Shingling = DEFAULT) -> set[str]:
    """The definition of the truth files' READMEs, with our rule of when characters are units, and
    one shingle for what is shorter than one."""
    text = text.lower()
    words = re.findall(r"\w+", text)
    ideographs = [c for c in IDEOGRAPH.findall(text) if c.isalpha()]
    units, joint, size = words, " ", shingling.words
    automatic = shingling.units == "auto" and 10 * len(ideographs) > sum(map(len, words))
    if shingling.units == "characters" or automatic:
        units, joint, size = list(re.sub(r"\s+", "", text)), "", shingling.characters
    if 0 < len(units) < size:
        return {joint.join(units)}
    return {joint.join(units[i : i + size]) for i in range(len(units) - size + 1)}


def computed(text: str, shingling: Shingling = DEFAULT) -> list[int]:
    offsets, hashes = shingle_sets(pa.array(["", text, ""], pa.large_string()), shingling)
    assert offsets[1] == 0 and offsets[2] == offsets[3] == len(hashes)
    return hashes.tolist()


def hashed(shingles: set[str]) -> list[int]:
    return sorted({xxhash.xxh64_intdigest(shingle.encode()) for shingle in shingles})


# Letters whose case changes their length or meaning, words' borders, ideographs, and all others.
AWKWARD = st.sampled_from(
    "AbÄẞİıΣσςΑǅKÅȺ_-'’.09٣²\u0301\u200d \n\t\u3000\u00a0中文字かなカナ한글🙂𠀀"
)
TEXTS = st.text(st.one_of(AWKWARD, st.characters(exclude_categories=["Cs"])), max_size=120)


@given(TEXTS)
@example("ΟΔΟΣ ΟΔΟΣ Σ ΣΣ Α.Σ ΜΑΣ")
@example("İstanbul İ x y z İİ a İ1")
@example("一二三四 五六七\n八九十" * 3)
@settings(max_examples=400, deadline=None)
def test_shingles_are_those_of_the_definition(text: str) -> None:
    assert computed(text) == hashed(defined(text))


@given(
    TEXTS,
    st.sampled_from(["auto", "words", "characters"]),
    st.integers(1, 64),
    st.integers(1, 256),
)
@settings(max_examples=300, deadline=None)
def test_shingles_of_every_setting_are_those_of_the_definition(
    text: str, units: Any, words: int, characters: int
) -> None:
    shingling = Shingling(units, words, characters)
    assert computed(text, shingling) == hashed(defined(text, shingling))


def test_long_and_repetitive_texts() -> None:
    draw = random.Random(1)
    huge_word = "".join(draw.choices("abcdeä", k=100_000))
    few = " ".join(draw.choices(["a", "b"], k=15_000))
    for text in (huge_word, few, "word " * 10_000, "字" * 5_000, huge_word + " " + few):
        for shingling in (DEFAULT, Shingling("characters", characters=256), Shingling(words=64)):
            assert computed(text, shingling) == hashed(defined(text, shingling))


@given(st.lists(TEXTS, max_size=5))
@settings(max_examples=50, deadline=None)
def test_a_set_does_not_depend_on_its_neighbours(texts: list[str]) -> None:
    offsets, hashes = shingle_sets(pa.array(texts, pa.large_string()))
    sets = [hashes[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert sets == [computed(text) for text in texts]


def test_lower_case_is_pythons_for_every_code_point() -> None:
    table = lower_case()
    wrong = [
        code
        for code in range(0x110000)
        if not 0xD800 <= code <= 0xDFFF
        and chr(code) not in "İΣ"
        and chr(code).lower() != chr(table[code])
    ]
    assert wrong == []


def test_text_shorter_than_a_shingle_is_one_shingle() -> None:
    assert computed("Only four words, here!") == computed("only FOUR words here") != []
    assert computed("only four words here") != computed("only four words there")
    assert len(computed("四个汉字")) == len(computed("now there are five words")) == 1
    assert computed("") == computed(" .,! \n") == []


def test_a_recipe_names_its_shingles() -> None:
    assert shingling_of(NearDuplicates()) == Shingling()
    nemo = shingling_of(NearDuplicates(preset="nemo", words=7))
    assert nemo == Shingling("characters", 7, 24)


@pytest.mark.parametrize("folder", ["neardup_manpages", "neardup_zh_vuedocs", "neardup_licenses"])
def test_jaccard_agrees_with_the_truth_files(folder: str, shared_data: Path) -> None:
    with gzip.open(shared_data / folder / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = {record["id"]: record["text"] for record in map(json.loads, lines)}
    with gzip.open(shared_data / folder / "truth_pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines][::7]
    position = {name: i for i, name in enumerate(texts)}
    offsets, hashes = shingle_sets(pa.array(texts.values(), pa.large_string()))
    sets = [hashes[offsets[i] : offsets[i + 1]] for i in range(len(texts))]
    assert len(pairs) > 30
    for pair in pairs:
        found = jaccard(sets[position[pair["a"]]], sets[position[pair["b"]]])
        assert found == pytest.approx(pair["jaccard"], abs=1e-4), pair
