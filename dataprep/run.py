"""The whole stage, in order: read this file first.

    check      recipe, inputs, chain: before anything is spent
    pass       every shard through the chain, as one Ray task each           (shard.process_shard)
    duplicates equal URLs, equal texts, near-duplicates, and who survives    (deduplicate)
    pieces     spans and runs of bytes that survivors share are cut out      (pieces)
    write      kept, dropped and quarantine, one part of each for each shard (shard, write)
    report     conservation, report.json, report.html, and the manifest last

Tasks exchange files of the working directory, never objects, so that any process may be killed at
any moment: the same command goes on from the files that are there, and its result is the same.
"""

import functools
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataprep.config_annotator import without_execution
from dataprep.contract import KIND, SHINGLING_VERSION, VERSION
from dataprep.digest_cache import digest_cache
from dataprep.tasks import run_stage_tasks
from dataprep.workspace import Layout, Workspace
from launch.errors import UserError
from launch.lock import lock
from launch.log import get_logger, timed
from launch.manifest import (
    Input,
    Manifest,
    check_current,
    digest_file,
    digest_json,
    write_manifest,
)
from launch.publish import committed_tag, publish
from launch.recipe import Recipe

# Records from which the share of unreadable ones is judged before the pass is over.
_RECORDS_TO_JUDGE = 5000

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataprep.config import Dataprep
    from dataprep.models.classifier import Name, TrainedClassifier
    from dataprep.reading.read import Shard


def run(recipe: Recipe, *, force: bool = False, dry_run: bool = False) -> Manifest | None:
    """Build `documents/` as the recipe says, unless it is there; its manifest.

    With `dry_run` everything is checked, the plan is printed, nothing is written, and the answer is
    None unless the directory is up to date. Raises `UserError` for what the user can mend.
    """
    from dataprep import plan

    directory = recipe.documents
    if dry_run:
        inputs = find_inputs(recipe, write=False)
        place = recipe.published_documents
        manifest = check_current(place, KIND, VERSION, config_of(recipe), inputs, force)
        plan.print_plan(recipe, inputs, manifest)
        return manifest
    with lock(directory):
        inputs = find_inputs(recipe, write=True)
        place, config = recipe.published_documents, config_of(recipe)
        manifest = check_current(place, KIND, VERSION, config, inputs, force)
        if manifest is not None:
            get_logger("dataprep").info("up to date: %s", place)
            return manifest
        output = recipe.dataprep.output
        replaces = None if output is None else committed_tag(output)
        manifest = check_current(directory, KIND, VERSION, config, inputs, force)
        if manifest is None:
            with timed(directory, "dataprep"):
                manifest = build(recipe, inputs)
        if output is not None:
            publish(directory, manifest, output, replaces)
        return manifest


def check(recipe: Recipe) -> None:
    """What can be checked without reading the inputs. Raises `UserError`."""
    from dataprep import shard, side_files
    from dataprep.decontamination import decontamination
    from dataprep.dedup import survivors
    from dataprep.indexes import indexed
    from dataprep.models import distil, labelled, perplexity_training
    from dataprep.pii import modes as pii_modes
    from dataprep.reading import read
    from dataprep.rights import verdicts as rights

    survivors.check(recipe.dataprep, recipe.sources)
    rights.check(recipe.dataprep.rights, recipe.sources)
    indexed.find_indexes(recipe.dataprep, recipe.sources)
    read.shards(recipe.sources, Path.cwd())
    side_files.side_files(recipe.dataprep)
    shard.step_names(recipe.dataprep)
    decontamination.check(recipe.dataprep)
    pii_modes.load_key(recipe.dataprep.pii)
    for name, configured in distil.classifier_tables(recipe).items():
        labelled.labelled_files(configured, f"dataprep.{name}")
    perplexity_training.used_files(recipe.dataprep.perplexity)


def config_of(recipe: Recipe) -> dict[str, Any]:
    """What decides the result beside the inputs: what the manifest holds as configuration."""
    tables = recipe.to_dict()
    tables["dataprep"]["near_duplicates"].pop("partitions")
    tables["dataprep"].pop("output", None)
    without_execution(tables["dataprep"])
    return {
        "seed": recipe.run.seed,
        "shingling_version": SHINGLING_VERSION,
        "sources": tables["sources"],
        "dataprep": tables["dataprep"],
    }


