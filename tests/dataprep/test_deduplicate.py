"""Deduplication from shards to decisions, without Ray: independent of how the work is cut."""

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import xxhash

from dataprep.config import Columns, Dataprep, Source
from dataprep.config_duplicates import NearDuplicates
from dataprep.dedup import candidates
from dataprep.dedup.decisions import read_decisions
from dataprep.dedup.deduplicate import deduplicate
from dataprep.dedup.survivors import with_source_order
from dataprep.reading.read import shards
from dataprep.shard import process_shard
from dataprep.tasks import in_turn
from dataprep.workspace import Layout, Workspace

WORDS = [f"{a}{b}" for a, b in itertools.product("bcdfgklmnprst", ("ano", "eli", "ite", "omu"))]


def corpus(seed: int) -> dict[str, str]:
    """Families of texts: copies with other line ends, small and large edits, and loners."""
    draw = random.Random(seed)
    texts = {}
    for family in range(12):
        words = draw.choices(WORDS, k=draw.randint(60, 400))
        for member in range(draw.choice([1, 1, 2, 4, 6])):
            edited = list(words)
            for _ in range(draw.choice([0, 0, 1, 2, 8])):
                edited[draw.randrange(len(edited))] = "edited"
            line = draw.choice([" ", " ", "\r\n", "\n"])
            texts[f"{family}-{member}"] = " ".join(edited[:30]) + line + " ".join(edited[30:])
    texts["short-a"] = texts["short-b"] = "only four words here"
    texts["short-c"] = "another four words here"
    return texts


def decide(
    folder: Path,
    texts: dict[str, str],
    num_shards: int,
    partitions: int,
    seed: int,
    groups: int = 256,
) -> dict[str, dict[str, Any]]:
    """Decisions by id, with the texts dealt to shards at random."""
    names = list(texts)
    random.Random(seed).shuffle(names)
    folder.mkdir()
    for shard in range(num_shards):
        lines = [json.dumps({"id": name, "text": texts[name]}) for name in names[shard::num_shards]]
        (folder / f"{shard}.jsonl").write_text("\n".join(lines) + "\n")
    near = NearDuplicates(partitions=partitions)
    config = Dataprep(languages=(), presets=(), near_duplicates=near)
    source = Source(name="s", kind="jsonl", paths=("*.jsonl",), columns=Columns(id="id"))
    config = with_source_order(config, [source])
    work = Workspace(folder / "work")
    for index, shard in enumerate(shards([source], folder)):
        process_shard(work, index, shard, source, config, {})
    layout = Layout(num_shards, partitions, num_groups_max=groups, group_shards_min=1)
    deduplicate(work, config, layout, in_turn)
    found = {}
    for index in range(num_shards):
        ids = pq.read_table(work.staged(index), columns=["id"])["id"].to_pylist()
        for row in read_decisions(work, index).to_pylist():
            found[ids[row.pop("row")].removeprefix("s:")] = row
    return found


def similarity(left: str, right: str) -> float:
    first, second = (
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
        for words in (left.split(), right.split())
    )
    return len(first & second) / len(first | second) if first | second else 0.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_decisions_do_not_depend_on_shards_partitions_or_order(tmp_path: Path, seed: int) -> None:
    texts = corpus(seed)
    expected = decide(tmp_path / "a", texts, num_shards=1, partitions=1, seed=0)
    assert decide(tmp_path / "b", texts, num_shards=3, partitions=4, seed=1, groups=2) == expected
    assert decide(tmp_path / "c", texts, num_shards=2, partitions=7, seed=2) == expected


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_decisions_hold_against_comparing_all_pairs(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "_BATCH_SHINGLES", 500)  # several batches
    texts = corpus(seed)
    found = decide(tmp_path / "a", texts, num_shards=2, partitions=3, seed=4)
    dropped = {name: row for name, row in found.items() if row["drop_reason"] is not None}
    assert {row["drop_reason"] for row in dropped.values()} == {
        "exact.duplicate", "near_duplicates.jaccard"
    }  # fmt: skip
    for name, row in dropped.items():
        survivor = row["survivor_id"].removeprefix("s:")
        assert survivor not in dropped
        assert found[survivor]["cluster_id"] == row["cluster_id"] == row["survivor_id"]
        if row["drop_reason"] == "exact.duplicate":
            assert texts[name].replace("\r\n", "\n") == texts[survivor].replace("\r\n", "\n")
            assert row["drop_value"] == row["survivor_jaccard"] == 1.0
        else:
            assert row["drop_value"] == pytest.approx(similarity(texts[name], texts[survivor]))
            assert row["drop_value"] >= row["drop_threshold"] == 0.8
    assert set(found) - set(dropped) == {row["cluster_id"][2:] for row in dropped.values()}
    # 0.9: at 0.8 itself three pairs in a thousand share no band.
    for left, right in itertools.combinations(texts, 2):
        if similarity(texts[left], texts[right]) >= 0.9:
            assert left in dropped or right in dropped, (left, right)
    # Texts shorter than a shingle: equal ones are duplicates, others are not.
    assert ("short-a" in dropped) != ("short-b" in dropped)
    assert "short-c" not in found


def test_a_copy_of_a_near_duplicate_names_the_survivor_that_was_kept(tmp_path: Path) -> None:
    # "copy" and "same" are one text after normalization, and "one" is near it. The content hash
    # decides who survives: texts are drawn until it is "one".
    for seed in itertools.count():
        words = random.Random(seed).choices(WORDS, k=300)
        edited = [*words[:200], "edited", *words[201:]]
        texts = {
            "one": " ".join(words),
            "copy": " ".join(edited[:100]) + "\r\n" + " ".join(edited[100:]),
            "same": " ".join(edited[:100]) + "\n" + " ".join(edited[100:]),
        }
        if min(texts, key=lambda name: xxhash.xxh3_128_digest(texts[name].encode())) == "one":
            break
    found = decide(tmp_path / "a", texts, num_shards=1, partitions=1, seed=0)
    assert found["one"]["drop_reason"] is None
    assert {row["cluster_id"] for row in found.values()} == {"s:one"}
    # Equal texts, of which one was dropped for being near: both name the same, likewise.
    assert found["copy"] == found["same"]
    assert found["copy"]["drop_reason"] == "near_duplicates.jaccard"
    assert found["copy"]["drop_value"] == pytest.approx(similarity(texts["one"], texts["same"]))
