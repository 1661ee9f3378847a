"""Other thresholds for documents that are there already, without reading the sources again.

    restage    every shard as the pass left it: rows in order, decisions undone, made again
    finish     deduplication, writing, report, manifest: the code of `run`     (run.finish)

Signals, scores and signatures are stored; text is worked on only for rows that come back to life
and have none. The result is that of a fresh run of the new recipe: the same files, byte for byte.
What changes how a text is read or edited is refused, as are changed sources.
"""

import functools
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep import run, shard
from dataprep.config import Dataprep
from dataprep.contract import KIND, VERSION
from dataprep.decontamination import decontamination
from dataprep.dedup import signature
from dataprep.dedup.survivors import with_source_order
from dataprep.models import calibration, classifier_training, perplexity_training
from dataprep.reading import read
from dataprep.reading.records import READ_SCHEMA
from dataprep.side_files import PREFIX, with_absolute_paths
from dataprep.stage import is_staged, open_stage
from dataprep.step import Step, alive
from dataprep.stored import CUTS, QUARANTINE, StoredShard, read_stored, stored_shards
from dataprep.tasks import run_stage_tasks
from dataprep.text.cuts import StoredPieces, restored
from dataprep.workspace import Workspace
from dataprep.write import READ_BYTES, REMOVED_SUFFIX
from launch.config import parse_model
from launch.errors import UserError
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import Input, Manifest, read_manifest
from launch.publish import publish, tag_of

if TYPE_CHECKING:
    from launch.recipe import Recipe

# What is decided from stored columns, or after them. All other keys change what was read or edited.
REPEATABLE = (
    "seed",
    "dataprep.languages",
    "dataprep.language_score_min",
    "dataprep.language_share_min",
    "dataprep.language_rules.*.thresholds",
    "dataprep.presets",
    "dataprep.thresholds",
    "dataprep.quality",
    "dataprep.toxicity",
    "dataprep.pii.findings_max",
    "dataprep.pii.mode",
    "dataprep.pii.modes",
    "dataprep.perplexity",
    "dataprep.decontamination",
    "dataprep.rights",
    "dataprep.survivors",
    "dataprep.exact",
    "dataprep.near_duplicates",
    "dataprep.indexes",
    "dataprep.spans",
    "dataprep.substrings",
    "dataprep.keywords.*.matches_max",
    "dataprep.keywords.*.share_max",
    "dataprep.urls.soft_words_max",
    "dataprep.quarantine_share_max",
    "dataprep.valid_fraction",
)


def retune(recipe: "Recipe") -> Manifest:
    """Decide, deduplicate and write again by `recipe`; the new manifest, or the one that is
    current.

    The new files stand beside the old; the manifest is replaced last. Raises UserError if there
    are no finished documents, or if a key outside `REPEATABLE` or an input differs.
    """
    directory, output = recipe.documents.resolve(), recipe.dataprep.output
    with lock(directory):
        manifest, inputs = check(recipe, write=True)
        replaces = None if output is None else tag_of(output, manifest)
        if manifest.config == run.config_of(recipe) and {*manifest.inputs} == {*inputs}:
            get_logger("dataprep").info("up to date: %s", directory)
        else:
            with timed(directory, "retune"):
                manifest = _build(recipe, manifest, inputs)
        if output is not None:
            publish(directory, manifest, output, replaces)
        return manifest


def check(recipe: "Recipe", *, write: bool) -> tuple[Manifest, list[Input]]:
    """The manifest that is there and the recipe's inputs, if the one can be retuned to the other.

    `write` allows digests of the inputs to be remembered in `logs/`.
    """
    directory = recipe.documents
    old = read_manifest(directory, KIND, VERSION)
    cutting = recipe.dataprep.toxicity is not None and recipe.dataprep.toxicity.mode == "cut"
    changed = [
        key
        for key in _differences(old.config, run.config_of(recipe))
        if not _is_repeatable(key) or (cutting and key == "seed")
    ]
    again = "run it again: gristmill dataprep run RECIPE --force"
    if changed:
        raise UserError(
            changed[0], "another value than the documents were made with",
            "a change of thresholds only, because this key decides what is read or edited", again,
        )  # fmt: skip
    edited = _changed_steps(old, recipe.dataprep)
    if "toxicity" in edited:
        raise UserError(
            "dataprep.toxicity", "other cuts than the documents were made with",
            "mode = 'document', then and now, or the same cuts", again,
        )  # fmt: skip
    if edited:
        name = "pii.mode" if edited[0] == "pii" else "presets"
        raise UserError(
            f"dataprep.{name}", f"values with which the step {edited[0]} edits texts otherwise",
            "values that decide otherwise, and edit as before", again,
        )  # fmt: skip
    inputs = run.find_inputs(recipe, write=write)
    sources = (*(f"{source.name}:" for source in recipe.sources), PREFIX)
    if cutting:
        # Who cuts otherwise edits otherwise: its labels are as fixed as the sources.
        sources = (*sources, "toxicity:")
    read_then, read_now = (
        {entry for entry in entries if entry.path.startswith(sources)}
        for entries in (old.inputs, inputs)
    )
    if read_then != read_now:
        path = min(entry.path for entry in read_then ^ read_now)
        raise UserError(f"input {path}", "a change", "what the documents were made from", again)
    return old, inputs


