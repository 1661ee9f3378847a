"""The parts of `annotate`: reading answers, keeping them, waiting, agreement, what is refused."""

import datetime
import json
import subprocess
import sys
import unicodedata
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from dataprep.config_annotator import Annotator, AnnotatorExecution
from dataprep.models import agreement
from dataprep.models.annotation_answers import (
    QUALITY_PROMPT,
    MalformedError,
    check_pattern,
    cut,
    key_of,
    read_encoder,
    read_endpoint,
    request_body,
)
from dataprep.models.annotator_endpoint import backoff_seconds, retry_after_seconds
from dataprep.models.answer_cache import AnswerCache
from launch.config import parse_model
from launch.errors import UserError


def annotator(**changes: Any) -> Annotator:
    return parse_model(Annotator, {"model": "m"} | changes, "here")


@pytest.mark.parametrize(
    ("content", "score"),
    [
        ("Score: 3", 3.0),
        ("It had score: 1 at first.\nSCORE: **4.5**", 4.5),
        ("score:0", 0.0),
        ("Score: 9", None),
        ("Score: -1", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_a_score_is_read_where_the_answer_ends(content: str, score: float | None) -> None:
    if score is None:
        with pytest.raises(MalformedError):
            read_endpoint(content, annotator())
        return
    answer = read_endpoint(content, annotator())
    assert answer.score == score and answer.positive == (score >= 3)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ('{"result": {"label": " Good "}}', "good"),
        ('```json\n{"result": {"label": "bad"}}\n```', "bad"),
        ('{"result": {"label": "ugly"}}', None),
        ('{"result": "good"}', None),
        ("good", None),
    ],
)
def test_a_class_is_read_from_json(content: str, value: str | None) -> None:
    table = annotator(json_path="result.label", classes=["good", "bad"], positive=["good"])
    if value is None:
        with pytest.raises(MalformedError):
            read_endpoint(content, table)
    else:
        answer = read_endpoint(content, table)
        assert (answer.value, answer.positive) == (value, value == "good")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "true", "null", "[3]", '"three"'])
def test_what_is_no_number_is_no_score(value: str) -> None:
    with pytest.raises(MalformedError):
        read_endpoint(f'{{"score": {value}}}', annotator(json_path="score"))


def test_a_pattern_takes_time_by_the_length_alone() -> None:
    table = annotator(pattern="(?P<answer>(?:(?:a+)+)+)b")
    with pytest.raises(MalformedError):
        read_endpoint("a" * 200_000, table)
    with pytest.raises(UserError, match="RE2"):
        check_pattern(annotator(pattern=r"(?P<answer>a)\1"), "dataprep.quality")


def test_an_encoders_numbers_are_scores_or_classes() -> None:
    assert read_encoder("[7.5]", annotator(), ()).score == 5.0
    table = annotator(model=None, encoder="x", positive=["good", "best"])
    answer = read_encoder("[0.5, 0.3, 0.2]", table, ("bad", "good", "best"))
    assert (answer.value, answer.positive, answer.score) == ("bad", False, 0.5)
    with pytest.raises(MalformedError):
        read_encoder("[NaN]", annotator(), ())


@given(st.text(st.sampled_from("ab \n。é\u0301\u0323"), max_size=80), st.integers(16, 60))
def test_a_cut_text_is_a_beginning_that_splits_no_character(text: str, most: int) -> None:
    short = cut(text, most)
    assert text.startswith(short) and len(short) <= most
    if short == text:
        return
    assert len(text) > most and not unicodedata.combining(text[len(short)])
    # What is cut beyond a tenth are combining marks alone.
    assert all(map(unicodedata.combining, text[len(short) + 1 : int(0.9 * most)]))


def test_a_text_is_cut_between_words() -> None:
    assert cut("word " * 100, 58) == ("word " * 11).rstrip()
    assert cut("我们去看水车。" * 20, 22) == "我们去看水车。" * 3
    assert cut("a" * 100, 20) == "a" * 20


