"""A recipe of 70B parameters with a corpus that exists on paper: a manifest without shards."""

from pathlib import Path

from launch.manifest import Manifest, write_manifest

_RECIPE = """
[run]
name = "seventy-billion"
root = "{root}"
[pretrain.model]
layers = 80
hidden_size = 8192
heads = 64
kv_heads = 8
ffn_size = 28672
sequence_length = 8192
[pretrain.parallel]
tensor = 8
pipeline = 4
data = 2
sequence = true
virtual_stages = 5
overlap_gradients = true
overlap_parameters = true
recompute = "full"
[pretrain.training]
iterations = 100
batch_size = 256
micro_batch_size = 1
precision = "bf16"
lr_peak = 1.5e-4
lr_min = 1.5e-5
[pretrain.checkpoint]
keep = {keep}
"""


def write_seventy_billion(directory: Path, keep: int = 1) -> Path:
    """Write recipe and manifest below `directory`; the recipe's path."""
    counts = {"documents": 1_000_000, "tokens": 2_000_000_000, "text_bytes": 8_000_000_000}
    few = {name: number // 1_000 for name, number in counts.items()}
    facts = {
        "tokenizer_digest": "xxh3_128:made-up", "dtype": "int32", "eod_id": 0,
        "vocab_size": 128_000, "padded_vocab_size": 128_000,
        "splits": {"train": counts, "valid": few},
        "by_source": {"train": {"web": counts}, "valid": {"web": few}},
    }  # fmt: skip
    (directory / "tokens").mkdir(parents=True, exist_ok=True)
    write_manifest(directory / "tokens", Manifest("tokens", 1, {}, (), (), facts))
    recipe = directory / "recipe.toml"
    recipe.write_text(_RECIPE.format(root=directory, keep=keep), encoding="utf-8")
    return recipe
