"""Validation: loss per token and bits per byte of text, in all and by source."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.data.validation import ValidationSequences
from pretrain.forward import Report
from pretrain.iteration import pass_through
from pretrain.model import Stage
from pretrain.parallel import World, sum_over_world
from pretrain.safety.agreement import rows_of_all
from pretrain.safety.interrupt import StopRequest


@dataclass(frozen=True)
class SourceValidation:
    """The part of one source."""

    source: str
    loss: float  # nats per token
    bits_per_byte: float
    tokens: int  # that were predicted


_PIECE_SECONDS = 1.0


@dataclass(frozen=True)
class Validation:
    """The same on every rank."""

    loss: float  # nats per token
    bits_per_byte: float
    tokens: int  # that were predicted
    by_source: tuple[SourceValidation, ...]
    """Of the sources that were measured, in the order of their names."""


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
    of the whole split or source, so that models with different tokenizers can be compared (Gao et
    al. 2020, arXiv:2101.00027, section 3.1): a token that no position predicts, the first of a
    document where documents are masked, counts as the mean of the others.

    Returns None on every rank if `stop` was asked on any of them before the end.
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
                sequence_length=pretrain.model.sequence_length, backward=False,
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
    names = sequences.names
    rows: list[list[tuple[float, float]]] = [[] for _ in names]
    # Tensor ranks hold the same losses; one of them speaks.
    if world.is_last_stage and world.tensor_rank == 0:
        for report in reports:
            columns = (report[key].tolist() for key in ("sources", "sums", "counts"))
            for number, total, count in zip(*columns, strict=True):
                rows[number].append((total, count))
    # Sequence by sequence into float64: the sum hardly depends on how they were divided.
    sums = [math.fsum(row[place] for row in found) for found in rows for place in (0, 1)]
    summed = sum_over_world(sums, world.device)
    totals, counts = summed[0::2], summed[1::2]
    by_source = tuple(
        SourceValidation(
            source.name,
            totals[source.number] / counts[source.number],
            totals[source.number] / counts[source.number] / math.log(2) * source.tokens_per_byte,
            round(counts[source.number]),
        )
        for source in sequences.sources
        if counts[source.number]
    )
    loss = math.fsum(totals) / math.fsum(counts)
    bits_per_byte = loss / math.log(2) * tokens_per_byte
    return Validation(loss, bits_per_byte, round(math.fsum(counts)), by_source)


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
