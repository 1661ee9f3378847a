"""Tables `[pretrain.model]` and `[pretrain.model.experts]`: what is trained."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from launch import config
from pretrain.sizes import shape_of_depth, shape_of_size


class Experts(config.Model):
    """Table `[pretrain.model.experts]`: a mixture of experts in the place of every MLP.

    Softmax router over all experts, the `active` best of them weighted by their renormalised
    probabilities (Lepikhin et al. 2020, arXiv:2006.16668; Jiang et al. 2024, arXiv:2401.04088), one
    by its probability over all (Fedus et al. 2021, arXiv:2101.03961); no token is dropped.
    """

    count: int = Field(0, ge=0, le=4_096)
    """Experts of each layer; 0: dense. Divisible by `parallel.expert`. With `parallel.tensor` above
    1, `parallel.sequence` must be on."""
    active: int = Field(2, ge=1, le=256)
    """Experts that see each token, at most `count`."""
    ffn_size: int = Field(0, ge=0, le=262_144)
    """Width inside one expert; 0: the model's `ffn_size`."""
    auxiliary_loss: float = Field(0.01, ge=0.0, le=1.0)
    """Weight of the load-balancing loss (Fedus et al. 2021, arXiv:2101.03961, equation 4)."""
    router_z_loss: float = Field(0.0, ge=0.0, le=1.0)
    """Weight of the router's z-loss (Zoph et al. 2022, arXiv:2202.08906, equation 5)."""


class Model(config.Model):
    """Table `[pretrain.model]`: a causal decoder, Llama-shaped by default.

    Norm before attention and MLP, rotary positions, grouped-query attention, no biases, no dropout
    (Touvron et al. 2023, arXiv:2302.13971, section 2.2). `size` or `depth` fill in the keys of the
    shape that are not given beside them.
    """

    size: str = ""
    """A named size, `10m` to `70b` (`pretrain/sizes/`): its shape stands for what is not given."""
    depth: int = Field(0, ge=0, le=128)
    """One dial: `layers`, from which width, heads and `ffn_size` follow; 0: not used."""
    layers: int = Field(4, ge=1, le=1_024)
    """Transformer layers; divisible by `parallel.pipeline`, unless the stages are uneven."""
    hidden_size: int = Field(128, ge=8, le=65_536)
    """Width of the residual stream; divisible by `heads`."""
    heads: int = Field(4, ge=1, le=1_024)
    """Query heads; divisible by `kv_heads` and by `parallel.tensor`."""
    kv_heads: int = Field(2, ge=1, le=1_024)
    """Key and value heads, each shared by `heads / kv_heads` query heads."""
    ffn_size: int = Field(352, ge=8, le=262_144)
    """Width inside the MLP; SwiGLU has three matrices of `hidden_size` by it, GELU two."""
    sequence_length: int = Field(256, ge=8, le=1_048_576)
    """Tokens that the model sees at once; a stage of the data may have another."""
    activation: Literal["swiglu", "gelu"] = "swiglu"
    """Of the MLP: SwiGLU (Shazeer 2020, arXiv:2002.05202), or GELU without a gate."""
    norm: Literal["rms", "layer"] = "rms"
    """RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467), or LayerNorm with a bias."""
    qk_norm: bool = False
    """Whether queries and keys are normalised head by head (Dehghani et al. 2023,
    arXiv:2302.05442, section 2)."""
    tied_embeddings: bool = False
    """Whether the output layer uses the embedding's matrix."""
    rotary_base: float = Field(10_000.0, ge=1.0)
    """Base of the rotary frequencies (Su et al. 2021, arXiv:2104.09864)."""
    norm_epsilon: float = Field(1e-5, gt=0, le=1e-2)
    """Added to the mean square, or to the variance, in a norm."""
    init_std: float = Field(0.02, gt=0, le=1.0)
    """Standard deviation of the initial weights; of those that write to the residual stream,
    divided by the square root of `2 * layers` (Radford et al. 2019)."""
    experts: Experts = Experts()

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        size, depth = table.get("size", ""), table.get("depth", 0)
        if size and depth:
            raise ValueError(f"either size ({size}) or depth ({depth})")
        shape: dict[str, Any] = {}
        if isinstance(size, str) and size:
            shape = shape_of_size(size)
        elif isinstance(depth, int) and depth > 0:
            shape = shape_of_depth(depth)
        if "experts" in shape and isinstance(table.get("experts"), dict):
            table = {**table, "experts": {**shape["experts"], **table["experts"]}}
        return {**shape, **table}

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
        if self.experts.count and self.experts.active > self.experts.count:
            raise ValueError(f"at most experts.count ({self.experts.count}) in experts.active")
        return self