def find_inputs(recipe: Recipe, *, write: bool) -> list[Input]:
    """Path and digest of every source file and labelled file. Raises `UserError` if one is missing.

    Digests of unchanged files are remembered in `logs/`, which `write` allows to be written.
    """
    from dataprep import side_files
    from dataprep.decontamination import items as decontamination_items
    from dataprep.dedup import survivors
    from dataprep.indexes import indexed
    from dataprep.models import distil, labelled, perplexity_training
    from dataprep.pii import modes as pii_modes
    from dataprep.reading import read
    from dataprep.rights import verdicts as rights

    pii_modes.check(recipe.dataprep.pii)
    keys = pii_modes.key_inputs(recipe.dataprep.pii, side_files.PREFIX)
    survivors.check(recipe.dataprep, recipe.sources)
    rights.check(recipe.dataprep.rights, recipe.sources)
    indexes = indexed.inputs(indexed.find_indexes(recipe.dataprep, recipe.sources))
    root = recipe.run.root
    with digest_cache(recipe.documents, write=write) as cache:
        inputs = read.inputs(recipe.sources, Path.cwd(), cache.digest)
        for name, configured in distil.classifier_tables(recipe).items():
            for _, path in labelled.labelled_files(configured, f"dataprep.{name}"):
                shown = path.relative_to(root) if path.is_relative_to(root) else path
                inputs.append(Input(f"{name}:{shown}", cache.digest(path)))
        for path in perplexity_training.used_files(recipe.dataprep.perplexity):
            inputs.append(Input(f"{perplexity_training.PREFIX}{path}", cache.digest(path)))
        for path in side_files.side_files(recipe.dataprep):
            inputs.append(Input(f"{side_files.PREFIX}{path}", cache.digest(path)))
        for path in decontamination_items.files(recipe.dataprep.decontamination):
            inputs.append(Input(f"{decontamination_items.PREFIX}{path}", cache.digest(path)))
    return inputs + keys + indexes


def build(recipe: Recipe, inputs: list[Input]) -> Manifest:
    """Everything after the checks; the caller holds the lock of `recipe.documents`."""
    from dataprep.decontamination import decontamination
    from dataprep.models import calibration, classifier_training, perplexity_training
    from dataprep.reading import read
    from dataprep.rehearsal import rehearse_once
    from launch.ray_cluster import ray_session

    shards = read.number_rows(read.shards(recipe.sources, Path.cwd()), recipe.sources)
    work = workspace(recipe, inputs, [])
    decontamination.check(recipe.dataprep)
    rehearse_once()
    trained = classifier_training.train_recipe(recipe)
    models = {str(name): model.path.resolve() for name, model in trained.items()}
    models |= perplexity_training.train_recipe(recipe)
    with ray_session(recipe.execution):
        run_tasks = functools.partial(run_stage_tasks, recipe)
        trained = calibration.calibrate(recipe, work, shards, models, trained, run_tasks)
        _pass(recipe, work, shards, models, trained)
        return finish(recipe, inputs, work, len(shards), trained)


