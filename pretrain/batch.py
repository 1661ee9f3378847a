"""The micro-batch: what the data gives and the model takes. B sequences of S tokens."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class MicroBatch:
    """Sequences for one pass through the model, on one device."""

    tokens: torch.Tensor
    """int64 [B, S]"""
    labels: torch.Tensor
    """int64 [B, S]: the token after each one"""
    mask: torch.Tensor
    """float32 [B, S]: 1 where the label counts, 0 in padding and across a document's border"""
    positions: torch.Tensor
    """int64 [B, S]: from the start of the document, or of the sequence without document masks"""
    borders: torch.Tensor | None
    """int32 [documents + 1]: cumulative lengths of the documents over all B x S positions, padding
    counted as documents (`cu_seqlens`); None without document masks"""
    sources: torch.Tensor
    """int64 [B]: number of the source that each sequence is from, in the order of their names"""
    samples: tuple[int, ...]
    """The B global sample indices, on the host; -1 for a sequence in which nothing counts"""

    def to(self, device: torch.device) -> "MicroBatch":
        """The same on `device`; the copy does not wait."""
        return MicroBatch(
            self.tokens.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.mask.to(device, non_blocking=True),
            self.positions.to(device, non_blocking=True),
            None if self.borders is None else self.borders.to(device, non_blocking=True),
            self.sources.to(device, non_blocking=True),
            self.samples,
        )
