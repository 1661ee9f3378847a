"""Tables `[pretrain.checkpoint]` and `[pretrain.branch]`: what is saved, and what a run starts
from."""

from pathlib import Path

from pydantic import Field

from launch import config


class Checkpoint(config.Model):
    """Table `[pretrain.checkpoint]`: when a run saves. No value here changes its result."""

    interval_iterations: int = Field(50, ge=1)
    """Iterations between two checkpoints; the end of the run is always one."""
    keep: int = Field(2, ge=1)
    """Checkpoints that are kept to go on from, the newest ones."""
    permanent_interval_iterations: int = Field(0, ge=0)
    """Checkpoints of a multiple of this are kept for ever; 0: none but the newest."""
    asynchronous: bool = False
    """Whether training goes on while a checkpoint is being written, from a copy in host memory."""


class Branch(config.Model):
    """Table `[pretrain.branch]`: begin from a checkpoint of another run instead of new weights."""

    run: Path | None = None
    """Directory of the other run."""
    iteration: int = Field(0, ge=0)
    """Its checkpoint; 0: the last one."""
    weights_only: bool = False
    """Whether only the model is taken, and iterations, optimizer and data begin anew. Otherwise
    the run goes on at that iteration, and what the recipe says of earlier ones must agree."""
