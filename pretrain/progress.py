"""What a run says of itself while it goes: a line of metrics for each interval, a line of text for
a person every ten seconds."""

import contextlib
import time
from collections.abc import Iterator

import torch

from launch.log import get_logger
from pretrain.check import Plan
from pretrain.data.sources import order_stages, positions_before
from pretrain.device_memory import memory_bytes
from pretrain.flops import training_flops
from pretrain.judge import Seen
from pretrain.measure import mfu, peak_of_device
from pretrain.metrics import Metrics
from pretrain.parallel import World
from pretrain.planning.hardware import peak_teraflops
from pretrain.schedule import batch_size, first_sample, learning_rate
from pretrain.source_losses import SourceLosses

LOG_SECONDS = 10.0


class Progress:
    """The interval since the last line."""

    def __init__(self, plan: Plan, metrics: Metrics, world: World, done: int) -> None:
        self._plan = plan
        self._metrics = metrics
        self._world = world
        self._last_text = time.monotonic()
        self._known_peak = None
        if world.device.type == "cuda":
            name = torch.cuda.get_device_name(world.device)
            self._known_peak = peak_teraflops(name, plan.recipe.pretrain.training.precision)
        self._stages = order_stages(plan.recipe.pretrain, plan.tokens.facts)
        self.restart(done)

    def restart(self, done: int) -> None:
        """Begin an interval after `done` iterations."""
        self._start, self._first = time.monotonic(), done

    def iterations(self, done: int) -> int:
        """Iterations of the interval so far."""
        return done - self._first

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """What is done inside is no training, and does not count as time of the interval."""
        begun = time.monotonic()
        yield
        self._start += time.monotonic() - begun

    def note_stage(self, done: int) -> None:
        """Write the event `stage` if iteration `done`, the last one, was the first of a stage."""
        for stage in self._stages[1:]:
            if stage.first_iteration == done - 1:
                self._metrics.write(
                    "stage", done, stage=stage.number, sequence_length=stage.sequence_length,
                    first_sample=stage.first_sample,
                )  # fmt: skip

    def line(self, done: int, seen: Seen, losses: SourceLosses) -> None:
        """Write the event `train` after `done` iterations, of which `seen` is the last, and the
        losses by source since the last line; every rank calls it."""
        training = self._plan.recipe.pretrain.training
        now = time.monotonic()
        seconds = now - self._start
        tokens = self._tokens(done)
        passed = tokens - self._tokens(self._first)
        rate = passed / seconds
        self._metrics.write(
            "train", done, tokens=tokens, loss=seen.loss, gradient_norm=seen.gradient_norm,
            learning_rate=learning_rate(training, done - 1),
            batch_size=batch_size(training, done - 1), tokens_per_second=rate,
            mfu=self._mfu(passed, seconds), memory_bytes=memory_bytes(self._world.device),
            seconds=seconds,
        )  # fmt: skip
        if self._plan.recipe.pretrain.metrics.by_source:
            for source, loss, count in losses.read(self._world):
                self._metrics.write("train_source", done, source=source, loss=loss, tokens=count)
        if now - self._last_text >= LOG_SECONDS or done in (1, training.iterations):
            self._last_text = now
            left = self._tokens(training.iterations) - tokens
            get_logger("pretrain").info(
                "%s: iteration %d of %d, loss %.4f, %.0f tokens/s, about %.0f s left",
                self._plan.recipe.run.name, done, training.iterations, seen.loss, rate,
                left / rate,
            )  # fmt: skip
        self.restart(done)

    def _mfu(self, tokens: int, seconds: float) -> float | None:
        pretrain = self._plan.recipe.pretrain
        peak = peak_of_device(pretrain.metrics, self._world.device.type, self._known_peak)
        flops = training_flops(pretrain.model, self._plan.padded_vocab_size, tokens)
        return mfu(flops, seconds, self._world.size, peak)

    def _tokens(self, done: int) -> int:
        training = self._plan.recipe.pretrain.training
        return positions_before(self._stages, first_sample(training, done))
