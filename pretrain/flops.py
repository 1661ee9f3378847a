"""Counts without torch: parameters, floating-point operations.

The tests compare the first with the built model, to the unit.
"""

from pretrain.config import Model


def layer_parameters(shape: Model) -> int:
    """Of one layer: query, key, value and output projections, three SwiGLU matrices, two norms."""
    head_size = shape.hidden_size // shape.heads
    attention = 2 * shape.hidden_size * (shape.heads + shape.kv_heads) * head_size
    return attention + 3 * shape.hidden_size * shape.ffn_size + 2 * shape.hidden_size


def nonembedding_parameters(shape: Model) -> int:
    """All layers and the last norm, without the embedding and the output matrix (Kaplan et al.
    2020, arXiv:2001.08361, section 1.3)."""
    return shape.layers * layer_parameters(shape) + shape.hidden_size


def total_parameters(shape: Model, padded_vocab_size: int) -> int:
    """Every trained number."""
    matrices = 1 if shape.tied_embeddings else 2
    return nonembedding_parameters(shape) + matrices * padded_vocab_size * shape.hidden_size


def training_flops(shape: Model, padded_vocab_size: int, tokens: int) -> float:
    """Operations of forward and backward over `tokens`, by the convention named `megatron`.

    Three times the multiplications and additions of the forward matrices and of the attention
    scores over the whole square, the output layer included, the embedding look-up not (Narayanan
    et al. 2021, arXiv:2104.04473, appendix, without recomputation).
    """
    norms = 2 * shape.layers * shape.hidden_size + shape.hidden_size
    matrices = nonembedding_parameters(shape) - norms + padded_vocab_size * shape.hidden_size
    scores = 12 * shape.layers * shape.hidden_size * shape.sequence_length
    return float(6 * matrices + scores) * tokens
