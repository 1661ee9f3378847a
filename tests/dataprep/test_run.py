"""The whole stage with real Ray: what goes in comes out, whatever the workers and shards."""

import gzip
import json
import random
import re
import time
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.contract import dropped_files, iterate_tables, kept_files, quarantine_files
from dataprep.run import run
from launch.errors import UserError
from launch.manifest import Manifest, read_manifest
from launch.recipe import Recipe

Document = dict[str, str]
LINE_BYTES_MAX = 200_000


def documents() -> list[Document]:
    """Real English prose (Python's own reference) with exact and near copies, ids in order.

    A document's family is the part of its id before the dot.
    """
    made = []
    # Some entries of the reference share one text: "if", "elif" and "else" do.
    for text, name in sorted({text[:6000]: name for name, text in topics.items()}.items()):
        made.append({"id": f"{name}.original", "text": text, "mail": f"{name}@python.org"})
        if len(made) % 3 == 0:
            # Other line ends: another content, the same text once it is normalized.
            made.append({"id": f"{name}.copy", "text": text.replace("\n", "\r\n"), "mail": ""})
        if len(made) % 4 == 0:
            made.append({"id": f"{name}.longer", "text": text + " And so it goes.", "mail": ""})
    return made


def write_lines(path: Path, records: list[Document], extra: tuple[bytes, ...] = ()) -> None:
    """JSONL (compressed if the name says so); `extra` are lines of whatever bytes."""
    lines = [json.dumps(record).encode() for record in records]
    content = b"".join(line + b"\n" for line in [*lines, *extra])
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three shards without a fault."""
    folder = tmp_path_factory.mktemp("clean")
    records = documents()
    for shard in range(3):
        write_lines(folder / f"{shard}.jsonl", records[shard::3])
    return folder


def recipe(root: Path, folder: Path, **changes: Any) -> Recipe:
    """A recipe for the files of `folder`; `changes` are tables that replace or extend its own."""
    tables: dict[str, Any] = {
        "run": {"root": str(root), "seed": 3},
        "execution": {"workers": 2},
        "sources": [
            {
                "name": "topics",
                "kind": "jsonl",
                "paths": [f"{folder}/*.jsonl*"],
                "columns": {"id": "id", "meta": ["mail"]},
            }
        ],
        "dataprep": {
            "valid_fraction": 0.1,
            "near_duplicates": {"partitions": 3},
            # These documents are full of signs, which are words for Gopher's rule.
            "thresholds": {"gopher": {"alphabetic_words_low": 0.5}},
        },
    }
    for name, table in changes.items():
        tables[name] = {**tables[name], **table} if isinstance(table, dict) else table
    return Recipe.from_dict(tables)


def build(root: Path, folder: Path, **changes: Any) -> Manifest:
    manifest = run(recipe(root, folder, **changes))
    assert manifest is not None
    return manifest


def rows(directory: Path, files: list[str]) -> list[dict[str, Any]]:
    return [row for table in iterate_tables(directory, files) for row in table.to_pylist()]


def all_rows(directory: Path, manifest: Manifest) -> list[dict[str, Any]]:
    files = [*kept_files(manifest, "train"), *kept_files(manifest, "valid")]
    return rows(directory, [*files, *dropped_files(manifest)])


@pytest.fixture(scope="module")
def finished(
    clean: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: object
) -> tuple[Path, Manifest]:
    """The documents of the faultless folder, built once with two workers."""
    root = tmp_path_factory.mktemp("finished")
    return root / "documents", build(root, clean)


def test_every_document_comes_out_once_with_its_reason(finished: tuple[Path, Manifest]) -> None:
    directory, manifest = finished
    found = all_rows(directory, manifest)
    assert Counter(row["id"] for row in found) == Counter(f"topics:{d['id']}" for d in documents())
    facts = manifest.facts
    reasons = Counter(row["drop_reason"] for row in found)
    assert facts["kept"] == reasons.pop(None) > 20
    assert facts["dropped"] == reasons
    assert facts["bytes_in"] == sum(len(d["text"].encode()) for d in documents())
    text_bytes = sum(len(row["text"].encode()) for row in found)
    assert facts["bytes_in"] == text_bytes + sum(facts["bytes_removed"].values())
    assert facts["duplicates"]["exact"] > 10
    assert facts["duplicates"]["near"] > 10
    assert facts["splits"]["valid"]["documents"] > 0
    assert not (directory / "work").exists()


def test_every_duplicate_names_a_kept_survivor_that_is_similar_enough(
    finished: tuple[Path, Manifest],
) -> None:
    directory, manifest = finished
    found = {row["id"]: row for row in all_rows(directory, manifest)}
    duplicates = [row for row in found.values() if row["survivor_id"] is not None]
    assert len(duplicates) == sum(manifest.facts["duplicates"].values())
    for row in duplicates:
        survivor = found[row["survivor_id"]]
        assert survivor["drop_reason"] is None
        assert survivor["survivor_id"] is None
        assert survivor["cluster_id"] == row["cluster_id"] == survivor["id"]
        assert row["drop_value"] >= row["drop_threshold"]
        assert row["drop_value"] == pytest.approx(jaccard(row["text"], survivor["text"]))
        if row["drop_reason"] == "exact.duplicate":
            assert row["text"] == survivor["text"]
            assert row["content_hash"] > survivor["content_hash"]
        else:
            assert row["drop_reason"] == "near_duplicates.jaccard"
            assert row["text"] != survivor["text"] or row["survivor_jaccard"] == 1.0
    # Of every family one and only one is left, unless a rule had dropped the survivor's text.
    kept = Counter(key.split(".")[0] for key, row in found.items() if row["drop_reason"] is None)
    assert max(kept.values()) == 1


def jaccard(left: str, right: str) -> float:
    words = [re.findall(r"\w+", text.lower()) for text in (left, right)]
    first, second = ({tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in words)
    return len(first & second) / len(first | second)


def test_one_worker_writes_the_same_files(
    finished: tuple[Path, Manifest], clean: Path, tmp_path: Path
) -> None:
    manifest = build(tmp_path, clean, execution={"workers": 1})
    assert manifest.files_digest == finished[1].files_digest
    assert manifest.config_digest == finished[1].config_digest


def test_other_shards_order_and_partitions_keep_the_same_documents(
    finished: tuple[Path, Manifest], tmp_path: Path
) -> None:
    records = documents()
    random.Random(5).shuffle(records)
    folder = tmp_path / "other"
    folder.mkdir()
    for shard, bounds in enumerate([(0, 11), (11, 12), (12, 60), (60, len(records))]):
        write_lines(folder / f"other-{shard}.jsonl.gz", records[slice(*bounds)])
    manifest = build(tmp_path, folder, dataprep={"valid_fraction": 0.1})
    expected = {row["id"]: row for row in all_rows(*finished)}
    found = {row["id"]: row for row in all_rows(tmp_path / "documents", manifest)}
    assert found.keys() == expected.keys()
    for name, row in found.items():
        for column in ("content_hash", "text", "drop_reason", "survivor_id", "drop_value"):
            assert row[column] == expected[name][column], (name, column)
    for split in ("train", "valid"):
        assert kept_hashes(tmp_path / "documents", manifest, split) == kept_hashes(*finished, split)


def kept_hashes(directory: Path, manifest: Manifest, split: Any) -> set[bytes]:
    return {row["content_hash"] for row in rows(directory, kept_files(manifest, split))}


def test_a_second_start_finds_everything_up_to_date(
    finished: tuple[Path, Manifest], clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, manifest = finished
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    start = time.process_time()
    again = run(recipe(directory.parent, clean))
    assert time.process_time() - start < 1.0
    assert again is not None and again.files_digest == manifest.files_digest
    after = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    del before[directory / ".lock"], after[directory / ".lock"]
    assert after == before
    with pytest.raises(UserError, match=r"near_duplicates\.jaccard: got 0\.9, expected 0\.8"):
        run(recipe(directory.parent, clean, dataprep={"near_duplicates": {"jaccard": 0.9}}))


def test_forced_again_it_is_the_same(
    finished: tuple[Path, Manifest], clean: Path, tmp_path: Path
) -> None:
    first = build(tmp_path, clean)
    again = run(recipe(tmp_path, clean), force=True)
    assert again is not None and again.files_digest == first.files_digest
    assert read_manifest(tmp_path / "documents", "documents", 1).files == first.files


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(recipe(tmp_path / "root", clean), dry_run=True) is None
    plan = capsys.readouterr().out
    assert "in 3 shards" in plan
    assert "normalize, language, content, signals" in plan and "Jaccard 0.8" in plan
    assert not (tmp_path / "root").exists()


def test_bad_records_are_quarantined_and_the_rest_is_processed(
    tmp_path: Path, ray_session: object
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    records = documents()[:40]
    long_line = json.dumps({"id": "long", "text": "x " * LINE_BYTES_MAX}).encode()
    bad = (b'{"id": "cut", "text": "no end', b'{"id": "latin", "text": "caf\xe9"}', long_line)
    write_lines(folder / "a.jsonl", records[:20], extra=bad)
    (folder / "b.jsonl").write_bytes(b"")
    write_lines(folder / "c.jsonl.gz", records[20:])
    whole = (folder / "c.jsonl.gz").read_bytes()
    (folder / "c.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    limits = {"line_bytes_max": LINE_BYTES_MAX, "quarantine_share_max": 0.9}
    manifest = build(tmp_path, folder, dataprep=limits)
    directory, facts = tmp_path / "documents", manifest.facts
    refused = rows(directory, quarantine_files(manifest))
    assert facts["quarantined"] == len(refused) == 4
    assert facts["records_read"] == facts["documents_in"] + 4
    found = {row["reason"]: row for row in refused}
    assert set(found) == {"bad_json", "bad_utf8", "line_too_long", "truncated"}
    content = (folder / "a.jsonl").read_bytes()
    for reason, line in zip(["bad_json", "bad_utf8", "line_too_long"], bad, strict=True):
        start, length = found[reason]["offset"], found[reason]["length"]
        assert content[start : start + length] == line
    # What the broken archive still gave is there, and nothing twice.
    ids = [row["id"] for row in all_rows(directory, manifest)]
    assert len(set(ids)) == len(ids) == facts["documents_in"]
    assert 20 < len(ids) < 40
    with pytest.raises(UserError, match=r"4 of \d+ records that cannot be read, expected a share"):
        strict = {"line_bytes_max": LINE_BYTES_MAX, "quarantine_share_max": 0.01}
        run(recipe(tmp_path / "strict", folder, dataprep=strict))
    assert not (tmp_path / "strict" / "documents" / "manifest.json").exists()


def test_an_id_in_two_shards_is_refused(tmp_path: Path, ray_session: object) -> None:
    folder = tmp_path / "twice"
    folder.mkdir()
    records = documents()[:6]
    write_lines(folder / "a.jsonl", records[:4])
    write_lines(folder / "b.jsonl", records[3:])
    name = records[3]["id"]
    with pytest.raises(UserError, match=f"'{name}'.*expected a different id for each record"):
        build(tmp_path, folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"near_duplicates": {"enabled": False}}, {"exact": True, "near": False}),
        ({"near_duplicates": {"band_size_max": 2}}, {"exact": True, "near": True}),
    ],
)
def test_near_duplicates_can_be_switched_off_and_capped(
    change: dict[str, Any],
    expected: dict[str, bool],
    clean: Path,
    tmp_path: Path,
    ray_session: object,
) -> None:
    facts = build(tmp_path, clean, dataprep=change).facts
    assert {kind: number > 0 for kind, number in facts["duplicates"].items()} == expected


def test_what_is_written_has_one_schema(finished: tuple[Path, Manifest]) -> None:
    directory, manifest = finished
    files = [*kept_files(manifest, "train"), *dropped_files(manifest)]
    schemas = [pq.read_schema(directory / name) for name in files]
    assert len(schemas) >= 6
    assert all(schema.equals(schemas[0]) for schema in schemas)
    assert schemas[0].field("content_hash").type == pa.binary(16)


def test_without_signals_documents_are_only_normalized_cleaned_and_deduplicated(
    clean: Path, tmp_path: Path, ray_session: Any
) -> None:
    bare = {"signals": False, "languages": [], "presets": [], "thresholds": {}}
    manifest = build(tmp_path / "bare", clean, dataprep=bare)
    documents_ = tmp_path / "bare" / "documents"
    written = all_rows(documents_, manifest)
    assert len(written) == len(documents())
    assert {row["language"] for row in written} == {"und"}
    reasons = Counter(row["drop_reason"] for row in written)
    assert set(reasons) == {None, "exact.duplicate", "near_duplicates.jaccard"}
    assert not [name for name in written[0] if name.startswith(("signals_", "content_kind"))]
    with pytest.raises(UserError, match=r"dataprep\.presets: got a value"):
        recipe(tmp_path, clean, dataprep={**bare, "presets": ["gopher"]})
