"""The audit: how many near-duplicates a run has missed, and whether those it dropped were some.

In: finished documents. Out: `audit.json`, a section of the report, and `facts.audit` of the
manifest. Both questions are put to samples, drawn by content hash and seed, and answered exactly
from the texts as written, by a search that shares nothing with bands and links:

    precision   of sampled near-duplicates, those whose similarity to the survivor that they name
                is the threshold or more; a run promises all
    recall      of all pairs at the threshold or above with a sampled document, those of which a
                side was dropped; pairs are found by prefix filtering over all documents

Files of the documents stay as they are, and so does their digest: what was made from them later is
still up to date. Repeated, the audit replaces the last one.
"""

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep.config import Dataprep
from dataprep.config_duplicates import NearDuplicates
from dataprep.contract import KIND, PARTS, VERSION
from dataprep.dedup import audit_tasks
from dataprep.dedup.audit_tasks import EXAMPLES, Compared, Keys, Similarity
from dataprep.report import report
from launch.config import parse_model
from launch.errors import UserError
from launch.lock import lock
from launch.manifest import Manifest, read_manifest, write_atomic, write_manifest

if TYPE_CHECKING:
    from launch.recipe import Recipe

JSON_NAME = "audit.json"
Run = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]], str], list[Any]]
_Z = 1.959964  # of a normal distribution 95 % lie within so many deviations
_BOOTSTRAPS = 1000


def audit(recipe: "Recipe", documents: int = 1000, seed: int = 1) -> dict[str, Any]:
    """Audit the recipe's finished documents by `documents` of them and as many near-duplicates.

    Raises UserError if there are none, or if near-duplicates were not looked for.
    """
    from launch.ray_cluster import ray_session, run_tasks

    if documents < 1:
        raise UserError("--documents", f"{documents}", "at least 1")
    directory = recipe.documents.resolve()
    with lock(directory):
        manifest = read_manifest(directory, KIND, VERSION)
        near = parse_model(Dataprep, manifest.config["dataprep"], "dataprep").near_duplicates
        if not near.enabled:
            raise UserError(
                "dataprep.near_duplicates.enabled", "false", "true",
                "documents whose near-duplicates were not looked for have none to audit",
            )  # fmt: skip

        def in_ray(function: Callable[..., Any], tasks: Any, label: str) -> list[Any]:
            return run_tasks(function, tasks, label=f"audit: {label}", execution=recipe.execution)

        with ray_session(recipe.execution):
            found = measure(directory, manifest, near, documents, seed, in_ray)
        commit(directory, manifest, found)
    return found


def measure(
    directory: Path,
    manifest: Manifest,
    near: NearDuplicates,
    documents: int,
    seed: int,
    run: Run,
) -> dict[str, Any]:
    """What the audit finds; `run` calls a task for each tuple of arguments, results in order."""
    files = [entry.path for entry in manifest.files if entry.path.startswith(PARTS)]
    paths = [directory / name for name in sorted(files)]
    scratch = directory / "work" / "audit"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    drawn: list[Keys] = run(audit_tasks.keys, [(path, documents, seed) for path in paths], "draw")
    bounds = (
        _bound([part.documents for part in drawn], documents),
        _bound([part.drops for part in drawn], documents),
    )
    taken = run(audit_tasks.take, [(path, bounds, near, seed) for path in paths], "sample")
    sample = pa.concat_tables([audit_tasks.SAMPLE_SCHEMA.empty_table(), *taken]).sort_by(
        [("key", "ascending"), ("id", "ascending")]
    )
    pq.write_table(sample, scratch / "sample.parquet")
    tasks = [(path, scratch / "sample.parquet", near) for path in paths]
    compared: list[Compared] = run(audit_tasks.compare, tasks, "compare")
    shutil.rmtree(scratch)
    # What an interrupted run has left there is not ours.
    with contextlib.suppress(OSError):
        scratch.parent.rmdir()
    of_drops = sample["of_drops"]
    return {
        "seed": seed,
        "asked": documents,
        "measure": near.measure,
        "threshold": near.jaccard,
        "compared_documents": sum(part.num_documents for part in drawn),
        "cut_documents": sum(part.cut for part in drawn),
        "near_duplicates": sum(part.num_drops for part in drawn),
        "precision": _precision(sample.filter(of_drops), near, compared),
        "recall": _recall(sample.filter(pc.invert(of_drops)), compared, seed),
    }


