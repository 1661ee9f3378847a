"""Toxicity: categories and languages, sentences cut, subgroups, masked terms, allow-lists."""

import json
import random
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from dataprep.config import Dataprep
from dataprep.config_models import Classifier, Label, Subgroup
from dataprep.models import classifier, fasttext_member, subgroups
from dataprep.models.labelled import read_examples
from dataprep.models.model_file import load_model
from dataprep.models.preparation import MASK, prepare
from dataprep.retune import retune
from dataprep.run import run
from dataprep.step import apply_chain
from launch.config import parse_model
from launch.errors import UserError
from launch.recipe import Recipe

SMALL: dict[str, Any] = {"buckets": 2000, "dimension": 8, "epochs": 80}
INSULTS, THREATS = ["idiot", "moron", "fool"], ["kill", "hurt", "destroy"]
PLAIN = "the river carries clear water from old mountain to quiet valley town".split()  # noqa: SIM905
CHINESE = {"bad": "滚蛋废物垃圾", "good": "山水河流城市安静"}


def rows() -> list[dict[str, Any]]:
    draw = random.Random(3)
    made = []
    for number in range(700):
        words = draw.choices(PLAIN, k=8)
        insult, threat = number % 3 == 0, number % 5 == 0
        words += draw.choices(INSULTS, k=2) * insult + draw.choices(THREATS, k=2) * threat
        draw.shuffle(words)
        labels = {"toxic": int(insult or threat), "insult": int(insult), "threat": int(threat)}
        if number % 7 == 0:
            labels = {"toxic": labels["toxic"]}  # of the others nothing is known
        made.append({"text": " ".join(words) + f" no {number}", "labels": labels, "zh": 0})
    for number in range(400):
        bad = number % 2 == 0
        signs = draw.choices(CHINESE["good"], k=9) + draw.choices(CHINESE["bad"], k=3) * bad
        draw.shuffle(signs)
        text = "".join(signs) + f"{number}。"
        made.append({"text": text, "labels": {"toxic": int(bad)}, "zh": 1})
    return made


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    write_lines(folder / "en.jsonl", [row for row in rows() if not row["zh"]])
    write_lines(folder / "zh.jsonl", [row for row in rows() if row["zh"]])
    return folder


def config_of(folder: Path, **changes: Any) -> Classifier:
    english = [
        Label(paths=(str(folder / "en.jsonl"),), label_column=f"labels.{category}", positive=(1,),
              unknown=("",), category=category, language="en")
        for category in ("toxic", "insult", "threat")
    ]  # fmt: skip
    chinese = Label(
        paths=(str(folder / "zh.jsonl"),), label_column="labels.toxic", positive=(1,), language="zh"
    )
    return Classifier(labels=(*english, chinese), **SMALL, **changes)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> classifier.TrainedClassifier:
    return classifier.train("toxicity", config_of(folder), tmp_path_factory.mktemp("model"), 1)


def documents(texts: list[str], languages: list[str], reasons: Any = None) -> pa.Table:
    num = len(texts)
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "language": pa.array(languages, pa.string()),
            "drop_reason": pa.array(reasons or [None] * num, pa.string()),
            "drop_value": pa.nulls(num, pa.float64()),
            "drop_threshold": pa.nulls(num, pa.float64()),
        }
    )


@pytest.mark.parametrize(("least", "most", "ngrams"), [(0, 0, 1), (0, 0, 3), (2, 4, 2), (3, 5, 1)])
def test_tables_score_as_fasttext_does(tmp_path: Path, least: int, most: int, ngrams: int) -> None:
    texts = prepare(pa.array([row["text"] for row in rows()], pa.large_string()))
    labels = [f"toxic{'+' if row['labels']['toxic'] else '-'}" for row in rows()]
    fasttext_member.write_lines(tmp_path / "lines.txt", texts, [labels], 0.0, 1)
    model = fasttext.train_supervised(
        str(tmp_path / "lines.txt"), minn=least, maxn=most, wordNgrams=ngrams, bucket=3000, dim=7,
        epoch=25, lr=0.5, thread=1, verbose=0,
    )  # fmt: skip
    table = fasttext_member.folded(model, ["toxic"], least, most, ngrams)
    unseen = ["", "idiots of the valleys", "Mörder émigré!", "垃圾人 滚", "kill kill kill \ue000"]
    asked = pa.concat_arrays([texts, prepare(pa.array(unseen, pa.large_string()))])
    odds = np.zeros((len(asked), 1))
    table.add_scores(asked, odds)
    names, chances = model.predict(asked.to_pylist(), k=2)
    expected = [
        dict(zip(own, values, strict=True))["__label__toxic+"]
        for own, values in zip(names, chances, strict=True)
    ]
    assert 1 / (1 + np.exp(-odds[:, 0])) == pytest.approx(expected, abs=1e-4)
    assert np.std(expected) > 0.05


