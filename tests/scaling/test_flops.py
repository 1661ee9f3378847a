"""Parameter and FLOP counts against published tables and against the trainer's own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain import flops as trainer
from pretrain.config import Model
from scaling.flops import (
    CONVENTIONS,
    ModelShape,
    flops_per_token,
    hoffmann_layer_flops,
    shape_of,
    training_flops,
)

# Hoffmann et al. 2022, table A4 and A9: width, ffn, key size, heads, layers, and the ratio of
# their count to 6 N D.
HOFFMANN_A4 = [
    (640, 2560, 64, 10, 10, 1.03),
    (1024, 4096, 64, 16, 20, 1.10),
    (1280, 5120, 128, 10, 24, 1.08),
    (1792, 7168, 128, 14, 26, 1.04),
    (2048, 8192, 128, 16, 28, 1.03),
    (3584, 14336, 128, 28, 40, 0.99),
]
LLAMA_2_7B = ModelShape(32, 4096, 32, 32, 11008, 32000)
LLAMA_3_8B = ModelShape(32, 4096, 32, 8, 14336, 128256)


@pytest.mark.parametrize(("width", "ffn", "key", "heads", "layers", "ratio"), HOFFMANN_A4)
def test_hoffmanns_ratio_table(
    width: int, ffn: int, key: int, heads: int, layers: int, ratio: float
) -> None:
    # Five attention matrices a layer: theirs have a relative-position projection.
    parameters = 32_000 * width + layers * (5 * width * key * heads + 2 * width * ffn)
    counted = layers * hoffmann_layer_flops(width, key, heads, ffn, 2048)
    assert counted / (6.0 * parameters) == pytest.approx(ratio, abs=0.0051)


def test_published_parameter_counts() -> None:
    assert LLAMA_2_7B.parameters_total == 6_738_415_616
    assert LLAMA_3_8B.parameters_total == 8_030_261_248


shapes = st.builds(
    lambda layers, head, kv, group, ffn, tied: Model(
        layers=layers,
        hidden_size=2 * head * kv * group,
        heads=kv * group,
        kv_heads=kv,
        ffn_size=ffn,
        sequence_length=64,
        tied_embeddings=tied,
    ),
    st.integers(1, 12),
    st.integers(4, 16),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(8, 512),
    st.booleans(),
)


@settings(deadline=None)
@given(model=shapes, vocabulary=st.sampled_from([1024, 8192, 65536]))
def test_counts_are_the_trainers_to_the_unit(model: Model, vocabulary: int) -> None:
    shape = shape_of(model.model_dump(mode="json"), vocabulary)
    assert shape.parameters_total == trainer.total_parameters(model, vocabulary)
    assert shape.parameters_nonembedding == trainer.nonembedding_parameters(model)
    assert training_flops(shape, 1000, 64, "megatron") == pytest.approx(
        trainer.training_flops(model, vocabulary, 1000)
    )


def test_conventions_differ_as_their_definitions_say() -> None:
    per_token = {name: flops_per_token(LLAMA_3_8B, 8192, name) for name in CONVENTIONS}  # type: ignore[arg-type]
    assert per_token["6N"] == 6.0 * 8_030_261_248
    embeddings = 2 * 128256 * 4096
    assert per_token["6N"] - per_token["6N_nonembedding"] == 6.0 * embeddings
    assert per_token["6N_attention"] - per_token["6N"] == 6.0 * 8192 * 32 * 4096
    assert len(set(per_token.values())) == len(CONVENTIONS)


def test_flops_of_a_large_run_are_floats() -> None:
    # 6 N D of this run is above the int64 range.
    assert training_flops(LLAMA_3_8B, 15 * 10**12, 8192) == pytest.approx(7.227e23, rel=1e-3)
