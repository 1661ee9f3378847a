"""A real small run: 1.1M parameters outside the embeddings, 21M tokens of English and Chinese.

The developers' data become documents, a tokenizer of 8,192 ids and tokens; two of our runs train on
them and three plain PyTorch runs (`pretrain_plain`), all on the same batches. Two of each begin
with the same weights and cut a batch into other micro-batches, so that only rounding tells them
apart; the third plain run begins with another seed's. What such runs differ by at the end is what
chance moves. It takes about nine hours of one core. Everything lies below `runs/pilot` and is
resumed from there.
"""

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.documents import DATA, REPOSITORY

ROOT = REPOSITORY / "runs" / "pilot"
# By name: seed, and sequences in a micro-batch. All train on the batches of the first.
_RUNS = {"pilot": (1, 8), "rounded": (1, 4), "other_seed": (2, 8)}
_RECIPE = """
[run]
name = "{name}"
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
micro_batch_size = {micro_batch}
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
    """Validation losses at the end; it holds if the means of both codes differ by no more than two
    standard errors, of which the scatter of each code's runs tells the size."""
    if not DATA.is_dir():
        raise FileNotFoundError(str(DATA))
    recipes = {name: _recipe(name, *how) for name, how in _RUNS.items()}
    for stage, verb in (("dataprep", "run"), ("tokenizer", "train"), ("tokenizer", "encode")):
        _python(stage, verb, str(recipes["pilot"]))
    ours, plain = {}, {}
    for name in ("pilot", "rounded"):
        _python("pretrain", "run", str(recipes[name]))
        result = json.loads((ROOT / "runs" / name / "result.json").read_text(encoding="utf-8"))
        ours[name] = float(result["loss_valid"])
    samples = ROOT / "samples.npz"
    if not samples.exists():
        _python("benchmarks.pretrain_plain", "samples", str(recipes["pilot"]), str(samples))
    for name, recipe in recipes.items():
        plain[name] = _plain(recipe, samples)
    runs = ([*ours.values()], [*plain.values()])
    freedom = sum(len(own) - 1 for own in runs)
    scatter = math.sqrt(sum((len(own) - 1) * statistics.variance(own) for own in runs) / freedom)
    value = {
        "ours": ours,
        "plain": plain,
        "difference_of_means": statistics.mean(runs[0]) - statistics.mean(runs[1]),
        "standard_deviation_of_a_run": scatter,
        "standard_error": scatter * math.sqrt(sum(1 / len(own) for own in runs)),
        "tokens": result["tokens"],
        "bits_per_byte": result["bits_per_byte_valid"],
    }
    holds = abs(value["difference_of_means"]) <= 2 * value["standard_error"]
    return value, "within the noise of a seed", holds


def _recipe(name: str, seed: int, micro_batch: int) -> Path:
    path = ROOT / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _RECIPE.format(root=ROOT, data=DATA, name=name, seed=seed, micro_batch=micro_batch)
    path.write_text(text, encoding="utf-8")
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
