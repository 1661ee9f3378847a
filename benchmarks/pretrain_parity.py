"""Figures of parity: one model on every layout against one process, over 20 iterations.

A dense model and a mixture of experts (4 layers, width 128, sequences of 128, AdamW with a peak of
2e-3) on made-up tokens that are learnable, fp32. Each value holds the largest relative difference
of a loss and of a gradient norm, and by which share the loss fell; the processes stay alive from
one figure to the next.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.documents import REPOSITORY
from launch.recipe import Recipe
from tests.pretrain.conftest import LayoutPool, write_tokens

RELATIVE = 1e-5
ITERATIONS = 20
EXPERTS = {"experts": {"count": 4, "ffn_size": 128, "auxiliary_loss": 0.01, "router_z_loss": 1e-3}}
# Name, changes to the model, layout.
LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tensor_2": ({}, {"tensor": 2}),
    "tensor_2_sequence": ({}, {"tensor": 2, "sequence": True}),
    "pipeline_2": ({}, {"pipeline": 2}),
    "pipeline_2_interleaved_2": ({}, {"pipeline": 2, "virtual_stages": 2}),
    "tensor_2_pipeline_2": ({}, {"tensor": 2, "pipeline": 2}),
    "data_2": ({}, {"data": 2}),
    "data_2_overlap": ({}, {"data": 2, "overlap_gradients": True, "overlap_parameters": True}),
    "uneven_stages": ({}, {"pipeline": 2, "first_stage_layers": 1, "last_stage_layers": 3}),
    "recompute_selective": ({}, {"recompute": "selective"}),
    "recompute_full": ({}, {"recompute": "full"}),
    "expert_2": (EXPERTS, {"data": 2, "expert": 2}),
    "expert_2_tensor_2_sequence": (EXPERTS, {"tensor": 2, "sequence": True, "expert": 2}),
}


@cache
def _pool() -> tuple[LayoutPool, Path]:
    directory = tempfile.mkdtemp(prefix="gristmill-parity-")
    write_tokens(Path(directory) / "tokens", train_documents=4_000)
    pool = LayoutPool(REPOSITORY)
    atexit.register(pool.close)
    atexit.register(shutil.rmtree, directory, True)
    return pool, Path(directory)


@cache
def _one(with_experts: bool, precision: str) -> dict[str, Any]:
    return _trained(EXPERTS if with_experts else {}, {}, precision)


def _trained(model: dict[str, Any], parallel: dict[str, Any], precision: str) -> dict[str, Any]:
    pool, root = _pool()
    shape = {
        "layers": 4, "hidden_size": 128, "heads": 4, "kv_heads": 2, "ffn_size": 352,
        "sequence_length": 128,
    }  # fmt: skip
    training = {
        "iterations": 100, "batch_size": 16, "micro_batch_size": 2, "warmup_iterations": 5,
        "lr_peak": 2e-3, "precision": precision, "valid_batches": 1,
    }  # fmt: skip
    recipe = Recipe.from_dict(
        {
            "run": {"root": str(root), "seed": 1},
            "pretrain": {"model": shape | model, "training": training, "parallel": parallel},
        }
    )
    answer = pool(recipe, root / "work", iterations=ITERATIONS)
    found: dict[str, Any] = answer["ok"]
    return found


def parity(name: str, precision: str = "fp32") -> tuple[dict[str, float], Any, bool | None]:
    """Of one layout against one process."""
    model, parallel = LAYOUTS[name]
    one, other = _one(bool(model), precision), _trained(model, parallel, precision)
    fall = 1 - one["losses"][-1] / one["losses"][0]
    loss, norm = (
        max(abs(a - b) / abs(b) for a, b in zip(other[key], one[key], strict=True))
        for key in ("losses", "norms")
    )
    value = {"loss": loss, "gradient_norm": norm, "fall": round(fall, 3)}
    if precision != "fp32":
        return value, None, None
    return value, RELATIVE, max(loss, norm) <= RELATIVE and fall >= 0.1


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """All figures by name; those in bf16 are reported only."""
    for name in LAYOUTS:
        yield f"parity_{name}", lambda name=name: parity(name)
    for name in ("tensor_2", "pipeline_2", "data_2", "expert_2"):
        yield f"parity_bf16_{name}", lambda name=name: parity(name, "bf16")
