"""Classifiers: labels in, a reproducible model out, scores by threshold; fastText throughout."""

import gzip
import json
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep.config_models import Classifier, Label
from dataprep.models import classifier, classifier_training, evaluation, fasttext_member
from dataprep.models.labelled import read_examples
from dataprep.models.preparation import prepare
from dataprep.report.models import classifiers
from dataprep.step import apply_chain
from launch.errors import UserError
from launch.recipe import Recipe

WORDS = {
    "good": "the river carries clear water from the old mountain to a quiet valley",
    "bad": "click buy cheap now winner prize free offer casino bonus limited deal",
    "shared": "and of in with for on at by it is this that",
}
GOOD, BAD, SHARED = (words.split() for words in WORDS.values())


def labelled_rows(num: int) -> list[dict[str, Any]]:
    draw = random.Random(5)
    rows = []
    for position in range(num):
        words = draw.choices(BAD if position % 3 == 0 else GOOD, k=8) + draw.choices(SHARED, k=8)
        draw.shuffle(words)
        text = " ".join(words) + f"\nno {position}"
        rows.append({"text": text, "spam": int(position % 3 == 0)})
    return rows


def write_lines(path: Path, rows: list[Any]) -> Path:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as stream:
        stream.write(lines)
    return path


def config_of(*paths: Path, **changes: Any) -> Classifier:
    label = Label(
        paths=tuple(str(path) for path in paths),
        label_column=changes.pop("label_column", "spam"),
        positive=changes.pop("positive", (1,)),
        text_column=changes.pop("text_column", "text"),
    )
    return Classifier(labels=(label,), buckets=2000, dimension=8, epochs=20, **changes)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("labels") / "spam.jsonl.gz", labelled_rows(900))


@pytest.fixture(scope="module")
def trained(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> classifier.TrainedClassifier:
    return classifier.train("toxicity", config_of(labels), tmp_path_factory.mktemp("model"), 1)


@pytest.fixture(scope="module")
def judge(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> classifier.TrainedClassifier:
    return classifier.train("quality", config_of(labels), tmp_path_factory.mktemp("judge"), 1)


def documents(texts: list[str], reasons: list[str | None] | None = None) -> pa.Table:
    num = len(texts)
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "drop_reason": pa.array(reasons or [None] * num, pa.string()),
            "drop_value": pa.nulls(num, pa.float64()),
            "drop_threshold": pa.nulls(num, pa.float64()),
        }
    )


def test_it_learns_and_says_how_well(trained: classifier.TrainedClassifier) -> None:
    facts = trained.facts
    assert facts["evaluation"]["auc"] > 0.99
    assert facts["evaluation"]["precision"] > 0.9
    assert facts["evaluation"]["recall"] > 0.9
    num_held_out = sum(facts["held_out"].values())
    assert sum(facts["training"].values()) + num_held_out == 900
    assert 60 < num_held_out < 120
    assert facts["digest"].removeprefix("xxh3_128:")[:12] in trained.path.name
    assert "AUC 1.000" in classifier.describe(facts) or "AUC 0.99" in classifier.describe(facts)


def test_what_was_measured_is_told_from_what_is_shipped(
    trained: classifier.TrainedClassifier, labels: Path, tmp_path: Path
) -> None:
    """The held-out texts were never seen by the model whose numbers are told, and all labelled
    texts by the one that is shipped."""
    facts = trained.facts
    num_learnt = sum(facts["training"].values())
    assert facts["evaluated"] == {"model": "before_refit", "texts": num_learnt}
    assert facts["shipped"] == {"refit": True, "texts": 900}
    told = classifier.describe(facts)
    assert f"before the refit, on a model of {num_learnt:,} texts" in told
    assert "the shipped one has learnt all 900" in told
    report = {"facts": {"classifiers": {"toxicity": facts}}}
    assert f"which had learnt {num_learnt} texts" in classifiers(report)
    plain = classifier.train("toxicity", config_of(labels, refit=False), tmp_path, 1)
    assert plain.facts["evaluated"] == {"model": "shipped", "texts": num_learnt}
    assert plain.facts["shipped"] == {"refit": False, "texts": num_learnt}
    assert "refit" not in classifier.describe(plain.facts)
    assert "refit" not in classifiers({"facts": {"classifiers": {"toxicity": plain.facts}}})
    # Held-out numbers are the same: the refit comes after them.
    assert plain.facts["evaluation"] == facts["evaluation"]
    assert plain.facts["digest"] != facts["digest"]


