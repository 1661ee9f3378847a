"""Checkpoints: complete or absent, of any layout for any layout.

    checkpoints/iteration-00000200/   Megatron's distributed checkpoint: model, optimizer, RNG
                    state.json        the loop's own state
                    manifest.json     digests of all of it and what it belongs to; written last
    checkpoints/latest                the name of the directory to go on from

Here is how one is loaded; `checkpoint_save` writes them, `checkpoint_files` names and checks them.
Before anything of it is loaded the digests are compared, because a flipped bit would go on
training quietly, and its metadata, a pickle, is looked through.
"""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import CheckpointException

from launch.errors import UserError
from launch.manifest import Input, Manifest
from pretrain import config, megatron
from pretrain.config import Parallel
from pretrain.model import Stage
from pretrain.parallel import World
from pretrain.saving import checkpoint_files as files
from pretrain.saving.branch import Origin
from pretrain.saving.checkpoint_files import latest
from pretrain.saving.checkpoint_pickle import check_metadata
from pretrain.saving.checkpoint_save import (
    Saved,
    Saver,
    begin_together,
    raise_together,
    seal_together,
)
from pretrain.saving.checkpoint_state import (
    load_models,
    placement,
    sharded_models,
    sharded_random_state,
    sharded_state,
)
from pretrain.saving.checkpoint_writer import plan, to_host
from pretrain.saving.random_state import reseed, set_random_state

__all__ = [
    "Saved",
    "Saver",
    "exists",
    "latest",
    "load",
    "load_from",
    "load_weights",
    "save",
    "save_weights",
    "start_from",
]


def save(
    directory: Path, iteration: int, stage: Stage, optimizer: Any, parallel: Parallel,
    config_digest: str, keep: int, world: World, state: Mapping[str, Any] | None = None,
    permanent_interval_iterations: int = 0,
) -> None:  # fmt: skip
    """Write the state after `iteration` updates below `directory`, and wait for it.

    Iteration 0 is a seed: initial weights that runs of any layout can begin from. A run that saves
    more than once keeps a `Saver`.
    """
    settings = config.Checkpoint(
        keep=keep, permanent_interval_iterations=permanent_interval_iterations
    )
    saver = Saver(directory, parallel, config_digest, settings, world)
    saver.save(iteration, stage, optimizer, state)


def save_weights(
    directory: Path, name: str, iteration: int, stage: Stage, parallel: Parallel,
    config_digest: str, inputs: tuple[Input, ...], world: World,
) -> None:  # fmt: skip
    """Write the model alone as the checkpoint `name`; `latest` stays as it is."""
    writing = begin_together(directory, name, world)
    part = plan(sharded_models(stage), writing, megatron.SavePlanner(), world.rank)
    to_host(part, copy=False)
    part.write()
    facts = {"iteration": iteration, "layout": placement(parallel)}
    seal_together(part, {"run": config_digest}, inputs, facts, directory, world)


def start_from(
    origin: Origin, stage: Stage, optimizer: Any, parallel: Parallel, world: World
) -> tuple[int, dict[str, Any]]:
    """Begin a run from another's checkpoint: its whole state, or with iteration 0 its weights.

    Raises `UserError` if the checkpoint is gone, not whole, or not the one that was recorded.
    """
    checkpoint = Path(origin.checkpoint)
    if origin.weights_only:
        load_weights(checkpoint.parent, stage, world, checkpoint.name, optimizer, origin.digest)
        return 0, {}
    return load_from(checkpoint, stage, optimizer, parallel, world, files_digest=origin.digest)


def load(
    directory: Path, stage: Stage, optimizer: Any, parallel: Parallel, world: World,
    config_digest: str | None = None, name: str | None = None,
) -> tuple[int, dict[str, Any]]:  # fmt: skip
    """Load the checkpoint `name`, or what `latest` names, into model and optimizer.

    Returns the number of updates done and the loop's own state; 0 and {} if there is none yet. With
    a name, `latest` names it from now on: the run has gone back to it. Raises `UserError`, on every
    rank and before anything is read, if it is not whole or not of this run.
    """
    if name is None:
        name = _latest(directory, world)
        if name is None:
            return 0, {}
        return load_from(directory / name, stage, optimizer, parallel, world, config_digest)
    chosen = files.named(directory, name)
    loaded = load_from(chosen, stage, optimizer, parallel, world, config_digest)
    error: OSError | None = None
    if world.is_first:
        try:
            files.point_latest(directory, name)
        except OSError as failed:
            error = failed
    raise_together(error, directory, world)
    return loaded


