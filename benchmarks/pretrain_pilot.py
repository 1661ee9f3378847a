"""A real small run: 1.1M parameters outside the embeddings, 21M tokens of English and Chinese.

The developers' data become documents, a tokenizer of 8,192 ids and tokens; the run trains on them,
and so do two plain PyTorch runs (`pretrain_plain`), on the same batches: one from the same initial
weights, one from another seed's, which says how much chance alone moves the loss. It takes about
five hours of one core. Everything lies below `runs/pilot` and is resumed from there.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.documents import DATA, REPOSITORY

ROOT = REPOSITORY / "runs" / "pilot"
_RECIPE = """
[run]
name = "pilot"
root = "{root}"
seed = {seed}
[[sources]]
name = "en-docs"
kind = "jsonl"
paths = ["{data}/en_docs/*.jsonl.gz"]
[[sources]]
name = "en-prose"
kind = "jsonl"
paths = [
    "{data}/en_books/*.jsonl.gz", "{data}/en_wiki/*.jsonl.gz", "{data}/en_gov_news/*.jsonl.gz",
]
[[sources]]
name = "zh"
kind = "jsonl"
paths = ["{data}/zh_docs/*.jsonl.gz", "{data}/zh_classics/*.jsonl.gz"]
[dataprep]
languages = ["en", "zh"]
presets = ["gopher", "chinese"]
valid_fraction = 0.01
[tokenizer]
model_type = "bpe"
vocab_size = 8192
[pretrain.model]
layers = 6
hidden_size = 128
heads = 4
kv_heads = 2
ffn_size = 352
sequence_length = 256
tied_embeddings = true
[pretrain.training]
iterations = 5200
batch_size = 16
micro_batch_size = 8
lr_peak = 3e-3
lr_min = 3e-4
warmup_iterations = 200
valid_interval = 400
valid_batches = 20
log_interval = 20
[pretrain.checkpoint]
interval_iterations = 200
"""


def pilot() -> tuple[dict[str, Any], str, bool]:
    """Validation losses of our run and of the plain ones at the end; it holds if ours lies no
    further from the plain one with its weights than another seed does."""
    if not DATA.is_dir():
        raise FileNotFoundError(str(DATA))
    recipes = {seed: _recipe(seed) for seed in (1, 2)}
    for stage, verb in (("dataprep", "run"), ("tokenizer", "train"), ("tokenizer", "encode"),
                        ("pretrain", "run")):  # fmt: skip
        _python(f"{stage}", verb, str(recipes[1]))
    samples = ROOT / "samples.npz"
    if not samples.exists():
        _python("benchmarks.pretrain_plain", "samples", str(recipes[1]), str(samples))
    plain = {seed: _plain(recipe, samples) for seed, recipe in recipes.items()}
    result = json.loads((ROOT / "runs" / "pilot" / "result.json").read_text(encoding="utf-8"))
    ours = float(result["loss_valid"])
    value = {
        "loss_valid": ours,
        "plain": plain[1],
        "plain_of_another_seed": plain[2],
        "tokens": result["tokens"],
        "bits_per_byte": result["bits_per_byte_valid"],
    }
    holds = abs(ours - plain[1]) <= abs(plain[1] - plain[2])
    return value, "within the noise of a seed", holds


def _recipe(seed: int) -> Path:
    path = ROOT / f"seed-{seed}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_RECIPE.format(root=ROOT, data=DATA, seed=seed), encoding="utf-8")
    return path


def _plain(recipe: Path, samples: Path) -> float:
    target = recipe.with_suffix(".jsonl")
    _python("benchmarks.pretrain_plain", "train", str(recipe), str(samples), str(target))
    lines = target.read_text(encoding="utf-8").splitlines()
    return float([json.loads(line) for line in lines if "loss_valid" in line][-1]["loss_valid"])


def _python(*module: str) -> None:
    subprocess.run([sys.executable, "-m", *module], cwd=REPOSITORY, check=True, stdout=sys.stderr)


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """The name and computation of the figure."""
    yield "pilot", pilot
