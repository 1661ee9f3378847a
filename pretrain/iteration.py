"""One training iteration: forward and backward through all micro-batches, one update.

Shapes: B micro-batch, S sequence length.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from launch.errors import NumericalError
from pretrain.batch import MicroBatch
from pretrain.forward import Report, forward_step
from pretrain.megatron import get_forward_backward_func
from pretrain.model import Stage
from pretrain.optimizer import set_learning_rate
from pretrain.parallel import World, sum_over_world


@dataclass(frozen=True)
class Outcome:
    """What every rank knows after an iteration."""

    loss: float  # nats per token, mean over the global batch, before the update
    gradient_norm: float  # of the whole model, before clipping
    stop_requested: bool  # by a signal to any rank


def train_iteration(
    stage: Stage,
    optimizer: Any,
    micro_batches: Iterator[MicroBatch],
    *,
    num_micro_batches: int,
    micro_batch_size: int,
    learning_rate: float,
    stop_requested: bool,
    world: World,
) -> Outcome:
    """Run one iteration on this rank, together with all the others.

    Raises `NumericalError`, on every rank, if the loss or the gradient is not a finite number; with
    such a loss the weights are as they were before.
    """
    for model in stage.wrapped:
        model.zero_grad_buffer()
    optimizer.zero_grad()
    reports = pass_through(
        stage, micro_batches, num_micro_batches=num_micro_batches,
        micro_batch_size=micro_batch_size, backward=True,
    )  # fmt: skip
    # Tensor ranks hold the same loss; one of them speaks.
    speaks = world.is_last_stage and world.tensor_rank == 0
    sums = [
        sum(float(report[key].sum()) for report in reports) if speaks else 0.0
        for key in ("sums", "counts")
    ]
    total, count, stops = sum_over_world([*sums, float(stop_requested)], world.device)
    loss = total / count
    if not _is_finite(loss):
        raise NumericalError(f"the training loss is {loss}", _HINT)
    set_learning_rate(optimizer, learning_rate)
    _, gradient_norm, _ = optimizer.step()
    if not _is_finite(gradient_norm):
        raise NumericalError(f"the norm of the gradient is {gradient_norm}", _HINT)
    return Outcome(loss, float(gradient_norm), stops > 0)


def pass_through(
    stage: Stage,
    micro_batches: Iterator[MicroBatch],
    *,
    num_micro_batches: int,
    micro_batch_size: int,
    backward: bool,
) -> list[Report]:
    """Send micro-batches through all pipeline stages; gradients too, if `backward`.

    Returns, on the last stage only, for each micro-batch the `sums` of losses, the `counts` of
    positions (float32 [B]) and the `sources` (int64 [B]) of its sequences.
    """
    schedule = get_forward_backward_func()
    pieces = len(stage.models)
    reports: list[Report] = schedule(
        forward_step_func=forward_step,
        # Each piece of the model asks for the same micro-batches at its own pace.
        data_iterator=list(itertools.tee(micro_batches, pieces)) if pieces > 1 else micro_batches,
        model=list(stage.wrapped),
        num_microbatches=num_micro_batches,
        seq_length=stage.models[0].max_sequence_length,
        micro_batch_size=micro_batch_size,
        forward_only=not backward,
    )
    return reports


def _is_finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


_HINT = (
    "the checkpoints hold the state before it; a lower training.lr_peak or a longer warm-up "
    "often mends it"
)
