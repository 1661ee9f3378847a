"""Table `[pretrain.metrics]`: what is measured beside `metrics.jsonl`, and who reads it."""

from typing import Self

from pydantic import Field, model_validator

from launch import config


class Metrics(config.Model):
    """Table `[pretrain.metrics]`: readers of `metrics.jsonl`. No value here changes the result."""

    by_source: bool = True
    """Whether training and validation losses are also given by source."""
    tensorboard: bool = False
    """Whether events for TensorBoard are written to `logs/tensorboard`."""
    wandb_project: str = ""
    """Project of Weights & Biases to which events are sent; empty: none."""
    profile_first_iteration: int = Field(0, ge=0)
    """First iteration of a profile (`logs/profile-RANK.json`, for chrome://tracing)."""
    profile_iterations: int = Field(0, ge=0, le=100)
    """Iterations that are profiled; 0: none."""
    peak_teraflops: float = Field(0.0, ge=0.0)
    """Peak of one GPU in TFLOP/s, for MFU; 0: that of the known GPU (`planning/hardware/`)."""

    @model_validator(mode="after")
    def _profile(self) -> Self:
        if self.profile_first_iteration and not self.profile_iterations:
            raise ValueError("profile_iterations above 0 with profile_first_iteration")
        return self
