"""Memory of each pipeline stage's processes, counted before anything is started; no torch.

What autograd keeps of a layer is listed tensor by tensor, as our layers and Megatron-core's keep it
without fusions (both devices; `docs/pretrain-check.md` says how it was measured). A CPU differs
from a GPU in its norms, its attention's keys and values, and in nothing else that is large.
"""

from dataclasses import dataclass
from typing import Literal

from pretrain.config import Model, Pretrain
from pretrain.planning.stages import in_flight, rank_parameters, stage_layers

Device = Literal["cpu", "cuda"]

WEIGHT_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "fp8": 2}
# What a GPU holds beside tensors: CUDA's context, NCCL's channels, and the allocator's gaps.
MARGIN = 0.1


@dataclass(frozen=True)
class Memory:
    """Bytes of one process of a pipeline stage at the worst moment of an iteration."""

    stage: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    """Kept for the backward passes of all micro-batches in flight"""
    passing: int
    """The rest of the worst moment: logits and loss, one layer's backward pass, buffers"""
    update: int
    """Temporaries of the optimizer's step (Muon's), when activations are gone"""

    @property
    def total(self) -> int:
        """All of it, without the libraries themselves (about 0.4 GB on a CPU)."""
        held = self.weights + self.gradients + self.optimizer
        return held + max(self.activations + self.passing, self.update)


def estimate_memory(
    pretrain: Pretrain, padded_vocab_size: int, device: Device = "cuda"
) -> tuple[Memory, ...]:
    """Of each pipeline stage, in order.

    Gradients are float32. The distributed optimizer divides its state over the data ranks: two
    float32 moments (Muon's matrices have room for both too), and a float32 copy of 16-bit weights.
    Experts' state is divided over the ranks that hold the same experts.
    """
    return tuple(
        _stage(pretrain, padded_vocab_size, device, stage)
        for stage in range(pretrain.parallel.pipeline)
    )


def largest(stages: tuple[Memory, ...]) -> Memory:
    """The stage that needs most."""
    return max(stages, key=lambda memory: memory.total)


def checkpoint_bytes(pretrain: Pretrain, padded_vocab_size: int) -> int:
    """One checkpoint of the whole run: weights, their float32 copy, two moments."""
    shape, parallel = pretrain.model, pretrain.parallel
    whole = parallel.model_copy(
        update={
            "tensor": 1, "pipeline": 1, "expert": 1, "virtual_stages": 1,
            "first_stage_layers": 0, "last_stage_layers": 0,
        }
    )  # fmt: skip
    parameters = rank_parameters(shape, whole, padded_vocab_size, 0)
    # The float32 weights are written beside the model's own, also where these are float32.
    return (WEIGHT_BYTES[pretrain.training.precision] + 12) * parameters.total


