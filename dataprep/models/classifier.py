"""Classifiers of our own, for quality and for toxicity, trained once.

In: the labelled files that the recipe names. Out: a model file with its digest in its name,
evaluated, by category, language and subgroup, on examples that it has not seen; and the step that
applies it (`quality`, `toxicity`). What a model is made of: `training`.

Sources: fastText for quality as DCLM (arXiv:2406.11794), for toxicity as Dolma (arXiv:2402.00159).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dataprep.config_models import DEFAULT_CATEGORY, Classifier
from dataprep.models import quality, subgroups, toxicity, training
from dataprep.models.evaluation import by_category, class_counts
from dataprep.models.fasttext_member import checked_fasttext
from dataprep.models.labelled import Examples, input_digests, read_examples
from dataprep.models.model_file import SUFFIX, Model, load_model, save_model
from dataprep.step import Step
from launch.errors import UserError
from launch.log import get_logger
from launch.manifest import (
    FILE_NAME,
    FileEntry,
    Input,
    Manifest,
    commit_file,
    digest_json,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    pass

KIND = "classifier"
VERSION = 3
Name = Literal["quality", "toxicity"]
NAMES: tuple[Name, ...] = ("quality", "toxicity")
# Keys of a table that decide on scores, not what they are.
DECIDING = (
    "select", "top_share", "pareto_alpha", "draw_seed", "drop_budget", "calibration_documents",
    "mode", "sentence_threshold",
)  # fmt: skip


@dataclass(frozen=True)
class TrainedClassifier:
    """A model on disk: where it lies, and what its manifest says of it."""

    path: Path
    manifest: Manifest

    @property
    def facts(self) -> dict[str, Any]:
        """Digest of the model, numbers of examples, and the evaluation (see `evaluation`).

        Everything measured on held-out texts (`evaluation`, `categories`, `subgroups`) is of the
        model that `evaluated` names: one that has not seen them. With a refit that is not the one
        that is shipped, which has learnt them too.
        """
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
    masked, groups = _terms(name, config)
    described = _described(name, config, seed, masked, groups)
    found = None if force else _current(directory, described, inputs)
    if found is not None:
        return found
    logger = get_logger("dataprep")
    checked_fasttext()
    examples = read_examples(config, where, seed)
    logger.info("training the %s classifier from %d texts", name, len(examples.training))
    directory.mkdir(parents=True, exist_ok=True)
    trained = training.train_model(
        config, config.categories(name), examples, masked, directory, seed
    )
    entry = _commit(trained.model, directory)
    facts = _facts(name, config, examples, trained, entry, groups)
    manifest = Manifest(KIND, VERSION, described, inputs, (entry,), facts)
    write_manifest(directory, manifest)
    logger.info("%s classifier: %s", name, describe(facts))
    return TrainedClassifier(directory / entry.path, manifest)


def find_current(
    name: Name, config: Classifier, directory: Path, seed: int
) -> TrainedClassifier | None:
    """The classifier in `directory`, if it is the one that `train` would give; nothing is trained.

    Raises UserError if a labelled file is missing.
    """
    inputs = input_digests(config, f"dataprep.{name}")
    return _current(directory, _described(name, config, seed, *_terms(name, config)), inputs)


def _terms(name: Name, config: Classifier) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The terms that are masked, and the words of the subgroups."""
    if name != "toxicity":
        return (), {}
    masked = subgroups.masked_terms() if config.mask_identity else ()
    return masked, subgroups.all_subgroups(config, f"dataprep.{name}")


def _described(
    name: Name,
    config: Classifier,
    seed: int,
    masked: tuple[str, ...],
    groups: Mapping[str, tuple[str, ...]],
) -> dict[str, Any]:
    """What decides a model beside its labelled files."""
    return {
        "name": name,
        "seed": seed,
        "terms": digest_json([masked, {key: list(words) for key, words in groups.items()}]),
        **config.model_dump(mode="json", exclude=set(DECIDING)),
    }


def _current(
    directory: Path, described: Mapping[str, Any], inputs: tuple[Input, ...]
) -> TrainedClassifier | None:
    if not (directory / FILE_NAME).exists():
        return None
    manifest = _read_manifest(directory)
    if (
        manifest is None
        or manifest.inputs != inputs
        or manifest.config_digest != digest_json(described)
    ):
        return None
    return TrainedClassifier(directory / manifest.files[0].path, manifest)


def _read_manifest(directory: Path) -> Manifest | None:
    """The manifest of the model that is there; None if an older version wrote it."""
    try:
        return read_manifest(directory, KIND, VERSION)
    except UserError:
        return None


