"""Counts: parameters of a Llama-shaped model, and training FLOP under conventions with names.

The convention alone moves a fitted exponent: Porian et al. 2024 (arXiv:2406.19146) go from .83 to
.70 by counting the output layer. So no number here comes without its convention. Everything is a
float: 6 N D in int64 wraps silently above 9.2e18.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Convention = Literal["6N", "6N_nonembedding", "6N_attention", "deepseek", "megatron", "hoffmann_a4"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)


@dataclass(frozen=True)
class ModelShape:
    """A causal decoder with RMSNorm, grouped-query attention, SwiGLU, no biases."""

    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    ffn_size: int
    padded_vocab_size: int
    tied_embeddings: bool = False

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.heads

    @property
    def parameters_layer(self) -> float:
        """Of one layer: query, key, value, output, three SwiGLU matrices, two norms."""
        hidden = float(self.hidden_size)
        attention = 2.0 * hidden * hidden + 2.0 * hidden * self.kv_heads * self.head_size
        return attention + 3.0 * hidden * self.ffn_size + 2.0 * hidden

    @property
    def parameters_nonembedding(self) -> float:
        """All layers and the last norm; neither the embedding nor the output matrix."""
        return self.layers * self.parameters_layer + float(self.hidden_size)

    @property
    def parameters_embedding(self) -> float:
        """The embedding matrix, and the output matrix if it is another one."""
        matrices = 1.0 if self.tied_embeddings else 2.0
        return matrices * self.padded_vocab_size * self.hidden_size

    @property
    def parameters_total(self) -> float:
        """Every trained number."""
        return self.parameters_nonembedding + self.parameters_embedding


def shape_of(table: Mapping[str, int | bool], padded_vocab_size: int) -> ModelShape:
    """The shape that a `[pretrain.model]` table describes, given the tokenizer's vocabulary."""
    return ModelShape(
        layers=int(table["layers"]),
        hidden_size=int(table["hidden_size"]),
        heads=int(table["heads"]),
        kv_heads=int(table["kv_heads"]),
        ffn_size=int(table["ffn_size"]),
        padded_vocab_size=padded_vocab_size,
        tied_embeddings=bool(table.get("tied_embeddings", False)),
    )


def flops_per_token(shape: ModelShape, sequence_length: int, convention: Convention) -> float:
    """Training FLOP (forward and backward) per token.

    - `6N`: 6 x all parameters (Hoffmann et al., the budget of Chinchilla laws)
    - `6N_nonembedding`: 6 x parameters outside the embeddings (Kaplan et al.)
    - `6N_attention`: 6 x (all parameters + sequence_length x layers x hidden_size) (Porian et al.)
    - `deepseek`: 72 layers hidden^2 + 12 layers hidden sequence_length (arXiv:2401.02954, eq. 2)
    - `megatron`: three times the forward multiplications, scores over the whole square, output
      layer included, embedding look-up not (Narayanan et al. 2021, arXiv:2104.04473, appendix)
    - `hoffmann_a4`: `hoffmann_layer_flops` of the same width and heads, without the vocabulary

    Every convention but the last three ignores the sequence length or counts it as said.
    """
    layers, hidden = float(shape.layers), float(shape.hidden_size)
    if convention == "6N":
        return 6.0 * shape.parameters_total
    if convention == "6N_nonembedding":
        return 6.0 * shape.parameters_nonembedding
    if convention == "6N_attention":
        return 6.0 * (shape.parameters_total + sequence_length * layers * hidden)
    if convention == "deepseek":
        return 72.0 * layers * hidden * hidden + 12.0 * layers * hidden * sequence_length
    if convention == "megatron":
        norms = 2.0 * layers * hidden + hidden
        matrices = shape.parameters_nonembedding - norms + hidden * shape.padded_vocab_size
        return 6.0 * matrices + 12.0 * layers * hidden * sequence_length
    return layers * hoffmann_layer_flops(
        hidden, shape.head_size, shape.heads, shape.ffn_size, sequence_length
    )


def hoffmann_layer_flops(
    hidden_size: float, key_size: float, heads: float, ffn_size: float, sequence_length: float
) -> float:
    """Training FLOP per token and layer by Hoffmann et al. 2022, appendix F.

    Query, key and value projections, logits, softmax, reduction, output projection, dense block;
    three times for forward and backward. Their table A4 (0.99 to 1.10 of 6 N D) follows from these
    terms alone: with the embedding and final-logit terms that the text also lists, it would not.
    """
    attention_size = key_size * heads
    projections = 2.0 * 3.0 * hidden_size * attention_size
    scores = 2.0 * sequence_length * attention_size
    softmax = 3.0 * heads * sequence_length
    reduction = 2.0 * sequence_length * attention_size
    output = 2.0 * attention_size * hidden_size
    dense = 2.0 * (hidden_size * ffn_size + ffn_size * hidden_size)
    return 3.0 * (projections + scores + softmax + reduction + output + dense)


def training_flops(
    shape: ModelShape, tokens: float, sequence_length: int, convention: Convention = "6N"
) -> float:
    """Training FLOP of a whole run."""
    return flops_per_token(shape, sequence_length, convention) * float(tokens)
