"""Sample runs: so many records and no more, the same ones every time, from every shard."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep.contract import iterate_tables, kept_files
from dataprep.reading.read import Shard
from dataprep.reading.records import File
from dataprep.run import run
from dataprep.sample import quotas
from launch.errors import UserError
from launch.recipe import Recipe


def recipe(root: Path, folder: Path, **dataprep: object) -> Recipe:
    source = {
        "name": "s", "kind": "jsonl", "paths": [f"{folder}/*.jsonl"], "columns": {"id": "id"}
    }  # fmt: skip
    return Recipe.from_dict(
        {"run": {"root": str(root)}, "sources": [source], "dataprep": {"presets": [], **dataprep}}
    )


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=40), st.integers(1, 10**7))
def test_quotas_add_up_and_follow_the_bytes(sizes: list[int], limit: int) -> None:
    shards = [Shard(0, (File(str(i), str(i), size),)) for i, size in enumerate(sizes)]
    found = quotas(shards, limit)
    assert sum(quota or 0 for quota in found) == limit
    total = sum(size + 1 for size in sizes)
    for size, quota in zip(sizes, found, strict=True):
        assert quota is not None
        assert abs(quota - limit * (size + 1) / total) <= 1
    assert quotas(shards, None) == [None] * len(sizes)


def test_a_sample_has_its_records_and_says_so(tmp_path: Path, ray_session: object) -> None:
    for shard in range(3):
        lines = [
            json.dumps({"id": f"{shard}-{n}", "text": f"The mill {shard} turns {n} times. " * 9})
            for n in range(100)
        ]
        (tmp_path / f"{shard}.jsonl").write_text("\n".join(["{broken", *lines]) + "\n")
    sampled = recipe(tmp_path / "a", tmp_path, limit=30, quarantine_share_max=0.5)
    manifest = run(sampled)
    assert manifest is not None
    assert manifest.facts["records_read"] == 30
    assert manifest.config["dataprep"]["limit"] == 30
    directory = tmp_path / "a" / "documents"
    assert "at most 30 records" in (directory / "report.html").read_text()
    ids = [
        name
        for table in iterate_tables(directory, kept_files(manifest, "train"), ["id"])
        for name in table["id"].to_pylist()
    ]
    assert {name.split("-")[0] for name in ids} == {"s:0", "s:1", "s:2"}
    with pytest.raises(UserError, match="limit"):
        run(recipe(tmp_path / "a", tmp_path, quarantine_share_max=0.5))


def test_unreadable_sources_are_refused_before_the_last_shard(
    tmp_path: Path, ray_session: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shard in range(40):
        (tmp_path / f"{shard:02}.jsonl").write_text("{broken\n" * 1000)
    with pytest.raises(UserError, match=r"5,000 of 5,000 records that cannot be read"):
        run(recipe(tmp_path / "a", tmp_path))
