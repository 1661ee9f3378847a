"""Training, in one reading: set up, resume, iterate, save, finish.

Every process of the run executes this with its own `World`; what only one of them does asks
`world.is_first`. All inputs come from files, all outputs go to the run's directory.

Between two log lines nothing here waits for the device: losses, norms and verdicts stay there until
`judge.drain`.
"""

import contextlib
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from launch.errors import NumericalError, PreemptedError
from launch.log import get_logger, record_duration
from pretrain import model, optimizer, parallel
from pretrain.check import Plan, layout_of
from pretrain.config import Pretrain
from pretrain.contract import RunResult
from pretrain.data.batches import Batches, shared_order
from pretrain.data.validation import ValidationSequences
from pretrain.directory import commit
from pretrain.evaluate import validate
from pretrain.iteration import train_iteration
from pretrain.judge import Judge, Seen
from pretrain.metrics import Metrics
from pretrain.model import Stage
from pretrain.optimizer import Optimizer
from pretrain.parallel import World
from pretrain.profiler import Profiler
from pretrain.progress import Progress
from pretrain.safety import garbage
from pretrain.safety.agreement import any_rank, rows_of_all
from pretrain.safety.interrupt import ASKED_BY, StopRequest
from pretrain.safety.stragglers import Stragglers
from pretrain.safety.watchdog import Watchdog
from pretrain.saving import branch, checkpoint
from pretrain.saving.checkpoint import Saved, Saver
from pretrain.schedule import learning_rate, num_micro_batches
from pretrain.source_losses import SourceLosses
from pretrain.stability import LoopState, count, interventions
from pretrain.view.follow import following
from pretrain.view.report import write_report
from tokenizer.contract import open_tokens


@dataclass(frozen=True)
class Run:
    """All that a run is made of on this process."""

    plan: Plan
    world: World
    stage: Stage
    optimizer: Optimizer
    judge: Judge
    batches: Batches
    validation: ValidationSequences
    metrics: Metrics
    losses: SourceLosses
    profiler: Profiler
    saver: Saver
    stragglers: Stragglers
    stop: StopRequest
    watch: Watchdog


def train(plan: Plan, stop: StopRequest, watch: Watchdog) -> RunResult | None:
    """Train the run of `plan` to its end, from its last checkpoint if there is one.

    Returns the result on rank 0, None elsewhere. Raises `PreemptedError` after a save if any rank
    was asked to stop, `NumericalError` if the policy for bad numbers says so.
    """
    begun = time.monotonic()
    run = set_up(plan, stop, watch)
    state = resume(run)
    garbage.freeze(plan.recipe.pretrain.watch.collect_garbage_iterations)
    readers = following(
        plan.recipe.run_directory if run.world.is_first else None,
        plan.recipe.pretrain.metrics, plan.recipe.run.name,
    )  # fmt: skip
    with readers, contextlib.closing(run.batches), contextlib.closing(run.profiler):
        iterate(run, state)
    return finish(run, begun)


def set_up(plan: Plan, stop: StopRequest, watch: Watchdog) -> Run:
    """The world, the model with its initial weights, the optimizer, the data."""
    recipe, pretrain = plan.recipe, plan.recipe.pretrain
    directory = recipe.run_directory
    world = parallel.start(pretrain.parallel, recipe.run.seed, pretrain.watch.start_timeout_seconds)
    stage = model.build(pretrain, plan.padded_vocab_size, recipe.run.seed, world)
    judge = Judge(pretrain.stability, pretrain.training, world.device)
    order = shared_order(recipe, plan.tokens, world)
    return Run(
        plan,
        world,
        stage,
        optimizer.build(pretrain.training, stage, judge.loss_scale),
        judge,
        Batches(order, pretrain, world, lambda: stop.is_set),
        ValidationSequences(recipe, plan.tokens),
        Metrics(directory if world.is_first else None),
        SourceLosses(order.sources, world.device),
        Profiler(pretrain.metrics, directory, world),
        Saver(
            directory / "checkpoints", pretrain.parallel, branch.identity(recipe, plan.tokens),
            pretrain.checkpoint, world,
        ),
        Stragglers(pretrain.watch.straggler_ratio, directory),
        stop,
        watch,
    )  # fmt: skip


