"""One rank whose live tensors are measured: `python -m benchmarks.memory_worker TABLE VOCAB`.

Builds model and optimizer as a trainer does, trains two iterations of made-up tokens, and prints
the peak of bytes in live tensor storages. A storage counts from its making to its release, whoever
holds it: autograd, Megatron-core's buffers, gloo. Checked against torch's profiler, which sees
every call of the allocator: equal to the byte for one process (2026-11-26). With several the
profiler is too high, because it does not see what gloo's threads release; the resident set is too
coarse, it holds libraries and what glibc keeps for later.
"""

import json
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pretrain import model, optimizer, parallel
from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.iteration import train_iteration
from pretrain.judge import Judge

DOCUMENT_TOKENS = 64


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of storages that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and count what it made."""
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, key)

    def _release(self, key: int) -> None:
        self.now -= self._known.pop(key)


def peak_bytes(table: dict[str, Any], padded_vocab_size: int) -> int:
    """Of this rank, over two iterations."""
    pretrain = Pretrain.model_validate_json(json.dumps(table))
    training = pretrain.training
    world = parallel.start(pretrain.parallel, 1)
    count = training.batch_size // (training.micro_batch_size * pretrain.parallel.data)
    with LiveTensors() as live:
        stage = model.build(pretrain, padded_vocab_size, 1, world)
        judge = Judge(pretrain.stability, training, world.device)
        adam = optimizer.build(training, stage, judge.loss_scale)
        live.peak = live.now  # building needs less, and is over
        for _ in range(2):
            train_iteration(
                stage, adam, judge, _batches(pretrain, padded_vocab_size, count),
                num_micro_batches=count, micro_batch_size=training.micro_batch_size,
                sequence_length=pretrain.model.sequence_length, learning_rate=1e-3, world=world,
            )  # fmt: skip
    return live.peak


def _batches(pretrain: Pretrain, padded_vocab_size: int, count: int) -> Iterator[MicroBatch]:
    size, length = pretrain.training.micro_batch_size, pretrain.model.sequence_length
    document = DOCUMENT_TOKENS if pretrain.data.mask_documents else length
    ends = torch.arange(0, size * length + 1, document, dtype=torch.int32)
    for _ in range(count):
        tokens = torch.randint(0, padded_vocab_size, (size, length + 1))
        yield MicroBatch(
            tokens[:, :-1],
            tokens[:, 1:].contiguous(),
            torch.ones(size, length),
            (torch.arange(length) % document).expand(size, length),
            ends if pretrain.data.mask_documents else None,
            torch.zeros(size, dtype=torch.int64),
            tuple(range(size)),
        )


if __name__ == "__main__":
    print(peak_bytes(json.loads(sys.argv[1]), int(sys.argv[2])), flush=True)