def commit(directory: Path, manifest: Manifest, found: dict[str, Any]) -> None:
    """Write `audit.json`, the report with it, and the manifest with `facts.audit`.

    `audit.json` and the report's plain names are for people; the manifest's files, the report as
    the run wrote it among them, stay, and so does their digest.
    """
    facts = {**manifest.facts, "audit": found}
    report.show_audit(directory, manifest, found)
    write_atomic(directory / JSON_NAME, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    audited = Manifest(
        manifest.kind, manifest.version, manifest.config, manifest.inputs, manifest.files, facts
    )
    write_manifest(directory, audited)


def wilson(successes: int, number: int) -> tuple[float, float]:
    """Wilson's (1927) interval of 95 % for a share; (0, 1) of nothing."""
    if number == 0:
        return 0.0, 1.0
    share, square = successes / number, _Z * _Z
    centre = share + square / (2 * number)
    half = _Z * math.sqrt(share * (1 - share) / number + square / (4 * number * number))
    scale = 1 + square / number
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _bound(parts: Sequence[npt.NDArray[np.uint64]], number: int) -> int:
    """The largest key of a sample of `number`; -1 where there is nothing."""
    together = np.sort(np.concatenate([np.zeros(0, np.uint64), *parts]))
    return int(together[min(number, len(together)) - 1]) if len(together) else -1


def _precision(
    drops: pa.Table, near: NearDuplicates, compared: Sequence[Compared]
) -> dict[str, Any]:
    pairs = [pair for part in compared for pair in part.drops]
    cut = {name for part in compared for name in part.cut_survivors}
    there = {pair.left for pair in pairs}
    unknown = [
        (dropped, survivor)
        for dropped, survivor in zip(
            drops["id"].to_pylist(), drops["survivor_id"].to_pylist(), strict=True
        )
        if dropped not in there
    ]
    below = sorted(
        (pair for pair in pairs if getattr(pair, near.measure) < near.jaccard),
        key=lambda pair: (getattr(pair, near.measure), pair),
    )
    hold = len(pairs) - len(below)
    return {
        "sampled": len(drops),
        "compared": len(pairs),
        "hold": hold,
        "share": hold / len(pairs) if pairs else None,
        "interval": list(wilson(hold, len(pairs))),
        "survivor_cut_later": sum(survivor in cut for _, survivor in unknown),
        "survivor_not_here": sum(survivor not in cut for _, survivor in unknown),
        "examples": [_example(pair, near.measure) for pair in below[:EXAMPLES]],
    }


def _recall(sample: pa.Table, compared: Sequence[Compared], seed: int) -> dict[str, Any]:
    nothing = np.zeros(len(sample), np.int64)
    partners = np.sum([nothing, *(part.partners for part in compared)], axis=0)
    missed = np.sum([nothing, *(part.missed for part in compared)], axis=0)
    having = np.flatnonzero(partners)
    complete = int(np.count_nonzero(missed[having] == 0))
    examples = {pair for part in compared for pair in part.examples}
    ordered = sorted(examples, key=lambda pair: (-pair.jaccard, pair.left, pair.right))
    return {
        "sampled": len(sample),
        "with_partner": len(having),
        "pairs": int(partners.sum()),
        "missed": int(missed.sum()),
        "share": 1 - float(missed.sum() / partners.sum()) if len(having) else None,
        "interval": _bootstrap(partners[having], missed[having], seed),
        "documents_complete": complete,
        "documents_interval": list(wilson(complete, len(having))),
        "examples": [_example(pair, "jaccard") for pair in ordered[:EXAMPLES]],
    }


def _bootstrap(
    partners: npt.NDArray[np.int64], missed: npt.NDArray[np.int64], seed: int
) -> list[float]:
    """Interval of 95 % of the share of pairs found: documents drawn again, pairs with them.

    Pairs of one family are missed together, so that documents, not pairs, are the draws. It says
    nothing where no pair was missed; the interval of the documents does.
    """
    if not len(partners):
        return [0.0, 1.0]
    draw = np.random.default_rng(seed)
    shares = []
    for _ in range(_BOOTSTRAPS):
        chosen = draw.integers(0, len(partners), len(partners))
        shares.append(1 - missed[chosen].sum() / partners[chosen].sum())
    return [float(value) for value in np.quantile(shares, [0.025, 0.975])]


def _example(pair: Similarity, measure: str) -> dict[str, Any]:
    return {"left": pair.left, "right": pair.right, "similarity": float(getattr(pair, measure))}
