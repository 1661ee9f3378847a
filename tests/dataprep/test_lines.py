"""Lines taken out: C4's and RefinedWeb's, against a plain reading of the papers."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config import Dataprep
from dataprep.signals import lines
from dataprep.step import apply_chain

PAGE = """Home
The mill stands by the river.
It grinds corn for the village
3 likes
Please enable JavaScript to go on.
We use cookies, see our privacy policy.
THE MILL IS OPEN ON SUNDAYS
12 34 56
"A good mill," she said.[12]
Read more...
Two words."""


def edited(
    text: str, edits: tuple[str, ...], open_ended: bool = False, rows: bool = True
) -> tuple[str, float]:
    column = pa.array([text], pa.large_string())
    after, lost = lines.edit(column, np.array([rows]), edits, open_ended)
    return after[0].as_py(), float(lost[0])


def test_c4_keeps_sentences_only() -> None:
    after, lost = edited(PAGE, ("c4",))
    assert after == 'The mill stands by the river.\n"A good mill," she said.'
    assert lost == pytest.approx(1 - 11 / len(PAGE.split()))


def test_fineweb_lets_lines_end_as_they_like() -> None:
    after, _ = edited(PAGE, ("c4",), open_ended=True)
    assert "It grinds corn for the village" in after
    assert "THE MILL" in after and "JavaScript" not in after and "cookies" not in after
    assert "Two words." not in after


def test_refinedweb_takes_navigation() -> None:
    after, lost = edited(PAGE, ("refinedweb",))
    gone = {"Home", "3 likes", "THE MILL IS OPEN ON SUNDAYS", "12 34 56", "Read more..."}
    assert set(PAGE.split("\n")) - set(after.split("\n")) == gone
    assert lost == pytest.approx(14 / len(PAGE.split()))


def test_rows_that_are_not_asked_for_stay() -> None:
    assert edited(PAGE, ("c4", "refinedweb"), rows=False) == (PAGE, 0.0)


COUNTERS = ("3 likes", "1,204 Comments", "12k followers", "(5 shares)", "1.2M views")


@pytest.mark.parametrize("line", COUNTERS)
def test_counters_go(line: str) -> None:
    text = f"The mill stands by the river.\n{line}\nIt grinds corn."
    assert edited(text, ("refinedweb",))[0] == "The mill stands by the river.\nIt grinds corn."


def test_a_sentence_with_a_counter_stays() -> None:
    text = "The mill got 3 likes last year.\nIt has 12 views over the river."
    assert edited(text, ("refinedweb",))[0] == text


TEXTS = st.lists(
    st.sampled_from(
        [
            "The mill is old.",
            "Home",
            "3 likes",
            "",
            "  ",
            "ABC DEF",
            "a b c",
            'so "it" is[3]',
            "猫。",
        ]
    ),
    max_size=8,
).map("\n".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_twice_is_once_and_rows_do_not_touch_each_other(texts: list[str]) -> None:
    column = pa.array(texts, pa.large_string())
    rows = np.ones(len(texts), np.bool_)
    for edits in (("c4",), ("refinedweb",), ("c4", "refinedweb")):
        after, lost = lines.edit(column, rows, edits, False)
        again, nothing = lines.edit(after, rows, edits, False)
        assert again.to_pylist() == after.to_pylist()
        assert not nothing.any()
        assert after.to_pylist() == [edited(text, edits)[0] for text in texts]
        assert ((lost >= 0) & (lost <= 1)).all()


def test_the_step_counts_what_it_removes() -> None:
    config = Dataprep(presets=("c4", "refinedweb"))
    step = lines.make_step(config)
    texts = ["Home\nThe mill stands by the river.", "Home", "首页\n水车转动。"]
    table = pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "language": pa.array(["en", "en", "zh"]),
            "drop_reason": pa.nulls(3, pa.string()),
            "drop_value": pa.nulls(3, pa.float64()),
            "drop_threshold": pa.nulls(3, pa.float64()),
        }
    )
    after = apply_chain([step], table)
    removed = after["lines_removed_bytes"].to_numpy()
    lengths = pc.binary_length(after["text"]).to_numpy()
    assert (removed + lengths == [len(text.encode()) for text in texts]).all()
    assert after["drop_reason"].to_pylist()[:2] == [None, "lines.empty"]
    assert after["text"].to_pylist()[0] == "The mill stands by the river."


def test_no_pattern_can_run_away() -> None:
    assert not re.search(r"\\[1-9]|\(\?=|\(\?!|\(\?<", lines._NAVIGATION + lines._CITATION)
    hostile = "1" * 100_000 + " " * 100_000 + "likes" * 10_000 + "x"
    assert edited(hostile, ("refinedweb",))[0] in (hostile, "")
