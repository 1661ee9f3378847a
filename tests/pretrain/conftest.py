"""A small corpus of made-up tokens, and recipes that train on it in seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from launch.manifest import Manifest, commit_file, write_manifest
from launch.recipe import Recipe
from tokenizer.indexed import Writer

VOCABULARY = 300
PADDED = 1024


def write_tokens(directory: Path, train_documents: int = 400, valid_documents: int = 40) -> None:
    """A finished `tokens/`: two training shards and one of validation, of text that is learnable
    (each token mostly decides the next one)."""
    random = np.random.default_rng(7)
    follows = random.permutation(VOCABULARY - 1) + 1
    files, splits = [], {}
    for split, shards in (("train", (train_documents * 2 // 3, train_documents // 3)),
                          ("valid", (valid_documents,))):  # fmt: skip
        tokens = 0
        for index, documents in enumerate(shards):
            temporary = directory / f"{split}-{index}"
            temporary.parent.mkdir(parents=True, exist_ok=True)
            paths = {suffix: temporary.with_suffix(suffix) for suffix in (".bin", ".idx")}
            with Writer(paths[".bin"], paths[".idx"], np.dtype(np.uint16)) as writer:
                for _ in range(documents):
                    writer.add(_document(random, follows))
            tokens += writer.num_tokens
            stem = f"{split}/shard-{index:05d}"
            entry = commit_file(paths[".bin"], directory, stem, ".bin", None)
            # `.bin` and `.idx` share one stem, which is that of the `.bin`'s content.
            target = (directory / entry.path).with_suffix(".idx")
            paths[".idx"].rename(target)
            files += [entry, _entry(directory, target)]
        splits[split] = {"documents": sum(shards), "tokens": tokens, "text_bytes": tokens * 4}
    facts = {
        "tokenizer_digest": "xxh3_128:made-up", "dtype": "uint16", "eod_id": 0,
        "vocab_size": VOCABULARY, "padded_vocab_size": PADDED, "splits": splits, "by_source": {},
    }  # fmt: skip
    write_manifest(directory, Manifest("tokens", 1, {}, (), tuple(files), facts))


def _entry(directory: Path, path: Path) -> Any:
    from launch.manifest import FileEntry, digest_file

    relative = str(path.relative_to(directory))
    return FileEntry(relative, None, path.stat().st_size, digest_file(path))


def _document(random: np.random.Generator, follows: np.ndarray) -> np.ndarray:
    length = int(random.integers(20, 200))
    tokens = np.empty(length, np.uint16)
    token = int(random.integers(1, VOCABULARY))
    for position in range(length - 1):
        tokens[position] = token
        if random.random() < 0.2:
            token = int(random.integers(1, VOCABULARY))
        else:
            token = int(follows[token - 1])
    tokens[-1] = 0
    return tokens


@pytest.fixture(scope="session")
def corpus_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose `tokens/` is finished. Read it, write elsewhere."""
    root = tmp_path_factory.mktemp("corpus")
    write_tokens(root / "tokens")
    return root


@pytest.fixture
def make_recipe(corpus_root: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """`make_recipe(name="run", **tables)`: a small recipe in a root of this test's own.

    Tables are those of `[pretrain]`: `training={"iterations": 5}`.
    """

    def make(name: str = "run", seed: int = 1, **tables: dict[str, Any]) -> Recipe:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        if not (root / "tokens").exists():
            (root / "tokens").symlink_to(corpus_root / "tokens")
        pretrain: dict[str, dict[str, Any]] = {
            "model": {"layers": 2, "hidden_size": 32, "heads": 4, "kv_heads": 2, "ffn_size": 64,
                      "sequence_length": 32},
            "training": {"iterations": 10, "batch_size": 8, "micro_batch_size": 2,
                         "warmup_iterations": 2, "lr_peak": 1e-2, "log_interval": 1,
                         "valid_interval": 4, "valid_batches": 2},
            "checkpoint": {"interval_iterations": 4},
        }  # fmt: skip
        for table, keys in tables.items():
            pretrain.setdefault(table, {}).update(keys)
        return Recipe.from_dict(
            {"run": {"name": name, "root": str(root), "seed": seed}, "pretrain": pretrain}
        )

    return make
