"""One training iteration: forward and backward through all micro-batches, one update.

Shapes: B micro-batch, S sequence length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from launch.errors import NumericalError
from pretrain.data import MicroBatch
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
    stage.wrapped.zero_grad_buffer()
    optimizer.zero_grad()
    reports = pass_through(
        stage, micro_batches, num_micro_batches=num_micro_batches,
        micro_batch_size=micro_batch_size, backward=True,
    )  # fmt: skip
    # Tensor ranks hold the same loss; one of them speaks.
    speaks = world.is_last_stage and world.tensor_rank == 0
    mean = sum(report["loss"].item() for report in reports) / num_micro_batches if speaks else 0.0
    loss, stops = sum_over_world([mean / world.data_size, float(stop_requested)], world.device)
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
) -> list[dict[str, torch.Tensor]]:
    """Send micro-batches through all pipeline stages; gradients too, if `backward`.

    Returns, on the last stage only, for each micro-batch its mean `loss`, and the `sums` of losses
    and `counts` of positions of each sequence (float32 [B]).
    """
    schedule = get_forward_backward_func()
    reports: list[dict[str, torch.Tensor]] = schedule(
        forward_step_func=_forward,
        data_iterator=micro_batches,
        model=[stage.wrapped],
        num_microbatches=num_micro_batches,
        seq_length=stage.model.max_sequence_length,
        micro_batch_size=micro_batch_size,
        forward_only=not backward,
    )
    return reports


LossFunction = Callable[[torch.Tensor], tuple[torch.Tensor, dict[str, torch.Tensor]]]


def _forward(
    micro_batches: Iterator[MicroBatch], model: torch.nn.Module
) -> tuple[torch.Tensor, LossFunction]:
    batch = next(micro_batches)
    positions = torch.arange(batch.tokens.size(1), device=batch.tokens.device)
    # Losses [B, S] on the last stage, hidden states [S, B, hidden] before it.
    output = model(batch.tokens, positions.expand_as(batch.tokens), None, labels=batch.labels)
    return output, lambda losses: _reduce(losses, batch.mask)


def _reduce(
    losses: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    losses = losses.float()
    mask = torch.ones_like(losses) if mask is None else mask
    sums, counts = (losses * mask).sum(dim=1), mask.sum(dim=1)
    loss = sums.sum() / counts.sum().clamp(min=1)
    # The schedule divides the loss by the number of micro-batches in place, so the report needs a
    # copy of its own (Megatron-core 0.16.1, forward_step_calc_loss).
    return loss, {"loss": loss.detach().clone(), "sums": sums.detach(), "counts": counts}


def _is_finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


_HINT = (
    "the checkpoints hold the state before it; a lower training.lr_peak or a longer warm-up "
    "often mends it"
)