def resume(run: Run) -> LoopState:
    """From the last checkpoint, from another run's, or from the start."""
    plan, world = run.plan, run.world
    recipe, pretrain = plan.recipe, plan.recipe.pretrain
    run.watch.beat(0, "load")
    if checkpoint.exists(recipe.run_directory / "checkpoints", world):
        state = _load(run)
        run.metrics.resume(state.done)
        run.metrics.write("resume", state.done, **layout_of(pretrain.parallel).model_dump())
        get_logger("pretrain").info("%s: resumed after iteration %d", recipe.run.name, state.done)
        return state
    if world.is_first:  # once for each run; the others would only read the same bytes again
        open_tokens(recipe.tokens, verify=True)
    run.metrics.resume(-1)  # a new start is the first event
    run.metrics.write(
        "start", 0, name=recipe.run.name,
        parameters_total=plan.result("running").parameters_total, world_size=world.size,
        threads=torch.get_num_threads(), device=world.device.type,
        precision=pretrain.training.precision,
    )  # fmt: skip
    state = _begin(run)
    if "rewind" in (pretrain.stability.on_not_finite, pretrain.stability.on_spike):
        _save(run, state, last=True)  # so that there is one to go back to
    return state


def _begin(run: Run) -> LoopState:
    origin = branch.origin(run.plan.recipe, run.plan.tokens)
    if origin is None:
        return LoopState()
    done, kept = checkpoint.start_from(
        origin, run.stage, run.optimizer, run.plan.recipe.pretrain.parallel, run.world
    )
    run.metrics.write(
        "branch", done, run=origin.run, from_iteration=origin.iteration,
        weights_only=origin.weights_only,
    )  # fmt: skip
    return _state(run, done, kept)


def iterate(run: Run, state: LoopState) -> None:
    """The loop. `state.done` counts iterations; the next one is number `done`, from 0."""
    pretrain, world, watch = run.plan.recipe.pretrain, run.world, run.watch
    training = pretrain.training
    progress = Progress(run.plan, run.metrics, world, state.done)
    stopping = _owes_validation(run, state.done) and not _validate(run, state.done)
    while state.done < training.iterations and not stopping:
        watch.beat(state.done, "data")
        ready = run.batches.wait(state.done)
        if any_rank(run.stop.is_set or not ready, world):
            stopping = True
            break
        watch.beat(state.done, "step")
        run.profiler.before(state.done)
        reports = train_iteration(
            run.stage,
            run.optimizer,
            run.judge,
            run.batches.iteration(state.done),
            sequence_length=run.batches.sequence_length(state.done),
            num_micro_batches=num_micro_batches(training, world.data_size, state.done),
            micro_batch_size=training.micro_batch_size,
            learning_rate=learning_rate(training, state.done),
            world=world,
        )
        for report in reports:
            run.losses.add(report)
        state.done += 1
        progress.note_stage(state.done)
        watch.first_iteration_is_done()
        garbage.collect(state.done, pretrain.watch.collect_garbage_iterations)
        due = _due(pretrain, state.done)
        if due.line or due.save:
            seen = run.judge.drain()  # here, and nowhere else, the host waits for the device
            if _intervene(run, state, seen):  # and went back: there other things are due
                due = replace(_due(pretrain, state.done), line=False)
                progress.restart(state.done)
                run.losses.forget()
            if due.line:
                _report_stragglers(run, state.done, progress.iterations(state.done))
                progress.line(state.done, seen[-1], run.losses)
        with progress.pause():
            stopping = due.validation and not _validate(run, state.done)
            if due.save and not stopping:
                _save(run, state, last=state.done == training.iterations)
            else:
                _record(run, run.saver.poll())
    if stopping:
        _stop(run, state)


@dataclass(frozen=True)
class _Due:
    """What comes after an iteration."""

    line: bool
    validation: bool
    save: bool


def _due(pretrain: Pretrain, done: int) -> _Due:
    training = pretrain.training
    at_end = done == training.iterations
    return _Due(
        line=at_end or done == 1 or done % training.log_interval == 0,
        validation=at_end
        or (training.valid_interval > 0 and done > 0 and done % training.valid_interval == 0),
        save=at_end or done % pretrain.checkpoint.interval_iterations == 0,
    )


def _stop(run: Run, state: LoopState) -> None:
    """Save what is not saved yet, and end as preempted."""
    if state.done > state.saved:
        _intervene(run, state, run.judge.drain())
        _save(run, state, last=True)
    _record(run, run.saver.finish())
    reasons = ("", *ASKED_BY)
    # Whichever rank is heard first, it says what asked.
    asked = max(row[0] for row in rows_of_all([float(reasons.index(run.stop.by))], run.world))
    raise PreemptedError(
        f"{run.plan.recipe.run.name}: stopped and saved after iteration {state.done} "
        f"({reasons[int(asked)]})",
        "the same command goes on from there",
    )


