"""One micro-batch through one pipeline stage, and the loss at the end of the last one.

Shapes: B micro-batch, S sequence length.
"""

from collections.abc import Callable, Iterator

import torch

from pretrain.batch import MicroBatch

Report = dict[str, torch.Tensor]
LossFunction = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor, Report]]


def forward_step(
    micro_batches: Iterator[MicroBatch], model: torch.nn.Module
) -> tuple[torch.Tensor, LossFunction]:
    """What Megatron's schedules call for each micro-batch and piece of the model.

    The loss that goes backward is the sum over the positions that count; Megatron divides the
    gradients by their number over all micro-batches and data ranks (`calculate_per_token_loss`), so
    that every token weighs the same, however padding falls.
    """
    batch = next(micro_batches)
    # Losses [B, S] on the last stage, hidden states [S, B, hidden] before it.
    output = model(batch.tokens, batch.positions, document_mask(batch), labels=batch.labels)
    return output, lambda losses: _reduce(losses, batch)


def document_mask(batch: MicroBatch) -> torch.Tensor | None:
    """Where a position may look: bool [B, 1, S, S], its own document up to itself.

    None without document masks: plain causal attention.
    """
    if batch.borders is None:
        return None
    documents = (batch.positions == 0).cumsum(dim=1)
    same = documents.unsqueeze(2) == documents.unsqueeze(1)
    return same.tril().unsqueeze(1)


def _reduce(losses: torch.Tensor, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor, Report]:
    sums = (losses.float() * batch.mask).sum(dim=1)
    counts = batch.mask.sum(dim=1)
    report = {"sums": sums.detach(), "counts": counts, "sources": batch.sources}
    return sums.sum(), counts.sum().to(torch.int), report
