"""Run a few iterations of a model on batches made by a formula, and put their trace together."""

from typing import Any

import torch

from pretrain import model, optimizer, parallel
from pretrain.config import Pretrain
from pretrain.iteration import train_iteration
from pretrain.judge import Judge, Verdict
from pretrain.parallel import World
from pretrain.qualification.formula import formula_batches
from pretrain.qualification.recorder import Recorder
from pretrain.qualification.tensor_trace import Piece, Trace, assemble
from pretrain.qualification.trace_jobs import Job
from pretrain.schedule import learning_rate


def record(job: Job) -> Trace | None:
    """Train as `job` says, together with its other ranks; the trace on rank 0, None elsewhere."""
    pretrain, training = job.pretrain, job.pretrain.training
    world = parallel.start(pretrain.parallel, job.seed)
    stage = model.build(pretrain, job.padded_vocab_size, job.seed, world)
    recorder = Recorder(stage, pretrain, world, whole=job.whole)
    judge = _RecordingJudge(pretrain, world, recorder)
    adam = optimizer.build(training, stage, judge.loss_scale)
    recorder.weights("initial")
    for iteration in range(job.iterations):
        recorder.iteration = iteration
        batches = formula_batches(
            pretrain, job.padded_vocab_size, iteration, world, documents=job.documents
        )
        train_iteration(
            stage, adam, judge, recorder.batches(batches),
            num_micro_batches=training.batch_size
            // (training.micro_batch_size * pretrain.parallel.data),
            micro_batch_size=training.micro_batch_size,
            sequence_length=pretrain.model.sequence_length,
            learning_rate=learning_rate(training, iteration), world=world,
        )  # fmt: skip
        stage.gather_parameters()
        recorder.weights("update")
        (seen,) = judge.drain()
        recorder.scalar("forward", "mean_loss", seen.loss)
        recorder.scalar("reduction", "gradient_norm", seen.gradient_norm)
    recorder.close()
    pieces = _gather(recorder.pieces, world)
    return assemble(pieces) if world.is_first else None


class _RecordingJudge(Judge):
    """Judges when gradients are reduced and not yet applied: the moment to record them.

    Reduced gradients are sums over the tokens of the global batch, times the loss scale. What is
    recorded is their mean over the tokens, by the count that this iteration is judged by, so that
    it means the same for every precision; by how much clipping divides them further is a number of
    its own.
    """

    def __init__(self, pretrain: Pretrain, world: World, recorder: Recorder) -> None:
        super().__init__(pretrain.stability, pretrain.training, world.device)
        self._recorder = recorder

    def decide(self, totals: torch.Tensor) -> Verdict:
        """What `Judge.decide` says."""
        divisor = float(totals[1])
        if self.loss_scale:
            divisor *= float(self.loss_scale.scale)
        self._recorder.gradients(divisor)
        verdict = super().decide(totals)
        self._recorder.scalar("reduction", "clipping", float(verdict.divisor) / divisor)
        return verdict


def _gather(pieces: list[Piece], world: World) -> list[Piece]:
    """All ranks' pieces on rank 0, an empty list elsewhere."""
    gathered: list[Any] | None = [None] * world.size if world.is_first else None
    torch.distributed.gather_object(pieces, gathered, group=world.control)
    return [piece for rank in gathered or () for piece in rank]
