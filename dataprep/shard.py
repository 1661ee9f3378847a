"""One shard: the fused pass over it, and, after deduplication, its last writing.

The pass reads a shard once: every batch goes through the chain of steps, then to the staged file
(all rows, marked), to quarantine, and, as hashes, to the exchange. Memory is that of a batch (about
16 MB of text and what the steps make of it), whatever the shard's size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from dataprep import write
from dataprep.config import Dataprep, Source
from dataprep.conservation import Counts
from dataprep.contract import PARTS
from dataprep.decontamination import decontamination
from dataprep.dedup import signature
from dataprep.dedup.decided import decided
from dataprep.language import language
from dataprep.models import classifier, perplexity
from dataprep.pii import redact
from dataprep.reading.read import Shard, read_shard
from dataprep.reading.records import READ_SCHEMA
from dataprep.report import report
from dataprep.rights import decide as rights
from dataprep.sealed import open_sealed, read_json, write_json
from dataprep.signals import chinese_signals, content, keywords, lines, rules, signals, urls
from dataprep.stage import is_staged, open_stage
from dataprep.step import Step, apply_chain, check_chain
from dataprep.text import normalize
from dataprep.text.cuts import CutStep
from dataprep.workspace import Workspace
from launch.manifest import FileEntry


def chain(config: Dataprep, models: Mapping[str, Path]) -> list[Step]:
    """The steps, in the order in which every document meets them; `models` are where models lie,
    without which the chain can be checked, and decide, but not score.

    Nothing edits a text after PII: what is scored and compared is what is written.
    """
    lists = [*urls.make_steps(config.urls), *keywords.make_steps(config.keywords)]
    steps = [normalize.make_step(config.normalize)]
    if config.signals:
        steps += [
            language.make_step(config),
            content.make_step(),
            *lists,
            signals.make_step(config),
            chinese_signals.make_step(),
            lines.make_step(config),
            rules.make_step(config),
        ]
    else:
        steps += [language.make_unmeasured_step(), *lists]
    steps.append(redact.make_step(config.pii))
    steps.append(rights.make_step(config.rights))
    steps += decontamination.make_steps(config)
    if config.quality is not None:
        steps.append(classifier.make_step("quality", models.get("quality"), config.quality))
    if config.toxicity is not None:
        steps.append(classifier.make_step("toxicity", models.get("toxicity"), config.toxicity))
    if config.perplexity is not None:
        steps.append(perplexity.make_step(config.perplexity, models.get("perplexity")))
    steps.append(signature.make_step(config.near_duplicates))
    check_chain(steps, READ_SCHEMA.names)
    return steps


def step_names(config: Dataprep) -> list[str]:
    """Names of the steps in order, after a check of the chain.

    Raises UserError for what a step refuses in the recipe.
    """
    return [step.name for step in chain(config, {})]


def process_shard(
    work: Workspace,
    index: int,
    shard: Shard,
    source: Source,
    config: Dataprep,
    models: Mapping[str, Path],
    records_max: int | None = None,
) -> None:
    """Task: the pass over one shard. `work.counts(index)` is its last file, and its mark.

    Of a sample run it reads the first `records_max` records.
    """
    if is_staged(work, index, config):
        return
    steps = chain(config, models)
    with open_stage(work, index, steps, config) as stage:
        batches = read_shard(shard, source, config, records_max, stage.passed_over)
        for table, refused in batches:
            stage.refuse(refused)
            if table.num_rows:
                stage.add(apply_chain(steps, table))


def write_documents(
    work: Workspace,
    index: int,
    directory: Path,
    seed: int,
    valid_fraction: float,
    steps: Sequence[CutStep] = (),
) -> None:
    """Task: split one shard into kept, dropped and quarantine below `directory`.

    `steps` are those that cut pieces out of documents; the pieces are written beside them.
    """
    if work.written(index).exists():
        return
    scratch = work.directory / "scratch"
    pieces = write.PiecesWriter(directory, scratch, index)
    written = write.write_shard(
        pieces.passed_by(decided(work, index, steps)),
        directory,
        scratch,
        index,
        seed=seed,
        valid_fraction=valid_fraction,
    )
    refused = write.write_quarantine(_quarantined(work, index), directory, scratch, index)
    document = {
        "files": [asdict(entry) for entry in (*written.files, *pieces.files, *refused)],
        "counts": written.counts,
        # From the files as they were written, not from what was in memory.
        "summary": report.merge(
            [
                report.summarize(directory, entry.path)
                for entry in written.files
                if entry.path.startswith(PARTS)
            ]
        ),
    }
    write_json(work.written(index), document)


def read_written(work: Workspace, index: int) -> tuple[list[FileEntry], Counts, report.Summary]:
    """The files that were written of a shard, the counts and the summary of their rows."""
    document = read_json(work.written(index))
    entries = [FileEntry(**entry) for entry in document["files"]]
    return entries, document["counts"], document["summary"]


def _quarantined(work: Workspace, index: int) -> Iterator[pa.Table]:
    with open_sealed(work.quarantine(index)) as piece:
        for group in range(piece.num_row_groups):
            yield piece.read([group])
