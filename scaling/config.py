"""The `[scaling]` table of a recipe: the runs of the ladder, the fit, the planned run.

The defaults are those of the demo: 4 sizes x 3 token counts, single-process runs of seconds each.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from launch.config import Model

ShapeName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=32)]


class Shape(Model):
    """One of `[[scaling.ladder.sizes]]`: a size of the Llama-shaped decoder."""

    name: ShapeName
    """Name of the size; it becomes part of the run's name."""
    layers: int = Field(ge=1, le=1_024)
    """Transformer layers."""
    hidden_size: int = Field(ge=8, le=65_536)
    """Width of the residual stream; divisible by `heads`."""
    heads: int = Field(ge=1, le=1_024)
    """Query heads; divisible by `kv_heads`."""
    kv_heads: int = Field(ge=1, le=1_024)
    """Key and value heads."""
    ffn_size: int = Field(ge=8, le=262_144)
    """Width inside SwiGLU."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError(f"an even hidden_size / heads ({self.hidden_size} / {self.heads})")
        if self.heads % self.kv_heads:
            raise ValueError(f"a multiple of kv_heads ({self.kv_heads}) in heads ({self.heads})")
        return self


_DEMO_SIZES = (
    Shape(name="w32", layers=2, hidden_size=32, heads=2, kv_heads=1, ffn_size=96),
    Shape(name="w48", layers=3, hidden_size=48, heads=4, kv_heads=2, ffn_size=128),
    Shape(name="w64", layers=4, hidden_size=64, heads=4, kv_heads=2, ffn_size=192),
    Shape(name="w96", layers=5, hidden_size=96, heads=6, kv_heads=2, ffn_size=256),
)


class Ladder(Model):
    """Table `[scaling.ladder]`: every size with every token count, one schedule for all of them.

    What is not named here (precision, Adam's constants, clipping, weight decay, tied embeddings) is
    taken from the recipe's own `[pretrain]` tables.
    """

    sizes: tuple[Shape, ...] = Field(_DEMO_SIZES, min_length=4)
    """Model sizes, at least 4, each with its own name."""
    tokens: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (40_960, 102_400, 256_000), min_length=3
    )
    """Training tokens, at least 3 counts; each is rounded to whole iterations."""
    sequence_length: int = Field(128, ge=8, le=1_048_576)
    """Tokens that a model sees at once."""
    # Of batches of 2 and 4 sequences and rates of 2.5e-3 to 1.2e-2, tried on a run of 122,880
    # tokens and width 48 (2026-11-21): 6.21 nats at 2 sequences and 2.5e-3, 6.31 at 4e-3; with 4
    # sequences 6.48 at 2.5e-3, 6.42 at 5e-3, 6.82 at 1.2e-2.
    batch_size: int = Field(2, ge=1, le=1_048_576)
    """Sequences for each update, the same for all runs."""
    micro_batch_size: int = Field(2, ge=1, le=65_536)
    """Sequences that go through the model at once."""
    schedule: Literal["cosine", "wsd", "linear", "constant"] = "cosine"
    """Shape of the learning rate after the warm-up; it ends with the run, as the laws assume."""
    warmup_share: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of the iterations that warm the learning rate up."""
    lr_reference: float = Field(2.5e-3, gt=0.0, le=1.0)
    """Peak learning rate of a model `hidden_reference` wide."""
    hidden_reference: int = Field(64, ge=1)
    """Width at which `lr_reference` holds."""
    lr_width_exponent: float = Field(0.5, ge=0.0, le=1.0)
    """The peak is `lr_reference * (hidden_reference / hidden_size) ** lr_width_exponent`."""
    lr_min_share: float = Field(0.1, ge=0.0, le=1.0)
    """Learning rate at the end, as a share of the peak."""
    valid_batches: int = Field(32, ge=1)
    """Batches of the validation at the end, the same ones for all runs."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [size.name for size in self.sizes]
        if len(set(names)) != len(names):
            raise ValueError(f"a name of its own for each size (they are {', '.join(names)})")
        if len(set(self.tokens)) != len(self.tokens):
            raise ValueError(f"each token count once (they are {self.tokens})")
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"a multiple of micro_batch_size ({self.micro_batch_size}) in batch_size"
            )
        return self


class Fit(Model):
    """Table `[scaling.fit]`: how the laws are fitted to the runs table."""

    huber_delta: float = Field(1e-3, gt=0.0)
    """Huber threshold on the residual of the log loss (Hoffmann et al. 2022, section 3.3)."""
    bootstrap_samples: int = Field(200, ge=20, le=20_000)
    """Resamplings of the runs, for the intervals."""
    confidence: float = Field(0.95, gt=0.0, lt=1.0)
    """Probability content of every interval."""
    polished_starts: int = Field(32, ge=1, le=4_500)
    """How many of the best grid points are polished."""
    hold_out: Literal["largest", "none"] = "largest"
    """Which run is left out of the fit and predicted: the one with the most FLOP, or none."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Seed of the resampling."""


class Plan(Model):
    """Table `[scaling.plan]`: the next run's budget, and the layout that its shape must suit."""

    budget_flops: float = Field(3e13, gt=0.0)
    """Training compute in FLOP, counted as 6 x all parameters x tokens."""
    epochs_max: float = Field(1.0, gt=0.0)
    """Most times the training tokens may be read; a budget that wants more makes the plan
    data-limited: this many epochs, and a larger model. Above 1 the laws do not hold strictly."""
    tensor: int = Field(1, ge=1, le=1_024)
    """Tensor-parallel processes of the planned run."""
    pipeline: int = Field(1, ge=1, le=1_024)
    """Pipeline stages of the planned run."""
    data: int = Field(1, ge=1, le=65_536)
    """Data-parallel copies of the planned run."""
    hidden_multiple: int = Field(32, ge=2)
    """`hidden_size` and `ffn_size` are multiples of this (64 or 128 on GPUs)."""
    head_size: int = Field(16, ge=2)
    """Width of one head, even (64 or 128 on GPUs)."""
    heads_per_kv_head: int = Field(2, ge=1)
    """Query heads that share a key and value head."""
    ffn_ratio: float = Field(2.667, gt=0.0)
    """`ffn_size / hidden_size` before rounding (SwiGLU: 8/3)."""
    width_per_layer: float = Field(20.0, gt=0.0)
    """`hidden_size / layers` to aim at (about 100 for large models)."""
    sequence_length: int = Field(128, ge=8, le=1_048_576)
    """Tokens that the planned model sees at once; the law was fitted at the ladder's."""
    batch_size: int = Field(8, ge=1, le=1_048_576)
    """Sequences for each update."""
    micro_batch_size: int = Field(4, ge=1, le=65_536)
    """Sequences that go through the model at once."""
    name: ShapeName = "planned"
    """`run.name` of the planned run."""

    @model_validator(mode="after")
    def _layout_divides(self) -> Self:
        if self.head_size % 2:
            raise ValueError(f"an even head_size (it is {self.head_size}), for rotary positions")
        if self.batch_size % (self.micro_batch_size * self.data):
            raise ValueError(
                f"a multiple of micro_batch_size x data ({self.micro_batch_size} x {self.data}) "
                "in batch_size"
            )
        return self


class Scaling(Model):
    """Table `[scaling]`."""

    enabled: bool = False
    """Whether `gristmill run` trains the ladder, fits the laws and writes the plan."""
    ladder: Ladder = Ladder()
    fit: Fit = Fit()
    plan: Plan = Plan()
