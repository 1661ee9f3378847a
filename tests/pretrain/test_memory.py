"""Memory counted before a run: against the model that Megatron-core builds, and as layouts divide
it. (`benchmarks/pretrain_estimates.py` measures a trainer's tensors.)"""

import json
from typing import Any

import pytest

from pretrain import flops
from pretrain.config import Pretrain
from pretrain.planning.memory import Memory, checkpoint_bytes, estimate_memory, largest
from pretrain.planning.stages import in_flight, rank_parameters, stage_layers


def pretrain_of(**tables: dict[str, Any]) -> Pretrain:
    return Pretrain.model_validate_json(json.dumps(tables))


def memory(**parallel: Any) -> Memory:
    return largest(estimate_memory(pretrain_of(parallel=parallel), 8192, "cpu"))


def test_memory_shrinks_where_the_layout_divides_it() -> None:
    one, tensor, data = memory(), memory(tensor=2), memory(data=2)
    assert tensor.weights < 0.51 * one.weights
    assert data.weights == one.weights
    assert data.optimizer == one.optimizer // 2
    assert data.activations == one.activations
    assert memory(pipeline=2).weights < one.weights
    assert memory(tensor=2, sequence=True).activations < tensor.activations < one.activations
    assert memory(recompute="full").activations < 0.1 * one.activations


def test_weights_of_a_single_process_are_those_of_its_parameters() -> None:
    counted = flops.total_parameters(Pretrain().model, 8192) * 4
    assert memory().weights == memory().gradients == counted
    assert memory().optimizer == 2 * counted


def test_the_first_stage_holds_as_many_micro_batches_as_there_are_stages() -> None:
    parallel = pretrain_of(parallel={"pipeline": 4}).parallel
    assert [in_flight(parallel, stage, 100) for stage in range(4)] == [4, 3, 2, 1]
    assert [in_flight(parallel, stage, 2) for stage in range(4)] == [2, 2, 2, 1]
    virtual = pretrain_of(parallel={"pipeline": 4, "virtual_stages": 2}).parallel
    # (2 x 3 + 1 x 4 + 1) / 2 pieces on the first, (0 + 4 + 1) / 2 on the last.
    assert [in_flight(virtual, stage, 100) for stage in (0, 3)] == [5.5, 2.5]


def test_uneven_stages_have_the_layers_that_the_recipe_says() -> None:
    pretrain = pretrain_of(
        model={"layers": 10}, parallel={"pipeline": 4, "first_stage_layers": 1},
    )  # fmt: skip
    assert stage_layers(pretrain.model, pretrain.parallel) == (1, 3, 3, 3)
    assert largest(estimate_memory(pretrain, 1024, "cpu")).stage == 1


def test_ranks_of_all_stages_together_hold_the_model_once() -> None:
    pretrain = pretrain_of(model={"layers": 6, "hidden_size": 64}, parallel={"pipeline": 3})
    counts = [rank_parameters(pretrain.model, pretrain.parallel, 1024, s).total for s in range(3)]
    assert sum(counts) == flops.total_parameters(pretrain.model, 1024)


def test_experts_are_divided_and_their_state_shared_by_those_that_hold_the_same() -> None:
    model = {"experts": {"count": 8, "active": 2}}

    def of(**parallel: int) -> Memory:
        return largest(estimate_memory(pretrain_of(model=model, parallel=parallel), 1024, "cpu"))

    alone, apart = of(data=4), of(data=4, expert=4)
    assert apart.weights < 0.4 * alone.weights
    # Each expert's state is on one rank in the one case, a quarter of it on each in the other.
    assert apart.optimizer == pytest.approx(alone.optimizer, rel=1e-6)


@pytest.mark.parametrize(("precision", "each"), [("fp32", 16), ("bf16", 14)])
def test_a_checkpoint_holds_weights_their_copy_and_two_moments(precision: str, each: int) -> None:
    pretrain = pretrain_of(training={"precision": precision}, parallel={"tensor": 2, "data": 2})
    parameters = flops.total_parameters(pretrain.model, 1024)
    assert checkpoint_bytes(pretrain, 1024) == each * parameters
