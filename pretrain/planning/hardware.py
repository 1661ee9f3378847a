"""Kinds of GPU: what one can do at most, from its vendor's data sheet, without torch.

A kind is a file `hardware/KIND.toml`, each number with its source beside it.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from launch.errors import UserError

DIRECTORY = Path(__file__).parent / "hardware"


@dataclass(frozen=True)
class Hardware:
    """One GPU of a kind, and its share of the server that it is usually sold in."""

    kind: str
    description: str
    device_names: tuple[str, ...]
    """How `torch.cuda.get_device_name` calls it."""
    memory_bytes: int
    memory_gigabytes_per_second: float
    nvlink_gigabytes_per_second: float
    """To the other GPUs of a node, one direction."""
    network_gigabytes_per_second: float
    """To other nodes, one direction."""
    gpus_per_node: int
    multiprocessors: int
    """Matrix products are cut into tiles, one for each at a time."""
    host_memory_bytes_per_gpu: int
    peak_teraflops: dict[str, float]
    """Dense matrix products by precision; a precision that is absent is not supported."""


def kinds() -> list[str]:
    """The known kinds."""
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


@cache
def hardware(kind: str) -> Hardware:
    """The kind of that name. Raises `UserError` if it is not known."""
    if kind not in kinds():
        raise UserError(
            "kind", f"'{kind}'", f"one of {', '.join(kinds())}",
            f"another kind of GPU is a file in {DIRECTORY.parent.name}/{DIRECTORY.name}/",
        )  # fmt: skip
    table = tomllib.loads((DIRECTORY / f"{kind}.toml").read_text(encoding="utf-8"))
    return Hardware(kind=kind, **{**table, "device_names": tuple(table["device_names"])})


def kind_of(device_name: str) -> str | None:
    """The kind of a GPU by the name that torch gives it (`torch.cuda.get_device_name`)."""
    return next((k for k in kinds() if device_name in hardware(k).device_names), None)


def peak_teraflops(kind: str, precision: str) -> float | None:
    """Peak of one GPU in TFLOP/s: dense matrix products, no sparsity.

    `kind` is a known kind or torch's name of a device, `precision` that of `training.precision`.
    None if either is not known or the GPU does not have it.
    """
    known = kind if kind in kinds() else kind_of(kind)
    return None if known is None else hardware(known).peak_teraflops.get(precision)
