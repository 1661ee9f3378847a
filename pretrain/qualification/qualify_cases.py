"""What `qualify` tries on a machine: tiny models, and the ways to run them. Imports no torch."""

from dataclasses import dataclass, field
from typing import Any, Literal

from launch.config import parse_model
from pretrain.config import Pretrain
from pretrain.qualification.trace_jobs import Job

VOCABULARY = 512
Layers = Literal["local", "transformer-engine"]

# Dimensions are multiples of 16, as fp8's kernels want, and divide by 4 processes.
_SHAPE: dict[str, Any] = {
    "layers": 4, "hidden_size": 64, "heads": 4, "kv_heads": 2, "ffn_size": 128,
    "sequence_length": 64,
}  # fmt: skip
_EXPERTS = {"count": 4, "active": 2, "ffn_size": 64}
_OTHER = {"norm": "layer", "activation": "gelu", "qk_norm": True, "tied_embeddings": True}
# All gradients are clipped so: their norms are 0.6 to 1.2. Adam's epsilon lies far above their
# rounding, of which it would else make full steps: with 1e-8, a k-norm's bias led to 1.1e-4 in the
# next iteration's gradients between tensor 2 and one process (2026-11-26).
_TRAINING: dict[str, Any] = {
    "iterations": 10, "batch_size": 8, "micro_batch_size": 2, "warmup_iterations": 2,
    "lr_peak": 1e-3, "clip": 0.5, "adam_epsilon": 1e-5,
}  # fmt: skip
# By name: what differs from the shape above, and whether sequences hold several documents.
GOLDEN: dict[str, tuple[dict[str, Any], bool]] = {
    "documents": ({}, True),
    "causal": ({}, False),
    "variants": (_OTHER, True),
    "experts": ({"experts": _EXPERTS}, True),
}
# Which kernel Transformer Engine takes for attention (its own variables).
_FLASH = {"NVTE_FLASH_ATTN": "1", "NVTE_FUSED_ATTN": "0", "NVTE_UNFUSED_ATTN": "0"}
_FUSED = {"NVTE_FLASH_ATTN": "0", "NVTE_FUSED_ATTN": "1", "NVTE_UNFUSED_ATTN": "0"}


@dataclass(frozen=True)
class Case:
    """One way to run one of the tiny models, to be compared with its golden trace."""

    name: str
    golden: str
    layers: Layers = "local"
    precision: str = "fp32"
    parallel: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    needs_fp8: bool = False

    @property
    def pretrain(self) -> Pretrain:
        """The tables of its model and layout."""
        return _tables(self.golden, self.precision, self.parallel)

    @property
    def processes(self) -> int:
        """How many, and on GPUs how many of those, it takes."""
        return self.pretrain.parallel.world_size

    @property
    def job(self) -> Job:
        """The trace to record."""
        environment = dict(self.environment)
        if self.layers == "local":
            environment["GRISTMILL_LAYERS"] = "local"
        return Job(
            self.name, self.pretrain, VOCABULARY, documents=GOLDEN[self.golden][1], whole=False,
            environment=tuple(sorted(environment.items())),
        )  # fmt: skip


def golden_job(name: str) -> Job:
    """The job that records the golden trace `name`: one process, one thread, fp32."""
    return Job(
        name, _tables(name, "fp32", {}), VOCABULARY, documents=GOLDEN[name][1], whole=False,
        environment=(("CUDA_VISIBLE_DEVICES", ""), ("OMP_NUM_THREADS", "1")),
    )  # fmt: skip


def _tables(golden: str, precision: str, parallel: dict[str, Any]) -> Pretrain:
    tables = {
        "model": {**_SHAPE, **GOLDEN[golden][0]},
        "training": {**_TRAINING, "precision": precision},
        "parallel": parallel,
    }
    return parse_model(Pretrain, tables, "pretrain")


def _cases() -> tuple[Case, ...]:
    local = [Case(f"local {golden}", golden) for golden in GOLDEN]
    layouts: dict[str, tuple[str, dict[str, Any]]] = {
        "recompute full": ("documents", {"recompute": "full"}),
        "recompute selective": ("documents", {"recompute": "selective"}),
        "tensor 2": ("documents", {"tensor": 2}),
        "tensor 2 sequence": ("variants", {"tensor": 2, "sequence": True}),
        "pipeline 2": ("variants", {"pipeline": 2}),
        "pipeline 2 virtual 2": ("documents", {"pipeline": 2, "virtual_stages": 2}),
        "data 2": ("causal", {"data": 2, "overlap_gradients": True, "overlap_parameters": True}),
        "expert 2": ("experts", {"data": 2, "expert": 2}),
        "tensor 2 pipeline 2": ("variants", {"tensor": 2, "sequence": True, "pipeline": 2}),
        "tensor 2 data 2": ("documents", {"tensor": 2, "data": 2}),
        "tensor 2 expert 2": ("experts", {"tensor": 2, "sequence": True, "data": 2, "expert": 2}),
    }
    engine: Layers = "transformer-engine"
    return (
        *local,
        *(Case(f"local {name}", g, parallel=table) for name, (g, table) in layouts.items()),
        Case("local bf16", "documents", precision="bf16"),
        Case("local bf16 data 2", "causal", precision="bf16", parallel={"data": 2}),
        *(Case(f"TE fp32 {golden}", golden, engine) for golden in GOLDEN),
        Case("TE bf16 flash attention", "causal", engine, "bf16", {}, _FLASH),
        Case("TE bf16 flash packed", "documents", engine, "bf16", {}, _FLASH),
        Case("TE bf16 cuDNN attention", "causal", engine, "bf16", {}, _FUSED),
        Case("TE bf16 cuDNN packed", "documents", engine, "bf16", {}, _FUSED),
        Case("TE fp8", "causal", engine, "fp8", needs_fp8=True),
        Case("TE fp8 packed", "documents", engine, "fp8", needs_fp8=True),
        Case("TE bf16 context 2", "causal", engine, "bf16", {"context": 2}),
        Case("TE bf16 tensor 2 sequence", "documents", engine, "bf16",
             {"tensor": 2, "sequence": True}),
        Case("TE bf16 context 2 tensor 2", "causal", engine, "bf16",
             {"context": 2, "tensor": 2, "sequence": True}),
        Case("TE fp32 expert 2", "experts", engine, "fp32", {"data": 2, "expert": 2}),
    )  # fmt: skip


CASES = _cases()
