"""What does not fit together is refused with rule, numbers and a way out."""

import re
from typing import Any

import pytest

from launch.errors import UserError
from pretrain.config import Pretrain
from pretrain.layout_rules import check_layout, check_transformer_engine, check_world_size

MODEL = {"layers": 8, "hidden_size": 64, "heads": 8, "kv_heads": 4, "ffn_size": 96}


def pretrain(**tables: dict[str, Any]) -> Pretrain:
    training = {"batch_size": 16, "micro_batch_size": 2} | tables.pop("training", {})
    model = MODEL | tables.pop("model", {})
    return Pretrain.model_validate({"model": model, "training": training, **tables})


@pytest.mark.parametrize(
    ("tables", "where", "numbers", "hint"),
    [
        ({"parallel": {"tensor": 3}}, "parallel.tensor", "heads (8)", "1, 2, 4, 8"),
        ({"parallel": {"tensor": 8}}, "parallel.tensor", "kv_heads (4)", "1, 2, 4"),
        ({"parallel": {"tensor": 4}, "model": {"ffn_size": 98}}, "parallel.tensor", "98", "1, 2"),
        (
            {"parallel": {"tensor": 2, "sequence": True}, "model": {"sequence_length": 33}},
            "parallel.tensor with sequence = true", "sequence_length (33)", "1, 3, 11, 33",
        ),
        (
            {"parallel": {"tensor": 4, "sequence": True},
             "data": {"stages": ({"start_iteration": 5, "sequence_length": 130},)}},
            "parallel.tensor with sequence = true", "130", "1, 2, 5",
        ),
        ({"parallel": {"pipeline": 3}}, "parallel.pipeline", "layers (8)", "1, 2, 4, 8"),
        (
            {"parallel": {"pipeline": 2, "virtual_stages": 3}},
            "parallel.virtual_stages", "6 pieces", "virtual_stages one of 1, 2, 4",
        ),
        (
            {"parallel": {"pipeline": 4, "virtual_stages": 2}, "training": {"batch_size": 4}},
            "training.batch_size", "x parallel.pipeline = 2 x 1 x 4 = 8", "8 and 8",
        ),
        (
            {"parallel": {"pipeline": 2, "first_stage_layers": 3, "last_stage_layers": 4}},
            "parallel.first_stage_layers and last_stage_layers", "leaves 1 for 0 other stages",
            "first_stage_layers = 3 and last_stage_layers = 5",
        ),
        (
            {"parallel": {"pipeline": 4, "first_stage_layers": 1}},
            "parallel.first_stage_layers and last_stage_layers", "7 for 3 other",
            "first_stage_layers = 1 and last_stage_layers = 3",
        ),
        (
            {"parallel": {"first_stage_layers": 1}},
            "parallel.first_stage_layers and last_stage_layers", "0 other", "pipeline of 2",
        ),
        ({"parallel": {"data": 2, "expert": 2}}, "parallel.expert", "without experts", "count"),
        (
            {"parallel": {"data": 4, "expert": 4}, "model": {"experts": {"count": 6}}},
            "parallel.expert", "experts.count (6)", "1, 2, 3, 6",
        ),
        (
            {"parallel": {"tensor": 2}, "model": {"experts": {"count": 4}}},
            "parallel.sequence", "tensor (2)", "sequence = true",
        ),
        ({"parallel": {"data": 3}}, "training.batch_size", "2 x 3 = 6", "12 and 18"),
        (
            {"parallel": {"data": 2}, "training": {"batch_size_start": 2,
             "batch_ramp_iterations": 9}},
            "training.batch_size_start", "= 4", "4 and 4",
        ),
        ({"parallel": {"context": 2}}, "data.mask_documents", "context = 2", "mask_documents"),
        (
            {"parallel": {"context": 2}, "model": {"sequence_length": 66}},
            "parallel.context, twice", "66", "1, 2, 3",
        ),
    ],
)  # fmt: skip
def test_refused_everywhere(tables: dict[str, Any], where: str, numbers: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        check_layout(pretrain(**tables))
    message = caught.value.message
    assert message.startswith(f"pretrain.{where}: got ")
    assert numbers in message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("tables", "where", "reason"),
    [
        ({"training": {"precision": "fp8"}}, "training.precision", "Transformer Engine"),
        (
            {"parallel": {"context": 2}, "data": {"mask_documents": False}},
            "parallel.context", "exchanges keys and values",
        ),
    ],
)  # fmt: skip
def test_refused_on_a_cpu_only(tables: dict[str, Any], where: str, reason: str) -> None:
    wanted = pretrain(**tables)
    check_layout(wanted, 1024, "cuda")
    check_transformer_engine(wanted, True)
    with pytest.raises(UserError, match=f"^pretrain.{where}: got") as caught:
        check_layout(wanted, 1024, "cpu")
    assert reason in caught.value.message
    with pytest.raises(UserError, match=f"^pretrain.{where}: got .* not installed"):
        check_transformer_engine(wanted, False)


def test_the_vocabulary_is_asked_once_it_is_known() -> None:
    check_layout(pretrain(parallel={"tensor": 2}))
    with pytest.raises(UserError, match=r"padded vocabulary \(1023\)"):
        check_layout(pretrain(parallel={"tensor": 2}), 1023)


def test_a_world_of_another_size_is_refused_with_what_would_fit() -> None:
    parallel = pretrain(parallel={"tensor": 2, "pipeline": 2}).parallel
    check_world_size(parallel, 4)
    for processes, hint in ((8, "data = 2 fits"), (6, "a multiple of .* = 4")):
        with pytest.raises(UserError, match=f"= 4 processes, expected {processes}") as caught:
            check_world_size(parallel, processes)
        assert re.search(hint, caught.value.hint)
