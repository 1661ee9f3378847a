"""One rank of a pool that tests keep alive: `python -m tests.pretrain.layout_worker`.

Importing Megatron-core takes seconds, so the ranks of a world size are started once. Each reads
one JSON command per line, trains as it says in whatever layout it says, and answers in one line.
"""

import json
import sys
from pathlib import Path
from typing import Any

import psutil

from launch.errors import GristmillError
from launch.recipe import Recipe
from pretrain import checkpoint, model, optimizer, parallel, tensor_trace
from pretrain.check import make_plan
from pretrain.data import (
    ValidationSequences,
    num_micro_batches,
    training_batch,
    training_samples,
)
from pretrain.evaluate import validate
from pretrain.iteration import train_iteration
from pretrain.schedule import learning_rate
from pretrain.trace_jobs import Job
from pretrain.train import open_corpus
from tests.pretrain import measurements
from tests.pretrain.fault_worker import record_with_fault


def main() -> None:
    """Answer commands until standard input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever else prints must not come between the answers
    for line in sys.stdin:
        try:
            answer = {"ok": execute(**json.loads(line))}
        except GristmillError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), file=answers, flush=True)


def execute(
    recipe: dict[str, Any],
    work: str,
    iterations: int,
    load: str | None = None,
    save: str | None = None,
    poison: bool = False,
    fault: str | None = None,
    measure: str | None = None,
    trace: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train `iterations` updates, from the checkpoint below `load` if given, and save below `save`.

    `poison` sets one weight of the first stage to NaN before, `fault` undoes one thing that makes
    layouts agree (`measurements.spoil`), `measure` names what of `measurements` is wanted instead.
    With `trace`, a `trace_jobs.Job`, its trace is recorded below `work` and nothing else is done.
    """
    if trace is not None:
        job = Job.from_dict(trace)
        traced = record_with_fault(job)
        if traced is not None:
            tensor_trace.save(traced, job.file(Path(work)))
        return {}
    plan = make_plan(Recipe.from_dict(recipe))
    pretrain, seed = plan.recipe.pretrain, plan.recipe.run.seed
    world = parallel.start(pretrain.parallel, seed)
    if measure:
        return measurements.MEASUREMENTS[measure](pretrain, plan.padded_vocab_size, seed, world)
    stage = model.build(pretrain, plan.padded_vocab_size, seed, world)
    if fault:
        measurements.spoil(stage, fault)
    adam = optimizer.build(pretrain.training, stage)
    corpus = open_corpus(plan)
    samples = training_samples(pretrain, corpus, seed, Path(work), world)
    begun = done = checkpoint.load(Path(load), stage, adam, pretrain.parallel, world) if load else 0
    if poison:
        next(stage.models[0].parameters()).data.view(-1)[0] = float("nan")
    losses, norms = [], []
    while done < begun + iterations:
        outcome = train_iteration(
            stage, adam, training_batch(samples, pretrain, done, world),
            num_micro_batches=num_micro_batches(pretrain),
            micro_batch_size=pretrain.training.micro_batch_size,
            learning_rate=learning_rate(pretrain.training, done),
            stop_requested=False, world=world,
        )  # fmt: skip
        done += 1
        losses.append(outcome.loss)
        norms.append(outcome.gradient_norm)
    sequences = ValidationSequences(corpus, pretrain.model.sequence_length)
    valid = validate(stage, sequences, pretrain, plan.tokens_per_byte, world)
    if save:
        checkpoint.save(Path(save), done, stage, adam, pretrain.parallel, "made-up", 2, world)
    own = [p for m in stage.models for p in m.parameters() if not getattr(p, "shared", False)]
    # Tensor ranks divide matrices and copy norms; data ranks copy everything, except experts, which
    # lie on the first ranks of the stage and again on every further `expert` ranks.
    place = world.data_rank * world.tensor_size + world.tensor_rank
    numbers = sum(
        p.numel() for p in own
        if (place < world.expert_size if not getattr(p, "allreduce", True) else
            world.data_rank == 0
            and (getattr(p, "tensor_model_parallel", False) or world.tensor_rank == 0))
    )  # fmt: skip
    (parameters,) = parallel.sum_over_world([float(numbers)], world.device)
    return {
        "begun": begun,
        "losses": losses,
        "norms": norms,
        "loss_valid": valid.loss,
        "bits_per_byte": valid.bits_per_byte,
        "valid_tokens": valid.tokens,
        "parameters": round(parameters),
        "threads": psutil.Process().num_threads(),
    }


if __name__ == "__main__":
    main()