def _is_repeatable(key: str) -> bool:
    parts = key.split(".")
    return any(
        len(parts) >= len(known.split("."))
        and all(name in ("*", part) for name, part in zip(known.split("."), parts, strict=False))
        for known in REPEATABLE
    )


def _differences(old: Any, new: Any, key: str = "") -> list[str]:
    """Dotted names of the keys whose values differ, in order; a table that is absent is empty."""
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        left, right = old or {}, new or {}
        return [
            name
            for part in sorted({*left, *right})
            for name in _differences(left.get(part), right.get(part), f"{key}.{part}".lstrip("."))
        ]
    tables = [
        isinstance(value, list) and value and isinstance(value[0], Mapping) for value in (old, new)
    ]
    if all(tables) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [
            name for i, (left, right) in pairs for name in _differences(left, right, f"{key}.{i}")
        ]
    empty: tuple[Any, ...] = (None, [])
    return [] if old == new or (old in empty and new in empty) else [key]


def _changed_steps(old: Manifest, config: Dataprep) -> list[str]:
    """Names of the steps whose edits are others under `config`."""
    then = shard.chain(parse_model(Dataprep, old.config["dataprep"], "dataprep"), {})
    before = {step.name: step.settings for step in then}
    chain = shard.chain(config, {})
    changed = [step.name for step in chain if step.settings != before.get(step.name, ())]
    gone = {*before} - {step.name for step in chain}
    return changed + [name for name in sorted(gone) if before[name]]


def _build(recipe: "Recipe", old: Manifest, inputs: list[Input]) -> Manifest:
    from dataprep.rehearsal import rehearse_once
    from launch.ray_cluster import ray_session

    directory = recipe.documents.resolve()
    shards = stored_shards(directory, old)
    work = run.workspace(recipe, inputs, [old.files_digest])
    rehearse_once()
    trained = classifier_training.train_recipe(recipe)
    models = {str(name): model.path.resolve() for name, model in trained.items()}
    models |= perplexity_training.train_recipe(recipe)
    digests: dict[str, str] = {name: model.facts["digest"] for name, model in trained.items()}
    decontamination.check(recipe.dataprep)
    reused = _reusable(old, recipe, digests, inputs)
    with ray_session(recipe.execution):
        run_tasks = functools.partial(run_stage_tasks, recipe)
        parts = []
        if calibration.calibrated_steps(recipe.dataprep):
            # A share is wanted: of the sources, unchanged as they are, a sample is read again.
            parts = read.shards(recipe.sources, Path.cwd())
        trained = calibration.calibrate(recipe, work, parts, models, trained, run_tasks)
        config = calibration.with_thresholds(with_absolute_paths(recipe.dataprep), trained)
        config = with_source_order(config, recipe.sources)
        arguments = [
            (work, index, part, config, models, reused)
            for index, part in enumerate(shards)
            if not is_staged(work, index, config)
        ]
        run_stage_tasks(recipe, restage_shard, arguments, "restaging")
        return run.finish(recipe, inputs, work, len(shards), trained)


def _reusable(
    old: Manifest, recipe: "Recipe", digests: Mapping[str, str], inputs: Sequence[Input]
) -> frozenset[str]:
    """The steps whose stored columns hold for `recipe` too; `digests` are those of its models."""
    then, now = old.config["dataprep"]["near_duplicates"], recipe.dataprep.near_duplicates
    trained = old.facts["classifiers"]
    names = {str(name) for name in digests if trained.get(name, {}).get("digest") == digests[name]}
    same = all(then.get(key) == getattr(now, key) for key in signature.SETTINGS)
    if then["enabled"] and now.enabled and same:
        names.add(signature.NAME)
    if decontamination.is_stored(old, recipe.dataprep.decontamination, inputs):
        names.add(decontamination.NAME)
    if perplexity_training.is_stored(old, recipe.dataprep, recipe.run.seed, inputs):
        names.add(perplexity_training.NAME)
    return frozenset(names)


