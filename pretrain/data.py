"""Batches: which sequences an iteration sees, and the validation split in order.

Training uses Megatron-core's own GPTDataset: documents are shuffled, joined, cut into sequences and
the sequences shuffled, all from the run's seed. For a run of a fixed number of iterations the order
is a pure function of (seed, global sample index): iteration `i` sees the samples from `i *
batch_size` on, whatever the layout or the micro-batch. So the state of the data is the number of
iterations done, and nothing else is saved.

Every rank maps the files itself and takes its own samples; nothing is sent between ranks.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from launch.manifest import digest_json
from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.megatron import (
    BlendedMegatronDatasetBuilder,
    GPTDataset,
    GPTDatasetConfig,
    IndexedDataset,
)
from pretrain.parallel import World, barrier, sum_over_world
from pretrain.schedule import first_sample, num_micro_batches


@dataclass(frozen=True)
class _SpecialTokens:
    """What GPTDataset asks of a tokenizer. It has no `pad`: the encoded corpus has no padding, and
    a `pad` id here would blank out every real token with that id."""

    vocab_size: int
    eod: int

    @property
    def unique_identifiers(self) -> dict[str, int]:
        return {"vocab_size": self.vocab_size, "eod": self.eod}


@dataclass(frozen=True)
class Corpus:
    """The encoded corpus as training needs it: path prefixes of `.bin/.idx` with their numbers of
    tokens, and the special ids."""

    train: tuple[tuple[Path, int], ...]
    valid: tuple[tuple[Path, int], ...]
    vocab_size: int
    eod_id: int


def training_samples(
    pretrain: Pretrain, corpus: Corpus, seed: int, work: Path, world: World
) -> Any:
    """Megatron's dataset of all samples of the run: `[index]` gives int64 `tokens` and `labels`.

    Shards are drawn from in proportion to their tokens. The indices are built by rank 0 below
    `work` under a name of what they depend on, and renamed when they are complete.
    """
    training = pretrain.training
    num_samples = first_sample(training, training.iterations)
    used = [(str(prefix), tokens) for prefix, tokens in corpus.train if tokens > 0]
    key = digest_json([used, num_samples, pretrain.model.sequence_length, seed])
    finished = work / f"index-{key.removeprefix('xxh3_128:')}"
    building = finished.with_suffix(".tmp")
    # Rank 0's view decides for all: another node may not see the directory yet.
    present = bool(sum_over_world([float(world.is_first and finished.exists())], world.device)[0])
    if world.is_first and not present:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
    config = GPTDatasetConfig(
        random_seed=seed,
        sequence_length=pretrain.model.sequence_length,
        blend_per_split=[([prefix for prefix, _ in used], [float(n) for _, n in used]), None, None],
        path_to_cache=str(finished if present else building),
        tokenizer=_SpecialTokens(corpus.vocab_size, corpus.eod_id),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
    )
    builder = BlendedMegatronDatasetBuilder(
        GPTDataset, [num_samples, None, None], lambda: True, config
    )
    samples, _, _ = builder.build()
    barrier()
    if world.is_first and not present:
        building.rename(finished)
    assert len(samples) >= num_samples
    return samples


def training_batch(
    samples: Any, pretrain: Pretrain, iteration: int, world: World
) -> Iterator[MicroBatch]:
    """This rank's micro-batches of `iteration`, counted from 0."""
    training = pretrain.training
    size = training.micro_batch_size
    first = first_sample(training, iteration)
    for index in range(num_micro_batches(training, world.data_size, iteration)):
        start = first + (index * world.data_size + world.data_rank) * size
        drawn = [samples[position] for position in range(start, start + size)]
        tokens = torch.stack([sample["tokens"] for sample in drawn])
        labels = torch.stack([sample["labels"] for sample in drawn])
        numbers = tuple(range(start, start + size))
        yield _plain(tokens, labels, torch.ones(tokens.shape), numbers).to(world.device)


def _plain(
    tokens: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, samples: tuple[int, ...]
) -> MicroBatch:
    positions = torch.arange(tokens.size(1)).expand_as(tokens)
    sources = torch.zeros(tokens.size(0), dtype=torch.int64)
    return MicroBatch(tokens, labels, mask, positions, None, sources, samples)


class ValidationSequences:
    """The validation split in its own order, cut into sequences that predict each token once.

    Documents are joined as they lie; the last sequence may be short. Neither seed nor layout nor
    length of training plays a part, so that losses of different runs are of the same tokens.
    """

    def __init__(self, corpus: Corpus, sequence_length: int) -> None:
        self._shards = [_tokens_of(prefix) for prefix, tokens in corpus.valid if tokens > 0]
        self._total = sum(len(shard) for shard in self._shards)
        self._length = sequence_length

    def __len__(self) -> int:
        return max(0, -(-(self._total - 1) // self._length))

    def batch(self, indices: list[int | None]) -> MicroBatch:
        """The sequences at `indices`, padded where short; in that of None nothing counts."""
        tokens = np.zeros((len(indices), self._length + 1), np.int64)
        mask = np.zeros((len(indices), self._length), np.float32)
        for row, index in enumerate(indices):
            if index is None:
                continue
            piece = self._read(index * self._length, (index + 1) * self._length + 1)
            tokens[row, : len(piece)] = piece
            mask[row, : len(piece) - 1] = 1.0
        whole = torch.from_numpy(tokens)
        numbers = tuple(-1 if index is None else index for index in indices)
        return _plain(whole[:, :-1], whole[:, 1:].contiguous(), torch.from_numpy(mask), numbers)

    def chosen(self, most: int) -> list[int]:
        """At most `most` sequences, spread evenly over all."""
        count = min(most, len(self))
        return [index * len(self) // count for index in range(count)]

    def _read(self, start: int, stop: int) -> np.ndarray:
        pieces = []
        for shard in self._shards:
            pieces.append(shard[max(start, 0) : max(stop, 0)])
            start, stop = start - len(shard), stop - len(shard)
        return np.concatenate(pieces)


def _tokens_of(prefix: Path) -> np.ndarray:
    """All tokens of one shard, in the order of its file, mapped and not read."""
    dtype = IndexedDataset(str(prefix)).index.dtype
    return np.memmap(f"{prefix}.bin", dtype=dtype, mode="r")
