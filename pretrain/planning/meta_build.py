"""The stages of a layout, built by Megatron-core without memory: shapes of parameters, no weights.

Any number of ranks are built one after another in one process that stands for each: torch's
`fake` process groups answer for the others, its `meta` device has shapes only. The launcher starts
it as a child (`built_parameters`), because the checks import no torch.
"""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from math import gcd
from typing import Any

from launch.errors import GristmillError
from launch.torchrun import environment
from pretrain.config import Parallel, Pretrain
from pretrain.planning.stages import rank_parameters

# Above this, of each stage only the first and the last tensor rank are built.
RANKS_MAX = 128


@dataclass(frozen=True)
class Built:
    """What was built."""

    parameters: dict[tuple[int, int], int]
    """Trained numbers of each (pipeline stage, tensor rank)"""
    seconds: float
    """Of building, without importing torch and Megatron-core"""


def built_parameters(pretrain: Pretrain, padded_vocab_size: int) -> Built:
    """Build the layout's stages in a child process.

    Raises `GristmillError` if Megatron-core cannot build it: the rules should have refused it.
    """
    request = json.dumps([pretrain.model_dump(mode="json"), padded_vocab_size])
    child = subprocess.run(
        [sys.executable, "-m", "pretrain.planning.meta_build"],
        input=request, capture_output=True, text=True, check=False,
        env={**os.environ, **environment(1)},
    )  # fmt: skip
    if child.returncode:
        lines = [line for line in child.stderr.splitlines() if line.strip()] or ["nothing said"]
        raise GristmillError(
            f"Megatron-core cannot build the stages: {lines[-1]}",
            "the rules of the layout should have refused this recipe: please report it",
        )
    answer = json.loads(child.stdout)
    ranks = {(stage, tensor): number for stage, tensor, number in answer["ranks"]}
    return Built(ranks, answer["seconds"])


def disagreements(built: Built, pretrain: Pretrain, padded_vocab_size: int) -> list[str]:
    """Where built stages and the estimate's counts differ, as lines for a person."""
    found = []
    for (stage, tensor), number in built.parameters.items():
        expected = rank_parameters(pretrain.model, pretrain.parallel, padded_vocab_size, stage)
        if number != expected.total:
            found.append(
                f"stage {stage}, tensor rank {tensor}: {number:,} parameters built, "
                f"{expected.total:,} estimated"
            )
    return found


def _smallest(parallel: Parallel) -> Parallel:
    """The same stages with as few data ranks as can hold the experts."""
    data = parallel.expert // gcd(parallel.expert, parallel.tensor)
    return parallel.model_copy(update={"data": data, "context": 1})


def _build(pretrain: Pretrain, padded_vocab_size: int) -> dict[str, Any]:
    import time

    import torch
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from pretrain import cpu, model
    from pretrain.megatron import parallel_state
    from pretrain.parallel import World

    if not torch.cuda.is_available():
        cpu.patch()
    parallel = _smallest(pretrain.parallel)
    pretrain = pretrain.model_copy(update={"parallel": parallel})
    tensor_ranks = list(range(parallel.tensor))
    if parallel.tensor * parallel.pipeline > RANKS_MAX:
        tensor_ranks = [0, parallel.tensor - 1]
    begun = time.monotonic()
    ranks = []
    for stage in range(parallel.pipeline):
        for tensor in tensor_ranks:
            # Tensor ranks are next to each other, then come data ranks, then stages.
            rank = stage * parallel.tensor * parallel.data + tensor
            torch.distributed.init_process_group(
                "fake", rank=rank, world_size=parallel.world_size, store=FakeStore()
            )
            parallel_state.initialize_model_parallel(
                tensor_model_parallel_size=parallel.tensor,
                pipeline_model_parallel_size=parallel.pipeline,
                virtual_pipeline_model_parallel_size=(
                    parallel.virtual_stages if parallel.virtual_stages > 1 else None
                ),
                expert_model_parallel_size=parallel.expert,
                expert_tensor_parallel_size=1,
                create_gloo_process_groups=False,
            )
            world = World(
                rank=rank, size=parallel.world_size, tensor_rank=tensor,
                tensor_size=parallel.tensor, pipeline_rank=stage, pipeline_size=parallel.pipeline,
                data_rank=0, data_size=parallel.data, device=torch.device("meta"),
            )  # fmt: skip
            with torch.device("meta"):
                models = model.bare_models(pretrain, padded_vocab_size, world)
            number = sum(p.numel() for piece in models for p in piece.parameters())
            ranks.append([stage, tensor, number])
            parallel_state.destroy_model_parallel()
            torch.distributed.destroy_process_group()
    return {"ranks": ranks, "seconds": time.monotonic() - begun}


def _main() -> None:
    warnings.simplefilter("ignore")
    table, padded_vocab_size = json.load(sys.stdin)
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed is not the answer
    built = _build(Pretrain.model_validate_json(json.dumps(table)), padded_vocab_size)
    print(json.dumps(built), file=answers, flush=True)
    os._exit(0)  # to take torch and Megatron-core apart would cost a second


if __name__ == "__main__":
    _main()
