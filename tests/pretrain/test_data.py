"""The order of the data: one order for all layouts, and validation that counts each token once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from launch.recipe import Recipe
from pretrain.check import make_plan
from pretrain.data import Corpus, ValidationSequences, training_batch, training_samples
from pretrain.parallel import World
from pretrain.train import open_corpus

MakeRecipe = Callable[..., Recipe]


def world_of(data_rank: int, data_size: int) -> World:
    return World(
        rank=0, size=1, tensor_rank=0, tensor_size=1, pipeline_rank=0, pipeline_size=1,
        data_rank=data_rank, data_size=data_size, device=torch.device("cpu"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A world of this process alone."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield world_of(0, 1)
    torch.distributed.destroy_process_group()


def corpus_of(recipe: Recipe) -> Corpus:
    return open_corpus(make_plan(recipe))


def iteration_tokens(
    recipe: Recipe, samples: object, iteration: int, data_size: int
) -> torch.Tensor:
    rows = [
        list(training_batch(samples, recipe.pretrain, iteration, world_of(rank, data_size)))
        for rank in range(data_size)
    ]
    return torch.cat([batch.tokens for micro in zip(*rows, strict=True) for batch in micro])


def test_the_order_depends_on_neither_data_ranks_nor_micro_batch(
    make_recipe: MakeRecipe, world: World, tmp_path: Path
) -> None:
    one = make_recipe(training={"micro_batch_size": 8})
    samples = training_samples(one.pretrain, corpus_of(one), 1, tmp_path / "work", world)
    for size, data in ((1, 1), (2, 2), (4, 2), (2, 4)):
        recipe = make_recipe(training={"micro_batch_size": size}, parallel={"data": data})
        for iteration in (0, 7):
            expected = iteration_tokens(one, samples, iteration, 1)
            assert torch.equal(iteration_tokens(recipe, samples, iteration, data), expected)


def test_the_order_is_the_seeds_and_survives_the_cache(
    make_recipe: MakeRecipe, world: World, tmp_path: Path
) -> None:
    recipe = make_recipe()

    def first(seed: int, work: str) -> torch.Tensor:
        samples = training_samples(recipe.pretrain, corpus_of(recipe), seed, tmp_path / work, world)
        return iteration_tokens(recipe, samples, 0, 1)

    built, read, elsewhere = first(1, "work"), first(1, "work"), first(1, "other")
    assert torch.equal(built, read)
    assert torch.equal(built, elsewhere)
    assert not torch.equal(built, first(2, "work"))
    assert not list((tmp_path / "work").glob("*.tmp"))


def test_labels_are_the_next_tokens(make_recipe: MakeRecipe, world: World, tmp_path: Path) -> None:
    recipe = make_recipe()
    samples = training_samples(recipe.pretrain, corpus_of(recipe), 1, tmp_path / "work", world)
    batch = next(training_batch(samples, recipe.pretrain, 0, world))
    assert batch.tokens.shape == batch.labels.shape == (2, 32)
    assert torch.equal(batch.tokens[:, 1:], batch.labels[:, :-1])


def test_validation_predicts_every_token_but_the_first_once(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    plan = make_plan(recipe)
    corpus = open_corpus(plan)
    sequences = ValidationSequences(corpus, 32)
    batches = [sequences.batch([index]) for index in range(len(sequences))]
    labels = torch.cat([batch.labels[batch.mask.bool()] for batch in batches])
    ((prefix, _),) = corpus.valid
    stored = np.fromfile(f"{prefix}.bin", dtype="<u2").astype(np.int64)
    assert torch.equal(labels, torch.from_numpy(stored[1:]))
    assert len(stored) == plan.valid_tokens


def test_a_part_of_the_validation_is_spread_over_all_of_it(make_recipe: MakeRecipe) -> None:
    sequences = ValidationSequences(corpus_of(make_recipe()), 32)
    chosen = sequences.chosen(10)
    assert len(set(chosen)) == 10
    assert chosen[-1] >= 0.8 * len(sequences)
    assert sequences.chosen(10**6) == list(range(len(sequences)))
    empty = sequences.batch([None])
    assert empty.mask.sum() == 0
