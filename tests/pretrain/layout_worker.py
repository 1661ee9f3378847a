"""One rank of a pool that tests keep alive: `python -m tests.pretrain.layout_worker`.

Importing Megatron-core takes seconds, so the ranks of a world size are started once. Each reads
one JSON command per line, trains as it says in whatever layout it says, and answers in one line.
"""

import gc
import json
import sys
from pathlib import Path
from typing import Any

import psutil
import torch

from launch.errors import GristmillError
from launch.recipe import Recipe
from pretrain import model, optimizer, parallel
from pretrain.check import make_plan
from pretrain.data.batches import Batches, shared_order
from pretrain.data.validation import ValidationSequences
from pretrain.evaluate import validate
from pretrain.iteration import train_iteration
from pretrain.judge import Judge
from pretrain.qualification import tensor_trace
from pretrain.qualification.trace_jobs import Job
from pretrain.saving import checkpoint
from pretrain.schedule import learning_rate, num_micro_batches
from pretrain.stability import LoopState, count, interventions
from tests.pretrain import checkpoint_worker, measurements
from tests.pretrain.fault_worker import record_with_fault
from tests.pretrain.loop_command import run_loop
from tests.pretrain.plain_command import run_both


def main() -> None:
    """Answer commands until standard input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever else prints must not come between the answers
    # The libraries' objects stay: three collections a command looked through them, 0.8 s of 1.5
    # (2026-11-27).
    gc.freeze()
    for line in sys.stdin:
        try:
            command = json.loads(line)
            others = {
                "faults": run_loop, "plain": run_both, "steps": checkpoint_worker.execute,
            }  # fmt: skip
            chosen = next((f for key, f in others.items() if key in command), execute)
            answer = {"ok": chosen(**command)}
        except GristmillError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        rest()
        print(json.dumps(answer), file=answers, flush=True)


def rest() -> None:
    """Give up the layout's groups until the next command.

    Each of gloo's threads wakes up a hundred times a second: with all groups of the last command
    and those that older ones had left, seven idle ranks took more than a whole core (2026-11-27).
    """
    if torch.distributed.is_initialized():
        parallel.stop()
        gc.collect()  # what the first collection only finished, the second frees


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
    judge = Judge(pretrain.stability, pretrain.training, world.device)
    adam = optimizer.build(pretrain.training, stage, judge.loss_scale)
    batches = Batches(shared_order(plan.recipe, plan.tokens, world), pretrain, world, bool)
    state = LoopState()
    if load:
        _, kept = checkpoint.load(Path(load), stage, adam, pretrain.parallel, world)
        state = LoopState.from_dict(kept, judge) if kept else state
    begun = state.done
    if poison:
        next(stage.models[0].parameters()).data.view(-1)[0] = float("nan")
    losses, norms = [], []
    while state.done < begun + iterations:
        train_iteration(
            stage, adam, judge, batches.iteration(state.done),
            sequence_length=batches.sequence_length(state.done),
            num_micro_batches=num_micro_batches(pretrain.training, world.data_size, state.done),
            micro_batch_size=pretrain.training.micro_batch_size,
            learning_rate=learning_rate(pretrain.training, state.done), world=world,
        )  # fmt: skip
        (seen,) = judge.drain()
        for found in interventions([seen], state.done, pretrain.stability):
            count(found, state, pretrain.stability)
        state.done += 1
        losses.append(seen.loss)
        norms.append(seen.gradient_norm)
    batches.close()
    sequences = ValidationSequences(plan.recipe, plan.tokens)
    valid = validate(stage, sequences, pretrain, plan.tokens_per_byte, world)
    assert valid is not None
    if save:
        checkpoint.save(
            Path(save), state.done, stage, adam, pretrain.parallel, "made-up", 2, world,
            state=state.to_dict(judge),
        )  # fmt: skip
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
