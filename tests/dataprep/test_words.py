"""Words: what the splitter does with edges, insides and other scripts; and how often it differs.

The golden words are those of spaCy 3.8's blank English tokenizer, as datatrove 0.10.1 uses it, on
sentences of our own; `benchmarks.dataprep` compares with datatrove itself, on real documents.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.text.word_characters import word_characters
from dataprep.text.word_kernels import split_words


def places(text: str, capacity: int | None = None) -> list[tuple[int, int]] | None:
    data = np.frombuffer(text.encode(), np.uint8)
    room = 2 * len(data) + 1 if capacity is None else capacity
    starts, ends = np.empty(room, np.int32), np.empty(room, np.int32)
    number = split_words(data, 0, len(data), word_characters(), starts, ends)
    if number < 0:
        return None
    return list(zip(starts[:number].tolist(), ends[:number].tolist(), strict=True))


def words(text: str) -> list[str]:
    found = places(text)
    assert found is not None
    return [text.encode()[start:end].decode() for start, end in found]


GOLDEN = {
    "The mill turns, and turns again.": "The mill turns , and turns again .",
    'He said: "Stop!" (twice).': 'He said : " Stop ! " ( twice ) .',
    "They don't, she'd, I'm, we've, it's": "They do n't , she 'd , I 'm , we 've , it 's",
    "They don’t know": "They do n’t know",
    "Dr. Miller of St. Ives, e.g. at 5 p.m., left.": (
        "Dr. Miller of St. Ives , e.g. at 5 p.m. , left ."
    ),
    "the U.S.A. and NASA.": "the U.S.A. and NASA .",
    "a well-known 32-bit state-of-the-art mill": (
        "a well - known 32 - bit state - of - the - art mill"
    ),
    "Wait... what…": "Wait ... what …",
    "5kg, 10km; $5.00 and 20%": "5 kg , 10 km ; $ 5.00 and 20 %",
    "see http://example.org/a-b_c?d=e. Then": "see http://example.org/a-b_c?d=e . Then",
    "end.Start and a,b but 1,000": "end . Start and a , b but 1,000",
    "key=value, a/b and 10:30": "key = value , a / b and 10:30",
    "yes—or no – maybe": "yes — or no – maybe",
    "#tag @name foo@example.org": "# tag @name foo@example.org",
    "[1] {2} <b>": "[ 1 ] { 2 } < b >",
    "snake_case and it's the 1990s' end": "snake_case and it 's the 1990s ' end",
}


@pytest.mark.parametrize("text", GOLDEN)
def test_english_words_are_those_of_the_published_thresholds(text: str) -> None:
    assert words(text) == GOLDEN[text].split()


def test_han_and_kana_are_words_by_themselves() -> None:
    assert words("我们的猫，在Python里。") == [*"我们的猫，在", "Python", *"里。"]
    assert words("ひらカナ漢字 mixed") == [*"ひらカナ漢字", "mixed"]
    assert words("网址http://example.org/x。") == ["网", "址", "http://example.org/x", "。"]


def test_other_scripts_split_at_spaces_and_signs() -> None:
    assert words("한국어 문장은, 띄어") == ["한국어", "문장은", ",", "띄어"]
    assert words("هذا نص، عربي؟") == ["هذا", "نص", "،", "عربي", "؟"]
    assert words("no\u00a0break\u3000wide") == ["no", "break", "wide"]


def test_too_little_room_is_said_not_overrun() -> None:
    assert places("a b c d e f g", capacity=3) is None
    assert places("(((((((((((", capacity=8) is None


@settings(max_examples=400, deadline=None)
@given(
    st.text(
        alphabet=st.one_of(
            st.sampled_from("ab'’n tdsm.,-:;!?()$5k/=…  \n我か…\"+"),
            st.characters(exclude_categories=("Cs",)),
        ),
        max_size=60,
    )
)
def test_words_hold_every_character_once_and_nothing_blank(text: str) -> None:
    found = words(text)
    assert "".join(found) == "".join(text.split())
    assert all(word and not any(c.isspace() for c in word) for word in found)
    joined = places(text)
    assert joined == sorted(joined or [])
