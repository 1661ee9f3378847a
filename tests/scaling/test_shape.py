"""Shapes: legal for every layout that is asked for, and near what the law wants."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch.errors import UserError
from scaling.config import Plan
from scaling.shape import legal_shape

plans = st.builds(
    lambda tensor, pipeline, multiple, head, group: Plan(
        tensor=tensor,
        pipeline=pipeline,
        hidden_multiple=multiple,
        head_size=head,
        heads_per_kv_head=group,
        width_per_layer=100.0,
        batch_size=64,
        micro_batch_size=1,
    ),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, 2, 3, 4]),
    st.sampled_from([32, 64, 128]),
    st.sampled_from([16, 64, 128]),
    st.sampled_from([1, 2, 4]),
)


@settings(deadline=None, max_examples=30)
@given(plan=plans, parameters=st.floats(1e6, 1e12), tied=st.booleans())
def test_a_shape_is_legal(plan: Plan, parameters: float, tied: bool) -> None:
    shape = legal_shape(parameters, plan, 32_768, tied)
    assert shape.hidden_size % plan.hidden_multiple == 0
    assert shape.heads * plan.head_size == shape.hidden_size
    assert shape.heads == shape.kv_heads * plan.heads_per_kv_head
    assert shape.kv_heads % plan.tensor == 0
    assert shape.ffn_size % plan.tensor == 0
    assert shape.layers % plan.pipeline == 0
    assert shape.tied_embeddings == tied


@pytest.mark.parametrize("parameters", [1e9, 7e9, 7e10, 5e11])
def test_a_large_shape_is_near_what_is_wanted_and_of_the_usual_aspect(parameters: float) -> None:
    plan = Plan(
        tensor=8, pipeline=2, hidden_multiple=128, head_size=128, heads_per_kv_head=1,
        width_per_layer=100.0,
    )  # fmt: skip
    shape = legal_shape(parameters, plan, 32_768, False)
    assert shape.parameters_total == pytest.approx(parameters, rel=0.1)
    assert 50.0 < shape.hidden_size / shape.layers < 200.0


def test_a_vocabulary_that_does_not_split_is_refused() -> None:
    with pytest.raises(UserError, match=r"scaling.plan.tensor: got 3 processes"):
        legal_shape(1e9, Plan(tensor=3), 32_768, False)
