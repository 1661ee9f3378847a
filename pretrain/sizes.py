"""Shapes by name and by depth, without torch.

A named size is a file `sizes/NAME.toml` with the keys of `[pretrain.model]` and, in its heading,
where they come from. `depth` derives a shape from one number.
"""

import tomllib
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "sizes"


def names() -> list[str]:
    """The named sizes."""
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


def shape_of_size(name: str) -> dict[str, Any]:
    """The keys of `[pretrain.model]` that the named size decides. Raises ValueError."""
    if name not in names():
        raise ValueError(f"one of {', '.join(names())}")
    return tomllib.loads((DIRECTORY / f"{name}.toml").read_text(encoding="utf-8"))


def shape_of_depth(depth: int) -> dict[str, Any]:
    """A shape of `depth` layers: 64 channels wide for each, heads of 64 or less, SwiGLU of 8/3.

    The ratio of width to depth is nanochat's (its `--depth` dial); the compute-optimal range is
    flat from about 30 to 200 (Kaplan et al. 2020, arXiv:2001.08361, figure 5).
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