def test_same_labels_in_other_files_give_the_same_model(
    trained: classifier.TrainedClassifier, tmp_path: Path
) -> None:
    rows = labelled_rows(900)
    first = write_lines(tmp_path / "b.jsonl", rows[500:])
    second = write_lines(tmp_path / "a.jsonl", rows[:500])
    again = classifier.train("toxicity", config_of(first, second), tmp_path / "model", 1)
    assert again.path.read_bytes() == trained.path.read_bytes()
    other_seed = classifier.train("toxicity", config_of(first, second), tmp_path / "other", 2)
    assert other_seed.path.name != trained.path.name


def test_it_is_trained_once_for_each_configuration(labels: Path, tmp_path: Path) -> None:
    config = config_of(labels)
    first = classifier.train("quality", config, tmp_path, 1)
    written = first.path.stat().st_mtime_ns
    assert classifier.train("quality", config, tmp_path, 1) == first
    assert first.path.stat().st_mtime_ns == written
    other = classifier.train("quality", config.model_copy(update={"dimension": 9}), tmp_path, 1)
    assert other.path != first.path
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {first.path.name, other.path.name, "manifest.json"}


def test_toxicity_drops_from_the_threshold_on(trained: classifier.TrainedClassifier) -> None:
    config = config_of(Path("unused"), threshold=0.5)
    table = documents(
        [
            "cheap casino bonus\nclick now prize",
            "clear water from the quiet valley",
            "casino prize",
        ],
        [None, None, "gopher.word_count_low"],
    )
    step = classifier.make_step("toxicity", trained.path, config)
    result = apply_chain([step], table)
    assert [field.type for field in step.adds] == [pa.float32()]
    bad, good, dropped_before = result["toxicity_score"].to_pylist()
    assert bad > 0.9 and good < 0.1 and dropped_before is None
    assert result["drop_reason"].to_pylist() == [
        "toxicity.high_score",
        None,
        "gopher.word_count_low",
    ]
    assert result["drop_value"].to_pylist() == [pytest.approx(bad), None, None]
    assert result["drop_threshold"].to_pylist() == [0.5, None, None]


def test_quality_drops_below_the_threshold(judge: classifier.TrainedClassifier) -> None:
    table = documents(["cheap casino bonus click now prize", "clear water from the quiet valley"])
    step = classifier.make_step("quality", judge.path, config_of(Path("unused"), threshold=0.5))
    result = apply_chain([step], table)
    assert result["drop_reason"].to_pylist() == [None, "quality.low_score"]
    exact = float(np.float32(result["quality_score"][0].as_py()))
    at_bound = classifier.make_step(
        "quality", judge.path, config_of(Path("unused"), threshold=min(exact, 1.0))
    )
    assert apply_chain([at_bound], table)["drop_reason"].to_pylist()[0] is None
    assert step.apply(table.slice(0, 0)).num_rows == 0


def test_a_text_cannot_speak_for_its_label(trained: classifier.TrainedClassifier) -> None:
    table = documents(["__label__positive clear water valley", "clear water valley", "", "\n\x00 "])
    step = classifier.make_step("toxicity", trained.path, config_of(Path("unused")))
    with_label, without, empty, blank = step.apply(table)["toxicity_score"].to_pylist()
    assert with_label < 0.2 and without < 0.2
    assert empty == blank and 0.0 <= empty <= 1.0


def test_texts_become_one_line_of_words() -> None:
    texts = pa.array(
        ["Ab,\r\nc\u2028d\x00e __label__x", "我们 WE", "  ", "カナ!"], pa.large_string()
    )
    words = [text.split(" ") for text in prepare(texts).to_pylist()]
    assert [[word for word in line if word] for line in words] == [
        ["ab", ",", "c", "d", "e", "label", "x"],
        ["我", "们", "we"],
        [],
        ["カ", "ナ", "!"],
    ]


