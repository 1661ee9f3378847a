"""What a recipe may say about training, and that saying it loads no torch."""

import subprocess
import sys
from typing import Any

import pytest

from launch.config import parse_model
from launch.errors import UserError
from pretrain.config import Pretrain


@pytest.mark.parametrize(
    ("table", "keys", "words"),
    [
        ("model", {"heads": 5}, "heads"),
        ("model", {"hidden_size": 30, "heads": 6, "kv_heads": 2}, "even"),
        ("model", {"kv_heads": 3}, "kv_heads"),
        ("training", {"micro_batch_size": 3}, "micro_batch_size"),
        ("training", {"warmup_iterations": 900}, "iterations"),
        ("training", {"lr_min": 0.5}, "lr_peak"),
        ("training", {"schedule": "cosin"}, "cosine"),
        ("training", {"precision": "fp4"}, "bf16"),
        ("checkpoint", {"interval_iterations": 0}, "1"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    table: str, keys: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=f"^pretrain.{table}") as caught:
        parse_model(Pretrain, {table: keys}, "pretrain")
    assert words in str(caught.value)


def test_an_unknown_key_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"^pretrain\.training\.iteration: ") as caught:
        parse_model(Pretrain, {"training": {"iteration": 5}}, "pretrain")
    assert "iterations" in caught.value.hint


def test_checking_and_launching_import_no_torch() -> None:
    script = (
        "import sys, pretrain.launcher, pretrain.check, pretrain.__main__;"
        "sys.exit('torch' in sys.modules or 'megatron' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