def restage_shard(
    work: Workspace,
    index: int,
    stored: StoredShard,
    config: Dataprep,
    models: Mapping[str, Path],
    reused: frozenset[str],
) -> None:
    """Task: what `process_shard` would leave of a shard, made from its written documents.

    `reused` names the steps whose stored columns are taken over.
    """
    if is_staged(work, index, config):
        return
    steps = shard.chain(config, models)
    fields = [*READ_SCHEMA, *(field for step in steps for field in step.adds)]
    fresh = {
        field.name
        for step in steps
        if step.of_living and step.name not in reused
        for field in step.adds
    }
    with open_stage(work, index, steps, config) as stage:
        if QUARANTINE in stored.files:
            with pq.ParquetFile(stored.files[QUARANTINE]) as file:
                for group in range(file.num_row_groups):
                    stage.refuse(file.read_row_group(group))
        pieces = StoredPieces(stored.files.get(CUTS))
        for table in read_stored(stored):
            cut_out = pieces.take(stage.documents, stage.documents + table.num_rows)
            position = table.schema.get_field_index("text")
            table = table.set_column(position, "text", restored(table["text"], cut_out))
            stage.add(_decide_again(undecided(table, fields, fresh, steps[0]), steps))


def undecided(
    table: pa.Table, fields: Sequence[pa.Field], fresh: Set[str], first: Step
) -> pa.Table:
    """`fields` of a stored table (`read_stored`) as the chain leaves them, before any decision.

    Columns in `fresh` are null. What `first`, the chain's first step, dropped stays dropped:
    nothing that can be changed comes before it.
    """
    removed = _removed_by_step(table)
    stays = pc.starts_with(table["drop_reason"], f"{first.name}.")
    columns = []
    for field in fields:
        name = field.name
        if name in fresh:
            column = pa.nulls(table.num_rows, field.type)
        elif name == READ_BYTES:
            column = pa.array(table["text_bytes"].to_numpy() + sum(removed.values()))
        elif name.endswith(REMOVED_SUFFIX):
            none = np.zeros(table.num_rows, np.int64)
            column = pa.array(removed.get(name.removesuffix(REMOVED_SUFFIX), none))
        elif name.startswith("drop_"):
            column = pc.if_else(stays, table[name], pa.scalar(None, field.type))
        else:
            assert name in table.schema.names, f"column {name} is not stored"
            column = table[name].cast(field.type)
        columns.append(column)
    return pa.table(columns, schema=pa.schema(fields))


def _removed_by_step(table: pa.Table) -> dict[str, np.ndarray]:
    """Shape [rows], int64: bytes that each step removed, from the map column."""
    maps = table["removed_bytes"].combine_chunks()
    owners = np.repeat(np.arange(len(maps)), np.diff(maps.offsets.to_numpy()))
    first, last = maps.offsets[0].as_py(), maps.offsets[len(maps)].as_py()
    keys = maps.keys[first:last].dictionary_encode()
    codes, values = keys.indices.to_numpy(), maps.items[first:last].to_numpy()
    removed = {}
    for code, name in enumerate(keys.dictionary.to_pylist()):
        removed[name] = np.zeros(len(maps), np.int64)
        removed[name][owners[codes == code]] = values[codes == code]
    return removed


def _decide_again(table: pa.Table, steps: list[Step]) -> pa.Table:
    for step in steps:
        if step.of_living:
            table = _complete(table, step)
        if step.decide is not None:
            table = step.decide(table)
    return table


def _complete(table: pa.Table, step: Step) -> pa.Table:
    """`table` with the columns of `step` on living rows, computed where they are not stored, and
    null on the others."""
    names = [field.name for field in step.adds]
    living = alive(table)
    missing = living & ~np.asarray(pc.is_valid(table[names[0]]).to_numpy(), np.bool_)
    place = np.arange(table.num_rows)
    computed = None
    if missing.any():
        computed = step.apply(table.filter(pa.array(missing)).drop_columns(names))
        place[missing] = table.num_rows + np.arange(computed.num_rows)
    taken = pa.array(place, mask=~living)
    for name in names:
        chunks = [table[name], *([] if computed is None else [computed[name]])]
        column = pa.chunked_array([chunk for part in chunks for chunk in part.chunks])
        position = table.schema.get_field_index(name)
        field = table.schema.field(position)
        table = table.set_column(position, field, column.combine_chunks().take(taken))
    return table
