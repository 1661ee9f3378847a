"""The `[scaling]` table of a recipe: which runs make the ladder, how they are fitted, what is planned.

The defaults are those of the demo: 4 sizes x 3 token counts, single-process runs of seconds each.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from launch.config import Model

ShapeName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=32)]


class Shape(Model):
    """One model size of the ladder (a Llama-shaped decoder)."""

    name: ShapeName = Field(description="name of the size; it becomes part of the run's name")
    layers: int = Field(ge=1, description="transformer layers")
    hidden_size: int = Field(ge=8, description="width of the residual stream")
    heads: int = Field(ge=1, description="attention heads; divides hidden_size")
    kv_heads: int = Field(ge=1, description="key-value heads; divides heads")
    ffn_size: int = Field(ge=8, description="inner width of the SwiGLU feed-forward")

    @model_validator(mode="after")
    def check_heads(self) -> Self:
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} over {self.heads} heads is not an even head size"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        return self


DEMO_SIZES = (
    Shape(name="w32", layers=2, hidden_size=32, heads=2, kv_heads=1, ffn_size=96),
    Shape(name="w48", layers=3, hidden_size=48, heads=4, kv_heads=2, ffn_size=128),
    Shape(name="w64", layers=4, hidden_size=64, heads=4, kv_heads=2, ffn_size=192),
    Shape(name="w96", layers=5, hidden_size=96, heads=6, kv_heads=2, ffn_size=256),
)


class Ladder(Model):
    """The runs to train: every size with every token count, one schedule for all of them.

    What is not named here (precision, optimizer betas, clipping, validation batches) is taken from
    the recipe's own `[pretrain.training]`.
    """

    sizes: tuple[Shape, ...] = Field(
        DEMO_SIZES, min_length=4, description="model sizes, at least 4, each with its own name"
    )
    tokens: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (49_152, 122_880, 307_200),
        min_length=3,
        description="training tokens per run, at least 3 counts; rounded up to whole iterations",
    )
    sequence_length: int = Field(128, ge=8, description="tokens per sequence")
    batch_size: int = Field(4, ge=1, description="sequences per iteration, the same for all runs")
    micro_batch_size: int = Field(4, ge=1, description="sequences per forward pass")
    schedule: Literal["cosine", "linear", "wsd", "constant"] = Field(
        "cosine", description="learning-rate schedule; it ends with the run, as the laws assume"
    )
    warmup_share: float = Field(
        0.1, ge=0.0, lt=1.0, description="share of the iterations that warm the rate up"
    )
    lr_reference: float = Field(
        1e-2, gt=0.0, description="peak learning rate of a model hidden_reference wide"
    )
    hidden_reference: int = Field(64, ge=1, description="width at which lr_reference holds")
    lr_width_exponent: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="peak rate = lr_reference * (hidden_reference / hidden_size) ** this",
    )
    lr_min_share: float = Field(
        0.1, ge=0.0, le=1.0, description="last learning rate as a share of the peak"
    )

    @model_validator(mode="after")
    def check_distinct(self) -> Self:
        names = [size.name for size in self.sizes]
        if len(set(names)) != len(names):
            raise ValueError(f"two sizes share a name: {', '.join(names)}")
        if len(set(self.tokens)) != len(self.tokens):
            raise ValueError(f"a token count stands twice: {self.tokens}")
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of "
                f"micro_batch_size {self.micro_batch_size}"
            )
        return self


class Fit(Model):
    """How the laws are fitted to the runs table."""

    huber_delta: float = Field(
        1e-3, gt=0.0, description="Huber threshold on the log-loss residual (Hoffmann et al.)"
    )
    bootstrap_samples: int = Field(
        300, ge=20, le=20_000, description="resamplings of the runs for the intervals"
    )
    confidence: float = Field(
        0.95, gt=0.0, lt=1.0, description="probability content of every interval"
    )
    polished_starts: int = Field(
        32, ge=1, le=4_500, description="how many of the best grid points L-BFGS polishes"
    )
    hold_out: Literal["largest", "none"] = Field(
        "largest", description="run that is left out of the fit and predicted (most FLOPs)"
    )
    seed: int = Field(0, ge=0, description="seed of the resampling")


class Plan(Model):
    """The next run: a budget, the law that splits it, and the layout it must be legal for."""

    budget_flops: float = Field(
        4e12, gt=0.0, description="training compute in FLOP, 6 * parameters_total * tokens"
    )
    epochs_max: float = Field(
        1.0,
        gt=0.0,
        description="times the training tokens may be read; a plan that wants more is data-limited",
    )
    tensor: int = Field(1, ge=1, description="tensor-parallel processes of the planned run")
    pipeline: int = Field(1, ge=1, description="pipeline stages of the planned run")
    data: int = Field(1, ge=1, description="data-parallel replicas of the planned run")
    hidden_multiple: int = Field(
        32, ge=2, description="hidden_size is a multiple of this (128 on GPUs)"
    )
    head_size: int = Field(16, ge=2, description="width of one head, even (64 or 128 on GPUs)")
    heads_per_kv_head: int = Field(2, ge=1, description="query heads per key-value head")
    ffn_ratio: float = Field(2.667, gt=0.0, description="ffn_size / hidden_size before rounding")
    width_per_layer: float = Field(
        20.0, gt=0.0, description="hidden_size / layers aimed at (about 100 for large models)"
    )
    sequence_length: int = Field(128, ge=8, description="tokens per sequence")
    batch_size: int = Field(8, ge=1, description="sequences per iteration of the planned run")
    micro_batch_size: int = Field(4, ge=1, description="sequences per forward pass")
    name: ShapeName = Field("planned", description="run.name of the planned run")

    @model_validator(mode="after")
    def check_layout(self) -> Self:
        if self.head_size % 2:
            raise ValueError(f"head_size {self.head_size} is odd; rotary positions need pairs")
        if self.batch_size % (self.micro_batch_size * self.data):
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batch_size "
                f"{self.micro_batch_size} x data {self.data}"
            )
        return self


class Scaling(Model):
    """The `[scaling]` table."""

    ladder: Ladder = Field(Ladder(), description="the small runs")
    fit: Fit = Field(Fit(), description="the fit of the laws")
    plan: Plan = Field(Plan(), description="the next run")
