"""`pretrain evaluate`: a saved model measured on its whole validation split, in one process.

The checkpoint may come from any layout; a run that is still going on may be looked at too.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from launch.recipe import Recipe, load_recipe
from pretrain import checkpoint, model, parallel
from pretrain.check import make_plan
from pretrain.contract import read_result
from pretrain.data import ValidationSequences
from pretrain.evaluate import validate
from pretrain.train import open_corpus


def evaluate_run(directory: Path) -> dict[str, Any]:
    """Loss (nats per token), bits per byte and number of tokens of the last checkpoint.

    The environment must be that of the only rank of a world. Raises `UserError` if `directory` is
    not that of a run, or has no whole checkpoint.
    """
    read_result(directory)
    tables = load_recipe(directory / "recipe.toml").to_dict()
    tables["pretrain"]["parallel"] = {}
    plan = make_plan(Recipe.from_dict(tables))
    pretrain, seed = plan.recipe.pretrain, plan.recipe.run.seed
    sequences = ValidationSequences(open_corpus(plan), pretrain.model.sequence_length)
    world = parallel.start(pretrain.parallel, seed)
    stage = model.build(pretrain, plan.padded_vocab_size, seed, world)
    iteration = checkpoint.load_weights(directory / "checkpoints", stage, world)
    valid = validate(stage, sequences, pretrain, plan.tokens_per_byte, world, whole=True)
    assert valid is not None
    return {"run": str(directory), "iteration": iteration, **asdict(valid)}
