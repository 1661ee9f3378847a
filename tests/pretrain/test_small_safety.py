"""Stragglers, garbage, determinism: small rules with numbers."""

import gc
import os

import pytest
import torch

from launch import torchrun
from launch.errors import UserError
from pretrain.safety import garbage
from pretrain.safety.determinism import as_user_error, set_deterministic
from pretrain.safety.stragglers import slower_than_peers


def test_a_rank_is_slow_in_comparison_with_its_own_pipeline_stage() -> None:
    # The last stage has the loss to compute: no rank there is slow for that.
    seconds, stages = [1.0, 1.1, 2.0, 1.9], [0, 0, 1, 1]
    assert slower_than_peers(seconds, stages, 1.5) == {}
    assert slower_than_peers([1.0, 1.6, 2.0, 1.9], stages, 1.5) == {1: 1.0}
    assert slower_than_peers([1.0, 9.0], [0, 1], 1.5) == {}
    assert slower_than_peers([1.0, 1.0, 1.0, 3.1], [0, 0, 0, 0], 3.0) == {3: 1.0}


def test_garbage_is_collected_when_it_is_due_and_never_before() -> None:
    gc.collect()
    before = gc.get_stats()[2]["collections"]
    with garbage.controlled(10):
        garbage.freeze(10)
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        for iteration in range(1, 31):
            garbage.collect(iteration, 10)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    # freeze, three times in thirty iterations, and at the end
    assert gc.get_stats()[2]["collections"] - before == 5
    with garbage.controlled(0):
        assert gc.isenabled()


def test_libraries_are_left_alone_until_a_run_has_ended() -> None:
    garbage.leave_libraries_alone(0)
    assert gc.get_freeze_count() == 0  # nobody would sweep what the run before has left
    garbage.leave_libraries_alone(10)
    assert gc.get_freeze_count() > 0
    with garbage.controlled(10):
        garbage.freeze(10)
    assert gc.get_freeze_count() == 0


def test_an_operation_without_a_deterministic_kernel_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("CUBLAS_WORKSPACE_CONFIG", "NVTE_ALLOW_NONDETERMINISTIC_ALGO", "NCCL_ALGO"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    try:
        set_deterministic(True)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert torch.are_deterministic_algorithms_enabled()
        with pytest.raises(RuntimeError) as caught:
            torch.zeros(4).put_(torch.tensor([0, 0]), torch.ones(2), accumulate=False)
        refused = as_user_error(caught.value)
        assert refused is not None
        assert refused.exit_code == 2
        assert "put_" in refused.message
        assert as_user_error(RuntimeError("gloo")) is None
        monkeypatch.setenv("NVTE_ALLOW_NONDETERMINISTIC_ALGO", "1")
        with pytest.raises(UserError, match="NVTE_ALLOW_NONDETERMINISTIC_ALGO: got '1'"):
            set_deterministic(True)
    finally:
        set_deterministic(False)
    assert not torch.are_deterministic_algorithms_enabled()


def test_gpus_get_their_variables_and_machines_without_none() -> None:
    assert torchrun.gpu_environment(True, has_gpus=False) == {}
    alone = torchrun.gpu_environment(False, has_gpus=True)
    assert "CUDA_DEVICE_MAX_CONNECTIONS" not in alone
    assert alone["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    shared = torchrun.gpu_environment(True, has_gpus=True)
    assert shared["CUDA_DEVICE_MAX_CONNECTIONS"] == "1"
