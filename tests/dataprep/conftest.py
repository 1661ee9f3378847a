"""What tests of pieces share: a run of all tasks in this process, without Ray."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dataprep.config import Columns, Dataprep, Source
from dataprep.reading.read import shards
from dataprep.rehearsal import take_through
from dataprep.workspace import Workspace

Rows = list[dict[str, Any]]


@pytest.fixture
def run_pieces() -> Callable[..., tuple[dict[str, dict[str, Any]], Rows, Workspace]]:
    """A function of folder, texts by id, recipe, number of shards and seed, by which texts are
    dealt to shards: written documents by id, the pieces cut out, sorted, and the workspace."""
    return _run


def _run(
    folder: Path, texts: dict[str, str], config: Dataprep, num_shards: int, seed: int
) -> tuple[dict[str, dict[str, Any]], Rows, Workspace]:
    names = list(texts)
    random.Random(seed).shuffle(names)
    folder.mkdir()
    for shard in range(num_shards):
        lines = [json.dumps({"id": name, "text": texts[name]}) for name in names[shard::num_shards]]
        (folder / f"{shard}.jsonl").write_text("\n".join(lines) + "\n")
    source = Source(name="s", kind="jsonl", paths=("*.jsonl",), columns=Columns(id="id"))
    work = Workspace(folder / "work")
    parts = shards([source], folder)
    take_through(work, parts, [source], config, {}, [None] * len(parts), folder / "documents")
    documents: dict[str, dict[str, Any]] = {}
    pieces: list[dict[str, Any]] = []
    for path in sorted((folder / "documents").rglob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        if path.parent.name == "cuts":
            pieces += rows
        elif path.parent.name in ("train", "valid", "dropped"):
            documents |= {row["id"].removeprefix("s:"): row for row in rows}
    for piece in pieces:
        del piece["row"]
    return documents, sorted(pieces, key=lambda piece: tuple(map(str, piece.values()))), work
