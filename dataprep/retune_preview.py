"""What other thresholds would keep, from stored columns: nothing is written.

A preview counts before deduplication. It is cheap enough to try dozens of settings one after the
other, and it is what `gristmill dataprep retune --dry-run` prints. Only where a share
(`top_share`, `drop_budget`) must become a threshold anew is a sample of the sources read, in this
process and a temporary directory, as `retune` would read it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep import run, shard
from dataprep.config import Dataprep
from dataprep.contract import stands_beside
from dataprep.decontamination import decontamination
from dataprep.models import calibration, classifier, distil, perplexity_training
from dataprep.reading import read
from dataprep.reading.records import READ_SCHEMA
from dataprep.retune import check, undecided
from dataprep.rights import verdicts
from dataprep.step import Step
from dataprep.stored import read_stored, stored_shards
from dataprep.tasks import in_turn
from dataprep.workspace import Workspace
from dataprep.write import READ_BYTES, REMOVED_SUFFIX
from launch.errors import UserError
from launch.manifest import Manifest

if TYPE_CHECKING:
    from launch.recipe import Recipe

KEPT = "kept"
# Needed to make columns, never to decide.
_UNREAD = {"text", "url", "meta"}
# Tables of what comes after the classifiers: they leave the sample of calibration as it is.
_AFTER_CLASSIFIERS = frozenset(
    (
        *("perplexity", "survivors", "exact", "near_duplicates", "indexes", "spans", "substrings"),
        *("valid_fraction", "quarantine_share_max", "output"),
    )
)


@dataclass(frozen=True)
class Preview:
    """Documents and bytes of text by reason, `kept` among them, before deduplication.

    `unscored` counts kept documents that a classifier has yet to score.
    """

    groups: Mapping[str, tuple[int, int]]
    unscored: int


def preview(recipe: "Recipe", old: Manifest) -> Preview:
    """What the thresholds of `recipe` would keep of the documents that `old` names."""
    scored = _same_model(old, recipe, perplexity_training.NAME)
    models = perplexity_training.models_directory(recipe.documents)
    chain = shard.chain(
        with_found_thresholds(recipe, old),
        {perplexity_training.NAME: models} if scored else {},
    )
    steps = [step for step in chain if step.decide is not None]
    fresh = {
        field.name
        for step in steps
        for field in step.adds
        if step.of_living and not _same_model(old, recipe, step.name)
    }
    fields = _columns(chain)
    names = {field.name for field in fields} - fresh
    made = (READ_BYTES, REMOVED_SUFFIX)  # from the map of removed bytes and the length of the text
    beside = ["text_bytes", *sorted(filter(stands_beside, names))]
    within = [name for name in sorted(names - {*beside}) if not name.endswith(made)]
    groups: dict[str, tuple[int, int]] = {KEPT: (0, 0)}
    unscored = 0
    for part in stored_shards(recipe.documents, old):
        for stored in read_stored(part, [*within, "removed_bytes"], beside):
            table = undecided(stored, fields, fresh, chain[0])
            for step in steps:
                assert step.decide is not None
                table = step.decide(table)
            table = verdicts.marked(table, recipe.dataprep.rights)
            reasons = pc.fill_null(table["drop_reason"], KEPT)
            tally = pa.table({"name": reasons, "bytes": stored["text_bytes"]}).group_by("name")
            for row in tally.aggregate([("bytes", "count"), ("bytes", "sum")]).to_pylist():
                documents, num_bytes = groups.get(row["name"], (0, 0))
                added = (documents + row["bytes_count"], num_bytes + row["bytes_sum"])
                groups[row["name"]] = added
            unscored += _unscored(table, steps, recipe)
    return Preview(dict(sorted(groups.items())), unscored)


def print_preview(recipe: "Recipe") -> None:
    """The preview beside what stands now, on stdout. Raises UserError as `retune.check` does."""
    old, _ = check(recipe, write=False)
    found = preview(recipe, old)
    now = dict(old.facts["dropped"])
    duplicates = sum(
        now.pop(reason) for reason in list(now) if reason.startswith(("exact.", "near_duplicates."))
    )
    now[KEPT] = old.facts["kept"] + duplicates
    print(f"retune: {recipe.documents}, before deduplication")
    print(f"  {'':<44}{'now':>12}{'then':>12}{'MB of text':>12}")
    for name in [KEPT, *sorted({*now, *found.groups} - {KEPT})]:
        documents, num_bytes = found.groups.get(name, (0, 0))
        print(f"  {name:<44}{now.get(name, 0):>12,}{documents:>12,}{num_bytes / 1e6:>12.1f}")
    if found.unscored:
        print(f"  of the kept, {found.unscored:,} have yet to be scored by a classifier")


def _columns(chain: Sequence[Step]) -> list[pa.Field]:
    """The fields that the deciding steps read: what they need and what they have added."""
    known = {field.name: field for field in [*READ_SCHEMA, *(f for s in chain for f in s.adds)]}
    wanted = {name for step in chain if step.decide for name in (*step.needs, *_added(step))}
    return [field for name, field in known.items() if name in wanted - _UNREAD]


def _added(step: Step) -> list[str]:
    return [field.name for field in step.adds]


def with_found_thresholds(recipe: "Recipe", old: Manifest) -> Dataprep:
    """The configuration with the thresholds that stand for its shares: those of the documents, or,
    if the sample that they were found on would be another one, found as `retune` does.

    Raises UserError for a share of a classifier that is not trained yet.
    """
    config = recipe.dataprep
    wanted = calibration.calibrated_steps(config)
    if not wanted:
        return config
    known = {name: old.facts["classifiers"].get(name, {}) for name in wanted}
    now = run.config_of(recipe)
    tables = [
        {key: value for key, value in each["dataprep"].items() if key not in _AFTER_CLASSIFIERS}
        for each in (old.config, now)
    ]
    same = tables[0] == tables[1] and old.config["seed"] == now["seed"]
    if same and all("calibration" in facts for facts in known.values()):
        update: dict[str, Any] = {
            name: calibration.with_threshold(table, known[name]) for name, table in wanted.items()
        }
        return config.model_copy(update=update)
    trained = _trained(recipe)
    models = {str(name): model.path.resolve() for name, model in trained.items()}
    parts = read.shards(recipe.sources, Path.cwd())
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder))
        trained = calibration.calibrate(recipe, work, parts, models, trained, in_turn)
    return calibration.with_thresholds(config, trained)


def _trained(recipe: "Recipe") -> dict[classifier.Name, classifier.TrainedClassifier]:
    """The recipe's classifiers as they lie there: a preview trains none."""
    found = {}
    for name, table in distil.classifier_tables(recipe).items():
        directory = classifier.model_directory(recipe.documents, name)
        model = classifier.find_current(name, table, directory, recipe.run.seed)
        if model is None:
            raise UserError(
                f"dataprep.{name}",
                "a share, which takes scores, and no classifier of these labels and settings",
                "a trained one",
                "gristmill dataprep train-classifier RECIPE; retune without --dry-run trains too",
            )  # fmt: skip
        found[name] = model
    return found


