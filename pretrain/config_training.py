"""Table `[pretrain.training]`: how long, how fast, and what is measured on the way."""

from typing import Literal, Self

from pydantic import Field, model_validator

from launch import config


class Training(config.Model):
    """Table `[pretrain.training]`: how long, how fast, and what is measured on the way."""

    iterations: int = Field(200, ge=1, le=100_000_000)
    """Optimizer updates in all."""
    batch_size: int = Field(8, ge=1, le=1_048_576)
    """Sequences for each update, over all processes."""
    batch_size_start: int = Field(0, ge=0, le=1_048_576)
    """Sequences of the first updates, from which the batch grows to `batch_size`; 0: no growth."""
    batch_ramp_iterations: int = Field(0, ge=0)
    """Iterations over which the batch grows, in equal steps of `batch_size_start`, each held for as
    many iterations."""
    micro_batch_size: int = Field(4, ge=1, le=65_536)
    """Sequences that go through the model at once; changes speed and memory, not the result."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), or Muon for the matrices of the layers
    (Jordan et al. 2024; Liu et al. 2025, arXiv:2502.16982) and AdamW for all else; the learning
    rate is AdamW's."""
    lr_peak: float = Field(2e-3, gt=0, le=1.0)
    """Learning rate after the warm-up."""
    lr_min: float = Field(2e-4, ge=0, le=1.0)
    """Learning rate at the end, below which no schedule falls after the warm-up; `constant` does
    not decay, `inverse_sqrt` need not come so far."""
    warmup_iterations: int = Field(20, ge=0)
    """Iterations of linear rise to `lr_peak`."""
    schedule: Literal["cosine", "wsd", "linear", "inverse_sqrt", "power", "constant"] = "cosine"
    """Shape after the warm-up; `wsd` stays at the peak until its decay."""
    decay_fraction: float = Field(0.2, gt=0, le=1.0)
    """Share of all iterations in which `wsd` and `power` decay, linearly, at the end."""
    power_exponent: float = Field(-0.51, ge=-2.0, le=0.0)
    """Exponent of `power`, which falls from the peak at the end of the warm-up (Shen et al. 2024,
    arXiv:2408.13359: -0.51)."""
    weight_decay: float = Field(0.1, ge=0, le=1.0)
    """Decoupled weight decay of matrices; norms and biases have none."""
    clip: float = Field(1.0, ge=0)
    """Largest norm of the whole gradient; 0 leaves it unclipped."""
    beta1: float = Field(0.9, ge=0, lt=1.0)
    """Adam's decay of the first moment."""
    beta2: float = Field(0.95, ge=0, lt=1.0)
    """Adam's decay of the second moment."""
    adam_epsilon: float = Field(1e-8, gt=0, le=1e-2)
    """Added to the root of Adam's second moment."""
    muon_momentum: float = Field(0.95, ge=0, lt=1.0)
    """Muon's momentum (Nesterov's)."""
    precision: Literal["fp32", "bf16", "fp16", "fp8"] = "fp32"
    """Of weights and activations; gradients are reduced, and the optimizer runs, in fp32 always.
    `fp8` needs a GPU that has it and Transformer Engine."""
    deterministic: bool = False
    """Whether kernels that may give other bits at each run are refused (slower on GPUs)."""
    valid_interval: int = Field(50, ge=0)
    """Iterations between validations; 0 validates at the end only."""
    valid_batches: int = Field(8, ge=1)
    """Most batches of one validation, spread evenly over the validation split."""
    log_interval: int = Field(10, ge=1)
    """Iterations between two lines of metrics; the device is read there and nowhere else."""
    epochs_max: float = Field(4.0, gt=0)
    """Most times that a source may be repeated (4 cost little: Muennighoff et al. 2023,
    arXiv:2305.16264); a longer run is refused."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(f"a multiple of micro_batch_size ({self.micro_batch_size}) "
                             "in batch_size")  # fmt: skip
        if self.warmup_iterations > self.iterations:
            raise ValueError(f"at most iterations ({self.iterations}) in warmup_iterations")
        if self.lr_min > self.lr_peak:
            raise ValueError(f"at most lr_peak ({self.lr_peak}) in lr_min")
        if self.batch_size_start and self.batch_size % self.batch_size_start:
            raise ValueError(f"a multiple of batch_size_start ({self.batch_size_start}) "
                             "in batch_size")  # fmt: skip
        if self.batch_size_start % self.micro_batch_size:
            raise ValueError(f"a multiple of micro_batch_size ({self.micro_batch_size}) "
                             "in batch_size_start")  # fmt: skip
        if bool(self.batch_size_start) != bool(self.batch_ramp_iterations):
            raise ValueError("batch_size_start and batch_ramp_iterations together")
        return self
