"""Checkpoints: complete or absent, of any layout for any layout.

    checkpoints/iteration-00000200/   Megatron's distributed checkpoint: model, optimizer, RNG
                    manifest.json     digests of all of it and what it belongs to; written last
    checkpoints/latest                the name of the directory to go on from

A checkpoint is written under a name that nothing reads, gets its manifest, is renamed, and only
then named by `latest`. Before anything of it is loaded, the digests are compared, because part of
Megatron's metadata is a pickle and because a flipped bit would go on training quietly.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from launch.errors import UserError
from launch.manifest import (
    FileEntry,
    Manifest,
    digest_file,
    read_manifest,
    write_atomic,
    write_manifest,
)
from pretrain import megatron
from pretrain.config import Parallel
from pretrain.model import Stage
from pretrain.parallel import World, barrier, sum_over_world

KIND = "checkpoint"
VERSION = 1

# The only sharding of the optimizer that every layout can read; the others are bound to the data
# ranks, and one of them resumed wrongly without a word (see docs/numerics.md).
_METADATA = {"distrib_optim_sharding_type": "fully_reshardable"}


def save(
    directory: Path, iteration: int, stage: Stage, optimizer: Any, parallel: Parallel,
    config_digest: str, keep: int, world: World,
) -> None:  # fmt: skip
    """Write the state after `iteration` updates below `directory`, then drop all but `keep`.

    Every rank calls it; when it returns, `latest` names the new checkpoint.
    """
    finished = directory / _name(iteration)
    writing = directory / f".{_name(iteration)}.tmp"
    if world.is_first:
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
    barrier()
    stage.gather_parameters()
    state = _sharded_state(stage, optimizer, is_loading=False)
    state["rng"] = _rng(world)
    megatron.save_checkpoint(state, writing)
    barrier()
    if world.is_first:
        _seal(writing, iteration, parallel, config_digest)
        # Left by a run that died before it could write `latest`: the same iteration again.
        shutil.rmtree(finished, ignore_errors=True)
        writing.rename(finished)
        write_atomic(directory / "latest", finished.name + "\n")
        for old in sorted(directory.glob("iteration-*"))[:-keep]:
            shutil.rmtree(old)
    barrier()


def load(directory: Path, stage: Stage, optimizer: Any, parallel: Parallel, world: World) -> int:
    """Load what `latest` names into model and optimizer; the number of updates done, 0 if none.

    The checkpoint may have been written under another layout. Raises `UserError`, on every rank and
    before anything is read, if it is not whole.
    """
    name = latest(directory)
    if name is None:
        return 0
    checkpoint = directory / name
    manifest = _open(checkpoint, world)
    same_layout = manifest.facts["layout"] == parallel.model_dump()
    state = _sharded_state(stage, optimizer, is_loading=True)
    if same_layout:
        state["rng"] = _rng(world)
    loaded = megatron.load_checkpoint(state, checkpoint)
    for index, model in enumerate(stage.models):
        model.load_state_dict(loaded[f"model{index}"], strict=True)
    optimizer.load_state_dict(loaded["optimizer"])
    if same_layout:
        torch.set_rng_state(loaded["rng"]["cpu"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state(loaded["rng"]["cuda"])
    return int(manifest.facts["iteration"])


def load_weights(directory: Path, stage: Stage, world: World) -> int:
    """Load only the model of what `latest` names; the number of updates it has seen.

    Raises `UserError` if there is no checkpoint or it is not whole.
    """
    name = latest(directory)
    if name is None:
        raise UserError(str(directory), "no checkpoint", "one that a run has saved")
    manifest = _open(directory / name, world)
    state = _sharded_models(stage)
    loaded = megatron.load_checkpoint(state, directory / name)
    for index, model in enumerate(stage.models):
        model.load_state_dict(loaded[f"model{index}"], strict=True)
    return int(manifest.facts["iteration"])


def latest(directory: Path) -> str | None:
    """The name of the checkpoint to go on from, or None if there is none yet.

    Raises `UserError` if `latest` names something that is not a checkpoint of this directory.
    """
    path = directory / "latest"
    if not path.exists():
        return None
    name = path.read_text(encoding="utf-8").strip()
    present = sorted(entry.name for entry in directory.glob("iteration-*"))
    if name not in present:
        hint = f"write one of these into it: {', '.join(present) or 'there is none'}"
        raise UserError(str(path), repr(name), "the name of a checkpoint beside it", hint)
    return name


def _sharded_state(stage: Stage, optimizer: Any, is_loading: bool) -> dict[str, Any]:
    state = _sharded_models(stage)
    state["optimizer"] = optimizer.sharded_state_dict(
        dict(state), is_loading=is_loading, metadata=dict(_METADATA)
    )
    return state


def _sharded_models(stage: Stage) -> dict[str, Any]:
    # From the bare models: the wrappers would put `module.` before every name.
    return {
        f"model{index}": model.sharded_state_dict(metadata=dict(_METADATA))
        for index, model in enumerate(stage.models)
    }


def _rng(world: World) -> Any:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    shape = (world.pipeline_size, world.tensor_size, world.data_size)
    place = (world.pipeline_rank, world.tensor_rank, world.data_rank)
    return megatron.ShardedObject("rng", states, shape, place, replica_id=0)


def _seal(directory: Path, iteration: int, parallel: Parallel, config_digest: str) -> None:
    entries = []
    for path in sorted(directory.iterdir()):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        entries.append(FileEntry(path.name, None, path.stat().st_size, digest_file(path)))
    facts = {"iteration": iteration, "layout": parallel.model_dump()}
    write_manifest(
        directory,
        Manifest(KIND, VERSION, {"run": config_digest}, (), tuple(entries), facts),
    )


def _open(checkpoint: Path, world: World) -> Manifest:
    """The manifest, once the digests of all files were found to be right: each rank compares its
    share of them, all ranks learn the answer."""
    manifest = read_manifest(checkpoint, KIND, VERSION)
    bad = [
        index
        for index, entry in enumerate(manifest.files)
        if index % world.size == world.rank and digest_file(checkpoint / entry.path) != entry.digest
    ]
    marks = [float(index in bad) for index in range(len(manifest.files))]
    broken = [
        entry.path
        for entry, mark in zip(manifest.files, sum_over_world(marks, world.device), strict=True)
        if mark
    ]
    if broken:
        raise UserError(
            str(checkpoint / broken[0]),
            "content that differs from its digest",
            "the checkpoint as it was written",
            f"write the name of an older checkpoint into {checkpoint.parent / 'latest'}, "
            "or begin again with --force",
        )
    return manifest


def _name(iteration: int) -> str:
    return f"iteration-{iteration:08d}"
