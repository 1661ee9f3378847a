"""What calibration looks at: documents from all of a shard, in every format, at bounded cost."""

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config import Dataprep, Source
from dataprep.models import calibration, classifier, classifier_training, spread
from dataprep.reading import read
from dataprep.reading.read_warc import read_records
from dataprep.reading.records import File, Record
from dataprep.retune_preview import with_found_thresholds
from dataprep.run import config_of
from dataprep.tasks import in_turn
from dataprep.workspace import Workspace
from launch.errors import UserError
from launch.manifest import Manifest
from launch.recipe import Recipe

NUM = 3000


def text(number: int) -> str:
    """Documents in order; those of the second half are ten times as long."""
    return f"number {number} " + "and so on " * (40 if number >= NUM // 2 else 4)


def page(number: int) -> bytes:
    body = text(number).encode()
    head = (
        f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def write(folder: Path, form: str) -> Source:
    """The documents in order, in one shard, as one of the formats has them."""
    lines = b"".join(json.dumps({"text": text(number)}).encode() + b"\n" for number in range(NUM))
    table = pa.table({"text": [text(number) for number in range(NUM)]})
    if form == "jsonl":
        (folder / "x.jsonl").write_bytes(lines)
    elif form == "jsonl.gz":
        (folder / "x.jsonl.gz").write_bytes(gzip.compress(lines, 1))
    elif form == "parquet of many groups":
        pq.write_table(table, folder / "x.parquet", row_group_size=20)
    elif form == "parquet of one group":
        pq.write_table(table, folder / "x.parquet")
    elif form == "csv":
        (folder / "x.csv").write_text("text\n" + "\n".join(table["text"].to_pylist()) + "\n")
    elif form == "arrow":
        with pa.ipc.new_stream(folder / "x.arrow", table.schema) as out:
            out.write_table(table, max_chunksize=50)
    elif form == "text":
        for number in range(NUM):
            (folder / f"{number:04}.text").write_text(text(number))
    elif form == "warc":
        (folder / "x.warc").write_bytes(b"".join(map(page, range(NUM))))
    else:
        pages = b"".join(gzip.compress(page(number), 1) for number in range(NUM))
        (folder / "x.warc.gz").write_bytes(pages)
    kind = form.partition(" ")[0].partition(".")[0]
    return Source(name="s", kind=kind, paths=("*.text" if kind == "text" else "x.*",))


FORMS = (
    *("jsonl", "jsonl.gz", "parquet of many groups", "parquet of one group", "csv", "arrow"),
    *("text", "warc", "warc.gz"),
)
SPREAD = {"jsonl", "parquet of many groups", "text", "warc", "warc.gz"}


@pytest.mark.parametrize("form", FORMS)
def test_documents_come_from_all_of_a_shard(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path, form)
    (shard,) = read.shards([source], tmp_path)
    monkeypatch.setattr(spread, "_RANGE_BYTES", 500)
    seen = []

    def counting(*arguments: Any) -> Any:
        for good, bad in read.read_shard(*arguments):
            seen.append(good.num_rows + bad.num_rows)
            yield good, bad

    monkeypatch.setattr(spread, "read_shard", counting)
    drawn = spread.draw_documents(shard, source, Dataprep(), 200)
    places = np.array([int(own.split()[1]) for own in drawn.documents["text"].to_pylist()])
    assert 150 <= len(places) <= 200 and len({*places.tolist()}) == len(places)
    # Each of the short and the long documents with the same chance: half of each, whatever the
    # bytes; and from all five parts of either half.
    counts = np.histogram(places, 10, (0, NUM))[0]
    assert counts.min() > 0.2 * len(places) / 10
    assert 0.35 < (places < NUM // 2).mean() < 0.65
    assert drawn.weight * len(places) == pytest.approx(NUM, rel=0.25)
    assert (sum(seen) < 0.5 * NUM) == (form in SPREAD), sum(seen)
    again = spread.draw_documents(shard, source, Dataprep(), 200)
    assert again.documents.equals(drawn.documents) and again.weight == drawn.weight
    # As many as there are: all of them.
    whole = spread.draw_documents(shard, source, Dataprep(), 2 * NUM)
    assert (whole.documents.num_rows, whole.weight) == (NUM, 1.0)


def test_of_a_sample_run_only_what_it_reads_is_looked_at(tmp_path: Path) -> None:
    source = write(tmp_path, "jsonl")
    (shard,) = read.shards([source], tmp_path)
    drawn = spread.draw_documents(shard, source, Dataprep(), 50, 400)
    places = [int(own.split()[1]) for own in drawn.documents["text"].to_pylist()]
    assert len(places) == 50 and max(places) < 400 and max(places) > 200
    assert drawn.weight == 400 / 50


def test_long_texts_make_the_sample_smaller_not_the_memory_larger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path, "jsonl.gz")
    (shard,) = read.shards([source], tmp_path)
    monkeypatch.setattr(spread, "_TEXT_BYTES_MAX", 20_000)
    drawn = spread.draw_documents(shard, source, Dataprep(), 1000)
    sizes = [len(own) for own in drawn.documents["text"].to_pylist()]
    assert 15_000 < sum(sizes) <= 20_000
    assert drawn.weight == NUM / len(sizes)


@pytest.mark.parametrize("compressed", [False, True])
@settings(max_examples=40, deadline=None)
@given(ends=st.lists(st.integers(0, 40_000), max_size=6))
def test_parts_of_an_archive_give_its_records(
    tmp_path_factory: pytest.TempPathFactory, compressed: bool, ends: list[int]
) -> None:
    pages = [page(number) for number in range(60)]
    # What only looks like the beginning of a member.
    pages[7] = page(7).replace(b"and so on ", b"\x1f\x8b\x08 WARC/", 1)
    content = b"".join(map(gzip.compress, pages) if compressed else pages)
    path = tmp_path_factory.mktemp("archive") / ("x.warc.gz" if compressed else "x.warc")
    path.write_bytes(content)
    source = Source(name="s", kind="warc", paths=("*",))

    def texts(first: int, stop: int | None) -> list[str]:
        file = File("x", str(path), len(content), first=first, stop=stop)
        found = read_records(file, "s:", source, Dataprep())
        return [item.text for item in found if isinstance(item, Record)]

    bounds = sorted({0, *(end for end in ends if end < len(content)), len(content)})
    parts = [texts(first, stop) for first, stop in itertools.pairwise(bounds)]
    assert [own for part in parts for own in part] == texts(0, None)
    assert len(texts(0, None)) >= 59


def test_a_sorted_shard_gets_the_threshold_of_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good documents first, in one shard; in the other short ones, which are as many."""
    draw = np.random.default_rng(3)
    good, bad = (
        np.array(words.split())
        for words in ("the river carries clear old water", "click buy cheap now winner prize")
    )

    def made(share: float, length: int, number: int) -> str:
        words = np.where(draw.random(length) < share, draw.choice(good, length),
                         draw.choice(bad, length))  # fmt: skip
        return f"{' '.join(words)} {number}"

    shares = np.sort(draw.random(2000))[::-1]
    texts = [made(share, 60, number) for number, share in enumerate(shares)]
    short = [made(share, 15, number) for number, share in enumerate(shares)]
    rows = [{"text": own} for own in texts]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.table({"text": short}), tmp_path / "b.parquet", row_group_size=25)
    labels = [{"text": made(label, 20, n), "label": label} for n in range(300) for label in (0, 1)]
    (tmp_path / "labels").write_text("".join(json.dumps(row) + "\n" for row in labels))
    recipe = Recipe.from_dict(
        {
            "run": {"root": str(tmp_path / "root"), "seed": 1},
            "sources": [
                {"name": "a", "kind": "jsonl", "paths": [f"{tmp_path}/a.jsonl"]},
                {"name": "b", "kind": "parquet", "paths": [f"{tmp_path}/b.parquet"]},
            ],
            "dataprep": {
                "languages": [],
                "presets": [],
                "quality": {
                    "labels": [{"paths": [f"{tmp_path}/labels"], "positive": [1]}],
                    "buckets": 2000,
                    "dimension": 8,
                    "epochs": 10,
                    "members": ["words"],
                    "select": "top_share",
                    "top_share": 0.2,
                    "calibration_documents": 300,
                },
            },
        }
    )
    monkeypatch.setattr(spread, "_RANGE_BYTES", 500)
    trained = classifier_training.train_command(recipe)
    models = {str(name): model.path for name, model in trained.items()}
    parts = read.shards(recipe.sources, Path.cwd())
    work = Workspace(tmp_path / "work")
    found = calibration.calibrate(recipe, work, parts, models, trained, in_turn)
    facts = found["quality"].facts["calibration"]
    assert facts["documents"] == 300
    assert recipe.dataprep.quality is not None
    step = classifier.make_step("quality", models["quality"], recipe.dataprep.quality)
    nothing = {
        "drop_reason": pa.string(),
        "drop_value": pa.float64(),
        "drop_threshold": pa.float64(),
    }
    table = pa.table({"text": pa.array(texts + short, pa.large_string())})
    for name, kind in nothing.items():
        table = table.append_column(name, pa.nulls(table.num_rows, kind))
    scores = step.apply(table)["quality_score"].to_numpy()
    kept = float((scores >= np.float32(facts["threshold"])).mean())
    # 300 documents: a standard error of 0.023.
    assert abs(kept - 0.2) < 0.07

    # A preview finds the same threshold, whatever share the documents were made with, and leaves
    # nothing behind.
    tables = config_of(recipe)
    tables["dataprep"]["quality"]["top_share"] = 0.5
    then = {"classifiers": {"quality": {"calibration": {**facts, "threshold": 0.123}}}}
    old = Manifest("documents", 1, tables, (), (), then)
    before = sorted((tmp_path / "root").rglob("*"))
    config = with_found_thresholds(recipe, old)
    assert config.quality is not None and config.quality.threshold == facts["threshold"]
    assert sorted((tmp_path / "root").rglob("*")) == before
    same = Manifest("documents", 1, config_of(recipe), (), (), then)
    config = with_found_thresholds(recipe, same)
    assert config.quality is not None and config.quality.threshold == 0.123
    with (tmp_path / "labels").open("a") as stream:
        stream.write(json.dumps({"text": made(1, 20, 999), "label": 1}) + "\n")
    with pytest.raises(UserError, match="no classifier of these labels"):
        with_found_thresholds(recipe, old)