def finish(
    recipe: Recipe,
    inputs: list[Input],
    work: Workspace,
    num_shards: int,
    trained: "Mapping[Name, TrainedClassifier]",
) -> Manifest:
    """From the staged shards to the manifest; the same for `run` and for `retune`."""
    from dataprep import shard, stage
    from dataprep.conservation import conservation, merge_counts
    from dataprep.decontamination import decontamination
    from dataprep.dedup import deduplicate, pieces, survivors
    from dataprep.indexes import indexed
    from dataprep.models import perplexity_training
    from dataprep.report import pieces as report_pieces
    from dataprep.report import report
    from dataprep.text import cuts

    # Absolute, because workers have their own working directory.
    directory, config = recipe.documents.resolve(), config_of(recipe)
    counts = stage.read_counts(work, range(num_shards))
    check_quarantine(recipe.dataprep, counts["records_read"], counts["quarantined"], work)
    if counts["documents_in"] == 0:
        raise UserError("sources", "no document at all", "at least one")
    settings = survivors.with_source_order(recipe.dataprep, recipe.sources)
    segments = indexed.segments_of(indexed.find_indexes(settings, recipe.sources))
    layout = Layout(num_shards, settings.near_duplicates.partitions, len(segments))
    run_tasks = functools.partial(run_stage_tasks, recipe)
    indexed.gather_all(work, layout, settings, segments, run_tasks)
    duplicates = deduplicate.deduplicate(work, settings, layout, run_tasks)
    pieces.cut_pieces(settings, work, layout, run_tasks)
    steps = cuts.cut_steps(settings)
    arguments = [
        (work, index, directory, recipe.run.seed, recipe.dataprep.valid_fraction, steps)
        for index in range(num_shards)
        if not work.written(index).exists()
    ]
    run_stage_tasks(recipe, shard.write_documents, arguments, "writing")
    # Summaries are a megabyte each as objects: one at a time.
    summaries = (shard.read_written(work, index)[2] for index in range(num_shards))
    written = [shard.read_written(work, index)[:2] for index in range(num_shards)]
    entries = [entry for files, _ in written for entry in files]
    facts = conservation(merge_counts([part for _, part in written]), **counts)
    facts["shards"] = num_shards
    facts |= duplicates
    cut_out = [directory / entry.path for entry in entries if entry.path.startswith("cuts/")]
    facts["pieces"] = cuts.piece_facts(cut_out)
    facts["classifiers"] = {name: model.facts for name, model in trained.items()}
    if recipe.dataprep.perplexity is not None:
        models = perplexity_training.models_directory(directory)
        facts["perplexity"] = perplexity_training.facts(recipe.dataprep.perplexity, models)
    if recipe.dataprep.decontamination.mode != "off":
        facts["decontamination"] = decontamination.facts(recipe.dataprep)
    often = report_pieces.commonest(cut_out)
    entries += report.write_report(directory, summaries, facts, config["dataprep"], often)
    manifest = Manifest(KIND, VERSION, config, tuple(inputs), tuple(entries), facts)
    write_manifest(directory, manifest)
    shutil.rmtree(work.directory.parent)
    return manifest


def workspace(recipe: Recipe, inputs: list[Input], source: list[str]) -> Workspace:
    """The working directory of this configuration, these inputs and this code.

    The number of partitions is no part of the result but of the pieces on the way to it; and what
    another version of the code has left is not gone on with. `source` is what else the pieces are
    made from.
    """
    read = [(entry.path, entry.digest) for entry in inputs]
    partitions = recipe.dataprep.near_duplicates.partitions
    code = [digest_file(path) for path in sorted(Path(__file__).parent.rglob("*.py"))]
    digest = digest_json([config_of(recipe), read, partitions, code, source])
    name = digest.removeprefix("xxh3_128:")
    return Workspace(recipe.documents.resolve() / "work" / name)


def _pass(
    recipe: Recipe,
    work: Workspace,
    shards: "list[Shard]",
    models: "Mapping[str, Path]",
    trained: "Mapping[Name, TrainedClassifier]",
) -> None:
    from dataprep import sample, shard, side_files, stage
    from dataprep.dedup.survivors import with_source_order
    from dataprep.models import calibration
    from launch.ray_cluster import finished_tasks

    config = side_files.with_absolute_paths(recipe.dataprep)
    config = calibration.with_thresholds(config, trained)
    config = with_source_order(config, recipe.sources)
    quotas = sample.quotas(shards, recipe.dataprep.limit)
    arguments = [
        (work, index, part, recipe.sources[part.source_index], config, models, quota)
        for index, (part, quota) in enumerate(zip(shards, quotas, strict=True))
        if not stage.is_staged(work, index, config)
    ]
    start = time.monotonic()
    read = quarantined = 0
    for place, _ in finished_tasks(
        shard.process_shard, arguments, label="dataprep: shards", execution=recipe.execution
    ):
        counts = stage.read_counts(work, [arguments[place][1]])
        read += counts["records_read"]
        quarantined += counts["quarantined"]
        # Whoever reads the wrong field should not wait for the last shard to hear of it.
        if read >= _RECORDS_TO_JUDGE:
            check_quarantine(recipe.dataprep, read, quarantined, work)
    seconds = time.monotonic() - start
    get_logger("dataprep").info("shards: %d tasks, %.1f s", len(arguments), seconds)


def check_quarantine(config: "Dataprep", read: int, quarantined: int, work: Workspace) -> None:
    """Refuse to go on if too many of the records that were `read` could not be."""
    share = quarantined / max(1, read)
    if share > config.quarantine_share_max:
        raise UserError(
            "sources",
            f"{quarantined:,} of {read:,} records that cannot be read",
            f"a share of at most {config.quarantine_share_max:g}",
            f"their places and reasons: {work.directory / 'quarantine'}; "
            "dataprep.quarantine_share_max sets the limit",
        )