def _same_model(old: Manifest, recipe: "Recipe", name: str) -> bool:
    """Whether the stored scores are those of the recipe's classifier, as far as its table says, or
    the stored passages those of its evaluation sets."""
    if name == perplexity_training.NAME:
        inputs = run.find_inputs(recipe, write=False)
        return perplexity_training.is_stored(old, recipe.dataprep, recipe.run.seed, inputs)
    if name == decontamination.NAME:
        inputs = run.find_inputs(recipe, write=False)
        return decontamination.is_stored(old, recipe.dataprep.decontamination, inputs)
    now = run.config_of(recipe)
    tables = [config["dataprep"].get(name, {}) for config in (old.config, now)]
    deciding = dict.fromkeys(("threshold", "thresholds", *classifier.DECIDING))
    same = [{**(table or {}), **deciding} for table in tables]
    return bool(same[0] == same[1] and old.config["seed"] == now["seed"])


def _unscored(table: pa.Table, steps: list[Step], recipe: "Recipe") -> int:
    missing = np.zeros(table.num_rows, np.bool_)
    for step in steps:
        if step.of_living:
            null = pc.is_null(table[step.adds[0].name]).to_numpy()
            if step.name == perplexity_training.NAME:
                languages = perplexity_training.languages(recipe.dataprep.perplexity)
                null &= pc.is_in(table["language"], pa.array(languages)).to_numpy()
            missing |= null
    return int(np.count_nonzero(missing & pc.is_null(table["drop_reason"]).to_numpy()))
