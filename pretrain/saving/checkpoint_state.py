"""What a checkpoint holds: the model, the optimizer, the random generators, the loop's own state.

The tensors are named and cut by Megatron-core so that any layout finds its own part of them.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch

from pretrain import megatron
from pretrain.config import Parallel
from pretrain.model import Stage
from pretrain.parallel import World
from pretrain.saving.random_state import random_state

# The only sharding of the optimizer that every layout can read; the others are bound to the data
# ranks, and one of them resumed wrongly without a word (see docs/numerics.md).
_METADATA = {"distrib_optim_sharding_type": "fully_reshardable"}


def sharded_models(stage: Stage) -> dict[str, Any]:
    """The weights of this stage, as Megatron shards them."""
    # From the bare models: the wrappers would put `module.` before every name.
    return {
        f"model{index}": model.sharded_state_dict(metadata=dict(_METADATA))
        for index, model in enumerate(stage.models)
    }


def sharded_state(stage: Stage, optimizer: Any, is_loading: bool) -> dict[str, Any]:
    """Weights and optimizer. Gathers the optimizer's shards of the data ranks, to save it."""
    stage.gather_parameters()
    state = sharded_models(stage)
    state["optimizer"] = optimizer.sharded_state_dict(
        dict(state), is_loading=is_loading, metadata=dict(_METADATA)
    )
    return state


def sharded_random_state(world: World) -> Any:
    """The random generators of all ranks; only the same layout can ask for them."""
    return megatron.ShardedObject("rng", random_state(), (world.size,), (world.rank,), replica_id=0)


def placement(parallel: Parallel) -> dict[str, int]:
    """The part of a layout that decides which rank is where."""
    names = ("tensor", "pipeline", "data", "context", "expert")
    return {name: int(getattr(parallel, name)) for name in names}


def load_models(stage: Stage, loaded: Mapping[str, Any]) -> None:
    """Put loaded weights into the models of this stage."""
    for index, model in enumerate(stage.models):
        model.load_state_dict(loaded[f"model{index}"], strict=True)


def split_loop_state(state: Mapping[str, Any]) -> tuple[bytes, dict[str, torch.Tensor]]:
    """The loop's state as the content of `state.json`, and those of its values that are tensors."""
    tensors = {k: v.detach().cpu() for k, v in state.items() if isinstance(v, torch.Tensor)}
    plain = {key: value for key, value in state.items() if key not in tensors}
    assert _is_json(plain), "a value that would come back as another: a tuple, a number as a key"
    return (json.dumps(plain, indent=1, sort_keys=True) + "\n").encode(), tensors


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(_is_json(inner) for inner in value)
    return value is None or isinstance(value, str | int | float)