def test_categories_and_languages(trained: classifier.TrainedClassifier, folder: Path) -> None:
    found = trained.facts["categories"]
    assert list(found) == ["toxic", "insult", "threat"]
    assert found["toxic"]["evaluation"]["auc"] > 0.95
    assert found["insult"]["evaluation"]["auc"] > 0.9
    assert found["threat"]["evaluation"]["auc"] > 0.9
    # A hundred English texts say nothing of insults and threats, and Chinese ones never do.
    counted = found["insult"]["training"], found["insult"]["held_out"]
    assert sum(sum(part.values()) for part in counted) == 600
    assert set(found["toxic"]["languages"]) == {"en", "zh"}
    assert set(found["insult"]["languages"]) == {"en"}
    config = config_of(folder, thresholds={"toxic": 2.0, "insult": 0.6})
    step = classifier.make_step("toxicity", trained.path, config)
    table = documents(
        [
            "the idiot river moron",
            "kill the town hurt destroy",
            "clear water",
            "滚蛋垃圾。",
            "fool",
        ],
        ["en", "en", "en", "zh", "en"],
        [None, None, None, None, "gopher.word_count_low"],
    )
    result = apply_chain([step], table)
    assert result["drop_reason"].to_pylist() == [
        "toxicity.insult", "toxicity.threat", None, None, "gopher.word_count_low",
    ]  # fmt: skip
    assert result["drop_threshold"].to_pylist()[:2] == [0.6, 0.5]
    rows = result.to_pylist()
    assert rows[3]["toxicity_insult"] is None and rows[3]["toxicity_toxic"] > 0.8
    assert rows[4]["toxicity_score"] is None
    best = max(rows[0][f"toxicity_{name}"] for name in ("toxic", "insult", "threat"))
    assert rows[0]["toxicity_score"] == best