def test_a_text_cannot_fill_a_placeholder_of_its_own() -> None:
    body = request_body("{text} {0} %s", annotator(), QUALITY_PROMPT)
    content = body["messages"][0]["content"]
    assert content.count("{text} {0} %s") == 1 and body["temperature"] == 0
    more = request_body("a", annotator(parameters={"top_p": 1.0}), "{text}")
    assert more["top_p"] == 1.0 and key_of(more) != key_of(request_body("a", annotator(), "{text}"))


def test_answers_are_kept_and_damage_costs_one_of_them(tmp_path: Path) -> None:
    with AnswerCache(tmp_path) as cache:
        cache.add([(f"{n:032x}", f"Score: {n}\n\tü") for n in range(5)])
    (path,) = tmp_path.glob("answers-*.jsonl")
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    broken = lines[1].replace(b"Score: 1", b"Score: 3")
    path.write_bytes(b"".join([lines[0], broken, b"\xff\n", *lines[2:4], lines[4][:-9]]))
    cache = AnswerCache(tmp_path)
    known = [n for n in range(5) if cache.get(f"{n:032x}") == f"Score: {n}\n\tü"]
    assert known == [0, 2, 3] and cache.get(f"{1:032x}") is None and cache.num_damaged == 3
    entries = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    assert [json.loads(line)["offset"] for line in entries][:1] == [len(lines[0])]
    assert len(entries) == 3 and not any("Score" in entry for entry in entries)
    AnswerCache(tmp_path)
    assert (tmp_path / "quarantine.jsonl").read_text().splitlines() == entries


