"""Evaluation items in texts, against definitions in plain Python."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Dataprep
from dataprep.config_decontamination import Decontamination, EvaluationSet
from dataprep.decontamination import decontamination
from dataprep.decontamination.index import Index, build_index
from dataprep.decontamination.items import Item, read_items
from dataprep.decontamination.units import folded_characters, units_of
from dataprep.reading.records import Batch, Record
from launch.errors import UserError

N = 5
NEAR = 50
# Those that stand alone, as ranges: Han, kana, Thai, Lao, Burmese, Khmer.
ALONE = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)


def defined_units(text: str) -> list[str]:
    """Words in lower case, and single characters of scripts without spaces."""
    found: list[str] = []
    word = ""
    for character in text:
        alone = bool(ALONE.match(character)) and (
            character.isalnum() or "\u0e00" <= character <= "\u17ff"
        )
        if alone or not re.match(r"\w", character):
            found += [word] if word else []
            word = ""
            found += [character] if alone else []
        else:
            word += {"İ": "i", "Σ": "σ", "ς": "σ"}.get(character, character.lower())
    return found + ([word] if word else [])


def column(*texts: str) -> pa.Array:
    return pa.array(texts, pa.large_string())


def index_of(*texts: str | tuple[str, ...], n: int = N) -> Index:
    """An index of items with a question and, in a tuple, answers."""
    items = []
    for number, text in enumerate(texts):
        parts = (text,) if isinstance(text, str) else text
        fields = tuple((f"field{place}", part) for place, part in enumerate(parts))
        items.append(Item("set", str(number), fields, "field0"))
    return build_index(items, n, n)


def hits(index: Index, text: str, near: int = NEAR) -> dict[str, tuple[float, str]]:
    """By item id, the score and the passage in `text`."""
    found, scores = decontamination.find_passages(column("", text), index, near)
    assert (found[:, 0] == 1).all()
    names = [index.items[index.parts.items[part]].id for part in found[:, 1]]
    return {
        name: (round(float(score), 4), text.encode()[start:stop].decode())
        for name, score, (start, stop) in zip(names, scores, found[:, 2:].tolist(), strict=True)
    }


# Borders of words, scripts that put no spaces, letters whose case is irregular, and all others.
AWKWARD = st.sampled_from("AbÄẞİıΣσςKÅ_-'’.09²\u0301\u200d \n\u3000中文かカナ한ไทย់ခ🙂𠀀々〇、。")
UNITS = st.text(st.one_of(AWKWARD, st.characters(exclude_categories=["Cs", "Cn"])), max_size=60)


@given(UNITS)
@settings(max_examples=300, deadline=None)
@example("Wort中文word_9ไทย Ώ")
def test_units_are_those_of_the_definition(text: str) -> None:
    # Thai, Lao, Khmer and Burmese signs and unassigned places of their blocks are of no interest.
    text = "".join(c for c in text if not ("\u0e00" <= c <= "\u17ff") or c.isalnum())
    data, offsets = text_buffers(column(text))
    starts, ends, hashes = units_of(data, offsets[0], offsets[1], folded_characters())
    written = text.encode()
    found = [written[a:b].decode() for a, b in zip(starts, ends, strict=True)]
    expected = defined_units(text)
    assert [defined_units(unit) for unit in found] == [[unit] for unit in expected]
    numbers = {unit: number for unit, number in zip(expected, hashes.tolist(), strict=True)}
    assert len(set(numbers.values())) == len(numbers)


WORDS = st.sampled_from(["alpha", "beta", "gamma", "delta", "omega", "kappa", "the"])
PARTS = st.lists(st.lists(WORDS, min_size=4, max_size=14), min_size=1, max_size=5)


def common_runs(text: list[str], part: list[str], least: int) -> set[tuple[int, int, int]]:
    """All longest runs that the two have in common, of `least` units or more: place in the text,
    place in the part, length."""
    found = set()
    for i in range(len(text)):
        for j in range(len(part)):
            if i and j and text[i - 1] == part[j - 1]:
                continue
            length = 0
            while i + length < len(text) and j + length < len(part):
                if text[i + length] != part[j + length]:
                    break
                length += 1
            if length >= least:
                found.add((i, j, length))
    return found


@given(PARTS, st.lists(WORDS, max_size=60), st.integers(0, 20))
@settings(max_examples=150, deadline=None)
def test_runs_and_scores_are_those_of_a_direct_scan(
    parts: list[list[str]], filler: list[str], cut: int
) -> None:
    text = [*filler[:cut], *parts[0], *filler[cut:], *parts[-1][1:], "end"]
    index = index_of(*(" ".join(part) for part in parts))
    runs = decontamination.runs_of(column(" ".join(text)), index, NEAR)
    searched = np.flatnonzero(index.parts.run_units)
    texts = {int(part): parts[index.parts.items[part]] for part in searched}
    assert len({tuple(part) for part in texts.values()}) == len(texts)
    for part, words in texts.items():
        own = {tuple(run) for run in runs[runs[:, 1] == part][:, 2:5].tolist()}
        least = common_runs(text, words, min(N, len(words)))
        # Beside them only runs of three and more that are there, next to one of them.
        assert least <= own and bool(least) == bool(own)
        assert all(text[i : i + k] == words[j : j + k] and k >= 3 for i, j, k in own)
    found, scores = decontamination.find_passages(column(" ".join(text)), index, NEAR)
    assert {*found[:, 1].tolist()} == {*runs[:, 1].tolist()}
    for (_, part, start, stop), score in zip(found.tolist(), scores, strict=True):
        passage = " ".join(text)[start:stop].split()
        words = texts[part]
        weights = index.parts.weights[slice(*index.parts.offsets[part : part + 2])]
        covered = {j + k for _, j, length in common_runs(passage, words, 3) for k in range(length)}
        share = sum(weights[place] for place in covered) / weights.sum()
        assert score <= share + 1e-6
        if " ".join(words) in " ".join(text):
            assert score == 1.0
    assert all(a >= b for a, b in pairwise(scores.tolist()))


LONG = (
    "At what speed does light travel through the vacuum between two distant stars, "
    "and who measured it first?"
)


def test_an_item_is_found_wherever_it_stands_and_however_it_is_set() -> None:
    index = index_of(LONG, "Name the heaviest noble gas", n=13)
    for text in (f"before {LONG} after", LONG, LONG.upper(), f"«{LONG.replace(' ', chr(10))}»"):
        score, passage = hits(index, text)["0"]
        assert score == 1.0
        assert defined_units(passage) == defined_units(LONG)
    assert hits(index, "Quiz: name the *heaviest* noble-gas!") == {
        "1": (1.0, "name the *heaviest* noble-gas")
    }


def test_words_have_borders() -> None:
    index = index_of("Name the heaviest noble gas", n=13)
    assert hits(index, "Rename the heaviest noble gas") == {}
    assert hits(index, "Name the heaviest noble gases") == {}
    assert hits(index, "Name the heaviest noble gas_1") == {}


def test_a_part_of_a_long_item_scores_its_share_and_a_short_one_nothing() -> None:
    index = index_of(LONG, n=5)
    half = " ".join(LONG.split()[:9])
    (score, passage) = hits(index, f"He asked: {half}. Nobody knew.")["0"]
    assert 0.3 < score < 0.7 and passage == half
    assert hits(index, " ".join(LONG.split()[:4])) == {}
    torn = f"{' '.join(LONG.split()[:9])} (he paused) {' '.join(LONG.split()[9:])}"
    assert hits(index, torn)["0"][0] == 1.0
    far = f"{' '.join(LONG.split()[:9])} {'and so on ' * 40}{' '.join(LONG.split()[9:])}"
    assert hits(index, far)["0"][0] < 0.8


def test_a_changed_place_beside_a_long_run_does_not_end_the_passage() -> None:
    index = index_of(LONG, n=9)
    words = LONG.split()
    for changed in (
        [*words[:4], "often", *words[5:]],
        [*words[:4], *words[5:]],
        [*words[:4], "very", "quickly", *words[4:]],
        [*words[:-4], "or", *words[-3:]],
    ):
        score, passage = hits(index, f"Look: {' '.join(changed)} Well.")["0"]
        assert 0.85 < score <= 1.0 and passage == " ".join(changed).rstrip("?")
    # A run that is too short for a beginning does not begin a passage.
    assert hits(index, " or ".join((" ".join(words[:8]), " ".join(words[9:17])))) == {}


def test_rare_words_weigh_more_than_those_of_the_template() -> None:
    template = "Which of the following words has the same meaning as the word"
    items = [f"{template} {name}{name}?" for name in ("mono", "poly", "hexa", "octa", "deca")]
    index = index_of(*items, n=5)
    score = hits(index, f"{template} tetratetra?")["0"][0]
    assert score < 0.75 < 12 / 13


def test_chinese_is_found_in_any_text() -> None:
    index = index_of("鲁迅的小说《狂人日记》最早发表于哪一年？", n=13)
    assert hits(index, "Question 7: 鲁迅的小说 狂人日记最早发表于哪一年 (one mark)")["0"][0] == 1.0
    assert hits(index, "鲁迅的小说狂人") == {}
    # Four characters say too little, six say enough.
    assert index_of("我不知道", "珠穆朗玛峰高").silent == (0,)


def test_an_answer_is_company_and_a_question_of_function_words_needs_it() -> None:
    index = index_of(("Who wrote it?", "Hemingway"), ("Who was it?", "he"), n=13)
    assert index.silent == (1,)
    assert hits(index, "Who wrote it? Ernest Hemingway, of course.")["0"][0] == 1.0
    assert hits(index, f"Who wrote it? {'word ' * 50} Hemingway")["0"][0] == 1.0
    assert hits(index, f"Hemingway {'word ' * 50} who wrote it?")["0"][0] == 1.0
    assert hits(index, f"Who wrote it? {'word ' * 51} Hemingway") == {}
    assert hits(index, f"Hemingway {'word ' * 51} who wrote it?") == {}
    assert hits(index, "Who wrote it? Hemingways did.") == {}
    # An answer is everywhere: it is not searched for unless it is as long as a run that counts.
    answered = index_of((LONG, "United States of America"), ("Why is that so?", LONG[1:]), n=13)
    assert hits(answered, "Made in the United States of America") == {}
    assert hits(answered, LONG[1:])["1"][0] == 1.0


@pytest.mark.parametrize("text", ["Paris", "", "New York City", "?!", "What do you mean"])
def test_what_says_too_little_is_not_searched_for(text: str) -> None:
    index = index_of(text, LONG)
    assert index.silent == (0,)
    assert hits(index, f"{text} Paris New York City. What do you mean?") == {}


def test_items_of_the_same_words_are_one_and_the_first_names_it() -> None:
    index = index_of(LONG, LONG.upper(), LONG + "!")
    assert list(hits(index, LONG)) == ["0"]


def test_words_said_over_and_over_cost_no_more_than_they_must() -> None:
    words = "ha hi ho " * 100 + "end of the song"
    index = index_of(words, n=13)
    assert hits(index, "ha hi ho " * 100 + words)["0"][0] == 1.0
    assert len(decontamination.runs_of(column("ha hi ho " * 20_000), index, NEAR)) < 70_000


def documents(*texts: str) -> pa.Table:
    batch = Batch("s")
    for number, text in enumerate(texts):
        batch.add(Record(f"s:{number}", text, None, None, ()))
    return pa.concat_tables([table for table, _ in batch.take()]).combine_chunks()


def write(path: Path, *lines: Any) -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text + "\n", encoding="utf-8")


def configured(path: Path, **keys: Any) -> Dataprep:
    keys = {"mode": "drop", "sets": (quiz(path),), **keys}
    return Dataprep(decontamination=Decontamination(**keys))


def quiz(path: Path, **keys: Any) -> EvaluationSet:
    return EvaluationSet(**{"name": "quiz", "paths": (str(path),), "id": "id", **keys})


def test_the_step_fills_columns_of_the_living_and_decides_from_them_alone(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    write(path, {"id": 1, "question": LONG}, {"id": "b", "question": "Name the heaviest noble gas"})
    table = documents(f"{LONG} Name the heaviest noble gas.", LONG, "Nothing of the kind.", LONG)
    reasons = pa.array([None, None, None, "rules.x"], pa.string())
    position = table.schema.get_field_index("drop_reason")
    table = table.set_column(position, table.schema.field(position), reasons)
    (step,) = decontamination.make_steps(configured(path))
    table = step.apply(table)
    assert table["decontamination_score"].to_pylist() == [1.0, 1.0, 0.0, None]
    assert table["decontamination_hits"].to_pylist() == [2, 1, 0, None]
    assert table["decontamination_item"].to_pylist() == ["1", "1", None, None]
    passages = table["decontamination_passages"].to_pylist()
    assert passages[2] == [] and passages[3] is None
    assert [hit["item"] for hit in passages[0]] == ["1", "b"]
    assert passages[1][0] == {
        "set": "quiz", "item": "1", "field": "question", "score": 1.0,
        "start": 0, "stop": len(LONG) - 1,
    }  # fmt: skip
    for allow, expected in (
        ((), ["decontamination.match"] * 2 + [None, "rules.x"]),
        (("quiz:1",), ["decontamination.match", None, None, "rules.x"]),
        (("quiz:b",), ["decontamination.match"] * 2 + [None, "rules.x"]),
        (("quiz:1", "quiz:b"), [None, None, None, "rules.x"]),
    ):
        (again,) = decontamination.make_steps(configured(path, allow=allow))
        assert again.decide is not None
        decided = again.decide(table.drop_columns(["text"]))
        assert decided["drop_reason"].to_pylist() == expected
    (marking,) = decontamination.make_steps(configured(path, mode="mark"))
    assert marking.decide is None
    assert decontamination.make_steps(configured(path, mode="off")) == []


def test_a_whole_evaluation_set_is_one_document_with_its_best_items(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    questions = [f"Name the capital city of the province number{n} quickly" for n in range(50)]
    write(path, *({"id": n, "question": text} for n, text in enumerate(questions)))
    (step,) = decontamination.make_steps(configured(path))
    table = step.apply(documents("\n".join(questions), *questions))
    assert table["decontamination_hits"].to_pylist() == [50] + [1] * 50
    stored = table["decontamination_passages"].to_pylist()
    assert [len(hits) for hits in stored] == [decontamination.PASSAGES_MAX] + [1] * 50
    assert [hits[0]["item"] for hits in stored[1:]] == [str(n) for n in range(50)]


def test_items_are_normalized_and_freed_of_personal_data_as_documents_are(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    text = "Does the caf\u00e9 at the corner answer mail to jane@site.de before noon?"
    write(path, {"id": 1, "question": text.replace("\u00e9", "e\u0301")})
    config = configured(path)
    (step,) = decontamination.make_steps(config)
    table = step.apply(documents(text.replace("jane@site.de", "<EMAIL>")))
    assert table["decontamination_score"].to_pylist() == [1.0]


GOOD = {"id": 1, "question": LONG}


@pytest.mark.parametrize(
    ("lines", "keys", "place", "got"),
    [
        (["{broken"], {}, "quiz.jsonl:1", "not JSON"),
        ([GOOD, "[1]"], {}, "quiz.jsonl:2", "no object"),
        ([GOOD, {"question": "x"}], {}, "quiz.jsonl:2", "no 'id'"),
        ([GOOD, GOOD], {}, "sets.quiz.id", "two items '1'"),
        ([GOOD], {"fields": ("question", "answer")}, "sets.quiz.fields", "'answer'"),
        ([{"id": 1, "question": {"a": 1}}], {}, "quiz.jsonl:1", "'question' ="),
        ([""], {}, "sets.quiz.paths", "no item"),
    ],
)
def test_sets_that_cannot_be_used_are_refused(
    tmp_path: Path, lines: list[Any], keys: dict[str, Any], place: str, got: str
) -> None:
    path = tmp_path / "quiz.jsonl"
    write(path, *lines)
    with pytest.raises(UserError) as error:
        read_items(Decontamination(mode="mark", sets=(quiz(path, **keys),)))
    assert place in error.value.message and got in error.value.message


def test_recipes_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    with pytest.raises(UserError, match="finds no file"):
        read_items(configured(path).decontamination)
    write(path, GOOD)
    with pytest.raises(UserError, match="allow"):
        read_items(configured(path, allow=("quiz:2",)).decontamination)
    for keys in ({"allow": ("other:1",)}, {"sets": ()}, {"sets": (quiz(path), quiz(path))}):
        with pytest.raises(UserError):
            configured(path, **keys)


def test_fields_are_texts_numbers_and_lists_wherever_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    record = {"q": {"text": LONG}, "choices": ["one", "two"], "answer": 3, "none": None}
    write(path, "\ufeff" + json.dumps(record))
    own = quiz(path, id=None, fields=("q.text", "choices", "answer"))
    (item,) = read_items(Decontamination(mode="mark", sets=(own,)))
    assert item.name == "quiz:quiz.jsonl:1"
    assert item.texts == (("q.text", LONG), ("choices", "one\ntwo"), ("answer", "3"))
