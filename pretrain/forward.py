"""One micro-batch through one pipeline stage, and the loss at the end of the last one.

Shapes: B micro-batch, S sequence length.
"""

from collections.abc import Callable, Iterator

import torch

from pretrain.batch import MicroBatch
from pretrain.megatron import (
    PackedSeqParams,
    get_batch_on_this_cp_rank,
    has_transformer_engine,
)

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
    ignored = batch.mask == 0  # by the balancing of experts
    if batch.borders is None:
        parts = get_batch_on_this_cp_rank(
            {
                "tokens": batch.tokens, "labels": batch.labels, "mask": batch.mask,
                "ignored": ignored,
            }
        )  # fmt: skip
        # Without positions the model counts from the start of the sequence.
        output = model(
            parts["tokens"], None, None, labels=parts["labels"], padding_mask=parts["ignored"]
        )
        return output, lambda losses: _reduce(losses, parts["mask"], batch.sources)
    if has_transformer_engine():
        output = model(
            batch.tokens.view(1, -1), None, None, labels=batch.labels.view(1, -1),
            packed_seq_params=_packed(batch), padding_mask=ignored.view(1, -1),
        )  # fmt: skip
        size = batch.mask.shape
        return output, lambda losses: _reduce(losses.view(size), batch.mask, batch.sources)
    # Losses [B, S] on the last stage, hidden states [S, B, hidden] before it.
    output = model(
        batch.tokens, batch.positions, _visible(batch), labels=batch.labels, padding_mask=ignored
    )
    return output, lambda losses: _reduce(losses, batch.mask, batch.sources)


def document_mask(batch: MicroBatch) -> torch.Tensor | None:
    """Where a position may look: bool [B, 1, S, S], its own document up to itself.

    None without document masks: plain causal attention.
    """
    if batch.borders is None:
        return None
    documents = (batch.positions == 0).cumsum(dim=1)
    same = documents.unsqueeze(2) == documents.unsqueeze(1)
    return same.tril().unsqueeze(1)


def _visible(batch: MicroBatch) -> torch.Tensor | None:
    # On a CPU attention takes the borders themselves; to read them on a GPU would be to wait.
    return batch.borders if batch.tokens.device.type == "cpu" else document_mask(batch)


def _packed(batch: MicroBatch) -> PackedSeqParams:
    """All documents of the micro-batch in a row, as Transformer Engine's attention takes them."""
    length = batch.tokens.size(1)
    return PackedSeqParams(
        qkv_format="thd",
        cu_seqlens_q=batch.borders,
        cu_seqlens_kv=batch.borders,
        max_seqlen_q=length,
        max_seqlen_kv=length,
    )


def _reduce(
    losses: torch.Tensor, mask: torch.Tensor, sources: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Report]:
    sums = (losses.float() * mask).sum(dim=1)
    counts = mask.sum(dim=1)
    report = {"sums": sums.detach(), "counts": counts, "sources": sources}
    return sums.sum(), counts.sum().to(torch.int), report
