"""`gristmill pretrain compare`: a recipe's model under two layouts, and where they first differ."""

import json
import tempfile
from pathlib import Path
from typing import Any

from launch.errors import GristmillError, UserError
from launch.recipe import Recipe
from pretrain import flops
from pretrain.check import check_recipe
from pretrain.config import Parallel, Pretrain
from pretrain.qualification.trace_jobs import Job, record_all
from tokenizer.contract import padded_vocab_size

# Of training, what a layout may change without changing the result.
_TRAINING_KEYS = ("micro_batch_size", "precision")
# Up to so many numbers in a trace its tensors are kept; of a larger one, their summaries.
_WHOLE_NUMBERS = 100_000_000


def compare_layouts(recipe: Recipe, layout: str, against: str, iterations: int) -> dict[str, Any]:
    """Run `iterations` under both layouts on this machine; the verdict as JSON types.

    The batches are made by a formula, so no corpus is needed; the vocabulary is that of
    `[tokenizer]`. `same` says whether no place differs beyond the tolerance, `finding` is the first
    that does, `largest` the largest relative error of each phase, `table` lines for a person.

    Raises `UserError` if a layout does not fit, `GristmillError` if a run of it failed.
    """
    vocabulary = padded_vocab_size(recipe.tokenizer.vocab_size)
    jobs = []
    for name, text in (("reference", against), ("other", layout)):
        pretrain = _under(recipe, text)
        whole = _numbers(pretrain, vocabulary, iterations) <= _WHOLE_NUMBERS
        documents = pretrain.data.mask_documents
        jobs.append(Job(name, pretrain, vocabulary, recipe.run.seed, iterations, documents, whole))
    with tempfile.TemporaryDirectory(prefix="gristmill-") as scratch:
        failures = record_all(jobs, Path(scratch))
        for name, text in failures.items():
            which = layout if name == "other" else against
            raise GristmillError(f"layout {which}: {text}", "what its processes said stands above")
        return verdict(jobs[1], *(job.file(Path(scratch)) for job in jobs))


def verdict(job: Job, reference: Path, other: Path) -> dict[str, Any]:
    """What `compare_layouts` returns, of two traces in files; `job` made the other one."""
    from pretrain.qualification import differential  # numpy: not for the import of the command line
    from pretrain.qualification.tensor_trace import load

    traces = load(reference), load(other)
    tolerance = differential.TOLERANCES[job.pretrain.training.precision]
    finding = differential.compare(*traces, tolerance)
    return {
        "same": finding is None,
        "finding": None if finding is None else finding.to_dict(),
        "largest": {
            phase: {"relative_error": error, "place": place}
            for phase, (error, place) in differential.largest_errors(*traces).items()
        },
        "places": len(traces[1]),
        "whole_tensors": job.whole,
        "table": differential.table(*traces, tolerance),
    }


def _under(recipe: Recipe, text: str) -> Pretrain:
    """The recipe's `[pretrain]` under the layout that `text` describes: `tensor=2,sequence=true`;
    `one` is a single process."""
    table = recipe.to_dict()
    parallel: dict[str, Any] = {}
    for part in filter(None, text.replace("one", "").split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UserError("--layout", part, "KEY=VALUE, such as tensor=2")
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError:
            parsed = value
        if key in _TRAINING_KEYS:
            table["pretrain"]["training"][key] = parsed
        else:
            parallel[key] = parsed
    table["pretrain"]["parallel"] = parallel
    changed = Recipe.from_dict(table)
    check_recipe(changed)
    _check_size(changed.pretrain.parallel)
    return changed.pretrain


def _check_size(parallel: Parallel) -> None:
    most = 64
    if parallel.world_size > most:
        raise UserError(
            "--layout", f"{parallel.world_size} processes", f"at most {most} on one machine",
            "a smaller layout of the same kind shows the same faults",
        )  # fmt: skip


def _numbers(pretrain: Pretrain, vocabulary: int, iterations: int) -> int:
    """About how many numbers a trace of whole tensors holds."""
    shape = pretrain.model
    positions = pretrain.training.batch_size * shape.sequence_length
    width = 9 * shape.hidden_size + 2 * shape.ffn_size
    activations = 2 * positions * (shape.layers * width + vocabulary)
    return iterations * (activations + 3 * flops.total_parameters(shape, vocabulary))
