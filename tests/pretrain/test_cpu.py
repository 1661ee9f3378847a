"""The CPU mode: small, and nothing in it that Megatron-core no longer needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from launch import torchrun
from pretrain import cpu


def test_it_is_one_file_of_less_than_a_hundred_lines() -> None:
    assert len(Path(cpu.__file__).read_text(encoding="utf-8").splitlines()) < 100


@pytest.mark.slow
def test_every_patch_is_still_needed(repository: Path, tmp_path: Path) -> None:
    # Two are not about whether it goes: the norm is too coarse (the next test), and setting the
    # state of a generator would be queued, with its whole stack, until CUDA starts.
    ports = [str(torchrun.free_port()) for _ in range(1 + len(cpu.patches()))]
    shared = {
        **os.environ, **torchrun.environment(2), "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
    }  # fmt: skip
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.pretrain.patch_worker", str(tmp_path), *ports],
            cwd=repository, env={**shared, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    answers = [json.loads(rank.communicate(timeout=240)[0]) for rank in ranks]
    assert answers[0].pop("") and answers[1].pop(""), "with all patches it must train"
    went = {name for name in answers[0] if answers[0][name] and answers[1][name]}
    assert went == {
        "megatron.core.optimizer.clip_grads.l2_norm_impl",
        "megatron.core.tensor_parallel.random._set_cuda_rng_state",
    }


def test_the_norm_that_megatron_takes_is_still_too_coarse() -> None:
    # Without Apex or Transformer Engine it is `torch.norm` of each gradient.
    torch.manual_seed(0)
    gradient = torch.randn(3_000_000) * 1e-3
    exact = float(torch.linalg.vector_norm(gradient, dtype=torch.float64))
    assert abs(float(torch.norm(gradient)) / exact - 1) > 1e-5