def test_a_model_of_other_categories_is_refused(
    trained: classifier.TrainedClassifier, folder: Path, tmp_path: Path
) -> None:
    other = Classifier(labels=config_of(folder).labels[:1])
    with pytest.raises(UserError, match="got categories toxic, insult, threat, expected those of"):
        classifier.make_step("toxicity", trained.path, other)
    np.savez(tmp_path / "x.npz", description=np.array('{"kind": "index", "version": 3}'))
    with pytest.raises(UserError, match="got kind 'index', version 3"):
        load_model(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", something=np.zeros(3))
    with pytest.raises(UserError, match="expected a classifier of gristmill"):
        load_model(tmp_path / "y.npz")
    (tmp_path / "z.npz").write_bytes(trained.path.read_bytes()[:5000])
    with pytest.raises(UserError, match="got no model"):
        load_model(tmp_path / "z.npz")


def test_toxic_sentences_are_cut(trained: classifier.TrainedClassifier, folder: Path) -> None:
    step = classifier.make_step("toxicity", trained.path, config_of(folder, mode="cut"))
    assert not step.of_living
    texts = [
        "The river carries clear water. You idiot moron fool! To the quiet valley.",
        "idiot moron\n\nkill hurt destroy",
        "山水河流。滚蛋废物垃圾！城市安静。",
        "the old mountain",
        "",
        "moron fool idiot. The town.",
    ]
    table = documents(texts, ["en", "en", "zh", "en", "en", "en"], [*[None] * 5, "x.y"])
    result = apply_chain([step], table)
    assert result["text"].to_pylist() == [
        "The river carries clear water. To the quiet valley.", "", "山水河流。城市安静。",
        "the old mountain", "", "The town.",
    ]  # fmt: skip
    assert result["toxicity_sentences"].to_pylist() == [1, 2, 1, 0, 0, 1]
    left = [len(text.encode()) for text in result["text"].to_pylist()]
    removed = result["toxicity_removed_bytes"].to_pylist()
    assert [a + b for a, b in zip(left, removed, strict=True)] == [len(t.encode()) for t in texts]
    reasons = [None, "toxicity.empty", None, None, None, "x.y"]
    assert result["drop_reason"].to_pylist() == reasons


@settings(max_examples=30)
@given(texts=st.lists(st.text(alphabet="idiot kill. !\n滚蛋。山水é", max_size=40), max_size=5))
def test_cutting_loses_no_byte(
    trained: classifier.TrainedClassifier, folder: Path, texts: list[str]
) -> None:
    step = classifier.make_step("toxicity", trained.path, config_of(folder, mode="cut"))
    table = documents(texts, ["en"] * len(texts))
    result = step.apply(table)
    for before, after, removed in zip(
        texts, result["text"].to_pylist(), result["toxicity_removed_bytes"].to_pylist(), strict=True
    ):
        assert len(before.encode()) == len(after.encode()) + removed
        # What stays are characters of the text, in order.
        letters = iter(before)
        assert all(letter in letters for letter in after)


def pages(folder: Path) -> Path:
    draw = random.Random(9)
    lines = []
    for number in range(60):
        text = " ".join(draw.choices(PLAIN, k=40 if number % 4 else 6)).capitalize() + ". "
        if number % 3 == 0:
            text += "You idiot moron fool! And so it goes on."
        if number % 10 == 0:
            text = "idiot moron fool kill."
        lines.append({"text": text, "id": str(number)})
    return write_lines(folder / "pages.jsonl", lines)


def recipe(root: Path, source: Path, table: Classifier, words: int = 10, **more: Any) -> Recipe:
    data = {
        "run": {"root": str(root), "seed": 3},
        "execution": {"workers": more.pop("workers", 1)},
        "sources": [
            {"name": "s", "kind": "jsonl", "paths": [str(source)], "columns": {"id": "id"}}
        ],
        "dataprep": {
            "languages": [], "presets": ["gopher"], "near_duplicates": {"partitions": 2},
            "thresholds": {"gopher": {
                "word_count_low": words, "stop_words_low": 0, "mean_word_length_low": 0,
                "alphabetic_words_low": 0, "top_2gram_characters_high": 1,
                "top_3gram_characters_high": 1, "top_4gram_characters_high": 1,
                **{f"duplicate_{n}gram_characters_high": 1 for n in range(5, 11)},
            }},
            "toxicity": table.model_dump(mode="json"),
            **more,
        },
    }  # fmt: skip
    return Recipe.from_dict(data)


@pytest.mark.slow
def test_retune_after_cuts_is_a_fresh_run(
    folder: Path, tmp_path: Path, ray_session: object
) -> None:
    source = pages(tmp_path)
    label = config_of(folder).labels[:1]
    table = Classifier(labels=label, members=("words",), mode="cut", **SMALL)
    first = run(recipe(tmp_path / "a", source, table, words=10))
    assert first is not None
    assert first.facts["dropped"]["gopher.word_count_low"] > 0
    assert first.facts["bytes_removed"]["toxicity"] > 500
    loose = retune(recipe(tmp_path / "a", source, table, words=3))
    fresh = run(recipe(tmp_path / "b", source, table, words=3))
    assert fresh is not None and fresh.facts["dropped"]["toxicity.empty"] > 0
    assert loose.files_digest == fresh.files_digest and loose.facts == fresh.facts
    for change in ({"mode": "document"}, {"sentence_threshold": 0.3}):
        other = recipe(tmp_path / "a", source, table.model_copy(update=change), words=3)
        with pytest.raises(UserError, match=r"dataprep\.toxicity: got other cuts"):
            retune(other)
    page = (tmp_path / "b" / "documents" / "report.html").read_text()
    for shown in ("nearest to the threshold", "toxicity_score", "Harmless texts that would be"):
        assert shown in page, shown


def test_sources_of_one_class_and_parquet(folder: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (folder / "en.jsonl").open()]
    for name, wanted in (("good", 0), ("bad", 1)):
        part = [{"text": row["text"]} for row in lines if row["labels"]["toxic"] == wanted]
        pq.write_table(pa.Table.from_pylist(part), tmp_path / f"{name}.parquet")
    labels = (
        Label(paths=(str(tmp_path / "bad.parquet"),), every="positive"),
        Label(paths=(str(tmp_path / "good.parquet"),), every="negative"),
    )
    found = read_examples(Classifier(labels=labels), "dataprep.toxicity", 1)
    by_label = (config_of(folder).labels[0].model_copy(update={"category": None}),)
    assert read_examples(Classifier(labels=by_label), "dataprep.toxicity", 1).training == (
        found.training
    )
    with pytest.raises(UserError, match="no column 'body'"):
        wrong = labels[0].model_copy(update={"text_column": "body"})
        read_examples(Classifier(labels=(wrong,)), "dataprep.toxicity", 1)
    with pytest.raises(UserError, match="only positive labels of 'toxic'"):
        read_examples(Classifier(labels=labels[:1]), "dataprep.toxicity", 1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"labels": [{"paths": ["x"]}]}, "either positive .* or every"),
        ({"thresholds": {"threat": 0.1}}, "which no label has as category"),
        ({"select": "pareto"}, "dataprep.toxicity.select: got a value, expected none"),
        ({"mode": "cut", "drop_budget": 0.01}, "none with mode = 'cut'"),
        ({"labels": [{"paths": ["x"], "every": "positive", "auxiliary": True}]}, "of its own"),
    ],
)
def test_tables_that_mean_nothing_are_refused(table: dict[str, Any], message: str) -> None:
    whole = {"labels": [{"paths": ["x"], "positive": [1]}], **table}
    with pytest.raises(UserError, match=message):
        parse_model(Dataprep, {"toxicity": whole}, "dataprep")


