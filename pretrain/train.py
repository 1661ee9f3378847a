"""Training, in one reading: set up, resume, iterate, save, finish.

Every process of the run executes this with its own `World`; what only one of them does asks
`world.is_first`. All inputs come from files, all outputs go to the run's directory.
"""

import time
from pathlib import Path

import torch

from launch.errors import PreemptedError
from launch.log import get_logger, record_duration
from pretrain import checkpoint, garbage, model, optimizer, parallel
from pretrain.agreement import any_rank
from pretrain.check import Plan, layout_of
from pretrain.config import Training
from pretrain.contract import RunResult
from pretrain.data import (
    Corpus,
    ValidationSequences,
    num_micro_batches,
    training_batch,
    training_samples,
)
from pretrain.directory import commit
from pretrain.evaluate import validate
from pretrain.interrupt import StopRequest
from pretrain.iteration import train_iteration
from pretrain.metrics import Metrics
from pretrain.parallel import World
from pretrain.schedule import learning_rate
from pretrain.stragglers import Stragglers
from pretrain.waiting import drawn
from pretrain.watchdog import Watchdog
from tokenizer.contract import open_tokens, token_prefixes

LOG_SECONDS = 10.0


def train(plan: Plan, stop: StopRequest, watch: Watchdog) -> RunResult | None:
    """Train the run of `plan` to its end, from its last checkpoint if there is one.

    Returns the result on rank 0, None elsewhere. Raises `PreemptedError` after a save if any rank
    was asked to stop, `NumericalError` if the loss or the gradient is not finite.
    """
    begun = time.monotonic()
    log = get_logger("pretrain")
    recipe, pretrain = plan.recipe, plan.recipe.pretrain
    training, directory = pretrain.training, plan.recipe.run_directory
    result = plan.result("running")
    iteration_tokens = training.batch_size * pretrain.model.sequence_length

    # The world, the model with its initial weights, the data.
    world = parallel.start(pretrain.parallel, recipe.run.seed, pretrain.watch.start_timeout_seconds)
    stage = model.build(pretrain, plan.padded_vocab_size, recipe.run.seed, world)
    adam = optimizer.build(training, stage)
    corpus = open_corpus(plan)
    samples = training_samples(pretrain, corpus, recipe.run.seed, directory / "work", world)
    sequences = ValidationSequences(corpus, pretrain.model.sequence_length)

    def measure(done: int) -> bool:
        """Validate; False if that was broken off."""
        watch.beat(done, "evaluation")
        start = time.monotonic()
        valid = validate(stage, sequences, pretrain, plan.tokens_per_byte, world, stop=stop)
        if valid is None:
            return False
        metrics.write(
            "valid", done, loss=valid.loss, bits_per_byte=valid.bits_per_byte,
            tokens=valid.tokens, seconds=time.monotonic() - start,
        )  # fmt: skip
        log.info(
            "%s: iteration %d, validation loss %.4f, %.4f bits per byte",
            recipe.run.name, done, valid.loss, valid.bits_per_byte,
        )  # fmt: skip
        return True

    def save(done: int) -> None:
        watch.beat(done, "save")
        start = time.monotonic()
        checkpoint.save(
            checkpoints, done, stage, adam, pretrain.parallel, result.config_digest,
            pretrain.checkpoint.keep, world,
        )  # fmt: skip
        seconds = time.monotonic() - start
        metrics.write("checkpoint", done, seconds=seconds, permanent=False, asynchronous=False)

    # From the last checkpoint, or from the start.
    checkpoints = directory / "checkpoints"
    watch.beat(0, "load")
    done = saved = checkpoint.load(checkpoints, stage, adam, pretrain.parallel, world)
    metrics = Metrics(directory if world.is_first else None)
    stragglers = Stragglers(pretrain.watch.straggler_ratio, directory)
    metrics.resume(done)
    if done:
        metrics.write("resume", done, **layout_of(pretrain.parallel).model_dump())
        log.info("%s: resumed after iteration %d", recipe.run.name, done)
    else:
        _verify_tokens(plan, world)
        metrics.write(
            "start", 0, name=recipe.run.name, parameters_total=result.parameters_total,
            world_size=world.size, threads=torch.get_num_threads(), device=world.device.type,
            precision=training.precision,
        )  # fmt: skip

    # A validation that an interruption has left undone, if any.
    owed = valid_is_due(training, done) and not metrics.has("valid", done)
    stopping = any_rank(owed and world.is_first, world) and not measure(done)

    # The loop. `done` counts updates; the next one is number `done`, from 0.
    last_line = interval_start = time.monotonic()
    interval_first = done
    garbage.freeze(pretrain.watch.collect_garbage_iterations)
    while done < training.iterations and not stopping:
        watch.beat(done, "data")
        micro_batches = drawn(training_batch(samples, pretrain, done, world), stop)
        if any_rank(micro_batches is None or stop.is_set, world):
            stopping = True
            break
        assert micro_batches is not None
        watch.beat(done, "step")
        outcome = train_iteration(
            stage,
            adam,
            iter(micro_batches),
            num_micro_batches=num_micro_batches(pretrain),
            micro_batch_size=training.micro_batch_size,
            learning_rate=learning_rate(training, done),
            stop_requested=False,
            world=world,
        )
        done += 1
        watch.first_iteration_is_done()
        garbage.collect(done, pretrain.watch.collect_garbage_iterations)
        at_end = done == training.iterations
        if done % training.log_interval == 0 or done == 1 or at_end:
            now = time.monotonic()
            seconds = now - interval_start
            rate = (done - interval_first) * iteration_tokens / seconds
            metrics.write(
                "train", done, tokens=done * iteration_tokens, loss=outcome.loss,
                gradient_norm=outcome.gradient_norm,
                learning_rate=learning_rate(training, done - 1), batch_size=training.batch_size,
                tokens_per_second=rate, mfu=None, memory_bytes=None, seconds=seconds,
            )  # fmt: skip
            if now - last_line >= LOG_SECONDS or done == 1 or at_end:
                last_line = now
                log.info(
                    "%s: iteration %d of %d, loss %.4f, %.0f tokens/s, about %.0f s left",
                    recipe.run.name, done, training.iterations, outcome.loss, rate,
                    (training.iterations - done) * iteration_tokens / rate,
                )  # fmt: skip
            for slow in stragglers.exchange(watch.take_own_seconds(), done - interval_first, world):
                metrics.write("straggler", done, **vars(slow))
                log.warning(
                    "rank %d on %s is slow: %.3f s of its own work an iteration, its peers %.3f s",
                    slow.rank, slow.host, slow.seconds, slow.median_seconds,
                )  # fmt: skip
            interval_start, interval_first = time.monotonic(), done
        if valid_is_due(training, done):
            start = time.monotonic()
            stopping = not measure(done)
            interval_start += time.monotonic() - start
        due = done % pretrain.checkpoint.interval_iterations == 0
        if (at_end or due) and not stopping:
            start = time.monotonic()
            save(done)
            saved = done
            interval_start += time.monotonic() - start

    if stopping:
        if done > saved:
            save(done)
        raise PreemptedError(
            f"{recipe.run.name}: stopped and saved after iteration {done} "
            f"({stop.by or 'another rank'})",
            "the same command goes on from there",
        )

    # The end: result and manifest, by one process.
    watch.beat(done, "end")
    assert saved == training.iterations
    if not world.is_first:
        return None
    name = checkpoint.latest(checkpoints)
    assert name is not None
    metrics.write("end", done, status="done")
    ended = commit(plan, metrics.summary(), name)
    record_duration(directory, "pretrain", time.monotonic() - begun)
    return ended


def valid_is_due(training: Training, done: int) -> bool:
    """Whether the state after `done` iterations is validated."""
    interval = training.valid_interval
    at_interval = bool(interval) and done > 0 and done % interval == 0
    return at_interval or done == training.iterations


def open_corpus(plan: Plan) -> Corpus:
    """The encoded corpus of the run, as `data` wants it."""
    facts = plan.tokens.facts
    size = {"uint16": 2, "int32": 4}[facts["dtype"]]
    sizes = {entry.path: entry.bytes for entry in plan.tokens.files}
    directory = plan.recipe.tokens

    def shards(prefixes: list[str]) -> tuple[tuple[Path, int], ...]:
        return tuple((directory / name, sizes[f"{name}.bin"] // size) for name in prefixes)

    return Corpus(
        train=shards(token_prefixes(plan.tokens, "train")),
        valid=shards(token_prefixes(plan.tokens, "valid")),
        vocab_size=int(facts["padded_vocab_size"]),
        eod_id=int(facts["eod_id"]),
    )


def _verify_tokens(plan: Plan, world: World) -> None:
    # Once for each run, by one process; the others would only read the same bytes again.
    if world.is_first:
        open_tokens(plan.recipe.tokens, verify=True)
