"""Our training and the plain reference on the same batches, from the same initial weights."""

from typing import Any

from launch.recipe import Recipe
from pretrain import model, optimizer, parallel
from pretrain.batch import MicroBatch
from pretrain.check import make_plan
from pretrain.data.batches import Batches, shared_order
from pretrain.iteration import train_iteration
from pretrain.judge import Judge
from pretrain.schedule import learning_rate, num_micro_batches
from tests.pretrain.plain_reference import Batch, Decoder, Trainer, draw


def run_both(recipe: dict[str, Any], work: str, plain: int) -> dict[str, Any]:
    """Losses and gradient norms of `plain` iterations, ours and the reference's; one process."""
    plan = make_plan(Recipe.from_dict(recipe))
    pretrain, seed = plan.recipe.pretrain, plan.recipe.run.seed
    world = parallel.start(pretrain.parallel, seed)
    stage = model.build(pretrain, plan.padded_vocab_size, seed, world)
    judge = Judge(pretrain.stability, pretrain.training, world.device)
    ours = optimizer.build(pretrain.training, stage, judge.loss_scale)
    data = Batches(shared_order(plan.recipe, plan.tokens, world), pretrain, world, bool)
    reference = Decoder(pretrain.model, plan.padded_vocab_size)
    draw(reference, seed)
    theirs = Trainer(reference, pretrain.training)
    answer: dict[str, list[float]] = {"losses": [], "norms": [], "plain_losses": [],
                                      "plain_norms": []}  # fmt: skip
    for iteration in range(plain):
        batches = list(data.iteration(iteration))
        train_iteration(
            stage, ours, judge, iter(batches),
            num_micro_batches=num_micro_batches(pretrain.training, 1, iteration),
            micro_batch_size=pretrain.training.micro_batch_size,
            sequence_length=data.sequence_length(iteration),
            learning_rate=learning_rate(pretrain.training, iteration), world=world,
        )  # fmt: skip
        (seen,) = judge.drain()
        loss, norm = theirs.iteration(iteration, [plain_batch(batch) for batch in batches])
        answer["losses"].append(seen.loss)
        answer["norms"].append(seen.gradient_norm)
        answer["plain_losses"].append(loss)
        answer["plain_norms"].append(norm)
    data.close()
    return answer


def plain_batch(batch: MicroBatch) -> Batch:
    """A micro-batch as the reference takes it."""
    positions = None if batch.borders is None else batch.positions
    return Batch(batch.tokens, batch.labels, batch.mask, positions)
