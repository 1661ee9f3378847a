"""An annotator distilled: its answers are labels like others, and how far the classifier agrees.

In: the recipe and the directories that `annotate` wrote. Out: the classifiers' tables with the
answers among their labels; and, of a trained classifier, its agreement with the annotator on
documents that it has not learnt from, scored as the run scores them.
"""

import glob
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dataprep.config_models import Classifier, Label
from dataprep.models import agreement, classifier
from dataprep.models.annotate import annotations_directory, identity, resolved_prompt
from dataprep.models.annotation_files import (
    HELD_OUT,
    KIND,
    TRAINING,
    UNANSWERED,
    VERSION,
    part,
    rows_of,
    words_of,
)
from dataprep.models.classifier import NAMES, Name, TrainedClassifier
from dataprep.models.evaluation import Scores
from dataprep.models.labelled import read_examples
from launch.errors import UserError
from launch.manifest import FILE_NAME, Manifest, digest_json, has_manifest, read_manifest

if TYPE_CHECKING:
    from launch.recipe import Recipe


def classifier_tables(recipe: "Recipe") -> dict[Name, Classifier]:
    """The recipe's tables of classifiers, answers of annotators among their labels.

    Raises UserError if answers are not there, or are those of another annotator.
    """
    tables = {name: getattr(recipe.dataprep, name) for name in NAMES}
    return {
        name: table if table.annotator is None else _with_answers(recipe, name, table)
        for name, table in tables.items()
        if table is not None
    }


def with_agreement(
    recipe: "Recipe", trained: Mapping[Name, TrainedClassifier]
) -> dict[Name, TrainedClassifier]:
    """The classifiers, those with an annotator with `agreement` among their facts."""
    return {name: _measured(recipe, name, model) for name, model in trained.items()}


def explain_answers(recipe: "Recipe", document: str) -> Iterator[str]:
    """What annotators said of a document, by its id or content hash, a line each."""
    for name in NAMES:
        directory = annotations_directory(recipe.run.root, name)
        if not (directory / FILE_NAME).exists():
            continue
        manifest = read_manifest(directory, KIND, VERSION)
        for kind in (TRAINING, HELD_OUT, UNANSWERED):
            for row in rows_of(part(manifest, directory, kind)):
                if document not in (row["id"], row["content_hash"]):
                    continue
                if kind == UNANSWERED:
                    said = f"no answer: {row['reason']}"
                else:
                    verdict = "positive" if row["positive"] else "negative"
                    use = "learnt from" if kind == TRAINING else "held out"
                    said = f"{row['answer']}, {verdict}; {use}"
                yield f"  annotator      {name}: {said}"


def _with_answers(recipe: "Recipe", name: Name, table: Classifier) -> Classifier:
    directory = annotations_directory(recipe.run.root, name)
    manifest = _annotations(recipe, name, table)
    path = glob.escape(str(part(manifest, directory, TRAINING)))
    label = Label(paths=(path,), label_column="positive", positive=(True,))
    # Without the annotator: how it is asked makes no other classifier.
    return table.model_copy(update={"labels": (*table.labels, label), "annotator": None})


def _annotations(recipe: "Recipe", name: Name, table: Classifier) -> Manifest:
    assert table.annotator is not None
    directory = annotations_directory(recipe.run.root, name)
    where, hint = f"dataprep.{name}.annotator", "first: gristmill dataprep annotate RECIPE"
    if not has_manifest(directory):
        raise UserError(where, f"no answers in {directory}", "those of an annotator", hint)
    manifest = read_manifest(directory, KIND, VERSION)
    wanted = identity(table.annotator, resolved_prompt(name, table.annotator))
    found = manifest.config["annotator"]
    if digest_json(found) != digest_json(wanted):
        key = next(key for key in sorted({*found, *wanted}) if found.get(key) != wanted.get(key))
        raise UserError(
            f"{where}.{key}", "another value than the answers were made with", "the same", hint
        )
    return manifest


def _measured(recipe: "Recipe", name: Name, model: TrainedClassifier) -> TrainedClassifier:
    table: Classifier = getattr(recipe.dataprep, name)
    if table.annotator is None:
        return model
    directory = annotations_directory(recipe.run.root, name)
    manifest = _annotations(recipe, name, table)
    rows = list(rows_of(part(manifest, directory, HELD_OUT)))
    rows, num_learnt = _unlearnt(recipe, name, table, rows)
    found = agreement.measure(rows, _scores(name, model, table, rows), table.threshold)
    found["annotator"] = {
        "kind": table.annotator.kind,
        "name": table.annotator.model or table.annotator.encoder,
        "left_out": num_learnt,
        **manifest.facts,
    }
    facts = {**model.manifest.facts, "agreement": found}
    return replace(model, manifest=replace(model.manifest, facts=facts))


def _unlearnt(
    recipe: "Recipe", name: Name, table: Classifier, rows: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], int]:
    """Those rows whose words the classifier has not learnt from a labelled file too, and the number
    of the others. A refit learns what was held out of the files as well."""
    if not table.labels:
        return rows, 0
    extended = _with_answers(recipe, name, table)
    examples = read_examples(extended, f"dataprep.{name}", recipe.run.seed)
    refit = examples.held_out if table.refit else ()
    learnt = {text for text, _ in (*examples.training, *refit)}
    words = words_of([row["text"] for row in rows])
    kept = [row for row, own in zip(rows, words, strict=True) if own not in learnt]
    return kept, len(rows) - len(kept)


def _scores(
    name: Name, model: TrainedClassifier, table: Classifier, rows: list[dict[str, Any]]
) -> Scores:
    """Shape [rows], float32: what the run's step gives to these texts."""
    nothing = pa.nulls(len(rows))
    columns = {
        "text": pa.array([row["text"] for row in rows], pa.large_string()),
        "drop_reason": nothing.cast(pa.string()),
        "drop_value": nothing.cast(pa.float64()),
        "drop_threshold": nothing.cast(pa.float64()),
    }
    scored = classifier.make_step(name, model.path, table).apply(pa.table(columns))
    return np.asarray(scored[f"{name}_score"].to_numpy(), np.float32)
