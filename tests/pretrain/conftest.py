"""A small corpus of made-up tokens, and recipes that train on it in seconds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from launch import torchrun
from launch.manifest import FileEntry, Manifest, commit_file, digest_file, write_manifest
from launch.recipe import Recipe
from tokenizer.indexed import Writer

VOCABULARY = 300
PADDED = 1024

# `[pretrain]` of the small recipes: seconds of training, a loss that falls.
DEFAULTS: dict[str, dict[str, Any]] = {
    "model": {
        "layers": 2, "hidden_size": 32, "heads": 4, "kv_heads": 2, "ffn_size": 64,
        "sequence_length": 32,
    },
    "training": {
        "iterations": 10, "batch_size": 8, "micro_batch_size": 2, "warmup_iterations": 2,
        "lr_peak": 1e-2, "log_interval": 1, "valid_interval": 4, "valid_batches": 2,
    },
    "checkpoint": {"interval_iterations": 4},
}  # fmt: skip


# Sources of the made-up corpus: `notes` is small, and `prose` has most.
SOURCES = ("code", "notes", "prose")


def write_tokens(directory: Path, train_documents: int = 400, valid_documents: int = 40) -> None:
    """A finished `tokens/`: two training shards and one of validation, of text that is learnable
    (each token mostly decides the next one), from three sources."""
    random = np.random.default_rng(7)
    follows = random.permutation(VOCABULARY - 1) + 1
    files, splits, by_source = [], {}, {}
    for split, shards in (("train", (train_documents * 2 // 3, train_documents // 3)),
                          ("valid", (valid_documents,))):  # fmt: skip
        counts: dict[str, dict[str, int]] = {}
        for index, documents in enumerate(shards):
            rows = [(_source(number), _document(random, follows)) for number in range(documents)]
            files += write_shard(directory, split, index, rows)
            for source, tokens in rows:
                sums = counts.setdefault(source, {"documents": 0, "tokens": 0, "text_bytes": 0})
                sums["documents"] += 1
                sums["tokens"] += len(tokens)
                sums["text_bytes"] += 4 * len(tokens)
        by_source[split] = dict(sorted(counts.items()))
        splits[split] = {name: sum(sums[name] for sums in counts.values())
                         for name in ("documents", "tokens", "text_bytes")}  # fmt: skip
    facts = {
        "tokenizer_digest": "xxh3_128:made-up", "dtype": "uint16", "eod_id": 0,
        "vocab_size": VOCABULARY, "padded_vocab_size": PADDED, "splits": splits,
        "by_source": by_source,
    }  # fmt: skip
    write_manifest(directory, Manifest("tokens", 1, {}, (), tuple(files), facts))


def write_shard(
    directory: Path, split: str, index: int, rows: list[tuple[str, np.ndarray]]
) -> list[FileEntry]:
    """One shard as `tokenizer encode` writes it: `.bin`, `.idx` and the Parquet map."""
    temporary = directory / f"{split}-{index}"
    temporary.parent.mkdir(parents=True, exist_ok=True)
    paths = {suffix: temporary.with_suffix(suffix) for suffix in (".bin", ".idx", ".parquet")}
    with Writer(paths[".bin"], paths[".idx"], np.dtype(np.uint16)) as writer:
        for _, tokens in rows:
            writer.add(tokens)
    lengths = [len(tokens) for _, tokens in rows]
    table = pa.table(
        {
            "id": [f"{source}:{split}-{index}-{row}" for row, (source, _) in enumerate(rows)],
            "source": [source for source, _ in rows],
            "tokens": pa.array(lengths, pa.int32()),
            "text_bytes": pa.array([4 * length for length in lengths], pa.int64()),
        }
    )
    parquet.write_table(table, paths[".parquet"], row_group_size=100)
    entry = commit_file(paths[".bin"], directory, f"{split}/shard-{index:05d}", ".bin", None)
    entries = [entry]
    for suffix in (".idx", ".parquet"):
        # The three share one stem, here that of the `.bin`'s content.
        target = (directory / entry.path).with_suffix(suffix)
        paths[suffix].rename(target)
        relative = str(target.relative_to(directory))
        entries.append(FileEntry(relative, None, target.stat().st_size, digest_file(target)))
    return entries


def _source(number: int) -> str:
    if number % 16 == 5:
        return "notes"
    return "code" if number % 4 == 2 else "prose"


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


@pytest.fixture(scope="session")
def recipes_below(corpus_root: Path) -> Callable[[Path], Callable[..., Recipe]]:
    """`recipes_below(directory)` makes a `make_recipe` whose root lies in `directory`."""

    def maker(directory: Path) -> Callable[..., Recipe]:
        root = directory / "root"
        root.mkdir()
        (root / "tokens").symlink_to(corpus_root / "tokens")

        def make(name: str = "run", seed: int = 1, **tables: dict[str, Any]) -> Recipe:
            names = sorted({*DEFAULTS, "parallel", *tables})
            pretrain = {name: {**DEFAULTS.get(name, {}), **tables.get(name, {})} for name in names}
            run = {"name": name, "root": str(root), "seed": seed}
            return Recipe.from_dict({"run": run, "pretrain": pretrain})

        return make

    return maker


@pytest.fixture
def make_recipe(
    recipes_below: Callable[[Path], Callable[..., Recipe]], tmp_path: Path
) -> Callable[..., Recipe]:
    """`make_recipe(name="run", seed=1, **tables)`: a small recipe in a root of this test's own.

    Tables are those of `[pretrain]`: `training={"iterations": 5}`.
    """
    return recipes_below(tmp_path)


class LayoutPool:
    """Ranks that stay alive between tests, one group for each world size that was asked for."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._groups: dict[int, list[subprocess.Popen[str]]] = {}

    def __call__(self, recipe: Recipe, work: Path, **command: Any) -> dict[str, Any]:
        """Have the recipe's layout execute a command of `layout_worker`; rank 0's answer.

        Fails unless all ranks answer alike: what a rank knows of a run, all of them know.
        """
        ranks = self._group(recipe.pretrain.parallel.world_size)
        line = json.dumps({"recipe": recipe.to_dict(), "work": str(work), **command}) + "\n"
        for rank in ranks:
            assert rank.stdin is not None
            rank.stdin.write(line)
            rank.stdin.flush()
        answers = []
        for rank in ranks:
            assert rank.stdout is not None
            text = rank.stdout.readline()
            assert text, f"a rank ended with {rank.wait(10)}"
            answers.append(json.loads(text))
        known = [{**a, "ok": {**a.get("ok", {}), "threads": 0}} for a in answers]
        assert all(answer == known[0] for answer in known), answers
        return answers[0]

    def _group(self, size: int) -> list["subprocess.Popen[str]"]:
        if size not in self._groups:
            port = str(torchrun.free_port())
            shared = torchrun.environment(size) | {
                "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
                "PYTHONWARNINGS": "ignore",
            }  # fmt: skip
            self._groups[size] = [
                subprocess.Popen(
                    [sys.executable, "-m", "tests.pretrain.layout_worker"],
                    cwd=self._repository,
                    env={**os.environ, **shared, "OMP_NUM_THREADS": "1", "RANK": str(rank)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for rank in range(size)
            ]
        return self._groups[size]

    def close(self) -> None:
        """End all ranks; the next command starts others."""
        for rank in (rank for ranks in self._groups.values() for rank in ranks):
            rank.kill()
            rank.communicate()
        self._groups.clear()


@pytest.fixture(scope="session")
def layouts(repository: Path) -> Iterator[LayoutPool]:
    """Trains recipes of any layout in processes that stay alive."""
    pool = LayoutPool(repository)
    yield pool
    pool.close()
