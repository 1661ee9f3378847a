"""The only importer of Megatron-core: what the rest of this package uses of it, under one roof.

Versions 0.16.1 to 0.19 are meant to work; what differs between them, and what Megatron-core does
not do by itself without Transformer Engine or Apex, is settled here.
"""

import contextlib
import importlib.util
import os
import queue
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch


@contextlib.contextmanager
def _quiet_and_light() -> Iterator[None]:
    """While Megatron-core is imported: no warnings, and on a CPU no compiler.

    Transformer Engine and Apex are optional here; four imports would each say they are missing.
    And on import dozens of small functions are wrapped by `torch.compile`, which loads the whole
    compiler: 1.4 of 3.8 s for each process (2026-11-21), and it would start a C++ compiler at the
    first call. On a CPU those functions stay what they are.
    """
    compile_function = torch.compile
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        if not torch.cuda.is_available():
            torch.compile = _as_it_is  # type: ignore[assignment]
        try:
            yield
        finally:
            torch.compile = compile_function  # type: ignore[assignment]


def _as_it_is(function: Any = None, **_options: Any) -> Any:
    return _as_it_is if function is None else function


with _quiet_and_light():
    from megatron.core import dist_checkpointing, parallel_state, tensor_parallel
    from megatron.core import optimizer as megatron_optimizer
    from megatron.core.datasets.blended_megatron_dataset_builder import (
        BlendedMegatronDatasetBuilder,
    )
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    from megatron.core.dist_checkpointing.mapping import ShardedObject
    from megatron.core.dist_checkpointing.state_dict_utils import save_preprocess
    from megatron.core.dist_checkpointing.strategies import filesystem_async
    from megatron.core.dist_checkpointing.strategies import torch as torch_strategies
    from megatron.core.dist_checkpointing.strategies.async_utils import AsyncRequest
    from megatron.core.distributed import (
        DistributedDataParallel,
        DistributedDataParallelConfig,
    )
    from megatron.core.distributed import finalize_model_grads as megatron_finalize
    from megatron.core.models.common.embeddings.rotary_pos_embedding import RotaryEmbedding
    from megatron.core.models.gpt import GPTModel
    from megatron.core.models.gpt.gpt_layer_specs import (
        get_gpt_layer_local_spec,
        get_gpt_layer_with_transformer_engine_spec,
    )
    from megatron.core.optimizer import OptimizerConfig, clip_grads, distrib_optimizer
    from megatron.core.packed_seq_params import PackedSeqParams
    from megatron.core.pipeline_parallel import get_forward_backward_func
    from megatron.core.transformer.module import Float16Module, MegatronModule
    from megatron.core.transformer.moe import moe_utils
    from megatron.core.transformer.moe.token_dispatcher import MoEAlltoAllTokenDispatcher
    from megatron.core.transformer.transformer_block import (
        TransformerBlockSubmodules,
        get_num_layers_to_build,
    )
    from megatron.core.transformer.transformer_config import TransformerConfig
    from megatron.core.utils import get_batch_on_this_cp_rank

# Without Transformer Engine 0.16.1 never defines the name, and the router fails on asking for it.
if not hasattr(moe_utils, "te_general_gemm"):
    moe_utils.te_general_gemm = None

__all__ = [
    "BlendedMegatronDatasetBuilder",
    "DistributedDataParallel",
    "DistributedDataParallelConfig",
    "Float16Module",
    "GPTDataset",
    "GPTDatasetConfig",
    "GPTModel",
    "IndexedDataset",
    "MegatronModule",
    "MoEAlltoAllTokenDispatcher",
    "OptimizerConfig",
    "PackedSeqParams",
    "RotaryEmbedding",
    "SavePlanner",
    "ShardedObject",
    "TransformerBlockSubmodules",
    "TransformerConfig",
    "clip_grads",
    "expert_tensor_group",
    "finalize_model_grads",
    "get_batch_on_this_cp_rank",
    "get_forward_backward_func",
    "get_gpt_layer_local_spec",
    "get_gpt_layer_with_transformer_engine_spec",
    "get_num_layers_to_build",
    "has_transformer_engine",
    "load_checkpoint",
    "make_optimizer",
    "parallel_state",
    "plan_checkpoint",
    "tensor_group",
    "tensor_parallel",
]


def has_transformer_engine() -> bool:
    """Whether Transformer Engine's layers can be used: it is installed, and there is a GPU.

    `GRISTMILL_LAYERS=local` in the environment says not to: `qualify` compares both.
    """
    if os.environ.get("GRISTMILL_LAYERS") == "local" or not torch.cuda.is_available():
        return False
    return importlib.util.find_spec("transformer_engine") is not None


