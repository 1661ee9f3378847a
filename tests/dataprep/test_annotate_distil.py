"""Annotators distilled: answers are labels, agreement is measured on what was never learnt."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.annotator_server import score_of
from dataprep import run
from dataprep.config_annotator import Annotator
from dataprep.config_models import Classifier, Label
from dataprep.models import annotate, classifier_training, distil
from dataprep.models.annotation_files import HELD_OUT, TRAINING, part, rows_of, words_of
from dataprep.models.labelled import read_examples
from dataprep.report import annotator as report_annotator
from launch.errors import UserError
from launch.manifest import read_manifest
from launch.recipe import Recipe
from tests.dataprep.annotated_recipe import document_text, make_recipe, write_documents
from tests.dataprep.test_annotate import serving

ANNOTATOR = {"documents": 300, "held_out_fraction": 0.3}


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder whose documents were annotated, and the endpoint's address then."""
    folder = tmp_path_factory.mktemp("annotated")
    write_documents(folder / "texts", 400)
    with serving() as server:
        annotate.annotate(make_recipe(folder, ANNOTATOR, {"url": server.url}))
        return folder, server.url


def recipe_of(annotated: tuple[Path, str], **more: Any) -> Recipe:
    folder, url = annotated
    return make_recipe(folder, ANNOTATOR, {"url": url}, **more)


def test_a_classifier_learns_from_answers_and_agrees(annotated: tuple[Path, str]) -> None:
    trained = classifier_training.train_command(recipe_of(annotated))["quality"]
    found = trained.facts["agreement"]
    directory = annotate.annotations_directory(annotated[0] / "root", "quality")
    manifest = read_manifest(directory, "annotations", 1)
    held_out = list(rows_of(part(manifest, directory, HELD_OUT)))
    assert found["documents"] == len(held_out) > 50
    assert found["accuracy"] > 0.9 and found["kappa"] > 0.8 and found["auc"] > 0.95
    assert found["spearman"] > 0.5
    assert found["annotator"]["documents"] == 300 and found["annotator"]["left_out"] == 0
    learnt = trained.facts["training"], trained.facts["held_out"]
    rows = list(rows_of(part(manifest, directory, TRAINING)))
    assert sum(sum(counts.values()) for counts in learnt) == len(rows)
    assert not {*words_of([row["text"] for row in rows])} & {
        *words_of([row["text"] for row in held_out])
    }
    line = report_annotator.agreement_line(found)
    assert f"on {len(held_out)} unseen documents" in line and "kappa" in line


def test_the_run_expects_the_scores_that_answers_teach() -> None:
    asked = Annotator(model="a-model", prompt="How toxic, 0 to 5? {text}")
    table = Classifier(annotator=asked)
    answers = Label(paths=("answers.parquet",), label_column="positive", positive=(True,))
    learnt = table.model_copy(update={"labels": (answers,), "annotator": None})
    assert table.categories("toxicity") == learnt.categories("toxicity") == ("toxic",)
    assert table.languages == learnt.languages == (None,)


def test_held_out_documents_that_files_label_too_are_left_out(
    annotated: tuple[Path, str], tmp_path: Path
) -> None:
    directory = annotate.annotations_directory(annotated[0] / "root", "quality")
    held_out = list(rows_of(part(read_manifest(directory, "annotations", 1), directory, HELD_OUT)))
    known = held_out[:20]
    texts = [{"text": row["text"].upper(), "label": int(row["positive"])} for row in known]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    labels = [{"paths": [str(tmp_path / "own.jsonl")], "positive": [1]}]
    recipe = recipe_of(annotated, labels=labels)
    trained = classifier_training.train_command(recipe)["quality"]
    table = distil.classifier_tables(recipe)["quality"]
    examples = read_examples(table, "here", 1)
    # The refit learns what was held out of the files too.
    learnt = {text for text, _ in (*examples.training, *examples.held_out)}
    both = [words for words in words_of([row["text"] for row in known]) if words in learnt]
    found = trained.facts["agreement"]
    assert found["annotator"]["left_out"] == len(both) == 20
    assert found["documents"] == len(held_out) - len(both)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"model": "newer"}, "model"),
        ({"positive_min": 4.0}, "positive_min"),
        ({"documents": 7}, "documents"),
    ],
)
def test_answers_of_another_annotator_are_refused(
    annotated: tuple[Path, str], change: dict[str, Any], key: str
) -> None:
    recipe = make_recipe(annotated[0], ANNOTATOR | change, {})
    with pytest.raises(UserError, match=f"annotator.{key}.*another value than the answers"):
        run.find_inputs(recipe, write=False)
    # How they are asked for makes no difference.
    slower = make_recipe(annotated[0], ANNOTATOR, {"requests_at_once": 1, "url": "https://h/v1"})
    assert run.config_of(slower) == run.config_of(recipe_of(annotated))
    assert run.find_inputs(slower, write=False) == run.find_inputs(
        recipe_of(annotated), write=False
    )


def test_the_report_shows_agreement_and_escapes(annotated: tuple[Path, str]) -> None:
    trained = classifier_training.train_recipe(recipe_of(annotated))
    facts = json.loads(json.dumps({name: model.facts for name, model in trained.items()}))
    found = facts["quality"]["agreement"]
    found["disagreements"] = [
        {"id": "<i>", "answer": "<b>", "positive": True, "score": 0.1, "begins": "<script>"}
    ]
    page = report_annotator.annotators({"facts": {"classifiers": facts}})
    assert "Cohen" in page and "annotator: positive" in page and "answer 5" in page
    assert "<script>" not in page and "&lt;script&gt;" in page and "<b>" not in page
    assert "No classifier" in report_annotator.annotators({"facts": {}})


def test_explain_says_what_the_annotator_said(annotated: tuple[Path, str]) -> None:
    recipe = recipe_of(annotated)
    directory = annotate.annotations_directory(annotated[0] / "root", "quality")
    rows = list(rows_of(part(read_manifest(directory, "annotations", 1), directory, TRAINING)))
    (line,) = distil.explain_answers(recipe, rows[0]["id"])
    verdict = "positive" if rows[0]["positive"] else "negative"
    assert line.split(": ")[1] == f"{rows[0]['score']}, {verdict}; learnt from"
    assert list(distil.explain_answers(recipe, "s:no such")) == []


@pytest.mark.slow
def test_a_run_drops_what_the_annotator_would(annotated: tuple[Path, str]) -> None:
    from dataprep.contract import iterate_tables, kept_files

    recipe = recipe_of(annotated)
    manifest = run.run(recipe)
    assert manifest is not None
    found = manifest.facts["classifiers"]["quality"]["agreement"]
    report = json.loads((recipe.documents / "report.json").read_text())
    assert report["facts"]["classifiers"]["quality"]["agreement"] == found
    assert "Cohen" in (recipe.documents / "report.html").read_text()
    files = [*kept_files(manifest, "train"), *kept_files(manifest, "valid")]
    kept = [
        t for table in iterate_tables(recipe.documents, files) for t in table["text"].to_pylist()
    ]
    good = sum(score_of(document_text(n)) >= 3 for n in range(400))
    right = sum(score_of(text) >= 3 for text in kept)
    assert right > 0.9 * good and right > 0.9 * len(kept)
    assert run.run(recipe) == manifest