@given(st.text(max_size=40))
def test_prepared_text_has_no_line_end(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    (prepared,) = prepare(pa.array([text], pa.large_string())).to_pylist()
    assert "__label__" not in prepared
    assert len(prepared.splitlines()) <= 1 and "\x00" not in prepared
    # Blanks are the only white space, so that fastText and Python see the same words.
    assert [word for word in prepared.split(" ") if word] == prepared.split()


def test_same_text_with_both_labels_is_left_out(tmp_path: Path) -> None:
    rows = [*labelled_rows(60), {"text": "Twice", "spam": 0}, {"text": "twice\n", "spam": 1}]
    examples = read_examples(config_of(write_lines(tmp_path / "a.jsonl", rows)), "here", 1)
    assert examples.num_conflicts == 1
    texts = [text for text, _ in (*examples.training, *examples.held_out)]
    assert len(texts) == len(set(texts)) == 60


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (
            [{"text": "a", "spam": 0}, {"text": "b", "spam": 0}],
            {},
            "only negative labels of 'toxic' in 2",
        ),
        ([{"text": "a", "spam": 1}], {}, "only positive labels"),
        ([{"text": "a", "spam": 1}, {"text": "b", "spam": 0}], {"positive": ("1",)}, "only neg"),
        ([], {}, "no example"),
        ([{"text": "a"}], {}, r"a.jsonl:1: got no field 'spam'.*labels.label_column"),
        ([{"spam": 1}], {}, r"a.jsonl:1: got no field 'text'.*labels.text_column"),
        ([{"text": 5, "spam": 1}], {}, "expected a text"),
        (["word"], {}, "no field 'text'"),
        ([{"text": "a", "l": {"b": 1}}], {"label_column": "l.c"}, "no field 'l.c'"),
    ],
)
def test_unusable_labels_are_refused(
    tmp_path: Path, rows: list[Any], changes: dict[str, Any], message: str
) -> None:
    config = config_of(write_lines(tmp_path / "a.jsonl", rows), **changes)
    with pytest.raises(UserError, match=message):
        classifier.train("toxicity", config, tmp_path / "model", 1)
    assert not (tmp_path / "model").exists()


def test_missing_file_and_broken_line_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataprep.toxicity.labels.0.paths: got .*no file"):
        classifier.train("toxicity", config_of(tmp_path / "none*.jsonl"), tmp_path / "model", 1)
    (tmp_path / "a.jsonl").write_text('{"text": "a", "spam": 1}\n{oh\n')
    with pytest.raises(UserError, match=r"a.jsonl:2: got a line that is not JSON"):
        classifier.train("toxicity", config_of(tmp_path / "a.jsonl"), tmp_path / "model", 1)


def test_labels_inside_an_object(tmp_path: Path) -> None:
    rows = [{"text": row["text"], "l": {"spam": bool(row["spam"])}} for row in labelled_rows(30)]
    path = write_lines(tmp_path / "a.jsonl", rows)
    examples = read_examples(config_of(path, label_column="l.spam", positive=(True,)), "here", 1)
    known = [label["positive"] for _, label in (*examples.training, *examples.held_out)]
    assert sum(known) == 10


def test_fasttext_that_cannot_train_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fasttext", ModuleType("fasttext"))
    with pytest.raises(
        UserError, match="one without training, expected fasttext-community"
    ) as error:
        fasttext_member.checked_fasttext()
    assert "pip install" in error.value.hint


def test_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"no model")
    with pytest.raises(UserError, match="expected a classifier of gristmill"):
        classifier.make_step("quality", tmp_path / "x.bin", config_of(Path("unused")))


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.booleans()), max_size=30)
)
def test_evaluation_agrees_with_its_definition(pairs: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], np.float32)
    labels = np.array([label for _, label in pairs], np.bool_)
    found = evaluation.evaluate(scores, labels, 0.5)
    positives, negatives = scores[labels], scores[~labels]
    if len(positives) and len(negatives):
        wins = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
        assert found["auc"] == pytest.approx(np.mean(wins))
    else:
        assert found["auc"] is None
    above = [label for score, label in pairs if score >= 0.5]
    assert found["precision"] == (pytest.approx(np.mean(above)) if above else None)
    hits = sum(above)
    assert found["recall"] == (pytest.approx(hits / len(positives)) if len(positives) else None)


def test_the_verb_trains_what_the_recipe_names(labels: Path, tmp_path: Path) -> None:
    table = config_of(labels).model_dump(mode="json")
    data = {"run": {"root": str(tmp_path)}, "dataprep": {"toxicity": table}}
    trained = classifier_training.train_command(Recipe.from_dict(data))
    assert list(trained) == ["toxicity"]
    directory = classifier.model_directory(tmp_path / "documents", "toxicity")
    assert trained["toxicity"].path.parent == directory
    with pytest.raises(UserError, match="expected one of them"):
        classifier_training.train_command(Recipe.from_dict({"run": {"root": str(tmp_path)}}))
