"""The plan: what it expects is about what a run does, and a full disk stops it."""

import gzip
import json
import shutil
import time
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from dataprep import plan
from dataprep.run import run
from launch.errors import UserError
from launch.recipe import Recipe


def recipe(root: Path, folder: Path, **dataprep: object) -> Recipe:
    source = {"name": "s", "kind": "jsonl", "paths": [f"{folder}/*.jsonl.gz"]}
    return Recipe.from_dict(
        {
            "run": {"root": str(root)},
            "execution": {"workers": 2},
            "sources": [source],
            "dataprep": dataprep,
        }
    )


def write_shards(folder: Path, num_shards: int, records: int) -> None:
    """English prose, every text different from every other, one in five a near-duplicate."""
    texts = [text for text in topics.values() if len(text) > 3000]
    for shard in range(num_shards):
        with gzip.open(folder / f"{shard}.jsonl.gz", "wt", compresslevel=1) as stream:
            for number in range(records):
                place = shard * records + number - (number % 5 == 0)
                text = texts[place % len(texts)]
                words = text.split(" ")
                cut = place % 997
                changed = " ".join(
                    f"{word} {place % (i + 2)}" if i % 3 else word
                    for i, word in enumerate(words[cut:] + words[:cut])
                )
                stream.write(json.dumps({"text": changed[:5000]}) + "\n")


@pytest.mark.slow
@pytest.mark.alone
def test_time_disk_and_documents_are_about_right(tmp_path: Path) -> None:
    write_shards(tmp_path, 4, 4000)
    wanted = recipe(tmp_path / "run", tmp_path, presets=[])
    start = time.monotonic()
    expected = plan.estimate(wanted)
    assert time.monotonic() - start - expected.compile_seconds < 15
    start = time.monotonic()
    manifest = run(wanted)
    seconds = time.monotonic() - start
    assert manifest is not None
    assert seconds / 2 < expected.seconds < seconds * 2
    facts = manifest.facts
    assert 0.7 < expected.documents / facts["documents_in"] < 1.4
    assert abs(expected.kept_share - facts["kept"] / facts["documents_in"]) < 0.25
    final_bytes = sum(entry.bytes for entry in manifest.files)
    assert final_bytes / 2 < expected.final_bytes < final_bytes * 2


def test_a_full_disk_is_found_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = plan.Estimate(60.0, 0.0, 1000, 0.9, work_bytes=3 * 10**9, final_bytes=10**9)
    wanted = recipe(tmp_path / "run", tmp_path)
    free = {"total": 10**12, "used": 0, "free": 5 * 10**9}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(**free))
    plan.check_disk(wanted, expected)
    free["free"] = 10**9
    with pytest.raises(UserError, match=r"got 1\.0 GB free on its disk, expected about 4\.0 GB"):
        plan.check_disk(wanted, expected)
    assert not (tmp_path / "run").exists()
