"""What the tests and figures of checkpoints have a rank of the pool do, step by step.

`layout_worker` hands a command with `steps` to `execute`: a model is built, and then each step is
one of `train`, `save`, `load`, `weights`, `draw`, `digest`; the answers come back in a list.
"""

import contextlib
import os
import random
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from launch.manifest import digest_bytes
from launch.recipe import Recipe
from pretrain import config, megatron, model, optimizer, parallel
from pretrain.check import make_plan
from pretrain.data.batches import Batches, shared_order
from pretrain.iteration import train_iteration
from pretrain.judge import Judge
from pretrain.saving import checkpoint
from pretrain.saving.average import average
from pretrain.schedule import learning_rate, num_micro_batches


class Rank:
    """One rank of a run that is told what to do."""

    def __init__(self, recipe: dict[str, Any], work: str) -> None:
        plan = make_plan(Recipe.from_dict(recipe))
        self.pretrain, seed = plan.recipe.pretrain, plan.recipe.run.seed
        self.world = parallel.start(self.pretrain.parallel, seed)
        self.stage = model.build(self.pretrain, plan.padded_vocab_size, seed, self.world)
        self.judge = Judge(self.pretrain.stability, self.pretrain.training, self.world.device)
        self.adam = optimizer.build(self.pretrain.training, self.stage, self.judge.loss_scale)
        order = shared_order(plan.recipe, plan.tokens, self.world)
        self.batches = Batches(order, self.pretrain, self.world, bool)
        self.done = 0
        self.saver: checkpoint.Saver | None = None

    def train(self, iterations: int, poll: bool = False) -> dict[str, Any]:
        """Losses of the next iterations, this rank's sample ids, what was named meanwhile."""
        losses, ids, saved = [], [], []
        for _ in range(iterations):
            batches = list(self.batches.iteration(self.done))
            ids.append([index for batch in batches for index in batch.samples])
            training = self.pretrain.training
            train_iteration(
                self.stage, self.adam, self.judge, iter(batches),
                num_micro_batches=num_micro_batches(training, self.world.data_size, self.done),
                micro_batch_size=training.micro_batch_size,
                sequence_length=self.batches.sequence_length(self.done),
                learning_rate=learning_rate(training, self.done), world=self.world,
            )  # fmt: skip
            (seen,) = self.judge.drain()
            self.done += 1
            losses.append(seen.loss)
            if poll and self.saver is not None:
                saved += [asdict(one) for one in self.saver.poll()]
        gathered: list[Any] = [None] * self.world.size
        torch.distributed.all_gather_object(gathered, ids)
        together = [sorted({i for rank in gathered for i in rank[n]}) for n in range(iterations)]
        return {"losses": losses, "samples": together, "saved": [one["iteration"] for one in saved]}

    def save(
        self, directory: str, state: dict[str, Any] | None = None, asynchronous: bool = False,
        keep: int = 2, permanent: int = 0, digest: str = "a run", again: bool = False,
        finish: bool = True, tensor: bool = False, file_bytes_max: int | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Save; the time that it took. `again`: with the saver of the last time."""
        settings = config.Checkpoint(
            keep=keep, permanent_interval_iterations=permanent, asynchronous=asynchronous
        )
        if not again or self.saver is None:
            self.saver = checkpoint.Saver(
                Path(directory), self.pretrain.parallel, digest, settings, self.world
            )
        held = dict(state or {}) | ({"a tensor": torch.arange(3.0)} if tensor else {})
        start = time.monotonic()
        with _files_at_most(file_bytes_max):
            self.saver.save(self.done, self.stage, self.adam, held)
            seconds = time.monotonic() - start
            if finish:
                self.saver.finish()
        own = seconds if self.world.is_first else 0.0
        return {"seconds": parallel.sum_over_world([own], self.world.device)[0]}

    def timed(self, iterations: int) -> dict[str, float]:
        """Seconds of the next iterations, on rank 0."""
        start = time.monotonic()
        self.train(iterations)
        own = time.monotonic() - start if self.world.is_first else 0.0
        return {"seconds": parallel.sum_over_world([own], self.world.device)[0]}

    def finish(self) -> list[int]:
        """Wait for the save in flight."""
        assert self.saver is not None
        return [saved.iteration for saved in self.saver.finish()]

    def load(
        self, directory: str, digest: str | None = None, name: str | None = None
    ) -> dict[str, Any]:
        """Load, and go on from there."""
        self.done, state = checkpoint.load(
            Path(directory), self.stage, self.adam, self.pretrain.parallel, self.world, digest, name
        )
        plain = {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in state.items()}
        return {"iteration": self.done, "state": plain}

    def weights(self, directory: str, name: str | None = None) -> int:
        """Load the weights alone."""
        return checkpoint.load_weights(Path(directory), self.stage, self.world, name, self.adam)

    def draw(self) -> list[list[float]]:
        """What each rank's generators give next."""
        mine = [torch.rand(1).item(), random.random(), float(np.random.rand())]
        drawn: list[Any] = [None] * self.world.size
        torch.distributed.all_gather_object(drawn, mine)
        return drawn

    def spread(self) -> None:
        """Make the generators of the ranks differ."""
        torch.manual_seed(100 + self.world.rank)

    def plant(self, path: str) -> None:
        """Have the next save hold an object that would make a directory when it is unpickled."""

        class Hostile:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (path,)

        def hostile(world: parallel.World) -> Any:
            return megatron.ShardedObject("rng", Hostile(), (world.size,), (world.rank,))

        self.planted = mock.patch("pretrain.saving.checkpoint_save.sharded_random_state", hostile)
        self.planted.start()

    def unplant(self) -> None:
        """Save as always again."""
        self.planted.stop()

    def average(self, run: str, **chosen: Any) -> dict[str, Any]:
        """Average checkpoints of a run; the last step, for it builds a world of its own."""
        return average(Path(run), **chosen)

    def mean_is(self, directory: str, name: str, of: list[str]) -> bool:
        """Whether the weights of `name` are the float64 mean of those of the others, to the bit."""
        total = None
        for each in of:
            self.weights(directory, each)
            vector = torch.nn.utils.parameters_to_vector(self.stage.models[0].parameters())
            total = vector.double() if total is None else total + vector.double()
        self.weights(directory, name)
        mean = torch.nn.utils.parameters_to_vector(self.stage.models[0].parameters())
        return total is not None and torch.equal((total / len(of)).float(), mean)

    def digest(self) -> str:
        """Of all ranks' weights."""
        mine = [p.detach().numpy().tobytes() for m in self.stage.models for p in m.parameters()]
        digests: list[Any] = [None] * self.world.size
        torch.distributed.all_gather_object(digests, digest_bytes(b"".join(mine)))
        return " ".join(digests)


def execute(recipe: dict[str, Any], work: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Do the steps (`{"do": name, ...}`) one after another."""
    rank = Rank(recipe, work)
    answers = [getattr(rank, step.pop("do"))(**step) for step in steps]
    rank.batches.close()
    return {"answers": answers}


@contextlib.contextmanager
def _files_at_most(size: int | None) -> Iterator[None]:
    """As on a full disk: the system refuses to let a file grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
