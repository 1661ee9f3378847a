"""The time of an update: published runs, and what must make it longer or shorter."""

import json
from statistics import mean
from typing import Any

import pytest

from benchmarks.pretrain_estimates import left_out_errors, predicted
from benchmarks.published_runs import MEGATRON_H100, STRONG_SCALING
from launch.errors import UserError
from pretrain.config import Pretrain
from pretrain.planning.hardware import hardware, kind_of, kinds, peak_teraflops
from pretrain.planning.step_time import FITTED, StepTime, step_time


def test_nine_published_runs_are_predicted_from_the_other_eight() -> None:
    errors = left_out_errors()
    assert len(errors) == 9
    assert max(abs(error) for error in errors) < 0.04
    assert mean(abs(error) for error in errors) < 0.03


def test_the_constants_are_those_that_fit_and_two_other_runs_agree() -> None:
    for run in (*MEGATRON_H100, *STRONG_SCALING):
        assert predicted(run, FITTED) == pytest.approx(run.seconds, rel=0.05)


def test_the_shapes_of_the_published_models_have_their_parameters() -> None:
    for run in MEGATRON_H100:
        rounding = 0.05 if run.billions < 10 else 0.55  # to a decimal first, see there
        assert run.parameters / 1e9 == pytest.approx(run.billions, abs=rounding)


def time_of(**tables: dict[str, Any]) -> StepTime:
    model = {"layers": 32, "hidden_size": 4096, "heads": 32, "kv_heads": 8, "ffn_size": 14336,
             "sequence_length": 4096}  # fmt: skip
    training = {"batch_size": 128, "micro_batch_size": 1, "precision": "bf16"}
    table = {"model": model, "training": {**training, **tables.pop("training", {})}, **tables}
    return step_time(Pretrain.model_validate_json(json.dumps(table)), 128_000, hardware("h100"))


def test_what_is_hidden_or_halved_takes_less_time() -> None:
    alone = time_of()
    assert alone.bubble == alone.data_exchange == alone.tensor_exchange == 0
    data = time_of(parallel={"data": 8})
    assert data.matrices == pytest.approx(alone.matrices / 8)
    hidden = time_of(parallel={"data": 8, "overlap_gradients": True, "overlap_parameters": True})
    assert 0 < hidden.data_exchange < 0.6 * data.data_exchange
    stages = time_of(parallel={"pipeline": 4})
    virtual = time_of(parallel={"pipeline": 4, "virtual_stages": 4})
    assert virtual.bubble == pytest.approx(stages.bubble / 4)
    again = time_of(parallel={"recompute": "full"})
    assert again.recomputation == pytest.approx(alone.matrices / 3, rel=0.2)
    experts = time_of(model={"layers": 32, "hidden_size": 4096, "heads": 32, "kv_heads": 8,
                             "ffn_size": 14336, "experts": {"count": 8, "active": 2}})  # fmt: skip
    assert (
        experts.matrices
        > 1.5
        * time_of(
            model={"layers": 32, "hidden_size": 4096, "heads": 32, "kv_heads": 8, "ffn_size": 14336}
        ).matrices
    )


def test_a_precision_that_the_gpu_lacks_is_refused() -> None:
    pretrain = Pretrain.model_validate({"training": {"precision": "fp8"}})
    with pytest.raises(UserError, match="precision: got fp8, expected one that NVIDIA A100"):
        step_time(pretrain, 1024, hardware("a100-80"))


def test_kinds_of_gpu_are_complete_and_found_by_their_device_name() -> None:
    for kind in kinds():
        gpu = hardware(kind)
        assert gpu.memory_bytes > 3e10
        assert gpu.peak_teraflops["bf16"] > gpu.peak_teraflops["fp32"] > 10
        assert all(kind_of(name) == kind for name in gpu.device_names)
    assert peak_teraflops("NVIDIA H100 80GB HBM3", "bf16") == 989.5
    assert peak_teraflops("a100-40", "fp8") is None
    assert peak_teraflops("an abacus", "bf16") is None
    with pytest.raises(UserError, match="got 'h1000', expected one of a100-40"):
        hardware("h1000")
