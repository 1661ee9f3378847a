"""Validation: loss per token and bits per byte of text."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from pretrain.agreement import rows_of_all
from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.data import ValidationSequences
from pretrain.forward import Report
from pretrain.interrupt import StopRequest
from pretrain.iteration import pass_through
from pretrain.model import Stage
from pretrain.parallel import World, sum_over_world

_PIECE_SECONDS = 1.0


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
    stop: StopRequest | None = None,
) -> Validation | None:
    """Loss on `training.valid_batches` batches spread evenly over the validation split, or on the
    `whole` of it.

    Bits per byte are the loss in bits times the tokens (end-of-document included) per byte of text
    of the whole split, so that models with different tokenizers can be compared (Gao et al. 2020,
    arXiv:2101.00027, section 3.1).

    Returns None on every rank if `stop` was asked on any of them before the end.
    """
    training = pretrain.training
    most = len(sequences) if whole else training.valid_batches * training.batch_size
    chosen = sequences.chosen(most)
    size = training.micro_batch_size
    num_micro_batches = -(-len(chosen) // (size * world.data_size))
    for model in stage.wrapped:
        model.eval()
    micro_batches = _micro_batches(sequences, chosen, num_micro_batches, size, world)
    reports: list[Report] = []
    # Pieces of whole rounds of the pipeline: the interleaved schedule insists on them.
    done, piece, broken_off = 0, world.pipeline_size, False
    with torch.no_grad():
        while done < num_micro_batches and not broken_off:
            begun = time.monotonic()
            piece = min(piece, num_micro_batches - done)
            reports += pass_through(
                stage, micro_batches, num_micro_batches=piece, micro_batch_size=size,
                backward=False,
            )  # fmt: skip
            done += piece
            if stop is not None:
                if world.device.type == "cuda":
                    torch.cuda.synchronize()  # else the host would run ahead through all of it
                broken_off, piece = _next_piece(stop, piece, time.monotonic() - begun, world)
    for model in stage.wrapped:
        model.train()
    if broken_off:
        return None
    speaks = world.is_last_stage and world.tensor_rank == 0
    sums = [0.0, 0.0]
    if speaks:
        # Sequence by sequence into float64: the sum hardly depends on how they were divided.
        sums = [math.fsum(value for report in reports for value in report[key].tolist())
                for key in ("sums", "counts")]  # fmt: skip
    total, count = sum_over_world(sums, world.device)
    loss = total / count
    return Validation(loss, loss / math.log(2) * tokens_per_byte, round(count))


def _next_piece(stop: StopRequest, piece: int, seconds: float, world: World) -> tuple[bool, int]:
    """Whether any rank was asked to stop, and how many micro-batches may go before asking again:
    about a second's, so that a pipeline is not drained after each one."""
    table = rows_of_all([float(stop.is_set), seconds], world)
    slowest = max(row[1] for row in table)
    return any(row[0] for row in table), piece if slowest > _PIECE_SECONDS / 2 else 2 * piece


def _micro_batches(
    sequences: ValidationSequences, chosen: list[int], count: int, size: int, world: World
) -> Iterator[MicroBatch]:
    padded: list[int | None] = [*chosen, *[None] * (count * size * world.data_size - len(chosen))]
    for index in range(count):
        start = (index * world.data_size + world.data_rank) * size
        batch = sequences.batch(padded[start : start + size])
        yield batch.to(world.device)
