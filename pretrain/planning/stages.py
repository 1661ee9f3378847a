"""Which part of the model one process holds: layers, parameters, micro-batches in flight; no torch.

The tests compare the parameters with stages that Megatron-core builds, to the unit.
"""

from dataclasses import dataclass

from pretrain.config import Model, Parallel


@dataclass(frozen=True)
class Parameters:
    """Trained numbers of one process."""

    matrices: int
    """In the layers, experts not counted."""
    vectors: int
    """Norms' weights and biases: every tensor rank holds all of them."""
    embeddings: int
    """Embedding and output matrix, on the stages that hold them."""
    experts: int

    @property
    def dense(self) -> int:
        """All that data ranks copy: everything but the experts."""
        return self.matrices + self.vectors + self.embeddings

    @property
    def total(self) -> int:
        """All of them."""
        return self.dense + self.experts


def stage_layers(shape: Model, parallel: Parallel) -> tuple[int, ...]:
    """Layers of each pipeline stage: an even share, unless first or last are given.

    The division must come out even; `check` has seen to it.
    """
    first, last = parallel.first_stage_layers, parallel.last_stage_layers
    stages, fixed = parallel.pipeline, bool(first) + bool(last)
    if stages == 1 or stages == fixed:
        return (shape.layers,) if stages == 1 else (first, last)
    middle = (shape.layers - first - last) // (stages - fixed)
    layers = [middle] * stages
    layers[0] = first or middle
    layers[-1] = last or middle
    return tuple(layers)


def in_flight(parallel: Parallel, stage: int, num_micro_batches: int) -> float:
    """Micro-batches whose activations `stage` holds at most, counted in whole stages.

    1F1B: stage `s` of `p` runs `p - s` forward passes before its first backward pass (Narayanan et
    al. 2021, arXiv:2104.04473, section 2.2.1). Interleaved: `2 (p - s - 1) + (v - 1) p + 1` passes
    of pieces, each `1/v` of a stage (section 2.2.2, as Megatron-core's schedule counts them).
    """
    stages, pieces = parallel.pipeline, parallel.virtual_stages
    if pieces == 1:
        return float(min(stages - stage, num_micro_batches))
    passes = 2 * (stages - stage - 1) + (pieces - 1) * stages + 1
    return min(passes, num_micro_batches * pieces) / pieces


def layer_matrices(shape: Model) -> int:
    """Numbers in one layer's attention and, unless there are experts, its MLP or, if there are,
    its router."""
    head_size = shape.hidden_size // shape.heads
    attention = 2 * shape.hidden_size * (shape.heads + shape.kv_heads) * head_size
    if shape.experts.count:
        return attention + shape.hidden_size * shape.experts.count
    return attention + expert_matrices(shape)


def expert_matrices(shape: Model) -> int:
    """Numbers in one expert, or in the MLP of a dense layer: three matrices, without gate two."""
    width = (shape.experts.ffn_size or shape.ffn_size) if shape.experts.count else shape.ffn_size
    return (3 if shape.activation == "swiglu" else 2) * shape.hidden_size * width


def layer_vectors(shape: Model) -> int:
    """Numbers in one layer's norms."""
    head_size = shape.hidden_size // shape.heads
    channels = 2 * shape.hidden_size + (2 * head_size if shape.qk_norm else 0)
    return channels * _norm_vectors(shape)


def rank_parameters(
    shape: Model, parallel: Parallel, padded_vocab_size: int, stage: int
) -> Parameters:
    """What each process of pipeline stage `stage`, counted from 0, holds."""
    layers = stage_layers(shape, parallel)[stage]
    first, last = stage == 0, stage == parallel.pipeline - 1
    matrices = layer_matrices(shape)
    router = shape.hidden_size * shape.experts.count  # every tensor rank holds it whole
    ends = first + last
    if first and last and shape.tied_embeddings:
        ends = 1
    return Parameters(
        matrices=layers * ((matrices - router) // parallel.tensor + router),
        vectors=layers * layer_vectors(shape) + last * shape.hidden_size * _norm_vectors(shape),
        embeddings=ends * padded_vocab_size * shape.hidden_size // parallel.tensor,
        experts=layers * shape.experts.count // parallel.expert * expert_matrices(shape),
    )


def _norm_vectors(shape: Model) -> int:
    return 2 if shape.norm == "layer" else 1
