"""Shares turned into thresholds, on a sample of the recipe's own documents.

"The best tenth" and "the worst hundredth" are no thresholds until the scores are known. So, before
the pass, the first records of every shard (in proportion to its bytes, as for `limit`) go through
the chain as far as the classifiers, every one of the living is scored, and of those the documents
with the smallest content hashes are the sample; toxicity's is taken from what quality leaves.
Neither workers nor order have a part in it; `retune` finds the same threshold, from the same
records.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dataprep.config_models import Classifier
from dataprep.models import classifier, quality, toxicity
from dataprep.models.selection import threshold_of_budget, threshold_of_top
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

# Records that are read for each document of the sample: duplicates and what rules drop are not in
# it, and choosing by content hash wants something to choose from.
_RECORDS_A_DOCUMENT = 4
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
    that choose by a share.

    Raises UserError if no document of the sample is left to score.
    """
    from dataprep import sample, side_files

    wanted = calibrated_steps(recipe.dataprep)
    if not wanted:
        return dict(trained)
    config = side_files.with_absolute_paths(recipe.dataprep)
    documents = max(table.calibration_documents for table in wanted.values())
    limit = min(documents * _RECORDS_A_DOCUMENT, recipe.dataprep.limit or 1 << 62)
    arguments = [
        (work, index, part, recipe.sources[part.source_index], config, models, quota)
        for index, (part, quota) in enumerate(
            zip(shards, sample.quotas(shards, limit), strict=True)
        )
        if quota and not _path(work, index).exists()
    ]
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
    records_max: int,
) -> None:
    """Task: content hashes and scores of the first records of a shard, those still alive there."""
    from dataprep.reading.read import read_shard
    from dataprep.shard import chain

    steps = chain(config, models)
    place = next(i for i, step in enumerate(steps) if step.name in _COLUMNS)
    scoring = [replace(step, decide=None) for step in steps if step.name in _COLUMNS]
    columns = ["content_hash", *(_COLUMNS[step.name] for step in scoring)]
    parts = []
    for table, _ in read_shard(shard, source, config, records_max):
        if table.num_rows:
            table = apply_chain(steps[:place], table)
            table = table.filter(pa.array(alive(table)))
            parts.append(apply_chain(scoring, table).select(columns))
    if parts:
        write_sealed(_path(work, index), pa.concat_tables(parts).combine_chunks())


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
    scores = scored[_COLUMNS[name]].drop_null().to_numpy()[: config.calibration_documents]
    scores = np.asarray(scores, np.float32)
    if not len(scores):
        raise UserError(f"dataprep.{name}", "no document left to calibrate on", "one that is kept")
    if name == "quality":
        select, share = "top_share", config.top_share
        choose = partial(threshold_of_top, share=share)
    else:
        assert config.drop_budget is not None
        select, share = "drop_budget", config.drop_budget
        choose = partial(threshold_of_budget, budget=share)
    return {
        "select": select,
        "share": share,
        "threshold": choose(scores),
        "documents": len(scores),
    }


def _with(model: "TrainedClassifier", found: dict[str, Any]) -> "TrainedClassifier":
    facts = {**model.manifest.facts, "calibration": found}
    return replace(model, manifest=replace(model.manifest, facts=facts))
