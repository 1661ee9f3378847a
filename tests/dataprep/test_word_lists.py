"""Lists of words: where they stand, and what protects them."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config import KeywordList
from dataprep.signals import keywords
from dataprep.text import word_lists


def test_allow_lists_protect_what_they_contain(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("cunt\n性\nbreast\n")
    (tmp_path / "allowed").write_text("scunthorpe\n性别\nbreast cancer\n")
    where = (str(tmp_path / "allowed"),)
    words = word_lists.automaton(("cunt", "性", "breast"), alone=False)
    allowed = word_lists.load(where, "here", False)
    texts = ["Scunthorpe", "cunt Scunthorpe", "性别和性", "breast cancer breasts", "no"]
    counts, _ = word_lists.count(pa.array(texts, pa.large_string()), words, allowed)
    assert counts.tolist() == [0, 1, 1, 1, 0]
    own = KeywordList(name="bad", paths=(str(tmp_path / "words"),), allow_paths=where)
    texts = ["a breast", "breast cancer", "性别"]
    table = pa.table({"text": pa.array(texts, pa.large_string()), "language": ["en", "en", "zh"]})
    (step,) = keywords.make_steps((own,))
    found = step.apply(table)
    assert found["keywords_bad"].to_pylist() == [1, 0, 0]


@settings(max_examples=100)
@given(
    st.lists(st.text(alphabet="abé中", min_size=1, max_size=4), min_size=1, max_size=6),
    st.lists(st.text(alphabet="abAé中 ", max_size=20), max_size=3),
)
def test_places_are_those_of_the_words(words: list[str], texts: list[str]) -> None:
    array = pa.array(texts, pa.large_string())
    automaton = word_lists.automaton(words, alone=False)
    whole = "".join(texts).encode()
    forms = {form for word in words for form in (word, word.capitalize(), word.upper())}
    folded = {re.sub("[A-Z]", lambda m: m[0].lower(), form) for form in forms}
    last = {row: 0 for row in range(len(texts))}
    for row, start, end in word_lists.find(array, automaton).T.tolist():
        found = whole[start:end].decode()
        assert re.sub("[A-Z]", lambda m: m[0].lower(), found) in folded
        assert start >= last[row]
        last[row] = end
    counts, _ = word_lists.count(array, automaton)
    inside = {row for row in word_lists.find(array, automaton)[0].tolist()}
    assert inside == set(np.flatnonzero(counts).tolist())
    assert word_lists.count(array, automaton, automaton)[0].sum() == 0
