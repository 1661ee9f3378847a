"""The history of one document, from the written files alone."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xxhash

from dataprep import contract
from dataprep.config import Dataprep
from dataprep.report.explain import explain
from dataprep.report.explain_rules import verdicts
from dataprep.write import write_quarantine, write_shard
from launch.config import parse_model
from launch.errors import UserError
from launch.manifest import Manifest, write_manifest

TEXTS = ["kept text <EMAIL>", "short", "kept text <EMAIL> again", "hateful"]
HASHES = [xxhash.xxh3_128_digest(text.encode()) for text in TEXTS]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four documents (kept, low word count, near-duplicate, toxic) and an unreadable record."""
    path = tmp_path_factory.mktemp("documents")
    strings, num = pa.string(), len(TEXTS)
    text = pa.array(TEXTS, pa.large_string())
    removed = pa.array([5, 0, -3, 0], pa.int64())
    table = pa.table(
        {
            "id": pa.array([f"src:a.jsonl#{i}" for i in range(num)], strings),
            "content_hash": pa.array(HASHES, pa.binary(16)),
            "text": text,
            "source": pa.array(["src"] * num, strings),
            "url": pa.array(["http://x.org/1", None, None, None], strings),
            "license": pa.array(["MIT", None, None, None], strings),
            "meta": pa.array([[]] * num, pa.map_(strings, strings)),
            "read_bytes": pc.add(pc.binary_length(text).cast(pa.int64()), removed),
            "language": pa.array(["en"] * num, strings),
            "language_score": pa.array([0.98] * num, pa.float32()),
            "signals_word_count": pa.array([1234, 1, 4, 60], pa.int32()),
            "toxicity_score": pa.array([0.01, None, 0.02, 0.75], pa.float32()),
            "pii_email": pa.array([2, 0, 1, 0], pa.int32()),
            "pii_ip_address": pa.array([1, 0, 0, 0], pa.int32()),
            "pii_removed_bytes": removed,
            "cluster_id": pa.array(["src:a.jsonl#0", None, "src:a.jsonl#0", None], strings),
            "survivor_id": pa.array([None, None, "src:a.jsonl#0", None], strings),
            "survivor_jaccard": pa.array([None, None, 0.875, None], pa.float32()),
            "drop_reason": pa.array(
                [None, "gopher.word_count_low", "near_duplicates.jaccard", "toxicity.high_score"]
            ),
            "drop_value": pa.array([None, 1.0, 0.875, 0.75], pa.float64()),
            "drop_threshold": pa.array([None, 50.0, 0.8, 0.5], pa.float64()),
        }
    )
    written = write_shard([table], path, path / "work", 0, seed=1, valid_fraction=0.0)
    record = {"source": "src", "path": "a.jsonl", "offset": 99, "row": 4, "length": 7}
    refused = {**record, "digest": "xxh3_128:00", "reason": "no JSON object"}
    quarantine = pa.Table.from_pylist([refused], contract.quarantine_schema())
    files = (*written.files, *write_quarantine([quarantine], path, path / "work", 0))
    write_manifest(path, Manifest(contract.KIND, contract.VERSION, {}, (), files, {}))
    return path


def test_kept_document(directory: Path) -> None:
    told = explain(directory, "src:a.jsonl#0")
    for words in (
        "kept, in train",
        "file           kept/train/part-00000-",
        HASHES[0].hex(),
        "src, MIT, http://x.org/1",
        "en (0.98)",
        "22 read, 17 written",
        "pii -5",
        "2 email, 1 ip address replaced",
        "signals_word_count  1,234",
        "toxicity_score      0.01",
        "others were dropped in favour of this one",
        "'kept text <EMAIL>'",
    ):
        assert words in told, words
    assert "because" not in told


def test_document_that_a_rule_dropped(directory: Path) -> None:
    told = explain(directory, "src:a.jsonl#1")
    assert "dropped by gopher.word_count_low" in told
    assert "value 1, threshold 50" in told
    assert "toxicity_score      not computed" in told
    assert "none found" in told


def test_duplicate_names_its_survivor(directory: Path) -> None:
    told = explain(directory, "src:a.jsonl#2")
    assert "dropped by near_duplicates.jaccard" in told
    assert "kept instead   src:a.jsonl#0 (similarity 0.875)" in told
    assert "pii +3" in told


def test_content_hash_finds_the_same(directory: Path) -> None:
    assert explain(directory, HASHES[3].hex()) == explain(directory, "src:a.jsonl#3")


def test_unreadable_record_is_found_by_its_place(directory: Path) -> None:
    told = explain(directory, "src:a.jsonl#4")
    assert "not read: no JSON object" in told
    assert "byte 99, 7 bytes" in told


@pytest.mark.parametrize("document", ["src:a.jsonl#5", "nobody", "00" * 16, ""])
def test_unknown_document_is_refused(directory: Path, document: str) -> None:
    with pytest.raises(UserError, match="no document of it"):
        explain(directory, document)


def test_unfinished_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a finished 'documents' directory"):
        explain(tmp_path, "x")


def test_every_rule_is_told_with_its_value_and_threshold(directory: Path) -> None:
    row = {
        "language": "en",
        "language_score": 0.98,
        "content_kind": "prose",
        "signals_word_count": 12,
        "signals_stop_words": 7,
        "signals_mean_word_length": 11.5,
        "toxicity_score": None,
    }
    thresholds = {"gopher": {"word_count_low": 20, "mean_word_length_high": 11.5}}
    tables = {"presets": ["gopher", "chinese"], "thresholds": thresholds, "languages": ["de"]}
    config = parse_model(Dataprep, tables, "dataprep")
    found = {verdict.reason: verdict for verdict in verdicts(row, config)}
    assert {reason: verdict.fails for reason, verdict in found.items()} == {
        "language.not_wanted": True,
        "gopher.word_count_low": True,
        "gopher.word_count_high": False,
        "gopher.mean_word_length_low": False,
        "gopher.mean_word_length_high": False,
        "gopher.stop_words_low": False,
    }
    assert (found["gopher.word_count_low"].value, found["gopher.word_count_low"].threshold) == (
        12,
        20,
    )


def test_a_duplicate_tells_its_cluster(directory: Path) -> None:
    told = explain(directory, "src:a.jsonl#0")
    assert "cluster of 2, of which src:a.jsonl#0 is kept" in told
    assert "0.875  src:a.jsonl#2" in told
