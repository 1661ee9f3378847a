"""Muon: the matrices of the layers move by the orthogonal part of their momentum.

Jordan et al. 2024, in the form of Liu et al. 2025, arXiv:2502.16982: decoupled weight decay, and an
update as large as AdamW's, so that its learning rates hold. A matrix is orthogonalised whole,
however tensor ranks divide it; query, key and value, and gate and up projection, each by
themselves. All else (embedding, output, norms, biases, router) is left to AdamW.

The momentum lies in shards over the data ranks, as AdamW's does: each rank makes its shard's part
of the update, they are gathered in the gradients' own buffer, and a rank orthogonalises the
matrices of which it holds a piece (algorithm 1 of the paper).
"""

from dataclasses import dataclass
from typing import Any

import torch

from pretrain import megatron
from pretrain.config import Training
from pretrain.judge import Verdict
from pretrain.model import Stage

# Jordan's polynomial: singular values of 1e-3 and above come near 1 within five steps.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5
_SCALE = 0.2  # the root mean square of an AdamW update (section 2.2)
# The matrices by their place, and the dimension that tensor ranks divide.
_PLACES = {"linear_qkv": 0, "linear_fc1": 0, "linear_proj": 1, "linear_fc2": 1}


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """U V^T of the singular value decomposition of `matrix` [m, n], about: singular values between
    0.7 and 1.2. In the matrix's own type."""
    a, b, c = _COEFFICIENTS
    x = matrix.mT if matrix.size(0) > matrix.size(1) else matrix
    x = x / (torch.linalg.vector_norm(x) + 1e-7)
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if matrix.size(0) > matrix.size(1) else x


def is_layer_matrix(name: str, parameter: torch.Tensor) -> bool:
    """Whether Muon moves the parameter of this name."""
    return parameter.dim() == 2 and name.split(".")[-2] in _PLACES


@dataclass(frozen=True)
class _Matrix:
    """A matrix of which this data rank holds a piece."""

    shard: torch.Tensor  # float32 [n]: the piece
    start: int  # where it begins in the flat matrix
    whole: torch.Tensor  # the gradient's place for this tensor rank's matrix, float32 [rows, cols]
    sections: tuple[int, ...]  # rows of each part; they repeat if the matrix has more
    dimension: int  # that tensor ranks divide
    tensor_group: Any


class Muon:
    """The update of the layers' matrices in one of Megatron's distributed optimizers."""

    def __init__(self, part: Any, training: Training, stage: Stage) -> None:
        self._training = training
        self._part = part
        ours = {
            parameter: (name, model.config)
            for model in stage.models
            for name, parameter in model.named_parameters()
            if is_layer_matrix(name, parameter)
        }
        # The map knows the parameters of which this data rank holds a piece.
        self._matrices = [
            _matrix(part, parameter, *ours[parameter])
            for parameter in part.model_param_gbuf_map
            if parameter in ours
        ]
        self._buckets = [
            bucket
            for buffer in part.buffers
            for bucket in buffer.buckets
            if any(parameter in ours for parameter in bucket.params)
        ]
        self.parameters = frozenset(id(matrix.shard) for matrix in self._matrices)

    @torch.no_grad()
    def update(self, learning_rate: float, verdict: Verdict) -> None:
        """Move the matrices, or nothing if the verdict is to skip; all ranks call it together."""
        skip = verdict.skip.bool()
        for matrix in self._matrices:
            momentum = self._part.optimizer.state[matrix.shard]["exp_avg"]
            gradient = matrix.shard.grad
            assert gradient is not None
            gradient.div_(verdict.divisor)
            moved = momentum * self._training.muon_momentum + gradient
            momentum.copy_(torch.where(skip, momentum, moved))
            gradient.add_(moved, alpha=self._training.muon_momentum)  # Nesterov's
        self._gather()
        decay = 1 - learning_rate * self._training.weight_decay
        for matrix in self._matrices:
            update = _orthogonal_part(matrix).view(-1)
            piece = update[matrix.start : matrix.start + matrix.shard.numel()]
            moved = matrix.shard * decay - learning_rate * piece
            matrix.shard.copy_(torch.where(skip, matrix.shard, moved))

    def _gather(self) -> None:
        group = self._part.data_parallel_group
        size, rank = group.size(), group.rank()
        if size == 1:
            return
        for bucket in self._buckets:
            own = bucket.grad_data.view(size, -1)[rank]
            torch.distributed.all_gather_into_tensor(bucket.grad_data, own, group=group)


def _matrix(part: Any, parameter: torch.nn.Parameter, name: str, config: Any) -> _Matrix:
    group, order = part.model_param_group_index_map[parameter]
    place = name.split(".")[-2]
    rows = parameter.size(0)
    sections: tuple[int, ...] = (rows,)
    if place == "linear_qkv":
        channels = config.kv_channels
        queries = config.num_attention_heads // config.num_query_groups
        sections = (queries * channels, channels, channels)
    elif place == "linear_fc1" and config.gated_linear_unit:
        sections = (rows // 2, rows // 2)
    expert = not getattr(parameter, "allreduce", True)
    return _Matrix(
        shard=part.optimizer.param_groups[group]["params"][order],
        start=part._get_model_param_range_map(parameter)["param"].start,
        whole=parameter.main_grad,  # type: ignore[attr-defined]
        sections=sections,
        dimension=_PLACES[place],
        tensor_group=megatron.expert_tensor_group() if expert else megatron.tensor_group(),
    )


def _orthogonal_part(matrix: _Matrix) -> torch.Tensor:
    """This tensor rank's part of the orthogonalised update, float32 [rows, cols]."""
    size, rank = matrix.tensor_group.size(), matrix.tensor_group.rank()
    parts = [matrix.whole]
    if size > 1:
        parts = [torch.empty_like(matrix.whole) for _ in range(size)]
        torch.distributed.all_gather(parts, matrix.whole, group=matrix.tensor_group)
    cols, repeat = matrix.whole.size(1), sum(matrix.sections)
    answer = torch.empty_like(matrix.whole)
    first = 0
    for rows in matrix.sections:
        here = slice(first, first + rows)
        first += rows
        whole = torch.cat(
            [part.view(-1, repeat, cols)[:, here].reshape(-1, cols) for part in parts],
            dim=matrix.dimension,
        )
        orthogonal = _orthogonalise(whole) * (_SCALE * max(whole.shape) ** 0.5)
        mine = orthogonal.chunk(size, dim=matrix.dimension)[rank]
        answer.view(-1, repeat, cols)[:, here] = mine.reshape(-1, rows, cols)
    return answer


def _orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    # On GPUs in bfloat16, as Jordan has it: the polynomial forgives its rounding.
    if matrix.is_cuda:
        return orthogonalise(matrix.bfloat16()).float()
    return orthogonalise(matrix)
