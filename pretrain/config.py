"""What a recipe says about training: table `[pretrain]` and its four tables.

Nothing here imports torch. What can be judged from one table alone is judged here; what needs the
tokens or the layout together with the model is judged in `check.py`.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from launch import config


class Model(config.Model):
    """Table `[pretrain.model]`: a Llama-shaped causal decoder.

    RMSNorm before attention and MLP, rotary positions, grouped-query attention, SwiGLU, no biases,
    no dropout (Touvron et al. 2023, arXiv:2302.13971, section 2.2).
    """

    layers: int = Field(4, ge=1, le=1_024)
    """Transformer layers; divisible by `parallel.pipeline`."""
    hidden_size: int = Field(128, ge=8, le=65_536)
    """Width of the residual stream; divisible by `heads`."""
    heads: int = Field(4, ge=1, le=1_024)
    """Query heads; divisible by `kv_heads` and by `parallel.tensor`."""
    kv_heads: int = Field(2, ge=1, le=1_024)
    """Key and value heads, each shared by `heads / kv_heads` query heads."""
    ffn_size: int = Field(352, ge=8, le=262_144)
    """Width inside SwiGLU, which has three matrices of `hidden_size` by `ffn_size`."""
    sequence_length: int = Field(256, ge=8, le=1_048_576)
    """Tokens that the model sees at once."""
    tied_embeddings: bool = False
    """Whether the output layer uses the embedding's matrix."""
    rotary_base: float = Field(10_000.0, ge=1.0)
    """Base of the rotary frequencies (Su et al. 2021, arXiv:2104.09864)."""
    norm_epsilon: float = Field(1e-5, gt=0, le=1e-2)
    """Added to the mean square in RMSNorm."""
    init_std: float = Field(0.02, gt=0, le=1.0)
    """Standard deviation of the initial weights; of those that write to the residual stream,
    divided by the square root of `2 * layers` (Radford et al. 2019)."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"a multiple of heads ({self.heads}) in hidden_size")
        if (self.hidden_size // self.heads) % 2:
            raise ValueError(
                f"an even hidden_size / heads (it is {self.hidden_size // self.heads}), "
                "which rotary positions need"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"a multiple of kv_heads ({self.kv_heads}) in heads")
        return self


class Parallel(config.Model):
    """Table `[pretrain.parallel]`: how many processes share what; their product is the world."""

    tensor: int = Field(1, ge=1, le=1_024)
    """Processes that share every layer's matrices."""
    pipeline: int = Field(1, ge=1, le=1_024)
    """Pipeline stages, each with `layers / pipeline` layers (1F1B schedule)."""
    data: int = Field(1, ge=1, le=65_536)
    """Copies of the model that share a batch and, between them, the optimizer's state."""

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.tensor * self.pipeline * self.data


class Training(config.Model):
    """Table `[pretrain.training]`: how long, how fast, and what is measured on the way."""

    iterations: int = Field(200, ge=1, le=100_000_000)
    """Optimizer updates in all."""
    batch_size: int = Field(8, ge=1, le=1_048_576)
    """Sequences for each update, over all processes."""
    micro_batch_size: int = Field(4, ge=1, le=65_536)
    """Sequences that go through the model at once; changes speed and memory, not the result."""
    lr_peak: float = Field(2e-3, gt=0, le=1.0)
    """Learning rate after the warm-up."""
    lr_min: float = Field(2e-4, ge=0, le=1.0)
    """Learning rate at the end, for the schedules that decay."""
    warmup_iterations: int = Field(20, ge=0)
    """Iterations of linear rise to `lr_peak`."""
    schedule: Literal["cosine", "wsd", "linear", "constant"] = "cosine"
    """Shape after the warm-up; `wsd` stays at the peak until its decay."""
    decay_fraction: float = Field(0.2, gt=0, le=1.0)
    """Share of all iterations in which `wsd` decays, linearly, at the end."""
    weight_decay: float = Field(0.1, ge=0, le=1.0)
    """Decoupled weight decay of matrices; norms have none."""
    clip: float = Field(1.0, ge=0)
    """Largest norm of the whole gradient; 0 leaves it unclipped."""
    beta1: float = Field(0.9, ge=0, lt=1.0)
    """Adam's decay of the first moment."""
    beta2: float = Field(0.95, ge=0, lt=1.0)
    """Adam's decay of the second moment."""
    adam_epsilon: float = Field(1e-8, gt=0, le=1e-2)
    """Added to the root of Adam's second moment."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of weights and activations; gradients are reduced, and Adam runs, in fp32 always."""
    valid_interval: int = Field(50, ge=0)
    """Iterations between validations; 0 validates at the end only."""
    valid_batches: int = Field(8, ge=1)
    """Most batches of one validation, spread evenly over the validation split."""
    log_interval: int = Field(10, ge=1)
    """Iterations between two lines of metrics."""
    epochs_max: float = Field(4.0, gt=0)
    """Most times that the training split may be repeated (4 cost little: Muennighoff et al. 2023,
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
        return self


class Checkpoint(config.Model):
    """Table `[pretrain.checkpoint]`: when a run saves. No value here changes its result."""

    interval_iterations: int = Field(50, ge=1)
    """Iterations between two checkpoints; the end of the run is always one."""
    keep: int = Field(2, ge=1)
    """Checkpoints that are kept, the newest ones."""


class Pretrain(config.Model):
    """Table `[pretrain]`."""

    model: Model = Model()
    parallel: Parallel = Parallel()
    training: Training = Training()
    checkpoint: Checkpoint = Checkpoint()
