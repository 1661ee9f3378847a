"""`pretrain average`: the mean of several checkpoints' weights, as a checkpoint of its own.

The mean of weights along the end of a run often predicts better than the last ones (Izmailov et al.
2018, arXiv:1803.05407), as does that of runs from a common start (Wortsman et al. 2022,
arXiv:2203.05482). It holds no optimizer, and `latest` never names it: a run does not go on from it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from launch.errors import UserError
from launch.lock import lock
from launch.manifest import Input
from launch.recipe import Recipe, load_recipe
from pretrain import model, parallel
from pretrain.check import make_plan
from pretrain.contract import read_result
from pretrain.saving import checkpoint
from pretrain.saving import checkpoint_files as files
from pretrain.saving.branch import identity


def average(directory: Path, last: int = 0, iterations: Sequence[int] = ()) -> dict[str, Any]:
    """Write the mean of a run's checkpoints beside them: of the `last` ones, or of `iterations`.

    Sums are float64; the mean has the weights' own dtype. Returns its name and what it is of. The
    environment must be that of the only rank of a world, which must hold the whole model twice and
    three times over in memory. Raises `UserError` if a checkpoint is missing or not whole.
    """
    read_result(directory)
    checkpoints = directory / "checkpoints"
    tables = load_recipe(directory / "recipe.toml").to_dict()
    tables["pretrain"]["parallel"] = {}
    plan = make_plan(Recipe.from_dict(tables))
    with lock(directory):
        chosen = choose(checkpoints, last, iterations)
        pretrain, seed = plan.recipe.pretrain, plan.recipe.run.seed
        world = parallel.start(pretrain.parallel, seed)
        stage = model.build(pretrain, plan.padded_vocab_size, seed, world)
        sums: dict[str, torch.Tensor] = {}
        for name in chosen.values():
            checkpoint.load_weights(checkpoints, stage, world, name)
            for key, weight in _weights(stage).items():
                sums[key] = sums.get(key, 0) + weight.detach().double()
        for key, weight in _weights(stage).items():
            weight.copy_(sums[key] / len(chosen))
        name = f"average-{min(chosen):08d}-{max(chosen):08d}-{len(chosen)}"
        inputs = tuple(
            Input(each, files.read(checkpoints / each).files_digest) for each in chosen.values()
        )
        checkpoint.save_weights(
            checkpoints, name, max(chosen), stage, pretrain.parallel,
            identity(plan.recipe, plan.tokens), inputs, world,
        )  # fmt: skip
    return {"run": str(directory), "checkpoint": name, "iterations": sorted(chosen)}


def choose(checkpoints: Path, last: int, iterations: Sequence[int]) -> dict[int, str]:
    """Names of the checkpoints to take, by iteration. Raises `UserError` if one is not there."""
    present = files.checkpoints_in(checkpoints)
    there = ", ".join(str(iteration) for iteration in present) or "none"
    if bool(last) == bool(iterations):
        raise UserError("average", "neither or both", "either --last or --iterations")
    for iteration in iterations:
        if iteration not in present:
            raise UserError(
                "--iterations", str(iteration), f"checkpoints of {checkpoints}: {there}"
            )
    if last > len(present):
        raise UserError("--last", str(last), f"at most as many as there are: {there}")
    chosen = {iteration: present[iteration] for iteration in iterations or list(present)[-last:]}
    if len(chosen) < 2:
        raise UserError("average", f"{len(chosen)} checkpoint", "two or more",
                        "pretrain.checkpoint.keep decides how many there are")  # fmt: skip
    return chosen


def _weights(stage: model.Stage) -> dict[str, torch.Tensor]:
    return {
        f"{index}.{key}": value
        for index, each in enumerate(stage.models)
        for key, value in each.state_dict().items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    }
