"""How long one update takes on a kind of GPU: first principles and two fitted constants; no torch.

Counted are matrix products, cut into tiles as the hardware runs them; attention; what is bound by
memory; tensor ranks' exchanges; the pipeline's bubble; gradients and weights between data ranks, as
far as nothing hides them; the optimizer. `benchmarks/pretrain_estimates.py` compares with published
runs and fits the constants; `docs/pretrain-check.md` says what was assumed and what is unverified.
"""

import math
from dataclasses import dataclass, fields

from launch.errors import UserError
from pretrain.config import Pretrain
from pretrain.planning.hardware import Hardware
from pretrain.planning.memory import WEIGHT_BYTES
from pretrain.planning.stages import rank_parameters, stage_layers


@dataclass(frozen=True)
class Constants:
    """What no data sheet says."""

    matrix_efficiency: float
    """Share of the peak that a large matrix product reaches, waiting between kernels included"""
    bandwidth_efficiency: float
    """Share of the memory's bandwidth that elementwise kernels reach"""


# Fitted to Megatron-LM's nine runs on H100 (2026-11-26); everything below is not fitted.
FITTED = Constants(matrix_efficiency=0.560, bandwidth_efficiency=0.628)

# Rows and columns of the result that one multiprocessor computes at a time: CUTLASS's tiles for
# large 16-bit products on Ampere and later, in either orientation.
_TILE = (128, 256)
# Share of the peak that fused attention reaches: about 450 of 989 TFLOP/s forward and backward, a
# head of 128 channels, causal (Shah et al. 2024, arXiv:2407.08608, figures 5 and 6).
_ATTENTION_EFFICIENCY = 0.45
# Share of tensor ranks' exchange that shows if matrix products overlap it (Transformer Engine's
# user buffers): the first of four or so pieces has nothing to hide behind.
_OVERLAPPED_TENSOR_SHARE = 0.25
# Bytes written and read for each logit by Megatron-core's cross-entropy, pass by pass: the logits
# in 16 bit (2), as float32 (6), maximum (4), difference (8), exponential (8), sum (4), quotient
# (8), gradient (8), its cast (6).
_LOGIT_BYTES = 54


@dataclass(frozen=True)
class StepTime:
    """Seconds of one update, of the slowest pipeline stage."""

    matrices: float
    attention: float
    elementwise: float
    tensor_exchange: float
    expert_exchange: float
    recomputation: float
    head: float
    """Output layer and loss"""
    bubble: float
    """Waiting for the other pipeline stages"""
    data_exchange: float
    """Gradients and weights between data ranks, the part that nothing hides"""
    optimizer: float

    @property
    def total(self) -> float:
        """Of one update."""
        return sum(getattr(self, field.name) for field in fields(self))


def step_time(
    pretrain: Pretrain,
    padded_vocab_size: int,
    gpu: Hardware,
    *,
    batch_size: int | None = None,
    tensor_overlap: bool = False,
    constants: Constants = FITTED,
) -> StepTime:
    """Of an update of `batch_size` sequences (None: the recipe's), every GPU of kind `gpu`.

    `tensor_overlap`: whether matrix products overlap the exchange of tensor ranks; ours do not.
    Raises `UserError` if the kind does not have the recipe's precision.
    """
    parallel, training = pretrain.parallel, pretrain.training
    peak = _peak(gpu, training.precision)
    matrix = _Matrices(peak * constants.matrix_efficiency, gpu.multiprocessors)
    memory = gpu.memory_gigabytes_per_second * 1e9 * constants.bandwidth_efficiency
    batch_size = batch_size or training.batch_size
    passes = batch_size / (training.micro_batch_size * parallel.data)
    layer = _layer(pretrain, gpu, matrix, peak, memory, tensor_overlap)
    head = _head(pretrain, padded_vocab_size, matrix, memory)
    counts = stage_layers(pretrain.model, parallel)
    each = sum(layer.values())
    # The last stage has the head; the pace is that of the slowest.
    seconds = [each * count for count in counts]
    seconds[-1] += head
    slowest = max(range(len(counts)), key=lambda stage: seconds[stage])
    times = passes * counts[slowest]
    is_last = slowest == parallel.pipeline - 1
    longest = counts[slowest] * each
    return StepTime(
        **{name: times * value for name, value in layer.items()},
        head=passes * head if is_last else 0.0,
        bubble=(sum(seconds) - seconds[slowest]) / parallel.virtual_stages,
        data_exchange=_data_exchange(pretrain, padded_vocab_size, gpu, slowest, longest),
        optimizer=_optimizer(pretrain, padded_vocab_size, slowest, memory),
    )


class _Matrices:
    """Seconds of matrix products on one GPU."""

    def __init__(self, flops_per_second: float, multiprocessors: int) -> None:
        self._rate = flops_per_second
        self._multiprocessors = multiprocessors

    def product(self, rows: float, columns: float, inner: float) -> float:
        """Of [rows, inner] by [inner, columns]. The last round of tiles is rarely full."""
        rounds = []
        for height, width in (_TILE, _TILE[::-1]):
            tiles = math.ceil(rows / height) * math.ceil(columns / width)
            full = tiles / self._multiprocessors
            rounds.append(math.ceil(full) / full)
        return 2 * rows * columns * inner / self._rate * min(rounds)

    def trained(self, tokens: float, inputs: float, outputs: float) -> float:
        """Of a layer's matrix: forward, and the gradients of its input and of itself."""
        return (
            self.product(tokens, outputs, inputs)
            + self.product(tokens, inputs, outputs)
            + self.product(outputs, inputs, tokens)
        )


