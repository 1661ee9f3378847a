"""One micro-batch on the host: spans of documents to tensors.

The work is one call of a kernel for each segment that is touched, over memory maps and without the
GIL: no Python per document, and threads do not wait for each other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pretrain.batch import MicroBatch
from pretrain.data import batch_kernels
from pretrain.data.documents import Documents
from pretrain.data.order import Segment


@dataclass(frozen=True)
class Part:
    """Samples of one segment, by their places in it (int64)."""

    segment: Segment
    places: npt.NDArray[Any]


def assemble(
    documents: Documents,
    parts: list[Part],
    size: int,
    sequence_length: int,
    *,
    mask_documents: bool,
    pinned: bool,
) -> MicroBatch:
    """A micro-batch of `size` rows, on the host: the samples of `parts` one after another; in the
    rows that are left nothing counts, and their sample is -1.

    `pinned`: in memory from which a GPU copies without waiting.
    """
    shape = (size, sequence_length)
    tokens, labels, positions = (
        torch.empty(shape, dtype=torch.int64, pin_memory=pinned) for _ in range(3)
    )
    mask = torch.empty(shape, dtype=torch.float32, pin_memory=pinned)
    sources = torch.zeros(size, dtype=torch.int64, pin_memory=pinned)
    spans = sum(
        int((part.segment.starts[part.places + 1] - part.segment.starts[part.places]).sum())
        for part in parts
    )
    borders = torch.empty(1 + spans + size, dtype=torch.int32, pin_memory=pinned)
    arrays = (tokens.numpy(), labels.numpy(), mask.numpy(), positions.numpy())
    memory, found = documents.memory, borders.numpy()
    found[0] = 0
    border, row, numbers = 1, 0, []
    for part in parts:
        segment, count = part.segment, len(part.places)
        border = batch_kernels.fill_rows(
            (memory.addresses, memory.shard_tokens, memory.like), documents.positions,
            (segment.starts, segment.spans.documents, segment.spans.begins, segment.spans.lengths),
            row, part.places, mask_documents, arrays, border, found,
        )  # fmt: skip
        assert border > 0, "a span that does not lie in its document"
        sources[row : row + count] = torch.from_numpy(segment.sources[part.places].astype(np.int64))
        numbers += (part.places + segment.first).tolist()
        row += count
    border = batch_kernels.fill_empty(row, mask_documents, arrays, border, found)
    numbers += [-1] * (size - row)
    kept = borders[:border] if mask_documents else None
    return MicroBatch(tokens, labels, mask, positions, kept, sources, tuple(numbers))
