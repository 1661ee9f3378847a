"""Shapes by name and by depth, without torch.

A named size is a file `sizes/NAME.toml` with the keys of `[pretrain.model]` and, in its heading,
where they come from. `depth` derives a shape from one number.
"""

import tomllib
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "sizes"


def names() -> list[str]:
    """The named sizes, the smallest first."""
    shapes = {path.stem: tomllib.loads(path.read_text(encoding="utf-8"))
              for path in DIRECTORY.glob("*.toml")}  # fmt: skip
    return sorted(shapes, key=lambda name: (_matrix_area(shapes[name]), name))


def shape_of_size(name: str) -> dict[str, Any]:
    """The keys of `[pretrain.model]` that the named size decides. Raises ValueError."""
    if name not in names():
        raise ValueError(f"one of {', '.join(names())}")
    return tomllib.loads((DIRECTORY / f"{name}.toml").read_text(encoding="utf-8"))


def shape_of_depth(depth: int) -> dict[str, Any]:
    """A shape of `depth` layers: 64 channels wide for each, heads of 64, SwiGLU of 8/3.

    The ratio of width to depth is nanochat's (its `--depth` dial); the compute-optimal range is
    flat from about 30 to 200 (Kaplan et al. 2020, arXiv:2001.08361, figure 5). The SwiGLU's three
    matrices of 8/3 of the width have as many parameters as two of four times it (Shazeer 2020,
    arXiv:2002.05202, section 3), rounded up to a multiple of 64. So a layer has about 12 x width^2
    parameters, and `depth` layers about 49,000 x depth^3: depth 6 has 11M, 12 85M, 24 680M, 52 7B.
    """
    hidden_size = 64 * depth
    heads = depth
    return {
        "layers": depth,
        "hidden_size": hidden_size,
        "heads": heads,
        "kv_heads": heads,
        "ffn_size": -(-hidden_size * 8 // 3 // 64) * 64,
    }


def _matrix_area(shape: dict[str, Any]) -> int:
    experts = shape.get("experts", {}).get("count", 1)
    mlp = experts * 3 * shape["ffn_size"]
    area: int = shape["layers"] * shape["hidden_size"] * (4 * shape["hidden_size"] + mlp)
    return area