def _layer(
    pretrain: Pretrain,
    gpu: Hardware,
    matrix: _Matrices,
    peak: float,
    memory: float,
    tensor_overlap: bool,
) -> dict[str, float]:
    """Seconds of one layer and micro-batch, forward and backward, by part."""
    shape, parallel, experts = pretrain.model, pretrain.parallel, pretrain.model.experts
    width, tensor = WEIGHT_BYTES[pretrain.training.precision], parallel.tensor
    hidden, tokens = shape.hidden_size, _tokens(pretrain)
    projected = hidden + 2 * hidden // shape.heads * shape.kv_heads
    gates = 2 if shape.activation == "swiglu" else 1
    products = matrix.trained(tokens, hidden, projected / tensor)
    products += matrix.trained(tokens, hidden / tensor, hidden)
    inner, share, copies = shape.ffn_size, tensor, 1.0
    if experts.count:
        # Each expert's products are its own, over its share of the tokens.
        inner, share, copies = experts.ffn_size or shape.ffn_size, 1, experts.active / tensor
        local = experts.count // parallel.expert
        routed = tokens * copies / local
        one = matrix.trained(routed, hidden, gates * inner) + matrix.trained(routed, inner, hidden)
        products += local * one + matrix.trained(tokens / tensor, hidden, experts.count)
    else:
        products += matrix.trained(tokens, hidden, gates * inner / tensor)
        products += matrix.trained(tokens, inner / tensor, hidden)
    # Two products forward and five backward, over the half of the square that is not masked.
    scores = 7 * pretrain.model.sequence_length * hidden / tensor * tokens
    attention = scores / (peak * _ATTENTION_EFFICIENCY)
    # Bytes of a token in 16 bit: two norms (4 forward, 6 backward each) and two sums with the
    # residual stream (6 and 6); splitting and turning queries, keys, values; the activation.
    stream = 44 * hidden / (tensor if parallel.sequence else 1)
    activation = (16 if gates == 2 else 10) * inner / share * copies
    traffic = (stream + 8 * projected / tensor + activation) * width / 2
    elementwise = tokens * traffic / memory
    # Four exchanges of a hidden state forward, six backward (one input is gathered anew).
    link = _link(gpu, tensor)
    exchange = 10 * hidden * width * tokens * (tensor - 1) / tensor / link
    exchange *= _OVERLAPPED_TENSOR_SHARE if tensor_overlap else 1.0
    to_experts = 0.0
    if experts.count:
        link = _link(gpu, max(parallel.expert, tensor))
        apart = (parallel.expert - 1) / parallel.expert
        to_experts = 4 * experts.active * hidden * width * tokens / tensor * apart / link
    again = {"none": 0.0, "selective": attention * 2 / 7}.get(
        parallel.recompute, (products + elementwise + exchange + to_experts) / 3 + attention * 2 / 7
    )
    return {
        "matrices": products,
        "attention": attention,
        "elementwise": elementwise,
        "tensor_exchange": exchange,
        "expert_exchange": to_experts,
        "recomputation": again,
    }


def _head(pretrain: Pretrain, padded_vocab_size: int, matrix: _Matrices, memory: float) -> float:
    tokens, columns = _tokens(pretrain), padded_vocab_size / pretrain.parallel.tensor
    products = matrix.trained(tokens, pretrain.model.hidden_size, columns)
    return products + _LOGIT_BYTES * tokens * columns / memory


def _data_exchange(
    pretrain: Pretrain, padded_vocab_size: int, gpu: Hardware, stage: int, longest: float
) -> float:
    """The reduction of gradients hides behind the last micro-batch's backward pass (two thirds of
    its time), the gathering of weights behind the first one's forward pass. The embedding's
    gradient is the last to be there, its weights the first to be needed: they cannot hide."""
    parallel = pretrain.parallel
    ranks = parallel.data * parallel.context
    if ranks == 1:
        return 0.0
    parameters = rank_parameters(pretrain.model, parallel, padded_vocab_size, stage)
    link = _link(gpu, parallel.world_size) / ((ranks - 1) / ranks)
    width = WEIGHT_BYTES[pretrain.training.precision]
    end = padded_vocab_size * pretrain.model.hidden_size / parallel.tensor
    seconds = 0.0
    for size, hides, behind in (
        (4, parallel.overlap_gradients, longest * 2 / 3),
        (width, parallel.overlap_parameters, longest / 3),
    ):
        whole = parameters.total * size / link
        seconds += max(whole - behind, end * size / link) if hides else whole
    return seconds


def _optimizer(pretrain: Pretrain, padded_vocab_size: int, stage: int, memory: float) -> float:
    """Reading and writing of gradients and state; Muon's products are not counted."""
    parallel = pretrain.parallel
    parameters = rank_parameters(pretrain.model, parallel, padded_vocab_size, stage)
    return parameters.total * (4 + 24 / (parallel.data * parallel.context)) / memory


def _link(gpu: Hardware, ranks: int) -> float:
    """Bytes a second of each GPU towards `ranks` neighbours, the slowest way."""
    within = ranks <= gpu.gpus_per_node
    gigabytes = gpu.nvlink_gigabytes_per_second if within else gpu.network_gigabytes_per_second
    return gigabytes * 1e9


def _peak(gpu: Hardware, precision: str) -> float:
    peak = gpu.peak_teraflops.get(precision)
    if peak is None:
        raise UserError(
            "pretrain.training.precision", precision, f"one that {gpu.description} has",
            f"one of {', '.join(sorted(gpu.peak_teraflops))}",
        )  # fmt: skip
    return peak * 1e12


def _tokens(pretrain: Pretrain) -> float:
    length = pretrain.model.sequence_length / pretrain.parallel.context
    return pretrain.training.micro_batch_size * length
