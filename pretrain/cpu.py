"""Megatron-core on processes without a GPU: the few places that insist on CUDA, answered.

Nothing here runs where CUDA is available. `patch` changes functions of torch for the whole process,
so only a trainer calls it (`parallel.start`), never the launcher or a library user.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from pretrain import megatron

_FACTORIES = ("tensor", "zeros", "ones", "empty", "full", "arange", "empty_like")
_CUDA_TYPES = {
    torch.float32: "torch.cuda.FloatTensor",
    torch.float16: "torch.cuda.HalfTensor",
    torch.bfloat16: "torch.cuda.BFloat16Tensor",
}


def patch() -> None:
    """Make Megatron-core work on CPU tensors. Doing it again changes nothing."""
    assert not torch.cuda.is_available(), "the CPU mode would hide the GPU"
    if getattr(torch.cuda.current_device, "_gristmill", False):
        return

    def current_device() -> torch.device:
        return torch.device("cpu")

    current_device._gristmill = True  # type: ignore[attr-defined]
    # Buffers of the communication and of the optimizer are made on "the current CUDA device".
    torch.cuda.current_device = current_device  # type: ignore[assignment]
    # Called after pipeline sends and before checkpoints; a CPU has nothing to wait for.
    torch.cuda.synchronize = _nothing  # type: ignore[assignment]
    torch.cuda.empty_cache = _nothing
    # Scalars of the schedules, of gradient clipping and of the optimizer say device="cuda".
    for name in _FACTORIES:
        setattr(torch, name, _on_cpu(getattr(torch, name)))
    # Tied embeddings and loaded optimizer states are moved "to the GPU".
    torch.Tensor.cuda = _itself  # type: ignore[assignment,method-assign]
    # The distributed optimizer and gradient clipping compare the names of tensor types.
    torch.Tensor.type = _cuda_type(torch.Tensor.type)  # type: ignore[method-assign]
    # On a CPU torch sums the squares of a float32 tensor in float32: the norm of a gradient of 3M
    # numbers was 5e-5 too small, and another under each layout (2026-11-21).
    megatron.clip_grads.l2_norm_impl = _norm


def _nothing(*_arguments: object) -> None:
    return None


def _norm(
    _chunk: int, _overflow: torch.Tensor, lists: list[list[torch.Tensor]], per_tensor: bool
) -> tuple[torch.Tensor, None]:
    assert not per_tensor
    squares = [torch.linalg.vector_norm(t, dtype=torch.float64).square() for t in lists[0]]
    return torch.stack(squares).sum().sqrt().float().reshape(1), None


def _itself(tensor: torch.Tensor, *_arguments: object, **_options: object) -> torch.Tensor:
    return tensor


def _on_cpu(factory: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    @wraps(factory)
    def make(*arguments: Any, **options: Any) -> torch.Tensor:
        device = options.get("device")
        if isinstance(device, str) and device.startswith("cuda"):
            options["device"] = "cpu"
        return factory(*arguments, **options)

    return make


def _cuda_type(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def type_of(tensor: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        if arguments or options:
            return original(tensor, *arguments, **options)
        return _CUDA_TYPES.get(tensor.dtype) or original(tensor)

    return type_of
