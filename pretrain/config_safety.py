"""Tables `[pretrain.stability]` and `[pretrain.watch]`: what is done about bad numbers, and about
bad machines."""

from typing import Literal

from pydantic import Field

from launch import config


class Stability(config.Model):
    """Table `[pretrain.stability]`: updates that would do harm.

    An update whose loss or gradient is not finite is never applied, whatever the policy: the
    decision is taken on the device, the policy says what follows. Every event is recorded with the
    samples that it is about.
    """

    on_not_finite: Literal["stop", "skip", "rewind"] = "stop"
    """`stop` ends the run with exit code 4; `skip` goes on without the update; `rewind` takes the
    weights of the last checkpoint and goes on behind the batch: all since are passed over."""
    on_spike: Literal["log", "skip", "rewind"] = "log"
    """What follows a spike of loss or gradient norm: `log` applies the update all the same."""
    spike_deviations: float = Field(8.0, gt=1.0)
    """A spike lies this many standard deviations above the mean of the last `spike_window` updates
    that were applied."""
    spike_window: int = Field(128, ge=8, le=65_536)
    """Updates that a spike is measured against; none is found before half of them."""
    interventions_max: int = Field(10, ge=1)
    """Skips and rewinds after which a run stops with exit code 4: a person must look."""


class Watch(config.Model):
    """Table `[pretrain.watch]`: hangs, slow ranks, restarts. No value here changes the result."""

    start_timeout_seconds: float = Field(1_800.0, gt=0)
    """Longest wait for other processes until the first iteration is done, and while saving."""
    step_timeout_seconds: float = Field(600.0, gt=0)
    """Longest wait in an iteration; a rank that is later is named, and the run ends with 5. It is
    judged at nine tenths of this (below 30 s, earlier): the rest is for ending."""
    heartbeat_seconds: float = Field(10.0, gt=0)
    """Time between two signs of life of each rank in `logs/heartbeat-RANK.json`."""
    straggler_ratio: float = Field(1.5, gt=1.0)
    """A rank whose own work takes this many times the median is reported."""
    restarts_max: int = Field(0, ge=0, le=1_000)
    """Times that the launcher starts a run again after a crash or a lost process. It stops
    before, if two starts in a row end without a new checkpoint."""
    collect_garbage_iterations: int = Field(100, ge=0)
    """Iterations between Python's garbage collections, at the same moment on all ranks; 0 leaves
    it to Python."""
