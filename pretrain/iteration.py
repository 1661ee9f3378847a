"""One training iteration: forward and backward through all micro-batches, one update.

Nothing here waits for the device: what came out stays there, in the `judge`, until it is drained.

Shapes: B micro-batch, S sequence length.
"""

import itertools
from collections.abc import Iterator

import torch

from pretrain.batch import MicroBatch
from pretrain.forward import Report, forward_step
from pretrain.judge import Judge
from pretrain.megatron import get_forward_backward_func
from pretrain.model import Stage
from pretrain.optimizer import Optimizer
from pretrain.parallel import World


def train_iteration(
    stage: Stage,
    optimizer: Optimizer,
    judge: Judge,
    micro_batches: Iterator[MicroBatch],
    *,
    num_micro_batches: int,
    micro_batch_size: int,
    sequence_length: int,
    learning_rate: float,
    world: World,
) -> list[Report]:
    """Run one iteration on this rank, together with all the others.

    Returns the reports of `pass_through`. An update that is not finite, or that the policy refuses,
    leaves weights and optimizer as they were, to the bit.
    """
    for model in stage.wrapped:
        model.zero_grad_buffer()
    reports = pass_through(
        stage, micro_batches, num_micro_batches=num_micro_batches,
        micro_batch_size=micro_batch_size, sequence_length=sequence_length, backward=True,
    )  # fmt: skip
    totals = _totals(reports, optimizer, world)
    optimizer.update(learning_rate, judge.decide(totals))
    return reports


def _totals(reports: list[Report], optimizer: Optimizer, world: World) -> torch.Tensor:
    """Over all ranks, in one exchange, float64 [3]: the sum of the losses, the number of positions
    that count, the square of the norm of the summed gradients."""
    totals = torch.zeros(3, dtype=torch.float64, device=world.device)
    # Tensor ranks hold the same loss; one of them speaks.
    if world.is_last_stage and world.tensor_rank == 0:
        for index, key in enumerate(("sums", "counts")):
            totals[index] = torch.stack([report[key].sum() for report in reports]).double().sum()
    totals[2] = optimizer.squared_norm()
    if world.size > 1:
        torch.distributed.all_reduce(totals)
    return totals


def pass_through(
    stage: Stage,
    micro_batches: Iterator[MicroBatch],
    *,
    num_micro_batches: int,
    micro_batch_size: int,
    sequence_length: int,
    backward: bool,
) -> list[Report]:
    """Send micro-batches through all pipeline stages; gradients too, if `backward`.

    Returns, on the last stage only, for each micro-batch the `sums` of losses, the `counts` of
    positions (float32 [B]) and the `sources` (int64 [B]) of its sequences.
    """
    if stage.packed:
        sequence_length, micro_batch_size = sequence_length * micro_batch_size, 1
    schedule = get_forward_backward_func()
    pieces = len(stage.models)
    reports: list[Report] = schedule(
        forward_step_func=forward_step,
        # Each piece of the model asks for the same micro-batches at its own pace.
        data_iterator=list(itertools.tee(micro_batches, pieces)) if pieces > 1 else micro_batches,
        model=list(stage.wrapped),
        num_microbatches=num_micro_batches,
        seq_length=sequence_length,
        micro_batch_size=micro_batch_size,
        forward_only=not backward,
    )
    return reports