def test_terms_of_identity_weigh_alike_when_masked(trained: classifier.TrainedClassifier) -> None:
    model = load_model(trained.path)
    texts = [f"the {who} who live in the old town" for who in ("muslims", "Jews", "black people")]
    scores = model.scores(pa.array(texts, pa.large_string()), pa.chunked_array([["en"] * 3]))
    assert np.ptp(scores, axis=0).tolist() == [0.0] * 3
    prepared = prepare(pa.array(["Jews!", "jewsharp"], pa.large_string()), model.masked)
    assert prepared.to_pylist() == [f"{MASK} !", "jewsharp"]


def test_hidden_spellings_are_undone() -> None:
    texts = ["f\u200bu\u00adck", "ＦＵＣＫ", "fuuuuuck!!!!!", "3000 哈哈哈哈", "snake_case"]
    prepared = prepare(pa.array(texts, pa.large_string())).to_pylist()
    assert prepared == ["fuck", "fuck", "fuuck ! !", "3000 哈 哈", "snake case"]


def test_subgroups_by_definition(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    texts = ["I am gay", "old water", "女性 and men", "breast cancer", "the mountain"] * 400
    scores = draw.random(len(texts), np.float32)
    scores[::5] += 0.2
    toxic = draw.random(len(texts)) < 0.3
    (tmp_path / "water.txt").write_text("# rivers\nwater\n")
    own = Subgroup(name="water", paths=(str(tmp_path / "water.txt"),))
    config = Classifier(labels=(Label(paths=("x",), positive=(1,)),), subgroups=(own,))
    groups = subgroups.all_subgroups(config, "dataprep.toxicity")
    found = subgroups.measure(texts, scores, toxic, groups)
    for key, pool in (("of_all", scores), ("of_harmless", scores[~toxic])):
        # The worst 1 %: of 2,000 texts 20.
        bound = sorted(pool, reverse=True)[int(0.01 * len(pool))]
        gay = np.array([text == "I am gay" for text in texts])
        hits, number = int((gay & ~toxic & (scores > bound)).sum()), int((gay & ~toxic).sum())
        assert hits > 0
        entry = found[key]["subgroups"]["homosexual"]
        assert (entry["dropped"], entry["harmless"]) == (hits, number)
        interval = binomtest(hits, number).proportion_ci(method="wilson")
        assert (entry["low"], entry["high"]) == pytest.approx((interval.low, interval.high))
        average = (~toxic & (scores > bound)).sum() / (~toxic).sum()
        assert entry["ratio"] == pytest.approx(hits / number / average)
        assert found[key]["worst_ratio"] == max(
            row["ratio"]
            for row in found[key]["subgroups"].values()
            if row["ratio"] is not None and row["harmless"] * average >= 2
        )
    assert found["of_all"]["subgroups"]["water"]["harmless"] == (~toxic[1::5]).sum()
    assert found["of_all"]["subgroups"]["women"]["harmless"] == (~toxic[2::5]).sum()


def test_own_subgroups_say_what_they_are() -> None:
    kinds = {table["kind"] for table in subgroups.own_subgroups().values()}
    assert kinds == {"identity", "dialect", "medical", "quotation"}
    for name, table in subgroups.own_subgroups().items():
        assert table["meaning"] and table["words"], name
        assert len(set(table["words"])) == len(table["words"]), name