def finish(run: Run, begun: float) -> RunResult | None:
    """Result and manifest, by one process."""
    run.watch.beat(run.plan.recipe.pretrain.training.iterations, "end")
    if not run.world.is_first:
        return None
    directory = run.plan.recipe.run_directory
    name = checkpoint.latest(directory / "checkpoints")
    assert name is not None
    run.metrics.write("end", run.plan.recipe.pretrain.training.iterations, status="done")
    ended = commit(run.plan, run.metrics.summary(), name)
    record_duration(directory, "pretrain", time.monotonic() - begun)
    write_report([directory])
    return ended


def _intervene(run: Run, state: LoopState, seen: list[Seen]) -> bool:
    """Record and answer what was wrong with the last iterations; whether the run went back.

    Raises `NumericalError` where the policy ends the run.
    """
    pretrain = run.plan.recipe.pretrain
    for found in interventions(seen, state.done - len(seen), pretrain.stability):
        back = found.action == "rewind"
        event = found.event(pretrain.training, state.saved if back else found.iteration)
        run.metrics.write("intervention", found.iteration + 1, **event)
        get_logger("pretrain").warning("%s: %s", run.plan.recipe.run.name, found)
        try:
            count(found, state, pretrain.stability)
        except NumericalError:
            _record(run, run.saver.finish())  # what is being written was good: it is gone on from
            raise
        if back:
            _go_back(run, state, found.iteration + 1)
            return True
    return False


def _go_back(run: Run, state: LoopState, end: int) -> None:
    """Take the model of the last checkpoint and go on at iteration `end`: the batches between are
    passed over, the order of all others stays (Chowdhery et al. 2022, arXiv:2204.02311, 5.1)."""
    kept = _load(run)
    assert kept.done == state.saved, "the checkpoint before is the last one"
    state.passed_over.append((kept.done, end))
    state.done = end
    run.metrics.write("rewind", end, to_iteration=kept.done)


def _owes_validation(run: Run, done: int) -> bool:
    """Whether a request to stop has broken off the validation of this iteration."""
    missing = _due(run.plan.recipe.pretrain, done).validation and not run.metrics.has("valid", done)
    return any_rank(missing and run.world.is_first, run.world)


def _validate(run: Run, done: int) -> bool:
    """Validate; False, on every rank, if a request to stop broke it off."""
    run.watch.beat(done, "evaluation")
    start = time.monotonic()
    plan = run.plan
    valid = validate(
        run.stage, run.validation, plan.recipe.pretrain, plan.tokens_per_byte, run.world,
        stop=run.stop,
    )  # fmt: skip
    if valid is None:
        return False
    run.metrics.write(
        "valid", done, loss=valid.loss, bits_per_byte=valid.bits_per_byte, tokens=valid.tokens,
        seconds=time.monotonic() - start,
    )  # fmt: skip
    for part in valid.by_source:
        run.metrics.write("valid_source", done, **asdict(part))
    get_logger("pretrain").info(
        "%s: iteration %d, validation loss %.4f, %.4f bits per byte",
        plan.recipe.run.name, done, valid.loss, valid.bits_per_byte,
    )  # fmt: skip
    return True


def _report_stragglers(run: Run, done: int, iterations: int) -> None:
    for slow in run.stragglers.exchange(run.watch.take_own_seconds(), iterations, run.world):
        run.metrics.write("straggler", done, **asdict(slow))
        get_logger("pretrain").warning(
            "rank %d on %s is slow: %.3f s of its own work an iteration, its peers %.3f s",
            slow.rank, slow.host, slow.seconds, slow.median_seconds,
        )  # fmt: skip


def _save(run: Run, state: LoopState, last: bool) -> None:
    """Save; what is `last` is waited for, for nothing comes after it."""
    run.watch.beat(state.done, "save")
    state.saved = state.done
    run.metrics.sync()
    _record(run, run.saver.save(state.done, run.stage, run.optimizer, state.to_dict(run.judge)))
    if last:
        _record(run, run.saver.finish())


def _record(run: Run, written: list[Saved]) -> None:
    for saved in written:
        run.metrics.write(
            "checkpoint", saved.iteration, seconds=saved.seconds, permanent=saved.permanent,
            asynchronous=saved.asynchronous,
        )  # fmt: skip


def _load(run: Run) -> LoopState:
    recipe = run.plan.recipe
    _record(run, run.saver.finish())
    done, kept = checkpoint.load(
        recipe.run_directory / "checkpoints", run.stage, run.optimizer, recipe.pretrain.parallel,
        run.world, branch.identity(recipe, run.plan.tokens),
    )  # fmt: skip
    return _state(run, done, kept)


def _state(run: Run, done: int, kept: dict[str, Any]) -> LoopState:
    state = LoopState.from_dict(kept, run.judge) if kept else LoopState()
    assert state.done == done
    state.saved = done
    return state
