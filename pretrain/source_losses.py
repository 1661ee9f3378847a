"""Training loss by source, summed on the device and read once for each log line."""

from collections.abc import Sequence

import torch

from pretrain.forward import Report
from pretrain.parallel import World

_TOGETHER = 64  # micro-batches that are summed at once


class SourceLosses:
    """Sums of losses and counts of tokens by source, since they were last read.

    Every rank has one. `add` only queues work on the device; `read` is the one exchange, and the
    one place where the host waits.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self.names = tuple(names)
        # float64: a float32 count stops at 2^24 tokens, which is one interval of a large run.
        self._sums = torch.zeros(2, len(self.names), dtype=torch.float64, device=device)
        self._waiting: list[Report] = []
        self._numbers = torch.arange(len(self.names), device=device)

    def add(self, report: Report) -> None:
        """Add one micro-batch: `sums`, `counts` (float32 [B]) and `sources` (int64 [B]).

        Call it on the ranks that compute the loss. The tensors are kept as they are until there are
        some; so most calls cost an append.
        """
        self._waiting.append(report)
        if len(self._waiting) >= _TOGETHER:
            self._settle()

    def read(self, world: World) -> list[tuple[str, float, int]]:
        """Source, loss (nats per token) and tokens since the last call, of sources that had any,
        the same on every rank; all ranks call it together."""
        self._settle()
        # Tensor ranks hold the same losses; one of them speaks.
        speaks = world.is_last_stage and world.tensor_rank == 0
        total = self._sums.clone() if speaks else torch.zeros_like(self._sums)
        self._sums.zero_()
        torch.distributed.all_reduce(total)
        sums, counts = total.tolist()
        return [
            (name, loss / count, round(count))
            for name, loss, count in zip(self.names, sums, counts, strict=True)
            if count
        ]

    def forget(self) -> None:
        """Begin anew without reading: after a rewind."""
        self._waiting.clear()
        self._sums.zero_()

    def _settle(self) -> None:
        """Sum what waits. It is no `index_add`, whose order on a GPU is not fixed: the numbers
        would differ between two equal runs. A loss that is not finite stays in its source."""
        if not self._waiting:
            return
        sums, counts, sources = (
            torch.cat([report[key] for report in self._waiting])
            for key in ("sums", "counts", "sources")
        )
        self._waiting.clear()
        match = sources.unsqueeze(1) == self._numbers
        rows = torch.stack((sums, counts)).double()
        self._sums += torch.where(match, rows.unsqueeze(2), 0.0).sum(dim=1)
