"""Batches made by a formula: the same tokens everywhere, without a corpus.

Traces of different machines and layouts are compared on them. Nothing is learned from such tokens,
and nothing needs to be: what is compared is arithmetic.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.parallel import World

# One position in so many begins a document.
_DOCUMENT_TOKENS = 12
# One label in so many does not count, so that sequences differ in how many do.
_UNCOUNTED = 7


def formula_batches(
    pretrain: Pretrain, vocab_size: int, iteration: int, world: World, *, documents: bool
) -> Iterator[MicroBatch]:
    """This rank's micro-batches of `iteration`, divided as `data.training_batch` divides them.

    With `documents`, sequences have borders inside, positions that begin again there, and no loss
    across them.
    """
    training, parallel = pretrain.training, pretrain.parallel
    size = training.micro_batch_size
    first = iteration * training.batch_size
    for index in range(training.batch_size // (size * parallel.data)):
        start = first + (index * world.data_size + world.data_rank) * size
        samples = tuple(range(start, start + size))
        batch = micro_batch(
            samples, pretrain.model.sequence_length, vocab_size, documents=documents
        )
        yield batch.to(world.device)


def micro_batch(
    samples: tuple[int, ...], sequence_length: int, vocab_size: int, *, documents: bool
) -> MicroBatch:
    """The sequences numbered `samples`."""
    positions = np.arange(sequence_length + 1)
    places = np.array(samples)[:, None] * (sequence_length + 1) + positions
    tokens = (mixed(places) % np.uint64(vocab_size)).astype(np.int64)
    mask = mixed(places + 2**40)[:, :-1] % np.uint64(_UNCOUNTED) != 0
    begins = np.broadcast_to(positions == 0, places.shape)
    if documents:
        begins = begins | (mixed(places + 2**41) % np.uint64(_DOCUMENT_TOKENS) == 0)
        mask &= ~begins[:, 1:]
    begins = begins[:, :-1]
    starts = np.maximum.accumulate(np.where(begins, positions[:-1], 0), axis=1)
    borders = np.append(np.flatnonzero(begins), begins.size).astype(np.int32)
    return MicroBatch(
        tokens=torch.from_numpy(tokens[:, :-1].copy()),
        labels=torch.from_numpy(tokens[:, 1:].copy()),
        mask=torch.from_numpy(mask.astype(np.float32)),
        positions=torch.from_numpy(positions[:-1] - starts),
        borders=torch.from_numpy(borders) if documents else None,
        sources=torch.zeros(len(samples), dtype=torch.int64),
        samples=samples,
    )


def mixed(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Numbers scattered over 64 bits: the finaliser of splitmix64 (Steele et al. 2014)."""
    value = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: npt.NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return result