def _commit(model: Model, directory: Path) -> FileEntry:
    temporary = directory / f".model.{secrets.token_hex(6)}{SUFFIX}"
    try:
        save_model(model, temporary)
        return commit_file(temporary, directory, "model", SUFFIX, None)
    finally:
        temporary.unlink(missing_ok=True)


def _facts(
    name: Name,
    config: Classifier,
    examples: Examples,
    trained: training.Trained,
    entry: FileEntry,
    groups: Mapping[str, tuple[str, ...]],
) -> dict[str, Any]:
    model, scores = trained
    held_out = [own for _, own in examples.held_out]
    thresholds = {category: config.threshold_of(category) for category in model.categories}
    categories = by_category(scores, held_out, examples.held_out_languages, thresholds)
    for category, found in categories.items():
        found["training"] = class_counts(
            [own[category] for _, own in examples.training if category in own]
        )
    first = categories[model.categories[0]]
    num_learnt, num_held_out = len(examples.training), len(examples.held_out)
    facts = {
        "digest": entry.digest,
        "evaluated": {
            "model": "before_refit" if config.refit else "shipped",
            "texts": num_learnt,
        },
        "shipped": {
            "refit": config.refit,
            "texts": num_learnt + (num_held_out if config.refit else 0),
        },
        "training": first["training"],
        "held_out": first["held_out"],
        "conflicting_texts": examples.num_conflicts,
        "evaluation": first["evaluation"],
        "categories": categories,
        "groups": {
            own.language or "any": {
                member: dict(
                    zip(
                        [model.categories[place] for place in own.scored],
                        np.round(weights, 4).tolist(),
                        strict=True,
                    )
                )
                for member, weights in zip(own.members, own.weights, strict=True)
            }
            for own in model.groups
        },
        "masked_terms": len(model.masked),
    }
    if name == "toxicity":
        worst = np.fmax.reduce(scores, axis=1)
        known = ~np.isnan(worst)
        known &= np.array([any(c in own for c in model.categories) for own in held_out], np.bool_)
        toxic = np.array(
            [any(own.get(c, False) for c in model.categories) for own in held_out], np.bool_
        )
        texts = [examples.held_out_texts[row] for row in np.flatnonzero(known).tolist()]
        facts["subgroups"] = subgroups.measure(texts, worst[known], toxic[known], groups)
    return facts


def model_directory(documents: Path, name: Name) -> Path:
    """Where the classifier of a step lies below the documents' directory."""
    return documents / "models" / name


def describe(facts: dict[str, Any]) -> str:
    """The evaluation in one line, for people; of several categories the first."""
    found = facts["evaluation"]
    held_out = facts["held_out"]
    if found["auc"] is None:
        return f"not evaluated: {held_out} held-out texts are of one class"
    others = "".join(
        f"; {category} AUC {own['evaluation']['auc']:.3f}"
        for category, own in list(facts["categories"].items())[1:]
        if own["evaluation"]["auc"] is not None
    )
    return (
        f"AUC {found['auc']:.3f}, at threshold {found['threshold']:g} precision "
        f"{_percent(found['precision'])}, recall {_percent(found['recall'])} "
        f"on {held_out['positive'] + held_out['negative']} held-out texts{others}"
        f"{told_of_refit(facts)}"
    )


def told_of_refit(facts: Mapping[str, Any]) -> str:
    """Which model was measured, as the end of a line; empty if it is the one that is shipped."""
    evaluated, shipped = facts.get("evaluated", {}), facts.get("shipped", {})
    if evaluated.get("model") != "before_refit":
        return ""
    return (
        f"; measured before the refit, on a model of {evaluated['texts']:,} texts; "
        f"the shipped one has learnt all {shipped['texts']:,}"
    )


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.0f} %"


def make_step(name: Name, model_path: Path | None, config: Classifier) -> Step:
    """The step that applies a classifier (see `quality`, `toxicity`).

    The model is loaded here, so make the step in the process that uses it; without one the step can
    decide but not score. Raises UserError if the model cannot be loaded, or scores others than the
    recipe's categories.
    """
    model = None if model_path is None else load_model(model_path)
    categories = config.categories(name)
    if model is not None and model.categories != categories:
        raise UserError(
            str(model_path), f"categories {', '.join(model.categories)}",
            f"those of dataprep.{name}: {', '.join(categories)}", "train it again: --force",
        )  # fmt: skip
    if name == "quality":
        return quality.make_step(model, config)
    return toxicity.make_step(model, config, categories)


assert tuple(DEFAULT_CATEGORY) == NAMES
