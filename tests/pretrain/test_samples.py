"""Samples of a run (`benchmarks.pretrain_samples`): whose logits are drawn from, and how."""

import pytest
import torch

from benchmarks.pretrain_samples import draw_token, next_logits
from pretrain.config import Model
from tests.pretrain.plain_reference import Batch, Decoder, draw

LENGTH = 8


@pytest.fixture(scope="module")
def model() -> Decoder:
    shape = Model(
        layers=2, hidden_size=32, heads=4, kv_heads=2, ffn_size=64, sequence_length=LENGTH
    )
    made = Decoder(shape, 128)
    draw(made, 1)
    return made.eval()


def test_logits_are_of_the_token_after_the_last(model: Decoder) -> None:
    """By the model's own losses: what a label costs is its logarithm of a softmax over them."""
    ids = [5, 17, 3, 99]
    logits = next_logits(model, ids)
    assert logits.shape == (128,) and logits.dtype == torch.float32
    tokens = torch.tensor([ids])
    for label in (0, 42, 127):
        labels = torch.tensor([[*ids[1:], label]])
        with torch.no_grad():
            losses = model(Batch(tokens, labels, torch.ones(1, len(ids)), None))
        assert losses.flatten()[-1].item() == pytest.approx(
            -logits.log_softmax(-1)[label].item(), rel=1e-5
        )


def test_only_the_last_tokens_count_and_they_do(model: Decoder) -> None:
    last = [7, 1, 90, 33, 33, 2, 64, 11]
    assert len(last) == LENGTH
    logits = next_logits(model, last)
    torch.testing.assert_close(next_logits(model, [50, 60, *last]), logits)
    assert not torch.allclose(next_logits(model, [8, *last[1:]]), logits)


def test_tokens_are_drawn_by_their_chances_among_the_likeliest() -> None:
    logits = torch.log(torch.tensor([0.1, 0.6, 0.02, 0.28]))
    generator = torch.Generator().manual_seed(3)
    assert draw_token(logits, 0.0, 4, generator) == 1
    assert {draw_token(logits, 5.0, 1, generator) for _ in range(20)} == {1}
    drawn = [draw_token(logits, 1.0, 2, generator) for _ in range(4000)]
    # Of the two likeliest, 60 to 28.
    assert set(drawn) == {1, 3}
    assert drawn.count(1) / 4000 == pytest.approx(0.6 / 0.88, abs=0.03)
    # Half the temperature squares the chances.
    cold = [draw_token(logits, 0.5, 2, generator) for _ in range(4000)]
    assert cold.count(1) / 4000 == pytest.approx(0.36 / (0.36 + 0.28**2), abs=0.03)
    again = torch.Generator().manual_seed(3)
    assert draw_token(logits, 0.0, 4, again) == 1
    [draw_token(logits, 5.0, 1, again) for _ in range(20)]
    assert [draw_token(logits, 1.0, 2, again) for _ in range(50)] == drawn[:50]
