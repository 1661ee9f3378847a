"""Whether a run fits into its GPUs' memory, and the nearest change to the recipe that makes it fit.

Every change is tried: the recipe with it must pass the rules, and its memory is estimated anew.
"""

import json
from dataclasses import dataclass, replace
from itertools import combinations

from pydantic import ValidationError

from launch.errors import UserError
from launch.recipe import Recipe
from pretrain.check import check_recipe
from pretrain.config import Pretrain
from pretrain.planning.hardware import Hardware
from pretrain.planning.memory import MARGIN, estimate_memory, largest
from pretrain.planning.step_time import step_time

Values = dict[str, dict[str, object]]


@dataclass(frozen=True)
class Change:
    """A change to the recipe that makes it fit."""

    overrides: tuple[str, ...]
    """As arguments of the command: `pretrain.training.micro_batch_size=1`"""
    memory_bytes: int
    """Of the largest stage's processes, then"""
    gpus: int
    seconds_per_sequence_and_gpu: float


def usable_bytes(gpu: Hardware) -> int:
    """What tensors may take."""
    return int(gpu.memory_bytes * (1 - MARGIN))


def fits(pretrain: Pretrain, padded_vocab_size: int, gpu: Hardware) -> bool:
    """Whether every stage's processes have room."""
    return largest(estimate_memory(pretrain, padded_vocab_size)).total <= usable_bytes(gpu)


def nearest_change(recipe: Recipe, padded_vocab_size: int, gpu: Hardware) -> Change | None:
    """The change that makes the recipe fit at the least cost in GPU time, of the smallest kind that
    does: one change on as many GPUs, two of them, then one with twice the GPUs; None: none does."""
    same = _candidates(recipe.pretrain)
    grown = _growing(recipe.pretrain)
    levels: list[list[tuple[Values, ...]]] = [
        [(one,) for one in same],
        list(combinations(same, 2)),
        [(one,) for one in grown],
        [(one, other) for one in grown for other in same],
    ]
    for level in levels:
        tried = [_tried(recipe, padded_vocab_size, gpu, values) for values in level]
        fitting = [change for change in tried if change is not None]
        if fitting:
            return min(fitting, key=lambda change: change.seconds_per_sequence_and_gpu)
    return None


def _candidates(pretrain: Pretrain) -> list[Values]:
    """Changes that keep the number of GPUs and the batch."""
    parallel, training = pretrain.parallel, pretrain.training
    found: list[Values] = []
    size = training.micro_batch_size // 2
    while size:
        found.append({"training": {"micro_batch_size": size}})
        size //= 2
    if parallel.tensor > 1 and not parallel.sequence:
        found.append({"parallel": {"sequence": True}})
    if parallel.recompute != "full":
        found.append({"parallel": {"recompute": "full"}})
    if parallel.virtual_stages > 1:
        found.append({"parallel": {"virtual_stages": 1}})
    if parallel.data % 2 == 0:
        data = parallel.data // 2
        sharing: dict[str, object] = {"tensor": parallel.tensor * 2, "data": data, "sequence": True}
        found.append({"parallel": sharing})
        found.append({"parallel": {"pipeline": parallel.pipeline * 2, "data": data}})
    return found


def _growing(pretrain: Pretrain) -> list[Values]:
    """Changes that take twice the GPUs."""
    parallel = pretrain.parallel
    return [
        {"parallel": {"data": parallel.data * 2}},
        {"parallel": {"tensor": parallel.tensor * 2, "sequence": True}},
        {"parallel": {"pipeline": parallel.pipeline * 2}},
    ]


def _tried(
    recipe: Recipe, padded_vocab_size: int, gpu: Hardware, values: tuple[Values, ...]
) -> Change | None:
    tables: Values = {"training": {}, "parallel": {}}
    for value in values:
        for table, keys in value.items():
            if set(keys) & set(tables[table]):
                return None
            tables[table].update(keys)
    changed = _with(recipe, tables)
    if changed is None or changed.pretrain.parallel.tensor > gpu.gpus_per_node:
        return None
    pretrain = changed.pretrain
    memory = largest(estimate_memory(pretrain, padded_vocab_size)).total
    if padded_vocab_size % pretrain.parallel.tensor or memory > usable_bytes(gpu):
        return None
    seconds = step_time(pretrain, padded_vocab_size, gpu).total * pretrain.parallel.world_size
    overrides = [
        f"pretrain.{table}.{key}={str(value).lower()}"
        for table, keys in tables.items()
        for key, value in keys.items()
    ]
    return Change(
        tuple(overrides),
        memory,
        pretrain.parallel.world_size,
        seconds / pretrain.training.batch_size,
    )


def _with(recipe: Recipe, tables: Values) -> Recipe | None:
    """The recipe with other values, if the rules allow them."""
    table = recipe.pretrain.model_dump(mode="json")
    for name, keys in tables.items():
        table[name].update(keys)
    try:
        pretrain = Pretrain.model_validate_json(json.dumps(table))
        changed = replace(recipe, pretrain=pretrain)
        check_recipe(changed)
    except (UserError, ValidationError):
        return None
    return changed