@given(st.data())
def test_any_torn_end_costs_at_most_the_last_answer(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        with AnswerCache(Path(folder)) as cache:
            cache.add([(f"{n:032x}", "x" * n) for n in range(3)])
            cache.add([(f"{3:032x}", "last")])
        (path,) = Path(folder).glob("answers-*.jsonl")
        content = path.read_bytes()
        last = content[:-1].rindex(b"\n") + 1
        path.write_bytes(content[: data.draw(st.integers(last, len(content) - 1))])
        again = AnswerCache(Path(folder), read_only=True)
        assert [again.get(f"{n:032x}") for n in range(4)] == ["", "x", "xx", None]


WRITER = """
import sys
from pathlib import Path
from dataprep.models.answer_cache import AnswerCache
with AnswerCache(Path(sys.argv[1])) as cache:
    for number in range(150):
        cache.add([(f"{sys.argv[2]}-{number}", "answer " * number)])
"""


def test_two_processes_keep_answers_in_one_place(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in "ab"
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    cache = AnswerCache(tmp_path)
    assert cache.num_damaged == 0
    for name in "ab":
        assert all(cache.get(f"{name}-{n}") == "answer " * n for n in range(150))
    assert not {path.stat().st_mode & 0o077 for path in tmp_path.glob("answers-*")} - {0}


@given(st.integers(1, 100), st.text(max_size=8), st.integers(0, 5))
def test_waits_double_vary_and_are_bounded(number: int, key: str, seed: int) -> None:
    execution = AnnotatorExecution(wait_first_seconds=1.0, wait_longest_seconds=20.0)
    seconds = backoff_seconds(execution, key, number, seed)
    assert seconds == backoff_seconds(execution, key, number, seed)
    assert min(20.0, 0.5 * 2 ** (number - 1)) <= seconds + 1e-9 or seconds >= 10.0
    assert seconds <= min(20.0, 1.5 * 2 ** (number - 1))


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after_seconds("120") == 120.0
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=50)
    found = retry_after_seconds(format_datetime(then, usegmt=True))
    assert found is not None and 45 <= found <= 50
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert [retry_after_seconds(value) for value in (None, "soon", "-5", "")] == [None] * 4


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_kappa_is_what_its_definition_says(pairs: list[tuple[bool, bool]]) -> None:
    left, right = (np.array([pair[side] for pair in pairs], np.bool_) for side in (0, 1))
    found = agreement.kappa(left, right)
    table = np.zeros((2, 2))
    for one, other in pairs:
        table[int(one), int(other)] += 1
    total = table.sum()
    chance = (table.sum(0) * table.sum(1)).sum() / total**2 if total else 1.0
    if chance == 1.0:
        assert found is None
    else:
        assert found == pytest.approx((np.trace(table) / total - chance) / (1 - chance))


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), min_size=2, max_size=30))
def test_spearman_is_scipys(pairs: list[tuple[int, float]]) -> None:
    left, right = (np.array([pair[side] for pair in pairs], np.float64) for side in (0, 1))
    found = agreement.spearman(left, right)
    if len(set(left)) == 1 or len(set(right)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(float(spearmanr(left, right).statistic), abs=1e-9)


def test_agreement_counts_every_document_once() -> None:
    rows = [
        {"id": f"{n}", "content_hash": f"{n}", "text": f"t{n}", "answer": n % 6, "score": n % 6}
        for n in range(12)
    ]
    for row in rows:
        row["positive"] = row["score"] >= 3
    scores = np.array([(n % 6) / 5 for n in range(12)], np.float32)
    scores[0], scores[5] = 0.9, 0.1
    found = agreement.measure(rows, scores, 0.5)
    assert sum(found["confusion"].values()) == 12 == found["documents"]
    assert found["confusion"]["annotator_only"] == found["confusion"]["classifier_only"] == 1
    assert found["accuracy"] == pytest.approx(10 / 12) and found["majority"] == 0.5
    assert found["kappa"] == pytest.approx(2 * 10 / 12 - 1)
    assert {row["id"] for row in found["disagreements"]} == {"0", "5"}
    assert found["by_answer"]["5"] == {"negative": 1, "positive": 1}
    low, high = found["accuracy_interval"]
    assert low < 10 / 12 < high
    nothing = agreement.measure([], np.zeros(0, np.float32), 0.5)
    assert nothing["accuracy"] is None and nothing["kappa"] is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"model": None}, "one of model"),
        ({"encoder": "x"}, "one of model"),
        ({"prompt": "no place"}, "once"),
        ({"prompt": "{text} {text}"}, "once"),
        ({"prompt": "{text}", "prompt_file": "x"}, "both"),
        ({"parameters": {"model": "x"}}, "must not hold 'model'"),
        ({"pattern": "[0-9]"}, "group"),
        ({"classes": ["a"], "positive": ["b"]}, "positive must name"),
        ({"positive_min": 6.0}, "between"),
        ({"documents": 0}, "documents"),
        ({"execution": {"url": "ftp://a/"}}, "https://HOST/v1"),
        ({"execution": {"url": "http://models.example.org/v1"}}, "https beyond this machine"),
        ({"execution": {"url": "http://127.0.0.1.example.org/v1"}}, "https beyond this machine"),
        ({"execution": {"url": "https://me:hunter2@h/v1"}}, "a user or password in it"),
        ({"execution": {"url": "https://h/v1?key=hunter2"}}, r"'\?' or '#' in it"),
        ({"execution": {"key_variable": "sk-hunter2 x"}}, "key_variable"),
    ],
)
def test_annotators_that_cannot_be_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        annotator(**table)
    if "key_variable" not in str(table):
        assert "hunter2" not in str(error.value) + error.value.hint


@pytest.mark.parametrize("url", ["http://localhost:8000/v1", "http://[::1]:1/v1", "https://h/v1"])
def test_addresses_that_are_safe_are_taken(url: str) -> None:
    assert AnnotatorExecution(url=url).url == url
    assert AnnotatorExecution(url="http://models/v1", plain_http=True).plain_http
