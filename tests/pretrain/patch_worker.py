"""One of two ranks that try to train with all of the CPU mode's patches but one.

`python -m tests.pretrain.patch_worker DIRECTORY PORT...` prints one JSON object: for each patch, ""
for none left out, whether training went without it. Each trial is a fork, so that Megatron-core is
imported once and no patch outlives its trial.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from pretrain import cpu, model, optimizer, parallel
from pretrain.batch import MicroBatch
from pretrain.config import Pretrain
from pretrain.iteration import train_iteration
from pretrain.judge import Judge
from pretrain.saving import checkpoint

# Together they pass every place of Megatron-core that the patches are about.
TABLES: list[dict[str, Any]] = [
    {"parallel": {"pipeline": 2}, "model": {"tied_embeddings": True}},
    {
        "parallel": {"tensor": 2, "sequence": True, "expert": 2, "recompute": "full"},
        "model": {"experts": {"count": 4}},
    },
]


def main(directory: Path, ports: list[int]) -> None:
    """Try each patch on a port of its own; checkpoints go below `directory`."""
    warnings.simplefilter("ignore")
    names = ["", *(f"{owner.__name__}.{name}" for owner, name, _ in cpu.patches())]
    found = {}
    for index, (name, port) in enumerate(zip(names, ports, strict=True)):
        child = os.fork()
        if child == 0:
            os.environ["MASTER_PORT"] = str(port)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            try:
                _train_without(index - 1, directory / str(port))
                os._exit(0)
            except BaseException:
                os._exit(1)
        found[name] = os.waitpid(child, 0)[1] == 0
    print(json.dumps(found))


def _train_without(left_out: int, directory: Path) -> None:
    kept = [patch for index, patch in enumerate(cpu.patches()) if index != left_out]
    cpu.patches = lambda: kept
    for number, tables in enumerate(TABLES):
        shape = {"layers": 2, "hidden_size": 32, "ffn_size": 32, "sequence_length": 8}
        pretrain = Pretrain.model_validate({**tables, "model": shape | tables["model"]})
        world = parallel.start(pretrain.parallel, 1)
        stage = model.build(pretrain, 64, 1, world)
        judge = Judge(pretrain.stability, pretrain.training, world.device)
        adam = optimizer.build(pretrain.training, stage, judge.loss_scale)
        tokens = torch.arange(16).view(2, 8)
        batch = MicroBatch(
            tokens, tokens, torch.ones(2, 8), tokens % 8, torch.tensor([0, 8, 16]),
            torch.zeros(2, dtype=torch.int64), (0, 1),
        )  # fmt: skip
        train_iteration(
            stage, adam, judge, iter([batch]), num_micro_batches=1, micro_batch_size=2,
            sequence_length=8, learning_rate=1e-3, world=world,
        )  # fmt: skip
        place = (directory / str(number), stage, adam, pretrain.parallel, world)
        checkpoint.save(place[0], 1, *place[1:4], "made-up", 1, world)
        checkpoint.load(*place)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(port) for port in sys.argv[2:]])
