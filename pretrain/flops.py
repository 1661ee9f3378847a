"""Counts without torch: parameters, floating-point operations, memory.

The tests compare the first with the built model, to the unit.
"""

from dataclasses import dataclass

from pretrain.config import Model, Pretrain


def layer_parameters(shape: Model) -> int:
    """Of one layer: attention's projections, the MLP or all experts and their router, norms."""
    return _attention(shape) + _mlp(shape, shape.experts.count) + _norms(shape)


def active_layer_parameters(shape: Model) -> int:
    """Of one layer, what one token meets: of the experts only those that see it."""
    return _attention(shape) + _mlp(shape, shape.experts.active) + _norms(shape)


def nonembedding_parameters(shape: Model) -> int:
    """All layers and the last norm, without the embedding and the output matrix (Kaplan et al.
    2020, arXiv:2001.08361, section 1.3)."""
    return shape.layers * layer_parameters(shape) + _norm(shape, shape.hidden_size)


def total_parameters(shape: Model, padded_vocab_size: int) -> int:
    """Every trained number."""
    return nonembedding_parameters(shape) + _vocabulary(shape, padded_vocab_size)


def active_parameters(shape: Model, padded_vocab_size: int) -> int:
    """Those that one token meets; the same as `total_parameters` without experts."""
    idle = layer_parameters(shape) - active_layer_parameters(shape)
    return total_parameters(shape, padded_vocab_size) - shape.layers * idle


def training_flops(shape: Model, padded_vocab_size: int, tokens: int) -> float:
    """Operations of forward and backward over `tokens`, by the convention named `megatron`.

    Three times the multiplications and additions of the forward matrices and of the attention
    scores over the whole square, the output layer included, the embedding look-up not (Narayanan
    et al. 2021, arXiv:2104.04473, appendix, without recomputation). Of experts, those that see each
    token, and the router. Norms and activations are not counted.
    """
    layer = _attention(shape) + _mlp(shape, shape.experts.active)
    matrices = shape.layers * layer + padded_vocab_size * shape.hidden_size
    scores = 12 * shape.layers * shape.hidden_size * shape.sequence_length
    return float(6 * matrices + scores) * tokens


def _attention(shape: Model) -> int:
    head_size = shape.hidden_size // shape.heads
    return 2 * shape.hidden_size * (shape.heads + shape.kv_heads) * head_size


def _mlp(shape: Model, experts: int) -> int:
    matrices = 3 if shape.activation == "swiglu" else 2
    if not shape.experts.count:
        return matrices * shape.hidden_size * shape.ffn_size
    width = shape.experts.ffn_size or shape.ffn_size
    router = shape.experts.count * shape.hidden_size
    return experts * matrices * shape.hidden_size * width + router


def _norms(shape: Model) -> int:
    heads = _norm(shape, shape.hidden_size // shape.heads) if shape.qk_norm else 0
    return 2 * _norm(shape, shape.hidden_size) + 2 * heads


def _norm(shape: Model, size: int) -> int:
    return size if shape.norm == "rms" else 2 * size


def _vocabulary(shape: Model, padded_vocab_size: int) -> int:
    return (1 if shape.tied_embeddings else 2) * padded_vocab_size * shape.hidden_size


@dataclass(frozen=True)
class Memory:
    """Bytes of one process, the one that needs most."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of it, without the libraries themselves (about 0.4 GB on a CPU)."""
        return self.weights + self.gradients + self.optimizer + self.activations


def estimate_memory(pretrain: Pretrain, padded_vocab_size: int) -> Memory:
    """What the largest process needs: the first stage's layers and the last stage's output layer.

    Gradients are float32. The optimizer holds two float32 moments, and a float32 copy of bf16
    weights, divided over the data ranks. Activations are those of 1F1B, as many micro-batches as
    there are stages: per layer 34 bytes per position and channel in 16 bit (Korthikanti et al.
    2022, arXiv:2205.05198, eq. 1, without dropout's and softmax's part), twice that in float32,
    divided by tensor except for the two norms' inputs; and four copies of the logits.
    """
    shape, parallel, training = pretrain.model, pretrain.parallel, pretrain.training
    stage_layers = shape.layers // parallel.pipeline
    ends = 2 if parallel.pipeline == 1 and not shape.tied_embeddings else 1
    vocabulary = ends * padded_vocab_size * shape.hidden_size
    norms = (2 * stage_layers + 1) * shape.hidden_size
    layers = stage_layers * (layer_parameters(shape) - 2 * shape.hidden_size)
    parameters = (layers + vocabulary) // parallel.tensor + norms
    width = 2 if training.precision == "bf16" else 4
    positions = training.micro_batch_size * shape.sequence_length
    per_layer = positions * shape.hidden_size * (10 + 24 / parallel.tensor) * width / 2
    logits = 4 * positions * padded_vocab_size / parallel.tensor * 4
    held = min(parallel.pipeline, training.batch_size // training.micro_batch_size)
    return Memory(
        weights=parameters * width,
        gradients=parameters * 4,
        optimizer=parameters * (8 if width == 4 else 12) // parallel.data,
        activations=int(held * stage_layers * per_layer + logits),
    )
