"""Run a few iterations of a model on batches made by a formula, and put their trace together."""

from typing import Any

import torch

from pretrain import model, optimizer, parallel
from pretrain.formula import formula_batches
from pretrain.iteration import train_iteration
from pretrain.parallel import World
from pretrain.recorder import Recorder
from pretrain.schedule import learning_rate
from pretrain.tensor_trace import Piece, Trace, assemble
from pretrain.trace_jobs import Job


def record(job: Job) -> Trace | None:
    """Train as `job` says, together with its other ranks; the trace on rank 0, None elsewhere."""
    pretrain, training = job.pretrain, job.pretrain.training
    world = parallel.start(pretrain.parallel, job.seed)
    stage = model.build(pretrain, job.padded_vocab_size, job.seed, world)
    inner = optimizer.build(training, stage)
    recorder = Recorder(stage, pretrain, world, whole=job.whole)
    recording = _Recording(inner, recorder)
    recorder.weights("initial")
    for iteration in range(job.iterations):
        recorder.iteration = iteration
        batches = formula_batches(
            pretrain, job.padded_vocab_size, iteration, world, documents=job.documents
        )
        outcome = train_iteration(
            stage, recording, recorder.batches(batches),
            num_micro_batches=training.batch_size
            // (training.micro_batch_size * pretrain.parallel.data),
            micro_batch_size=training.micro_batch_size,
            learning_rate=learning_rate(training, iteration),
            stop_requested=False, world=world,
        )  # fmt: skip
        stage.gather_parameters()
        recorder.weights("update")
        recorder.scalar("forward", "mean_loss", outcome.loss)
        recorder.scalar("reduction", "gradient_norm", outcome.gradient_norm)
    recorder.close()
    pieces = _gather(recorder.pieces, world)
    return assemble(pieces) if world.is_first else None


class _Recording:
    """The optimizer, but reduced gradients are recorded before each update."""

    def __init__(self, optimizer: Any, recorder: Recorder) -> None:
        self._optimizer, self._recorder = optimizer, recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._optimizer, name)

    def step(self) -> Any:
        """What the optimizer's own `step` returns."""
        self._recorder.gradients()
        return self._optimizer.step()


def _gather(pieces: list[Piece], world: World) -> list[Piece]:
    """All ranks' pieces on rank 0, an empty list elsewhere."""
    gathered: list[Any] | None = [None] * world.size if world.is_first else None
    torch.distributed.gather_object(pieces, gathered, group=world.control)
    return [piece for rank in gathered or () for piece in rank]
