"""Documents of like content beside each other, so that they share a sequence.

Shi et al. 2023 (arXiv:2310.10638) order documents along a path through nearest neighbours in an
embedding; here the neighbours are those that share rare tokens, found in the token ids themselves.
"""

from typing import Any

import numpy.typing as npt

from pretrain.data import related_kernels
from pretrain.data.documents import Documents

# Rare tokens that are kept of each document: 32 tell neighbours apart as well as 64 did
# (`benchmarks.pretrain_data`).
BINS = 32

Numbers = npt.NDArray[Any]


def along_a_path(
    numbers: Numbers, begins: Numbers, lengths: Numbers, documents: Documents
) -> Numbers:
    """An order (int64, every place once) in which neighbours are alike, of spans of documents."""
    memory = documents.memory
    starts = documents.positions[numbers] + begins
    vocabulary = documents.vocab_size
    sketch = related_kernels.sketches(
        starts, lengths, memory.addresses, memory.shard_tokens, memory.like, vocabulary, BINS
    )
    return related_kernels.greedy_path(sketch, vocabulary)  # type: ignore[no-any-return]
