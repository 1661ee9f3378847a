"""The audit against planted misses and planted wrong drops, and against comparing all pairs."""

import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.config_duplicates import NearDuplicates
from dataprep.contract import KIND, VERSION, document_fields
from dataprep.dedup import audit, audit_tasks
from dataprep.dedup.audit import wilson
from dataprep.report.report import write_report
from launch.errors import UserError
from launch.manifest import FileEntry, Manifest, digest_file, read_manifest
from launch.recipe import Recipe

WORDS = [f"{a}{b}" for a, b in itertools.product("bcdfgklmnprst", ("ano", "eli", "ite", "omu"))]


def in_process(
    function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], label: str
) -> list[Any]:
    return [function(*arguments) for arguments in tasks]


def similarity(left: str, right: str) -> float:
    first, second = (
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
        for words in (left.split(), right.split())
    )
    return len(first & second) / len(first | second)


def families(seed: int) -> dict[str, str]:
    """Twelve families of five texts that differ in up to four words."""
    draw = random.Random(seed)
    texts = {}
    for family in range(12):
        words = draw.choices(WORDS, k=draw.randint(60, 200))
        for member in range(5):
            edited = list(words)
            for _ in range(draw.choice([1, 2, 4])):
                edited[draw.randrange(len(edited))] = "edited"
            texts[f"{family}-{member}"] = " ".join(edited)
    return texts


def row(name: str, text: str, survivor: str | None = None, **columns: Any) -> dict[str, Any]:
    reason = None if survivor is None else "near_duplicates.jaccard"
    content_hash = random.Random(name).randbytes(16)
    return {"id": name, "text": text, "content_hash": content_hash, "drop_reason": reason,
            "survivor_id": survivor, "drop_value": None, "removed_bytes": []} | columns  # fmt: skip


def write(directory: Path, rows: list[dict[str, Any]]) -> Manifest:
    """A directory of two files, kept and dropped, with only the columns that an audit reads."""
    names = ("id", "content_hash", "text", "drop_reason", "drop_value", "survivor_id",
             "removed_bytes")  # fmt: skip
    schema = pa.schema([field for field in document_fields() if field.name in names])
    entries = []
    for part, dropped in (("kept/train", False), ("dropped", True)):
        chosen = [row for row in rows if (row["drop_reason"] is not None) == dropped]
        path = directory / part / "part-00000.parquet"
        path.parent.mkdir(parents=True)
        table = pa.Table.from_pylist(chosen, schema)
        pq.write_table(table, path, row_group_size=7)
        name = str(path.relative_to(directory))
        size = path.stat().st_size
        entries.append(FileEntry(name, len(chosen), size, digest_file(path)))
    return Manifest(KIND, VERSION, {}, (), tuple(entries))


def measured(directory: Path, manifest: Manifest, number: int = 1000, **keys: Any) -> Any:
    near = NearDuplicates(**keys)
    return audit.measure(directory, manifest, near, number, 1, in_process)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_planted_miss_is_found(tmp_path: Path, seed: int) -> None:
    texts = families(seed)
    # Every third document was dropped, for whichever: all pairs of two others are misses.
    dropped = set(list(texts)[::3])
    rows = [row(name, text, "0-1" if name in dropped else None) for name, text in texts.items()]
    found = measured(tmp_path, write(tmp_path, rows))["recall"]
    pairs = [
        (left, right)
        for left, right in itertools.combinations(sorted(texts), 2)
        if similarity(texts[left], texts[right]) >= 0.8
    ]
    missed = [pair for pair in pairs if not dropped & {*pair}]
    assert found["sampled"] == len(texts) and len(missed) > 5
    # With everything sampled each pair is seen from both of its sides.
    assert (found["pairs"], found["missed"]) == (2 * len(pairs), 2 * len(missed))
    assert found["share"] == pytest.approx(1 - len(missed) / len(pairs))
    assert found["interval"][0] < found["share"] < found["interval"][1]
    examples = {(pair["left"], pair["right"]) for pair in found["examples"]}
    assert examples <= {*missed} and len(examples) == min(len(missed), audit_tasks.EXAMPLES)
    incomplete = {name for pair in missed for name in pair}
    assert found["documents_complete"] == found["with_partner"] - len(incomplete)


def test_a_sample_estimates_what_all_documents_give(tmp_path: Path) -> None:
    texts = {f"{seed}/{name}": text for seed in range(8) for name, text in families(seed).items()}
    rows = [row(name, text, "none" if i % 3 == 0 else None)
            for i, (name, text) in enumerate(texts.items())]  # fmt: skip
    manifest = write(tmp_path, rows)
    everything = measured(tmp_path, manifest)["recall"]
    sampled = measured(tmp_path, manifest, 150)["recall"]
    assert (everything["sampled"], sampled["sampled"]) == (len(texts), 150)
    assert sampled["interval"][0] <= everything["share"] <= sampled["interval"][1]


