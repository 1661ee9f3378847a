"""Signals of Chinese: what they say of made texts, and that they part good documents from bad."""

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import garble_chinese
from dataprep.signals import chinese_kernels, chinese_signals

TEXT = (
    "我们在城里住了三年，每天早上都要到河边去走一走。河边的树很高，树下有几张旧椅子，老人们坐在那里下棋。"
    "下棋的人不说话，看棋的人却说个不停。有一天下了大雨，河水漫过了小路，我们只好在桥上看着水流过去。"
    "后来水退了，椅子不见了，老人们就站着下棋，看棋的人还是说个不停。到了秋天，树上的叶子落到河里，随水流走。\n"
)


def measured(*texts: str) -> chinese_signals.Signals:
    return chinese_signals.measure(pa.array(texts, pa.large_string()))


def fails(texts: list[str]) -> np.ndarray:
    """Which texts fail one of the preset's rules for Chinese; bool [rows]."""
    preset = Path(chinese_signals.__file__).parent / "presets" / "chinese.toml"
    signals = measured(*texts)
    failing = np.zeros(len(texts), dtype=bool)
    for name, rule in tomllib.loads(preset.read_text(encoding="utf-8"))["chinese"].items():
        column = rule["signal"]
        if not column.startswith("chinese_"):
            continue
        values = signals[column.removeprefix("chinese_")]
        low = name.endswith("_low")
        failing |= values < rule["threshold"] if low else values > rule["threshold"]
    return failing


def test_order_is_what_cohesion_and_places_see() -> None:
    backwards = TEXT[::-1]
    signals = measured(TEXT * 3, backwards * 3)
    assert signals["misplaced_han"][0] < 0.05 < 0.5 < signals["misplaced_han"][1]
    for name in ("common_han", "function_han", "repeated_han_5grams"):
        assert signals[name][0] == pytest.approx(signals[name][1], abs=0.02)


def test_shares_by_hand() -> None:
    signals = measured(
        "的" * 40 + "鱻" * 60 + "�" * 10 + "12345" * 2, "plain English, nothing else"
    )
    # Drawn towards 1 and 0.25 by 60 observations.
    assert signals["common_han"][0] == pytest.approx((40 + 60) / 160)
    assert signals["function_han"][0] == pytest.approx((40 + 15) / 160)
    assert signals["broken_characters"][0] == pytest.approx(10 / 120)
    assert signals["digit_characters"][0] == pytest.approx(10 / 120)
    assert signals["common_han"][1] == 1 and signals["pair_cohesion"][1] == 10


def runs_by_hand(text: str, n: int) -> int:
    seen, repeated, since = set(), 0, n
    for end in range(1, len(text) + 1):
        since += 1
        run = text[end - n : end] if end >= n else None
        if run is None:
            continue
        if run not in seen:
            seen.add(run)
        elif since >= n:
            repeated, since = repeated + n, 0
    return repeated


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="天地人一 ，a\n", max_size=120))
def test_runs_and_pairs_equal_those_of_plain_python(text: str) -> None:
    counts = np.zeros((1, chinese_kernels.NUM_COUNTS), dtype=np.int64)
    data, offsets = chinese_signals.text_buffers(pa.array([text], pa.large_string()))
    kinds, classes = chinese_signals.character_kinds(), chinese_signals.character_classes()
    chinese_kernels.measure(data, offsets, classes, kinds, counts)
    han = [character for character in text if character in "天地人一"]
    pairs = [a + b for a, b in itertools.pairwise(text) if {a, b} <= set("天地人一")]
    assert counts[0, chinese_kernels.READ_HAN] == len(han)
    assert counts[0, chinese_kernels.PAIRS] == len(pairs)
    for column, items in (
        (chinese_kernels.EQUAL_PAIRS, pairs),
        (chinese_kernels.EQUAL_CHARACTERS, han),
    ):
        equal = sum(a == b for i, a in enumerate(items) for b in items[:i])
        assert counts[0, column] == equal
    repeated = counts[0, chinese_kernels.REPEATED_5GRAMS]
    assert repeated == runs_by_hand("".join(han), 5)


def test_good_documents_pass_and_bad_ones_fail(shared_data: Path) -> None:
    good = garble_chinese.good_texts()[::6]
    assert fails(good).mean() <= 0.05
    bad = [
        made.text
        for made in garble_chinese.bad_documents(good, each=6)
        if made.family in ("shuffled", "boilerplate") and len(made.text) > 400
    ]
    assert len(bad) > 100
    assert fails(bad).mean() >= 0.95


def test_a_row_does_not_depend_on_its_neighbours(shared_data: Path) -> None:
    texts = [*garble_chinese.good_texts(("zh_poetry/poetry",))[:50], TEXT * 400, "", "x"]
    together = measured(*texts)
    for index in (0, 7, 50, 51, 52):
        alone = measured(texts[index])
        for name in chinese_signals.NAMES:
            assert together[name][index] == alone[name][0]
