"""Megatron-core on processes without a GPU: the few places that insist on CUDA, answered.

Nothing here runs where CUDA is available. `patch` changes functions of torch and Megatron for the
whole process, so only a trainer calls it (`parallel.start`), never the launcher or a library user.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any

import torch

from pretrain import megatron

_TYPES = {torch.float32: "Float", torch.float16: "Half", torch.bfloat16: "BFloat16"}


def patch() -> None:
    """Make Megatron-core work on CPU tensors. Doing it again changes nothing."""
    assert not torch.cuda.is_available(), "the CPU mode would hide the GPU"
    if torch.cuda.synchronize is not _nothing:
        for owner, name, replacement in patches():
            setattr(owner, name, replacement)


def patches() -> list[tuple[Any, str, Any]]:
    """What is replaced: owner, attribute, replacement. A test asks of each if it is still needed:
    without it a run of pipeline 2 x data 2 with experts, or its recomputation, must fail."""
    random = megatron.tensor_parallel.random
    dispatcher = megatron.MoEAlltoAllTokenDispatcher
    return [
        # Buffers of the communication and of the optimizer are made on "the current CUDA device".
        (torch.cuda, "current_device", lambda: torch.device("cpu")),
        # Called after pipeline sends; a CPU has nothing to wait for.
        (torch.cuda, "synchronize", _nothing),
        # Scalars of the schedules, of clipping and of the optimizer say device="cuda".
        *((torch, name, _on_cpu(getattr(torch, name))) for name in ("tensor", "zeros")),
        # Tied embeddings and loaded optimizer states are moved "to the GPU".
        (torch.Tensor, "cuda", _itself),
        # The distributed optimizer and gradient clipping compare the names of tensor types.
        (torch.Tensor, "type", _cuda_type(torch.Tensor.type)),
        # On a CPU torch sums the squares of a float32 tensor in float32: the norm of a gradient of
        # 3M numbers was 5e-5 too small, and another under each layout (2026-11-21).
        (megatron.clip_grads, "l2_norm_impl", _norm),
        # Dropout (of none) and recomputation turn to the GPU's generator; nothing draws from it.
        (random.CudaRNGStatesTracker, "fork", lambda *_arguments: nullcontext()),
        (random, "_get_cuda_rng_state", _nothing),
        (random, "_set_cuda_rng_state", _nothing),  # would only be noted for later, ever again
        # The experts' dispatcher copies numbers of tokens to the host on a CUDA stream of its own.
        (dispatcher, "cuda_dtoh_stream", "none"),
        (dispatcher, "_maybe_dtoh_and_synchronize", _splits_as_lists),
    ]


def _nothing(*_arguments: object, **_options: object) -> None:
    return None


def _splits_as_lists(dispatcher: Any, point: str, tokens_per_expert: Any = None) -> Any:
    # gloo takes the sizes of an exchange as lists of numbers, NCCL as tensors too.
    for name in ("input_splits", "output_splits") if point == dispatcher.cuda_dtoh_point else ():
        splits = getattr(dispatcher, name)
        setattr(dispatcher, name, None if splits is None else splits.tolist())
    return tokens_per_expert


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
        if options.get("device") == "cuda":
            options["device"] = "cpu"
        return factory(*arguments, **options)

    return make


def _cuda_type(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def type_of(tensor: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        if arguments or options or tensor.dtype not in _TYPES:
            return original(tensor, *arguments, **options)
        return f"torch.cuda.{_TYPES[tensor.dtype]}Tensor"

    return type_of