def _stage(pretrain: Pretrain, padded_vocab_size: int, device: Device, stage: int) -> Memory:
    shape, parallel, training = pretrain.model, pretrain.parallel, pretrain.training
    parameters = rank_parameters(shape, parallel, padded_vocab_size, stage)
    copies = parallel.data * parallel.context
    # As many ranks hold the same experts; all tensor ranks of a stage may hold different ones.
    expert_copies = max(1, copies * parallel.tensor // parallel.expert)
    width = WEIGHT_BYTES[training.precision]
    # fp8 products keep two more copies of the matrices, one of them transposed.
    weights = width * parameters.total
    if training.precision == "fp8":
        weights += 2 * (parameters.matrices + parameters.experts)
    state = 8 if width == 4 else 12
    layers = stage_layers(shape, parallel)[stage]
    micro_batches = training.batch_size // (training.micro_batch_size * parallel.data)
    held = in_flight(parallel, stage, micro_batches)
    tokens = _tokens(pretrain)
    layer = tokens * layer_activations(pretrain, device)
    kept = layer
    passing = tokens * _layer_passing(pretrain)
    if parallel.recompute == "full":
        kept = tokens * _hidden(pretrain)
        passing += layer
    if parallel.sequence:
        passing += tokens * shape.hidden_size * width  # the whole sequence, gathered for a matrix
    if stage > 0:
        passing += tokens * _hidden(pretrain)  # the next micro-batch, on its way
    if stage == parallel.pipeline - 1:
        passing = max(passing, _head(pretrain, padded_vocab_size, device))
    return Memory(
        stage=stage,
        weights=weights,
        gradients=4 * parameters.total,
        optimizer=state * (parameters.dense // copies + parameters.experts // expert_copies),
        activations=int(held * layers * kept),
        passing=int(passing),
        update=_orthogonalisation(pretrain, device) if training.optimizer == "muon" else 0,
    )


def layer_activations(pretrain: Pretrain, device: Device) -> float:
    """Bytes that one layer keeps of each token of a micro-batch for its backward pass.

    Two norms, attention, MLP or experts. Tensor ranks divide all but the norms, sequence
    parallelism those too.
    """
    shape, parallel = pretrain.model, pretrain.parallel
    width = WEIGHT_BYTES[pretrain.training.precision]
    norms = 2 * _norm(shape, shape.hidden_size, width, device)
    if parallel.sequence:
        norms /= parallel.tensor
    attention = _attention(pretrain, device) / parallel.tensor
    if shape.experts.count:
        tokens_share = parallel.tensor if parallel.sequence else 1
        return norms + attention + _routed(shape, width) / tokens_share
    return norms + attention + _mlp(shape, shape.ffn_size, width) / parallel.tensor


def _norm(shape: Model, channels: int, width: int, device: Device) -> float:
    """The input, the output that the next matrix takes, and what a CPU's RMSNorm keeps: input and
    quotient in float32. A fused norm keeps a number or two for each token."""
    if device == "cpu" and shape.norm == "rms":
        return (2 * 4 + width) * channels + 4
    return 2 * width * channels + 8


def _attention(pretrain: Pretrain, device: Device) -> float:
    """Queries and keys turned by their positions, values, the result; and what hides behind views:
    values are a part of the projection's output, which is then kept whole."""
    shape, parallel = pretrain.model, pretrain.parallel
    width = WEIGHT_BYTES[pretrain.training.precision]
    query, head_size = shape.hidden_size, shape.hidden_size // shape.heads
    key = head_size * shape.kv_heads
    projected = query + 2 * key
    documents = pretrain.data.mask_documents and device == "cpu"
    grouped = shape.heads != shape.kv_heads
    if parallel.recompute == "selective" or not (documents or grouped):
        kept, whole = 2 * query + key + projected, True
    else:
        # Keys and values are repeated for each query head; attention that runs document by document
        # copies them too, and joins its parts. The projection's output is let go.
        kept, whole = (5 if documents else 4) * query, False
    kept *= width
    if shape.qk_norm:
        # Queries are copied for their norm if heads share keys; keys are a view of the
        # projection's output, which is then kept for them.
        quotient = 4 * (query + key) if device == "cpu" and shape.norm == "rms" else 0
        kept += quotient + width * ((query if grouped else 0) + (0 if whole else projected))
    # Cosines and sines, for queries and for keys, of each token where documents begin anew.
    turns = 4 * head_size * width / (1 if documents else pretrain.training.micro_batch_size)
    return kept + turns * parallel.tensor + 4 * shape.heads


def _mlp(shape: Model, ffn_size: int, width: int) -> float:
    """SwiGLU without fusion: gate and up side by side, the gate's SiLU, a copy of up, the product.
    GELU: its input and its output."""
    return (5 if shape.activation == "swiglu" else 2) * ffn_size * width


def _routed(shape: Model, width: int) -> float:
    """Of one token: its copies for the experts, what each of them keeps (and once more the output
    of its activation, before it is weighted), the router's numbers."""
    ffn_size = shape.experts.ffn_size or shape.ffn_size
    expert = width * (shape.hidden_size + ffn_size) + _mlp(shape, ffn_size, width)
    return shape.experts.active * (expert + 24) + 9 * shape.experts.count


def _hidden(pretrain: Pretrain) -> float:
    """Bytes of one token's hidden state as one rank holds it between layers."""
    shape, parallel = pretrain.model, pretrain.parallel
    share = parallel.tensor if parallel.sequence else 1
    return shape.hidden_size * WEIGHT_BYTES[pretrain.training.precision] / share


def _layer_passing(pretrain: Pretrain) -> float:
    """Bytes of each token while one layer goes backward: gradients of gate, up and output."""
    shape, parallel = pretrain.model, pretrain.parallel
    width = WEIGHT_BYTES[pretrain.training.precision]
    inner = (2 if shape.activation == "swiglu" else 1) * shape.ffn_size / parallel.tensor
    if shape.experts.count:
        inner = 2 * shape.experts.active * shape.hidden_size
    return width * (inner + shape.hidden_size)


def _head(pretrain: Pretrain, padded_vocab_size: int, device: Device) -> float:
    """The last norm, logits and loss of one micro-batch, bytes.

    Undivided, three float32 copies of the logits live at once: the logarithms of the
    probabilities, their gradient, the logits' gradient. Divided, Megatron-core works in place.
    """
    shape, parallel = pretrain.model, pretrain.parallel
    width = WEIGHT_BYTES[pretrain.training.precision]
    tokens = _tokens(pretrain)
    logits = padded_vocab_size / parallel.tensor
    norm = _norm(shape, shape.hidden_size, width, device)
    if parallel.sequence:
        norm /= parallel.tensor
    gradient = width * shape.hidden_size * logits  # of the output matrix
    if parallel.tensor == 1:
        return tokens * norm + max(12 * tokens * logits, 4 * tokens * logits + gradient)
    halves = 0 if width == 4 else width
    inputs = tokens * shape.hidden_size * width
    return tokens * norm + (4 + halves) * tokens * logits + gradient + inputs


def _tokens(pretrain: Pretrain) -> int:
    """Tokens of a micro-batch on one rank, at the longest sequences of the run."""
    lengths = [stage.sequence_length for stage in pretrain.data.stages]
    longest = max([pretrain.model.sequence_length, *lengths])
    return pretrain.training.micro_batch_size * longest // pretrain.parallel.context


def _orthogonalisation(pretrain: Pretrain, device: Device) -> int:
    """Muon's largest matrix (an MLP's, gate and up apart), gathered from all tensor ranks: its
    parts, the answer, and four matrices of the iteration, in bfloat16 on GPUs. AdamW makes no
    temporaries."""
    shape = pretrain.model
    width = shape.ffn_size
    if shape.experts.count:
        width = max(shape.hidden_size, shape.experts.ffn_size or shape.ffn_size)
    numbers = shape.hidden_size * width
    gates = 2 if shape.activation == "swiglu" else 1
    gathered = gates if pretrain.parallel.tensor > 1 and not shape.experts.count else 0
    answer = gates / pretrain.parallel.tensor
    return int(numbers * (4 * (gathered + answer + 1) + 4 * (2 if device == "cuda" else 4)))
