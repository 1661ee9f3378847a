"""Branching: a run that begins from another run's checkpoint instead of new weights.

The whole state (iteration, optimizer, loop, and with the iteration the place in the data) lets a
run go on in another way: the anneal of a WSD run, say, from any of its checkpoints. Then all that
the recipes say of the iterations before must agree. The weights alone need only the same model.

What a run was begun from is recorded in its `origin.json`, because `iteration = 0` means another
checkpoint tomorrow, and because the other run may have dropped it by the time this one is done.
Nothing here imports torch.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launch.errors import UserError
from launch.manifest import Input, Manifest, digest_json, write_atomic
from launch.recipe import Recipe, load_recipe
from pretrain.config import Branch
from pretrain.contract import read_result
from pretrain.saving import checkpoint_files as files

RECORD = "origin.json"

# What the order of the data, and the meaning of the optimizer's state, depend on. The learning rate
# is not among it: to change it is what a branch is for.
_DATA = ("weights", "packing", "mask_documents", "related")
_TRAINING = (
    "batch_size", "batch_size_start", "batch_ramp_iterations", "optimizer", "precision",
)  # fmt: skip
# With the weights alone these may differ: they change no shape.
_FREE_WITH_WEIGHTS = ("sequence_length", "rotary_base", "init_std")


@dataclass(frozen=True)
class Origin:
    """The checkpoint that a run begins from."""

    run: str
    checkpoint: str
    """Its directory"""
    iteration: int
    weights_only: bool
    digest: str
    """Of all its files' digests: `files_digest` of its manifest"""


def identity(recipe: Recipe, tokens: Manifest) -> str:
    """A digest of what no continuation of a run may change; its checkpoints carry it."""
    return digest_json(_said(recipe, tokens, iteration=0))


def origin(recipe: Recipe, tokens: Manifest) -> Origin | None:
    """Where the recipe's run begins; None: from new weights.

    As recorded, if the run has begun; else what `[pretrain.branch]` means today, once it is found
    to fit. Raises `UserError` naming the first key that differs.
    """
    branch, directory = recipe.pretrain.branch, recipe.run_directory
    if branch.run is None:
        return None
    try:
        return Origin(**json.loads((directory / RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (ValueError, TypeError) as error:
        where = str(directory / RECORD)
        raise UserError(where, f"unreadable content ({error})", "what the run was begun from",
                        "--force begins it again") from None  # fmt: skip
    if branch.run.resolve() == directory.resolve():
        raise UserError("pretrain.branch.run", str(branch.run), "another run than this one")
    theirs = read_result(branch.run)
    checkpoint = _checkpoint(branch)
    manifest = files.read(checkpoint)
    iteration = int(manifest.facts["iteration"])
    _compare(recipe, tokens, branch, iteration)
    if theirs.padded_vocab_size != int(tokens.facts["padded_vocab_size"]):
        raise UserError(
            "pretrain.branch.run", f"a vocabulary of {theirs.padded_vocab_size:,}",
            f"that of {recipe.tokens}: {tokens.facts['padded_vocab_size']:,}",
        )  # fmt: skip
    if not branch.weights_only and iteration >= recipe.pretrain.training.iterations:
        raise UserError(
            "pretrain.training.iterations", str(recipe.pretrain.training.iterations),
            f"more than {iteration}, after which the run branches off",
            "an earlier pretrain.branch.iteration, or pretrain.branch.weights_only = true",
        )  # fmt: skip
    return Origin(
        str(branch.run), str(checkpoint), iteration, branch.weights_only, manifest.files_digest
    )


def record(recipe: Recipe, begun: Origin | None) -> None:
    """Write down what the run begins from; the caller holds its lock."""
    if begun is not None:
        write_atomic(recipe.run_directory / RECORD, json.dumps(asdict(begun), indent=1) + "\n")


def inputs(begun: Origin | None) -> tuple[Input, ...]:
    """The checkpoint as an input of the run, for its manifest."""
    return () if begun is None else (Input("branch", begun.digest),)


def _checkpoint(branch: Branch) -> Path:
    assert branch.run is not None
    directory = branch.run / "checkpoints"
    present = files.checkpoints_in(directory)
    name = present.get(branch.iteration) if branch.iteration else files.latest(directory)
    if name is None:
        there = ", ".join(str(iteration) for iteration in present) or "none"
        raise UserError(
            "pretrain.branch.iteration", str(branch.iteration),
            f"that of a checkpoint in {directory} (there are: {there})",
            "pretrain.checkpoint.permanent_interval_iterations keeps some for ever",
        )  # fmt: skip
    return directory / name


def _compare(recipe: Recipe, tokens: Manifest, branch: Branch, iteration: int) -> None:
    assert branch.run is not None
    other = load_recipe(branch.run / "recipe.toml")
    theirs = read_result(branch.run)
    digests = {"tokens": theirs.tokens_digest, "tokenizer": theirs.tokenizer_digest}
    old, new = _tables(other, digests, iteration), _said(recipe, tokens, iteration)
    if branch.weights_only:
        old, new = _of_weights(old), _of_weights(new)
    difference = _first_difference(old, new, "")
    if difference is not None:
        key, was, now = difference
        hint = (
            "" if branch.weights_only
            else "pretrain.branch.weights_only = true takes the model alone"
        )  # fmt: skip
        raise UserError(key, str(now), f"{was}, as {branch.run} has it up to {iteration}", hint)


def _said(recipe: Recipe, tokens: Manifest, iteration: int) -> dict[str, Any]:
    digests = {"tokens": tokens.files_digest, "tokenizer": tokens.facts["tokenizer_digest"]}
    return _tables(recipe, digests, iteration)


def _tables(recipe: Recipe, digests: dict[str, str], iteration: int) -> dict[str, Any]:
    """What a recipe says of the iterations before `iteration`."""
    tables = recipe.to_dict()
    pretrain = tables["pretrain"]
    data = {name: pretrain["data"][name] for name in _DATA}
    stages = [s for s in pretrain["data"]["stages"] if s["start_iteration"] < iteration]
    return {
        "run": {"seed": tables["run"]["seed"]},
        "pretrain": {
            "model": pretrain["model"],
            "data": {**data, "stages": stages},
            "training": {name: pretrain["training"][name] for name in _TRAINING},
        },
        **digests,
    }


def _of_weights(tables: dict[str, Any]) -> dict[str, Any]:
    model = tables["pretrain"]["model"]
    kept = {name: value for name, value in model.items() if name not in _FREE_WITH_WEIGHTS}
    return {"pretrain": {"model": kept}, "tokenizer": tables["tokenizer"]}


def _first_difference(old: Any, new: Any, key: str) -> tuple[str, Any, Any] | None:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None if old == new else (key, old, new)
    for name in sorted(old.keys() | new.keys()):
        place = f"{key}.{name}" if key else name
        found = _first_difference(old.get(name), new.get(name), place)
        if found is not None:
            return found
    return None