def load_from(
    checkpoint: Path, stage: Stage, optimizer: Any, parallel: Parallel, world: World,
    config_digest: str | None = None, files_digest: str | None = None,
) -> tuple[int, dict[str, Any]]:  # fmt: skip
    """Load the checkpoint in the directory `checkpoint`, written under whatever layout.

    The random generators go on where they were if the layout is the same; under another one they
    are seeded anew from (the run's seed, iteration). Raises as `load`.
    """
    manifest = _open(checkpoint, world, config_digest, files_digest)
    same_layout = manifest.facts["layout"] == placement(parallel)
    state = sharded_state(stage, optimizer, is_loading=True)
    if same_layout:
        state["rng"] = sharded_random_state(world)
    loaded = _loaded(state, checkpoint)
    load_models(stage, loaded)
    optimizer.load_state_dict(loaded["optimizer"])
    iteration = int(manifest.facts["iteration"])
    if same_layout:
        set_random_state(loaded["rng"])
    else:
        reseed(iteration)
    loop_state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
    return iteration, {**loop_state, **loaded.get("loop", {})}


def load_weights(
    directory: Path, stage: Stage, world: World, name: str | None = None, optimizer: Any = None,
    files_digest: str | None = None,
) -> int:  # fmt: skip
    """Load only the model of the checkpoint `name` below `directory`, or of what `latest` names.

    `optimizer`, if there is one, learns of the new weights. Returns the number of updates that they
    have seen. Raises `UserError` if there is no checkpoint or it is not whole.
    """
    name = name or _latest(directory, world)
    if name is None:
        raise UserError(str(directory), "no checkpoint", "one that a run has saved")
    chosen = files.named(directory, name)
    manifest = _open(chosen, world, files_digest=files_digest)
    loaded = _loaded(sharded_models(stage), chosen)
    load_models(stage, loaded)
    if optimizer is not None:
        # With bf16 it holds a float32 copy of the weights, made when it was built.
        optimizer.reload_model_params()
    return int(manifest.facts["iteration"])


def _loaded(state: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    try:
        return megatron.load_checkpoint(state, checkpoint)
    except CheckpointException as error:  # on every rank, with what each of them met
        for failed, _ in error.failures.values():
            if isinstance(failed, pickle.UnpicklingError):
                raise UserError(
                    str(checkpoint), "an object that would execute something", "tensors",
                    files.hint(checkpoint),
                ) from error  # fmt: skip
        raise


def exists(directory: Path, world: World) -> bool:
    """Whether the run has a checkpoint of its own to go on from; all ranks learn the same."""
    return _latest(directory, world) is not None


def _latest(directory: Path, world: World) -> str | None:
    """What `latest` names in the eyes of rank 0: another node may not see it yet."""
    answer: list[Any] = [None]
    error: UserError | None = None
    if world.is_first:
        try:
            answer = [latest(directory)]
        except UserError as failed:
            error = failed
    raise_together(error, directory, world)
    torch.distributed.broadcast_object_list(answer, src=0, group=world.control)
    name: str | None = answer[0]
    return name


def _open(
    checkpoint: Path, world: World, config_digest: str | None = None,
    files_digest: str | None = None,
) -> Manifest:  # fmt: skip
    """The manifest, once all files were found to be as they were written: each rank compares its
    share of the digests, and all of them learn what it found."""
    manifest: Manifest | None = None
    error: UserError | None = None
    try:
        manifest = _judge(checkpoint, world, config_digest, files_digest)
    except UserError as failed:
        error = failed
    raise_together(error, checkpoint, world)
    assert manifest is not None
    return manifest


def _judge(
    checkpoint: Path, world: World, config_digest: str | None, files_digest: str | None
) -> Manifest:
    manifest = files.read(checkpoint)
    if config_digest is not None and manifest.config != {"run": config_digest}:
        raise UserError(
            str(checkpoint), "a checkpoint of another run", "one of this model, data and seed",
            files.hint(checkpoint),
        )  # fmt: skip
    if files_digest is not None and manifest.files_digest != files_digest:
        raise UserError(
            str(checkpoint), "another checkpoint than the run was begun from",
            f"the digest {files_digest}", "--force begins the run again",
        )  # fmt: skip
    broken = files.broken(checkpoint, manifest.files[world.rank :: world.size])
    if broken:
        raise UserError(
            str(checkpoint / broken[0]), "content that differs from its digest",
            "the checkpoint as it was written", files.hint(checkpoint),
        )  # fmt: skip
    # Only of a file that is whole, and by all: another rank's digest says nothing about this disk.
    check_metadata(checkpoint, {entry.path for entry in manifest.files})
    return manifest
