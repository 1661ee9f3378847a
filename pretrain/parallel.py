"""Processes and their places: process groups, device, seeds.

A run's layout is tensor x context x data x pipeline. Ranks are placed by Megatron-core, tensor
fastest, then context, data, pipeline; experts are divided over neighbouring ranks of a stage. On
GPUs the groups talk over NCCL, on CPUs over gloo; nothing else differs.
"""

import datetime
import gc
import math
import os
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pretrain import cpu
from pretrain.config import Parallel, Watch
from pretrain.layout_rules import check_world_size
from pretrain.megatron import RotaryEmbedding, parallel_state, tensor_parallel

# The last resort behind the watchdog, which knows the phases, is earlier and says who is late. A
# dead peer is noticed at once by its closed connection.
TIMEOUT_SECONDS = Watch().start_timeout_seconds


@dataclass(frozen=True)
class World:
    """This process's place in the layout."""

    rank: int
    size: int
    tensor_rank: int
    tensor_size: int
    pipeline_rank: int
    pipeline_size: int
    data_rank: int
    data_size: int
    device: torch.device
    context_rank: int = 0
    context_size: int = 1
    expert_rank: int = 0
    expert_size: int = 1
    control: Any = None
    """A gloo group of all processes for small facts of the host (flags to stop, times): asking it
    never waits for the device."""

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    @property
    def is_last_stage(self) -> bool:
        """Whether this process computes the loss."""
        return self.pipeline_rank == self.pipeline_size - 1


def start(parallel: Parallel, seed: int, timeout_seconds: float = TIMEOUT_SECONDS) -> World:
    """Join the processes that torchrun started and form the layout's groups.

    The first call of a process creates the world; later ones only form the groups anew, so that
    one process can train several recipes after each other. `timeout_seconds` is the longest wait
    for other processes, in start and save too (`watch.start_timeout_seconds`).

    Raises `UserError` if the world's size is not that of the layout.
    """
    device = _device()
    timeout = datetime.timedelta(seconds=timeout_seconds)
    if not torch.distributed.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        alone: dict[str, Any] = {}
        if os.environ.get("WORLD_SIZE") == "1":
            # Nobody to meet, so no port: one that is free now may be taken a moment later.
            alone = {"store": torch.distributed.HashStore(), "rank": 0, "world_size": 1}
        torch.distributed.init_process_group(backend, timeout=timeout, **alone)
    size = torch.distributed.get_world_size()
    check_world_size(parallel, size)
    stop()
    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=parallel.tensor,
        pipeline_model_parallel_size=parallel.pipeline,
        virtual_pipeline_model_parallel_size=(
            parallel.virtual_stages if parallel.virtual_stages > 1 else None
        ),
        context_parallel_size=parallel.context,
        expert_model_parallel_size=parallel.expert,
        # Tensor ranks hold whole experts: each sends its part of the sequence to them. (To divide
        # an expert, Megatron gathers tensors of unequal sizes, which gloo cannot.)
        expert_tensor_parallel_size=1,
        create_gloo_process_groups=False,
        distributed_timeout_minutes=math.ceil(timeout_seconds / 60),
    )
    # Initial weights and data order have their own generators; these are for anything else that
    # might draw, so that it draws the same at every start.
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if device.type == "cuda":
        tensor_parallel.model_parallel_cuda_manual_seed(seed)
    control = torch.distributed.new_group(backend="gloo", timeout=timeout)
    parallel_state._global_process_group_list.append(control)  # `stop` ends it with the others
    return World(
        rank=torch.distributed.get_rank(),
        size=size,
        tensor_rank=parallel_state.get_tensor_model_parallel_rank(),
        tensor_size=parallel.tensor,
        pipeline_rank=parallel_state.get_pipeline_model_parallel_rank(),
        pipeline_size=parallel.pipeline,
        data_rank=parallel_state.get_data_parallel_rank(),
        data_size=parallel.data,
        device=device,
        context_rank=parallel_state.get_context_parallel_rank(),
        context_size=parallel.context,
        expert_rank=parallel_state.get_expert_model_parallel_rank(),
        expert_size=parallel.expert,
        control=control,
    )


def stop() -> None:
    """End the layout's groups; the world stays. Every process of the run calls it.

    Megatron-core only forgets its groups. Over gloo each of some twenty then keeps its threads: a
    process that had trained thirty small runs had 2,000 (2026-11-21).
    """
    barrier()
    groups = parallel_state._global_process_group_list or ()
    for group in groups:
        if group is not None:  # None stands for the world
            torch.distributed.destroy_process_group(group)
    parallel_state.destroy_model_parallel()
    # A group's threads end with the last that knows it: a cache of Megatron's, and the models that
    # were trained, which are rings of references.
    RotaryEmbedding.forward.cache_clear()
    gc.collect()


def barrier() -> None:
    """Wait until every process of the run is here."""
    torch.distributed.barrier()


def sum_over_world(values: list[float], device: torch.device) -> list[float]:
    """The sums of each rank's `values` over all ranks, in float64; one exchange for all."""
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor)
    sums: list[float] = tensor.tolist()
    return sums


def _device() -> torch.device:
    if torch.cuda.is_available():
        index = int(os.environ.get("LOCAL_RANK", "0"))
        torch.cuda.set_device(index)
        return torch.device("cuda", index)
    cpu.patch()
    return torch.device("cpu")
