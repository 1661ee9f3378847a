"""Training, in one reading: set up, resume, iterate, save, finish.

Every process of the run executes this with its own `World`; what only one of them does asks
`world.is_first`. All inputs come from files, all outputs go to the run's directory.
"""

import time
from pathlib import Path

import torch

from launch.errors import PreemptedError
from launch.log import get_logger, record_duration
from pretrain import branch, checkpoint, model, optimizer, parallel
from pretrain.check import Plan, layout_of
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
from tokenizer.contract import open_tokens, token_prefixes

LOG_SECONDS = 10.0


def train(plan: Plan, stop: StopRequest) -> RunResult | None:
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
    world = parallel.start(pretrain.parallel, recipe.run.seed)
    stage = model.build(pretrain, plan.padded_vocab_size, recipe.run.seed, world)
    adam = optimizer.build(training, stage)
    corpus = open_corpus(plan)
    samples = training_samples(pretrain, corpus, recipe.run.seed, directory / "work", world)
    sequences = ValidationSequences(corpus, pretrain.model.sequence_length)

    # From the last checkpoint, or from the start.
    checkpoints = directory / "checkpoints"
    identity = branch.identity(recipe, plan.tokens)
    saver = checkpoint.Saver(checkpoints, pretrain.parallel, identity, pretrain.checkpoint, world)
    metrics = Metrics(directory if world.is_first else None)
    origin = branch.origin(recipe, plan.tokens)
    resumed = checkpoint.exists(checkpoints, world)
    if resumed or origin is None:
        done, _ = checkpoint.load(checkpoints, stage, adam, pretrain.parallel, world, identity)
    else:
        done, _ = checkpoint.start_from(origin, stage, adam, pretrain.parallel, world)
    metrics.resume(done if resumed else -1)
    if resumed:
        metrics.write("resume", done, **layout_of(pretrain.parallel).model_dump())
        log.info("%s: resumed after iteration %d", recipe.run.name, done)
    else:
        _verify_tokens(plan, world)
        metrics.write(
            "start", 0, name=recipe.run.name, parameters_total=result.parameters_total,
            world_size=world.size, threads=torch.get_num_threads(), device=world.device.type,
            precision=training.precision,
        )  # fmt: skip
        if origin is not None:
            metrics.write(
                "branch", done, run=origin.run, from_iteration=origin.iteration,
                weights_only=origin.weights_only,
            )  # fmt: skip

    # The loop. `done` counts updates; the next one is number `done`, from 0.
    last_line = interval_start = time.monotonic()
    interval_first = done
    while done < training.iterations:
        outcome = train_iteration(
            stage,
            adam,
            training_batch(samples, pretrain, done, world),
            num_micro_batches=num_micro_batches(pretrain),
            micro_batch_size=training.micro_batch_size,
            learning_rate=learning_rate(training, done),
            stop_requested=stop.is_set,
            world=world,
        )
        done += 1
        at_end = done == training.iterations
        if done % training.log_interval == 0 or done == 1 or at_end or outcome.stop_requested:
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
            interval_start, interval_first = time.monotonic(), done
        if at_end or (training.valid_interval and done % training.valid_interval == 0):
            start = time.monotonic()
            valid = validate(stage, sequences, pretrain, plan.tokens_per_byte, world)
            seconds = time.monotonic() - start
            metrics.write(
                "valid", done, loss=valid.loss, bits_per_byte=valid.bits_per_byte,
                tokens=valid.tokens, seconds=seconds,
            )  # fmt: skip
            log.info(
                "%s: iteration %d, validation loss %.4f, %.4f bits per byte",
                recipe.run.name, done, valid.loss, valid.bits_per_byte,
            )  # fmt: skip
            interval_start += seconds
        due = done % pretrain.checkpoint.interval_iterations == 0
        start = time.monotonic()
        if at_end or due or outcome.stop_requested:
            written = saver.save(done, stage, adam)
            if at_end or outcome.stop_requested:
                written += saver.finish()
        else:
            written = saver.poll()
        for saved in written:
            metrics.write(
                "checkpoint", saved.iteration, seconds=saved.seconds, permanent=saved.permanent,
                asynchronous=saved.asynchronous,
            )  # fmt: skip
        interval_start += time.monotonic() - start
        if outcome.stop_requested and not at_end:
            raise PreemptedError(
                f"{recipe.run.name}: stopped and saved after iteration {done}",
                "the same command goes on from there",
            )

    # The end: result and manifest, by one process.
    if not world.is_first:
        return None
    name = checkpoint.latest(checkpoints)
    assert name is not None
    metrics.write("end", done, status="done")
    ended = commit(plan, metrics.summary(), name)
    record_duration(directory, "pretrain", time.monotonic() - begun)
    return ended


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
