"""Shares turned into thresholds, on a sample of the recipe's own documents.

"The best tenth" and "the worst hundredth" are no thresholds until the scores are known. So, before
the pass, documents that are spread over every shard (`spread`), in proportion to its bytes, go
through the chain as far as the classifiers, and every one of the living is scored by the very model
that the pass will use. Each stands for so many of its shard as it was drawn from; toxicity's sample
is taken from what quality leaves. Neither workers nor order have a part in it; `retune` finds the
same threshold, from the same documents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_models import Classifier
from dataprep.models import classifier, quality, selection, toxicity
from dataprep.sealed import read_sealed, write_sealed
from dataprep.step import alive, apply_chain
from dataprep.workspace import Workspace
from launch.errors import UserError
from launch.log import get_logger

if TYPE_CHECKING:
    from dataprep.config import Dataprep, Source
    from dataprep.models.classifier import Name, TrainedClassifier
    from dataprep.reading.read import Shard
    from launch.recipe import Recipe

# Documents that are drawn for each one of the sample: those that rules drop are not in it.
_DRAWN_A_DOCUMENT = 4
# Text that goes through the chain at once, bytes.
_BATCH_BYTES = 16 << 20
# Who is left out where more are alive than are wanted: a number that is not that of `spread`.
_DRAW_SEED = 1
_WEIGHT = "weight"
_COLUMNS = {"quality": quality.COLUMN, "toxicity": toxicity.COLUMN}

Tasks = Callable[[Callable[..., None], list[tuple[Any, ...]], str], None]


def calibrated_steps(config: "Dataprep") -> "dict[Name, Classifier]":
    """The tables of classifiers that choose by a share."""
    found: dict[Name, Classifier] = {}
    if config.quality is not None and config.quality.select == "top_share":
        found["quality"] = config.quality
    if config.toxicity is not None and config.toxicity.drop_budget is not None:
        found["toxicity"] = config.toxicity
    return found


def calibrate(
    recipe: "Recipe",
    work: Workspace,
    shards: "Sequence[Shard]",
    models: "Mapping[str, Path]",
    trained: "Mapping[Name, TrainedClassifier]",
    run_tasks: Tasks,
) -> "dict[Name, TrainedClassifier]":
    """`trained`, with `calibration` (threshold, documents, share, select) among the facts of those
    that choose by a share. `documents` is the number that was scored.

    Raises UserError if no document of the sample is left to score.
    """
    from dataprep import sample, side_files

    wanted = calibrated_steps(recipe.dataprep)
    if not wanted:
        return dict(trained)
    config = side_files.with_absolute_paths(recipe.dataprep)
    documents = max(table.calibration_documents for table in wanted.values())
    drawn = documents * _DRAWN_A_DOCUMENT
    limits = sample.quotas(shards, recipe.dataprep.limit)
    total = sum(part.num_bytes + 1 for part in shards)
    arguments = []
    for index, (part, quota) in enumerate(zip(shards, sample.quotas(shards, drawn), strict=True)):
        # Of very many shards not each has a document in the sample; then it stands for others too.
        chance = min(1.0, drawn * (part.num_bytes + 1) / total)
        if quota and limits[index] != 0 and not _path(work, index).exists():
            source = recipe.sources[part.source_index]
            arguments.append(
                (work, index, part, source, config, models, quota, limits[index], chance)
            )
    run_tasks(score_sample, arguments, "calibration")
    paths = [_path(work, index) for index in range(len(shards)) if _path(work, index).exists()]
    scored = pa.concat_tables([read_sealed(path) for path in paths]) if paths else None
    if scored is None or not scored.num_rows:
        raise UserError(
            "dataprep", "no document left to calibrate on", "one that no rule drops",
            "choose by threshold: select = 'threshold', no drop_budget",
        )  # fmt: skip
    scored = _by_content(scored)
    found = dict(trained)
    for name in classifier.NAMES:
        if name in wanted:
            found[name] = _with(found[name], _calibration(name, wanted[name], scored))
            facts = found[name].facts["calibration"]
            get_logger("dataprep").info(
                "%s: threshold %.4f, from %d documents", name, facts["threshold"],
                facts["documents"],
            )  # fmt: skip
        if name == "quality" and recipe.dataprep.quality is not None:
            own = with_threshold(recipe.dataprep.quality, found["quality"].facts)
            step = quality.make_step(None, own)
            assert step.decide is not None
            decided = step.decide(scored)
            scored = decided.filter(pa.array(alive(decided)))
    return found


def with_thresholds(config: "Dataprep", trained: "Mapping[Name, TrainedClassifier]") -> "Dataprep":
    """The configuration with the thresholds that were found, for the tasks."""
    update: dict[str, Any] = {
        name: with_threshold(table, trained[name].facts)
        for name, table in calibrated_steps(config).items()
    }
    return config.model_copy(update=update)


def with_threshold(config: Classifier, facts: Mapping[str, Any]) -> Classifier:
    """The table with the threshold of `facts`, if one was found."""
    found = facts.get("calibration")
    return config if found is None else config.model_copy(update={"threshold": found["threshold"]})


def score_sample(
    work: Workspace,
    index: int,
    shard: "Shard",
    source: "Source",
    config: "Dataprep",
    models: "Mapping[str, Path]",
    documents_max: int,
    records_max: int | None,
    chance: float,
) -> None:
    """Task: content hashes, scores and weights of documents of a shard that are alive there.

    At most `documents_max` are drawn, of a sample run's first `records_max` records; `chance` is
    that of the shard to be asked at all.
    """
    from dataprep.models.spread import draw_documents
    from dataprep.shard import chain

    steps = chain(config, models)
    place = next(i for i, step in enumerate(steps) if step.name in _COLUMNS)
    scoring = [replace(step, decide=None) for step in steps if step.name in _COLUMNS]
    columns = ["content_hash", *(_COLUMNS[step.name] for step in scoring)]
    drawn = draw_documents(shard, source, config, documents_max, records_max)
    documents = drawn.documents
    rows = max(1, _BATCH_BYTES * documents.num_rows // max(1, documents.nbytes))
    parts = []
    for first in range(0, documents.num_rows, rows):
        table = apply_chain(steps[:place], documents.slice(first, rows).combine_chunks())
        table = table.filter(pa.array(alive(table)))
        parts.append(apply_chain(scoring, table).select(columns))
    if parts:
        found = pa.concat_tables(parts).combine_chunks()
        weights = pa.array(np.full(found.num_rows, drawn.weight / chance), pa.float64())
        write_sealed(_path(work, index), found.append_column(_WEIGHT, weights))


def _path(work: Workspace, index: int) -> Path:
    return work.directory / "calibration" / f"shard-{index:05d}.parquet"


def _by_content(scored: pa.Table) -> pa.Table:
    """One row for each content, by content hash, with empty columns of decisions."""
    hashes = scored["content_hash"].combine_chunks()
    keys = np.frombuffer(b"".join(hashes.to_pylist()), ">u8").reshape(-1, 2)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    table = scored.take(pa.array(order[first]))
    kinds = {"drop_reason": pa.string(), "drop_value": pa.float64(), "drop_threshold": pa.float64()}
    for name, kind in kinds.items():
        table = table.append_column(name, pa.nulls(table.num_rows, kind))
    return table


def _calibration(name: "Name", config: Classifier, scored: pa.Table) -> dict[str, Any]:
    # NaN and null: texts of which the classifier knows no category.
    known = scored.filter(pc.is_valid(scored[_COLUMNS[name]]))
    draws = selection.uniform(known["content_hash"], _DRAW_SEED)
    chosen = np.argsort(draws, kind="stable")[: config.calibration_documents]
    scores = np.asarray(known[_COLUMNS[name]].to_numpy()[chosen], np.float32)
    weights = np.asarray(known[_WEIGHT].to_numpy()[chosen], np.float64)
    if not len(scores):
        raise UserError(f"dataprep.{name}", "no document left to calibrate on", "one that is kept")
    if name == "quality":
        select, share = "top_share", config.top_share
        threshold = selection.threshold_of_top(scores, share, weights)
    else:
        assert config.drop_budget is not None
        select, share = "drop_budget", config.drop_budget
        threshold = selection.threshold_of_budget(scores, share, weights)
    return {
        "select": select,
        "share": share,
        "threshold": threshold,
        "documents": len(scores),
    }


def _with(model: "TrainedClassifier", found: dict[str, Any]) -> "TrainedClassifier":
    facts = {**model.manifest.facts, "calibration": found}
    return replace(model, manifest=replace(model.manifest, facts=facts))
