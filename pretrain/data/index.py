"""`gristmill pretrain index`: build all of a run's order before the run, on a CPU, without torch.

A run builds what it does not find, so the command only spares the GPUs the wait. It may run on
another machine that sees the recipe's root, or on every node where that is a disk of its own: what
is built depends on nothing but tokens and recipe.
"""

import time

from launch.errors import UserError
from launch.log import get_logger
from launch.manifest import Manifest
from launch.recipe import Recipe
from pretrain.data.order import Order
from pretrain.data.sources import coverage
from pretrain.schedule import first_sample
from tokenizer.contract import open_tokens

_LOG_SECONDS = 10.0


def open_order(recipe: Recipe, tokens: Manifest) -> Order:
    """The order of a recipe's run over its encoded corpus; builds the table of documents only.

    Raises `UserError` if `tokens/` does not hold together.
    """
    _check_training_tokens(recipe, tokens)
    return Order(recipe, tokens)


def build(recipe: Recipe, tokens: Manifest) -> Order:
    """The order with all segments of the run; says on the log how fast it goes.

    Raises `UserError` if a source would be read too often, or `tokens/` does not hold together.
    """
    coverage(recipe.pretrain, tokens.facts)
    log = get_logger("pretrain")
    begun = last = time.monotonic()
    order = open_order(recipe, tokens)
    end = num_samples(recipe)
    if order.is_built(end):
        return order
    total = 0
    for built, num_tokens in order.build(end):
        total += num_tokens
        now = time.monotonic()
        if now - last > _LOG_SECONDS:
            last = now
            log.info("order of the data: %d of %d samples", built, end)
    seconds = time.monotonic() - begun
    log.info(
        "order of the data: %d samples, %d tokens, %.1f s, %.1f million tokens/s",
        end, total, seconds, total / 1e6 / seconds,
    )  # fmt: skip
    return order


def run(recipe: Recipe) -> None:
    """The command: everything that the run needs. Raises `UserError` as `build`."""
    order = build(recipe, open_tokens(recipe.tokens, verify=False))
    get_logger("pretrain").info(
        "the order of %s is built: %d samples of %s", recipe.run.name, num_samples(recipe),
        ", ".join(order.sources),
    )  # fmt: skip


def num_samples(recipe: Recipe) -> int:
    """Samples of the whole run."""
    training = recipe.pretrain.training
    return first_sample(training, training.iterations)


def _check_training_tokens(recipe: Recipe, tokens: Manifest) -> None:
    if not tokens.facts["splits"]["train"]["tokens"]:
        raise UserError(f"{recipe.tokens}: train", "0 tokens", "some to train on")
