"""The documents that an annotator is asked about: a fixed draw, as they would be scored.

A document's content and the seed decide whether it is drawn, so that neither order, shards nor
workers matter, and a larger sample holds the smaller one. Of each shard those with the smallest
draws are taken that are still alive where a classifier would meet them: personal data is out of
them before they leave this machine, and what rules or rights drop is not sent to anybody.
"""

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dataprep import sample, side_files
from dataprep.config import Dataprep, Source
from dataprep.reading import read
from dataprep.reading.read import Shard
from dataprep.rehearsal import rehearse_once
from dataprep.sealed import read_sealed, write_sealed
from dataprep.shard import chain
from dataprep.step import Step, alive, apply_chain
from dataprep.tasks import RunTasks, in_turn, run_stage_tasks

if TYPE_CHECKING:
    from launch.recipe import Recipe

SCHEMA = pa.schema(
    [
        pa.field("draw", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)
# Steps that come after a text is what it will be, or that need a model which may not exist yet.
_LATER_STEPS = ("quality", "toxicity", "perplexity", "signature")
# Below so much, starting Ray takes longer than the draw.
_ALONE_BYTES = 64 << 20
_SALT = b"annotate"


@dataclass(frozen=True)
class Sampled:
    """A document of the sample: `text` is as it would be written."""

    id: str
    content_hash: bytes
    text: str


def sampled(recipe: "Recipe", num: int) -> list[Sampled]:
    """At most `num` documents of the recipe's sources, in the order of their draws.

    Texts that are equal count once. There are fewer than `num` if the sources have no more.
    """
    from launch.ray_cluster import ray_session

    shards = read.number_rows(read.shards(recipe.sources, Path.cwd()), recipe.sources)
    rehearse_once()
    if sum(part.num_bytes for part in shards) <= _ALONE_BYTES:
        return _gather(recipe, shards, num, in_turn)
    with ray_session(recipe.execution):
        return _gather(recipe, shards, num, functools.partial(run_stage_tasks, recipe))


def _gather(
    recipe: "Recipe", shards: Sequence[Shard], num: int, run_tasks: RunTasks
) -> list[Sampled]:
    config = side_files.with_absolute_paths(recipe.dataprep)
    quotas = sample.quotas(shards, recipe.dataprep.limit)
    # Where workers of other machines find it too.
    place = recipe.run.root.resolve()
    while not place.exists():
        place = place.parent
    with tempfile.TemporaryDirectory(prefix=".annotate-", dir=place) as folder:
        paths = [Path(folder) / f"{index}.parquet" for index in range(len(shards))]
        arguments = [
            (path, part, recipe.sources[part.source_index], config, num, recipe.run.seed, quota)
            for path, part, quota in zip(paths, shards, quotas, strict=True)
        ]
        run_tasks(draw_shard, arguments, "sample")
        drawn = SCHEMA.empty_table()
        for path in paths:
            drawn = _smallest(pa.concat_tables([drawn, read_sealed(path)]), num)
    found: dict[str, Sampled] = {}
    for row in drawn.to_pylist():
        found.setdefault(row["text"], Sampled(row["id"], row["content_hash"], row["text"]))
    return list(found.values())


def draw_shard(
    path: Path,
    shard: Shard,
    source: Source,
    config: Dataprep,
    num: int,
    seed: int,
    records_max: int | None,
) -> None:
    """Task: the shard's living documents with the `num` smallest draws, written to `path`.

    A row whose draw is beyond those that are there already goes through no step: after the first
    rows hardly any does.
    """
    steps = _steps(config)
    drawn = SCHEMA.empty_table()
    bound: int | None = None
    for table, _ in read.read_shard(shard, source, config, records_max):
        draws = _draws(table["content_hash"], seed)
        near = np.ones(len(draws), np.bool_) if bound is None else draws <= np.uint64(bound)
        if not near.any():
            continue
        chosen = apply_chain(steps, table.filter(pa.array(near)))
        living = alive(chosen)
        columns = {"draw": pa.array(draws[near]), **{n: chosen[n] for n in SCHEMA.names[1:]}}
        met = pa.table(columns, schema=SCHEMA).filter(pa.array(living))
        drawn = _smallest(pa.concat_tables([drawn, met]), num)
        if drawn.num_rows == num:
            bound = drawn["draw"][num - 1].as_py()
    write_sealed(path, drawn)


def _steps(config: Dataprep) -> list[Step]:
    return [step for step in chain(config, {}) if step.name not in _LATER_STEPS]


def _draws(content_hashes: pa.ChunkedArray, seed: int) -> npt.NDArray[np.uint64]:
    """Shape [rows], uint64: uniform, by content and seed."""
    suffix = seed.to_bytes(8, "little") + _SALT
    digest = xxhash.xxh3_64_intdigest
    hashes = content_hashes.to_pylist()
    return np.array([digest(content_hash + suffix) for content_hash in hashes], np.uint64)


def _smallest(table: pa.Table, num: int) -> pa.Table:
    """The rows with the `num` smallest draws, in order, each content once, under its first id."""
    table = table.sort_by([("draw", "ascending"), ("id", "ascending")])
    hashes = table["content_hash"].to_pylist()
    first = [place for place, own in enumerate(hashes) if place == 0 or own != hashes[place - 1]]
    return table.take(pa.array(first[:num], pa.int64())).combine_chunks()
