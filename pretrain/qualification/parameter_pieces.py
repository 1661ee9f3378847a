"""Weights and reduced gradients of one rank, as pieces of the whole model's tensors."""

import re
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from pretrain.config import Pretrain
from pretrain.megatron import GPTModel, parallel_state
from pretrain.model import Stage
from pretrain.parallel import World
from pretrain.qualification.tensor_trace import Phase, Piece, Place, make_piece

# How tensor ranks divide a dimension: not, in order, or each half of it (gate and up).
Division = Literal["none", "channels", "halves"]
_LAYER = re.compile(r"decoder\.layers\.(\d+)\.(.+)$")
# An expert is a module of its own, or (Transformer Engine's grouped ones) a numbered matrix.
_EXPERT = re.compile(
    r"mlp\.experts\.local_experts\.(\d+)\.(.+)$|mlp\.experts\.(linear_fc.)\.weight(\d+)$"
)
# The part of the model that a parameter belongs to, by the beginning of its name.
_PARTS = {
    "input_layernorm.": "input_norm",
    # Transformer Engine keeps the norm's weight in the matrix that follows it.
    "self_attention.linear_qkv.layer_norm_": "input_norm",
    "self_attention.linear_qkv.": "qkv",
    "self_attention.q_layernorm.": "q_norm",
    "self_attention.k_layernorm.": "k_norm",
    "self_attention.linear_proj.": "projection",
    "pre_mlp_layernorm.": "mlp_norm",
    "mlp.linear_fc1.layer_norm_": "mlp_norm",
    "mlp.router.": "router",
    "mlp.linear_fc1.": "mlp_hidden",
    "mlp.linear_fc2.": "mlp_output",
}


def parameter_pieces(
    stage: Stage,
    pretrain: Pretrain,
    world: World,
    iteration: int,
    phase: Phase,
    divisor: float,
    *,
    whole: bool,
) -> list[Piece]:
    """Every parameter of this rank; in the phase `reduction`, its share of their gradients over
    `divisor`.

    The distributed optimizer leaves each data rank only a shard of the summed gradients valid: the
    rest is masked. Weights are whole on every data rank, so each of those is a copy to compare.
    """
    shards = _gradient_shards(stage) if phase == "reduction" else {}
    pieces = []
    for model in stage.models:
        for name, parameter in model.named_parameters():
            layer, part, rest, copy = _place(model, name, pretrain, world)
            expert = not getattr(parameter, "allreduce", True)
            shape, indices, divided = _cut(parameter, part, rest, pretrain, world, expert)
            labels = [] if divided or world.tensor_size == 1 else [f"tensor {world.tensor_rank}"]
            owned = None
            if phase == "reduction":
                values = parameter.main_grad.detach() / divisor
                owned = shards[parameter].reshape(values.shape)
                if expert:
                    labels = []  # tensor ranks are among those that share out an expert's shards
            else:
                values = parameter.detach()
                if world.data_size > 1:
                    labels.append(f"data {world.data_rank}")
                if world.context_size > 1:
                    labels.append(f"context {world.context_rank}")
            if copy:
                labels.append(copy)
            pieces.append(
                make_piece(
                    Place(iteration, phase, layer, part, rest), shape, ", ".join(labels), indices,
                    values.float().cpu().numpy().copy(), whole=whole, owned=owned,
                )
            )  # fmt: skip
    return pieces


def divide(
    size: int, division: Division, rank: int, ranks: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Where `size` channels of a tensor rank lie in the whole, and the width of the whole."""
    if division == "none":
        return np.arange(size), size
    if division == "channels":
        return np.arange(size) + rank * size, size * ranks
    half = size // 2
    first = np.arange(half) + rank * half
    return np.concatenate([first, first + half * ranks]), size * ranks


def _place(
    model: GPTModel, name: str, pretrain: Pretrain, world: World
) -> tuple[int, str, str, str]:
    """Layer, part, rest of the name, and which copy it is if the model holds several."""
    last = pretrain.model.layers + 1
    match = _LAYER.match(name)
    if match is None:
        kind, rest = name.split(".", 1)
        if kind == "embedding":
            return 0, "embedding", "weight", ""
        if kind == "output_layer":
            # Of a tied model, the last pipeline stage holds the embedding's matrix again.
            tied = pretrain.model.tied_embeddings
            return (0, "embedding", "weight", "last stage") if tied else (last, "output", rest, "")
        return last, "final_norm", rest.removeprefix("final_layernorm."), ""
    number = model.decoder.layers[int(match[1])].layer_number
    expert = _EXPERT.match(match[2])
    if expert:
        first = world.expert_rank * pretrain.model.experts.count // world.expert_size
        index = first + int(expert[1] or expert[4])
        return number, "expert", f"{index}.{expert[2] or expert[3] + '.weight'}", ""
    for beginning, part in _PARTS.items():
        if match[2].startswith(beginning):
            return number, part, match[2].removeprefix(beginning), ""
    return number, "layer", match[2], ""  # none of the above: named as it is


def _cut(
    parameter: torch.Tensor,
    part: str,
    rest: str,
    pretrain: Pretrain,
    world: World,
    expert: bool,
) -> tuple[tuple[int, ...], tuple[npt.NDArray[np.int64], ...], bool]:
    """Shape of the whole matrix, where this piece lies in it, and whether ranks divide it."""
    rank, ranks = world.tensor_rank, world.tensor_size
    if expert:
        rank = parallel_state.get_expert_tensor_parallel_rank()
        ranks = parallel_state.get_expert_tensor_parallel_world_size()
    divided = bool(getattr(parameter, "tensor_model_parallel", False)) and ranks > 1
    dimension = int(getattr(parameter, "partition_dim", -1)) if divided else -1
    gated = pretrain.model.activation == "swiglu" and (part == "mlp_hidden" or "linear_fc1" in rest)
    shape, indices = [], []
    for number, size in enumerate(parameter.shape):
        division: Division = "none"
        if number == dimension:
            division = "halves" if gated else "channels"
        index, total = divide(size, division, rank, ranks)
        shape.append(total)
        indices.append(index)
    return tuple(shape), tuple(indices), divided


def _gradient_shards(stage: Stage) -> dict[torch.nn.Parameter, npt.NDArray[np.bool_]]:
    """Which numbers of each parameter's gradient this data rank has the sum of."""
    return {
        parameter: mask
        for wrapped in stage.wrapped
        for buffer in (*wrapped.buffers, *wrapped.expert_parallel_buffers)
        for parameter, mask in _of_buffer(buffer)
    }


def _of_buffer(buffer: Any) -> Iterator[tuple[torch.nn.Parameter, npt.NDArray[np.bool_]]]:
    rank = torch.distributed.get_rank(buffer.data_parallel_group)
    ranks = torch.distributed.get_world_size(buffer.data_parallel_group)
    for parameter, (start, stop, number) in buffer.param_index_map.items():
        bucket = buffer.buckets[number]
        length = bucket.grad_data.numel() // ranks
        first = bucket.offset + rank * length
        places = np.arange(start, stop)
        yield parameter, (places >= first) & (places < first + length)