def test_wrong_drops_are_found_and_cut_texts_counted_apart(tmp_path: Path) -> None:
    words = " ".join(WORDS)
    rows = [
        row("kept", words),
        row("right", words + " more", "kept"),
        row("wrong", " ".join(WORDS[:30]), "kept"),
        row("cut", words + " piece", removed_bytes=[("spans", 9)]),
        row("of cut", words + " more piece", "cut"),
        row("gone", words + " less", "nowhere"),
        row("copy", words, drop_reason="exact.duplicate", survivor_id="kept"),
    ]
    found = measured(tmp_path, write(tmp_path, rows))
    precision = found["precision"]
    assert found["near_duplicates"] == precision["sampled"] == 4
    assert (precision["compared"], precision["hold"]) == (2, 1)
    assert (precision["survivor_cut_later"], precision["survivor_not_here"]) == (1, 1)
    (wrong,) = precision["examples"]
    assert (wrong["left"], wrong["right"]) == ("wrong", "kept")
    assert wrong["similarity"] == pytest.approx(similarity(rows[2]["text"], words))
    assert found["cut_documents"] == 1
    assert measured(tmp_path, Manifest(KIND, VERSION, {}, (), ()))["recall"]["share"] is None


def test_containment_is_judged_by_containment(tmp_path: Path) -> None:
    words = " ".join(WORDS)
    rows = [row("kept", words), row("part", " ".join(WORDS[:30]), "kept")]
    rows[1]["drop_reason"] = "near_duplicates.containment"
    found = measured(tmp_path, write(tmp_path, rows), measure="containment")
    assert found["precision"]["hold"] == found["precision"]["compared"] == 1


def test_the_sample_is_drawn_by_content_and_seed(tmp_path: Path) -> None:
    rows = [row(name, text) for name, text in families(1).items()]
    column = pa.chunked_array([pa.array([r["content_hash"] for r in rows], pa.binary(16))])
    one, other = (audit_tasks.sampling_keys(column, seed) for seed in (1, 2))
    assert set(one.tolist()).isdisjoint(other.tolist())
    shifted = audit_tasks.sampling_keys(column.slice(5), 1)
    assert shifted.tolist() == one[5:].tolist()


def test_wilson_is_scipys_interval() -> None:
    from scipy.stats import binomtest

    for successes, number in ((0, 5), (5, 5), (990, 1000), (3, 17)):
        expected = binomtest(successes, number).proportion_ci(method="wilson")
        assert wilson(successes, number) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_audit_is_shown_and_changes_no_file(tmp_path: Path) -> None:
    rows = [row(name, text) for name, text in families(1).items()]
    manifest = write(tmp_path, rows)
    facts: dict[str, Any] = dict.fromkeys(
        ("documents_in", "kept", "bytes_in", "bytes_kept", "quarantined", "records_read"), 1
    )
    facts |= {"duplicates": {"exact": 0, "near": 0}, "classifiers": {}, "pieces": {}}
    facts["clusters"] = dict.fromkeys(("url", "text", "near", "clusters", "largest_cluster"), 0)
    names = ("num_groups", "num_hot_groups", "num_cut", "largest_group")
    facts["band_values"] = dict.fromkeys(names, 0)
    entries = (*manifest.files, *write_report(tmp_path, [], facts, {}))
    manifest = Manifest(KIND, VERSION, {}, (), entries, facts)
    for number in (40, 20):
        found = measured(tmp_path, manifest, number)
        audit.commit(tmp_path, manifest, found)
        now = read_manifest(tmp_path, KIND, VERSION)
        assert now.files_digest == manifest.files_digest
        assert now.facts == {**facts, "audit": json.loads(json.dumps(found))}
        assert json.loads((tmp_path / "audit.json").read_text()) == now.facts["audit"]
        shown = json.loads((tmp_path / "report.json").read_text())
        assert shown["facts"]["audit"] == now.facts["audit"]
        assert f"{number} of 60 documents" in (tmp_path / "report.html").read_text()
    assert "Audit" in (tmp_path / "report.html").read_text()


def test_documents_without_near_duplicates_are_refused(tmp_path: Path) -> None:
    recipe = Recipe.from_dict({"run": {"root": str(tmp_path)}})
    with pytest.raises(UserError, match="no such file"):
        audit.audit(recipe)
