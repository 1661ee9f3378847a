"""Named shapes against the published counts, and the dial."""

import pytest

from launch.config import parse_model
from launch.errors import UserError
from pretrain import flops, sizes
from pretrain.config import Model, Pretrain

# Vocabulary and parameters of the published weights (safetensors index of each).
PUBLISHED = {
    "1b": (128_256, 1_235_814_400),
    "3b": (128_256, 3_212_749_824),
    "7b": (32_000, 6_738_415_616),
    "8b": (128_256, 8_030_261_248),
    "8b-qk-norm": (151_936, 8_190_735_360),
    "13b": (32_000, 13_015_864_320),
    "8x7b": (32_000, 46_702_792_704),
    "70b": (128_256, 70_553_706_496),
}
OWN = {"10m": 9_640_192, "30m": 32_123_392, "100m": 99_112_704, "300m": 303_612_928}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_shape_has_the_published_parameters(name: str) -> None:
    vocabulary, parameters = PUBLISHED[name]
    assert flops.total_parameters(Model(size=name), vocabulary) == parameters
    assert f"{parameters:,}" in heading(name)
    assert "arXiv" in heading(name) or "model card" in heading(name)


@pytest.mark.parametrize("name", OWN)
def test_a_shape_of_our_ladder_has_the_parameters_of_its_heading(name: str) -> None:
    shape = Model(size=name)
    assert flops.nonembedding_parameters(shape) == OWN[name]
    assert f"{OWN[name]:,}" in heading(name)
    assert shape.hidden_size == 64 * shape.heads


def test_every_size_is_known_here_and_in_order() -> None:
    assert set(sizes.names()) == {*PUBLISHED, *OWN}
    assert sizes.names()[0] == "10m"
    assert sizes.names()[-1] == "70b"


def test_of_a_mixture_the_active_parameters_are_counted() -> None:
    # Jiang et al. 2024, section 1: 13 of 47 billion.
    shape = Model(size="8x7b")
    assert flops.active_parameters(shape, 32_000) == 12_879_925_248
    assert flops.active_parameters(Model(size="7b"), 32_000) == 6_738_415_616
    dense = shape.model_copy(update={"experts": shape.experts.model_copy(update={"count": 0})})
    router = 8 * 4096 * 32
    twice = flops.active_parameters(shape, 32_000) - router
    one = flops.total_parameters(dense, 32_000)
    assert twice - one == 32 * 3 * 4096 * 14336


def test_what_is_given_beside_a_size_stands() -> None:
    shape = Model(size="10m", kv_heads=2, sequence_length=512)
    assert (shape.layers, shape.kv_heads, shape.sequence_length) == (12, 2, 512)
    mixture = Model.model_validate({"size": "8x7b", "experts": {"auxiliary_loss": 0.02}})
    assert (mixture.experts.count, mixture.experts.auxiliary_loss) == (8, 0.02)


@pytest.mark.parametrize(("depth", "millions"), [(6, 11), (12, 85), (24, 680), (52, 6_923)])
def test_the_dial_gives_what_its_derivation_says(depth: int, millions: int) -> None:
    shape = Model(depth=depth)
    counted = flops.nonembedding_parameters(shape)
    assert round(counted / 1e6) == millions
    assert abs(counted / (12 * 64**2 * depth**3) - 1) < 0.09
    assert shape.hidden_size == 64 * shape.heads == 64 * depth


def test_a_size_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"^pretrain\.model: .*10m, 30m, 100m"):
        parse_model(Pretrain, {"model": {"size": "9b"}}, "pretrain")
    with pytest.raises(UserError, match="either size"):
        parse_model(Pretrain, {"model": {"size": "10m", "depth": 4}}, "pretrain")


def heading(name: str) -> str:
    text = (sizes.DIRECTORY / f"{name}.toml").read_text(encoding="utf-8")
    return " ".join(line.strip("# ") for line in text.splitlines() if line.startswith("#"))
