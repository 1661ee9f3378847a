"""Validation: loss per token and bits per byte of text."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.data import ValidationSequences
from pretrain.iteration import pass_through
from pretrain.model import Stage
from pretrain.parallel import World, sum_over_world


@dataclass(frozen=True)
class Validation:
    """The same on every rank."""

    loss: float  # nats per token
    bits_per_byte: float
    tokens: int  # that were predicted


def validate(
    stage: Stage,
    sequences: ValidationSequences,
    pretrain: Pretrain,
    tokens_per_byte: float,
    world: World,
    *,
    whole: bool = False,
) -> Validation:
    """Loss on `training.valid_batches` batches spread evenly over the validation split, or on the
    `whole` of it.

    Bits per byte are the loss in bits times the tokens (end-of-document included) per byte of text
    of the whole split, so that models with different tokenizers can be compared (Gao et al. 2020,
    arXiv:2101.00027, section 3.1).
    """
    training = pretrain.training
    most = len(sequences) if whole else training.valid_batches * training.batch_size
    chosen = sequences.chosen(most)
    size = training.micro_batch_size
    num_micro_batches = -(-len(chosen) // (size * world.data_size))
    if len(stage.models) > 1:  # the interleaved schedule goes round all stages
        num_micro_batches = -(-num_micro_batches // world.pipeline_size) * world.pipeline_size
    for model in stage.wrapped:
        model.eval()
    with torch.no_grad():
        reports = pass_through(
            stage, _micro_batches(sequences, chosen, num_micro_batches, size, world),
            num_micro_batches=num_micro_batches, micro_batch_size=size, backward=False,
        )  # fmt: skip
    for model in stage.wrapped:
        model.train()
    speaks = world.is_last_stage and world.tensor_rank == 0
    sums = [0.0, 0.0]
    if speaks:
        # Sequence by sequence into float64: the sum hardly depends on how they were divided.
        sums = [math.fsum(value for report in reports for value in report[key].tolist())
                for key in ("sums", "counts")]  # fmt: skip
    total, count = sum_over_world(sums, world.device)
    loss = total / count
    return Validation(loss, loss / math.log(2) * tokens_per_byte, round(count))


def _micro_batches(
    sequences: ValidationSequences, chosen: list[int], count: int, size: int, world: World
) -> Iterator[MicroBatch]:
    padded: list[int | None] = [*chosen, *[None] * (count * size * world.data_size - len(chosen))]
    for index in range(count):
        start = (index * world.data_size + world.data_rank) * size
        batch = sequences.batch(padded[start : start + size])
        yield batch.to(world.device)