def finalize_model_grads(
    models: list[torch.nn.Module], _num_tokens: torch.Tensor | None = None, **options: Any
) -> None:
    """Megatron's reduction of gradients over the layout, left as sums over the tokens.

    To divide by their number Megatron asks the host whether it is zero, and passes over all
    gradients; `optimizer.Optimizer` divides in its one pass.
    """
    megatron_finalize(models, None, **options)


def tensor_group() -> Any:
    """The tensor ranks that share this rank's matrices."""
    return parallel_state.get_tensor_model_parallel_group()


def expert_tensor_group() -> Any:
    """The ranks that share the matrices of this rank's experts."""
    return parallel_state.get_expert_tensor_parallel_group()


def make_optimizer(
    config: OptimizerConfig,
    models: tuple[DistributedDataParallel, ...],
    adam: type[torch.optim.Optimizer],
) -> Any:
    """Megatron's distributed optimizer around `adam`, for one pipeline stage.

    `adam` must keep its `step` in the parameter group. With torch's own AdamW, which keeps it in
    each parameter's state, the distributed optimizer cannot resume: its state dict fails on an
    assertion, or resumes silently with another step count (0.16.1 and 0.19.2, 2026-11-21). So it
    is bound where Megatron expects Apex's or Transformer Engine's, whose steps lie in the group.
    """
    megatron_optimizer.Adam = distrib_optimizer.Adam = adam
    megatron_optimizer.USING_PYTORCH_OPTIMIZER = False
    distrib_optimizer.HAVE_APEX_OR_TE = True
    distrib_optimizer.USING_APEX_OPTIMIZER = True
    return megatron_optimizer.get_megatron_optimizer(
        config, list(models), use_gloo_process_groups=False
    )


# After gathering its shards for a checkpoint, the optimizer has Python collect garbage: 0.2 of the
# 0.25 s that training stood still for an asynchronous save of 59 MB (2026-11-26). No tensor was
# found in a cycle there, so it is left to the moments at which the run collects.
distrib_optimizer.gc = types.SimpleNamespace(collect=lambda: 0)


class SavePlanner(torch_strategies.TorchDistSaveShardedStrategy):  # type: ignore[misc]
    """Megatron's plan of who writes which tensor where, without its writing.

    Megatron-core writes from forked children and collects their answers through a process started
    for it. A fork of a process with threads of gloo and OpenMP may hang or crash, so the plan is
    Megatron's and `checkpoint_writer` does the writing. The plan of one save serves the next ones.
    """

    def __init__(self) -> None:
        super().__init__("torch_dist", 1, thread_count=1, cached_metadata=True)
        self.has_planned = False

    def _get_save_and_finalize_callbacks(self, writer: Any, planned: Any) -> Any:
        _, metadata, _ = planned
        return AsyncRequest(None, (writer, metadata), [])


def plan_checkpoint(
    sharded_state: dict[str, Any], directory: Path, planner: SavePlanner
) -> tuple[Any, Any, dict[str, Any], list[Any]]:
    """Plan a distributed checkpoint; every rank calls it, nothing is written.

    Returns the metadata (on rank 0, else None), the buckets that this rank is to write (path, name,
    (bytes, tensors)), what is common to all ranks, and the transforms of torch's file writer.
    """
    filesystem_async._results_queue = queue.Queue()  # else a process is started for it
    # That each number is saved exactly once is compared between all ranks; it stays so.
    sharded, common = save_preprocess(sharded_state, not planner.has_planned)
    request = planner.async_save(sharded, directory)
    planner.has_planned = True
    writer, metadata = request.async_fn_args
    transforms = [writer.transforms] if hasattr(writer, "transforms") else []
    return metadata, writer.write_buckets, common, transforms


class _WeightsOnlyPlanner(torch_strategies.MCoreLoadPlanner):  # type: ignore[misc]
    """Objects of a checkpoint are tensors and plain values; torch would unpickle anything."""

    def load_bytes(self, read_item: Any, value: Any) -> None:
        torch.load(value, map_location="cpu", weights_only=True)
        value.seek(0)
        super().load_bytes(read_item, value)


torch_strategies.MCoreLoadPlanner = _WeightsOnlyPlanner


def load_checkpoint(sharded_state: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The parts of a distributed checkpoint that `sharded_state` asks for, under any layout.

    The checkpoint's metadata is a pickle: verify its digests and look through it first.
    """
    loaded: dict[str, Any] = dist_checkpointing.load(sharded_state, str(directory))
    return loaded
