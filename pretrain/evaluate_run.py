"""`pretrain evaluate`: a saved model measured on its whole validation split, in one process.

The checkpoint may come from any layout; a run that is still going on may be looked at too.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from launch.recipe import Recipe, load_recipe
from pretrain import model, parallel
from pretrain.check import make_plan
from pretrain.contract import read_result
from pretrain.data.validation import ValidationSequences
from pretrain.evaluate import validate
from pretrain.saving import checkpoint


def evaluate_run(directory: Path, name: str | None = None) -> dict[str, Any]:
    """Loss (nats per token), bits per byte and number of predicted tokens of the checkpoint `name`,
    or of the last one, and the same for each source; `tokens_of_split` counts all of the split's.

    The environment must be that of the only rank of a world. Raises `UserError` if `directory` is
    not that of a run, or has no whole checkpoint.
    """
    read_result(directory)
    tables = load_recipe(directory / "recipe.toml").to_dict()
    tables["pretrain"]["parallel"] = {}
    plan = make_plan(Recipe.from_dict(tables))
    pretrain, seed = plan.recipe.pretrain, plan.recipe.run.seed
    sequences = ValidationSequences(plan.recipe, plan.tokens)
    world = parallel.start(pretrain.parallel, seed)
    stage = model.build(pretrain, plan.padded_vocab_size, seed, world)
    iteration = checkpoint.load_weights(directory / "checkpoints", stage, world, name)
    valid = validate(stage, sequences, pretrain, plan.tokens_per_byte, world, whole=True)
    assert valid is not None
    counts = {source.name: source.predicted for source in sequences.sources}
    assert valid.tokens == sum(counts.values()), (valid.tokens, counts)
    return {
        "run": str(directory),
        "iteration": iteration,
        **asdict(valid),
        "tokens_of_split": plan.valid_tokens,
    }
