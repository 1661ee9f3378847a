"""Our training against the plain reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from launch.recipe import Recipe
from pretrain.config import Model
from tests.pretrain.plain_reference import Batch, Decoder, draw

RELATIVE = 1e-5  # 6e-8 and 5e-7 were seen (2026-11-26)


def relative(ours: list[float], theirs: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("optimizer", "peak"), [("adamw", 3e-3), ("muon", 1e-2)])
def test_losses_are_those_of_the_plain_reference(
    layouts: Any,
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
    optimizer: str,
    peak: float,
) -> None:
    training = {"iterations": 20, "lr_peak": peak, "micro_batch_size": 4, "optimizer": optimizer,
                "warmup_iterations": 4}  # fmt: skip
    recipe = make_recipe(training=training)
    answer = layouts(recipe, tmp_path / "work", plain=20)["ok"]
    assert answer["losses"][-1] < 0.9 * answer["losses"][0]
    assert relative(answer["losses"], answer["plain_losses"]) <= RELATIVE
    assert relative(answer["norms"], answer["plain_norms"]) <= RELATIVE


def test_the_reference_keeps_documents_apart() -> None:
    shape = Model(layers=2, hidden_size=32, heads=4, kv_heads=2, ffn_size=64, sequence_length=16)
    model = Decoder(shape, 128)
    draw(model, 1)
    torch.manual_seed(0)
    tokens, labels = torch.randint(0, 128, (2, 1, 16))
    positions = torch.cat((torch.arange(6), torch.arange(10))).unsqueeze(0)
    mask = torch.ones(1, 16)
    together = model(Batch(tokens, labels, mask, positions))
    alone = [model(Batch(t, n, mask, None)) for t, n in
             zip(tokens.split((6, 10), 1), labels.split((6, 10), 1), strict=True)]  # fmt: skip
    torch.testing.assert_close(together, torch.cat(alone, dim=1), rtol=1e-5, atol=1e-6)
