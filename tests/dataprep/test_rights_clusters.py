"""Rules over licences hold for clusters: from reading to the written documents, without Ray."""

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.config import Columns, Dataprep, Source
from dataprep.config_duplicates import Exact, NearDuplicates
from dataprep.config_rights import Rights, SourceRights
from dataprep.conservation import merge_counts
from dataprep.dedup.deduplicate import deduplicate
from dataprep.dedup.survivors import with_source_order
from dataprep.reading.read import shards
from dataprep.report import explain, report
from dataprep.report import rights as report_rights
from dataprep.report.explain_rights import judgement, lines
from dataprep.rights import verdicts
from dataprep.rights.licences import licence_of, read_licence
from dataprep.shard import process_shard, read_written, write_documents
from dataprep.tasks import in_turn
from dataprep.workspace import Layout, Workspace
from launch.errors import UserError
from launch.manifest import FileEntry, Manifest

WORDS = [f"{a}{b}" for a, b in itertools.product("bcdfgklmnprst", ("ano", "eli", "ite", "omu"))]
Row = dict[str, Any]


def text_of(seed: int, edited: int = 0) -> str:
    draw = random.Random(seed)
    words = draw.choices(WORDS, k=200)
    for place in range(edited):
        words[place] = "edited"
    return " ".join(words)


def run(
    folder: Path, records: list[Row], rights: Rights | None = None, num_shards: int = 3,
    groups: int = 256, seed: int = 0, **options: Any,
) -> dict[str, Row]:  # fmt: skip
    """Written rows by id; records are dealt to shards by `seed`."""
    records = list(records)
    random.Random(seed).shuffle(records)
    folder.mkdir(parents=True)
    sources = []
    for name in sorted({record.get("from", "a") for record in records}):
        own = [record for record in records if record.get("from", "a") == name]
        for shard in range(num_shards):
            text = "".join(json.dumps(record) + "\n" for record in own[shard::num_shards])
            (folder / f"{name}-{shard}.jsonl").write_text(text)
        columns = Columns(id="id", url="url", license="license", meta=("robots", "h.x_robots_tag"))
        sources.append(
            Source(name=name, kind="jsonl", paths=(f"{name}-*.jsonl",), columns=columns,
                   license=options.get("license"))
        )  # fmt: skip
    config = Dataprep(
        languages=(), presets=(), exact=Exact(urls=True), near_duplicates=NearDuplicates(
            partitions=2), rights=rights or Rights(),
    )  # fmt: skip
    config = with_source_order(config, sources)
    work = Workspace(folder / "work")
    parts = shards(sources, folder)
    for index, part in enumerate(parts):
        process_shard(work, index, part, sources[part.source_index], config, {})
    layout = Layout(len(parts), 2, num_groups_max=groups, group_shards_min=1)
    deduplicate(work, config, layout, in_turn)
    rows: dict[str, Row] = {}
    for index in range(len(parts)):
        write_documents(work, index, folder / "documents", 1, 0.0)
        for entry in read_written(work, index)[0]:
            if entry.path.startswith(("kept/", "dropped/")):
                table = pq.read_table(folder / "documents" / entry.path)
                rows |= {row["id"].partition(":")[2]: row for row in table.to_pylist()}
    # Every record is in one place.
    assert len(rows) == len(records)
    return rows


def test_licences_come_from_the_record_then_from_the_recipe(tmp_path: Path) -> None:
    records = [
        {"id": "own", "text": text_of(1), "license": "cc-by-4.0"},
        {"id": "none", "text": text_of(2)},
        {"id": "empty", "text": text_of(3), "license": ""},
        {"id": "odd", "text": text_of(4), "license": "ask the miller"},
    ]
    rows = run(tmp_path / "a", records, license="https://opensource.org/licenses/MIT")
    names = ("license", "rights_license", "rights_family", "rights_evidence")
    assert {id: tuple(row[name] for name in names) for id, row in rows.items()} == {
        "own": ("cc-by-4.0", "CC-BY-4.0", "attribution", "record:license"),
        "none": ("https://opensource.org/licenses/MIT", "MIT", "permissive", "recipe"),
        "empty": ("https://opensource.org/licenses/MIT", "MIT", "permissive", "recipe"),
        "odd": ("ask the miller", None, "unknown", "record:license"),
    }
    # The default recipe drops nothing by licence.
    assert all(row["drop_reason"] is None for row in rows.values())


def test_opting_out_drops_unless_it_is_only_recorded(tmp_path: Path) -> None:
    records = [
        {"id": "noai", "text": text_of(1), "robots": "noai, nofollow"},
        {"id": "header", "text": text_of(2), "h": {"x_robots_tag": "ccbot: noindex"}},
        {"id": "noindex", "text": text_of(3), "robots": "noindex"},
        {"id": "plain", "text": text_of(4), "robots": "index"},
        {"id": "other", "text": text_of(5), "robots": "noai", "from": "b"},
    ]
    rights = Rights(sources={"b": SourceRights(opt_out="record")})
    rows = run(tmp_path / "a", records, rights)
    dropped = {id for id, row in rows.items() if row["drop_reason"] == "rights.opt_out"}
    assert dropped == {"noai", "header"}
    assert rows["header"]["rights_opt_out"] == ["record:ccbot=noindex"]
    assert rows["other"]["rights_opt_out"] == ["record:robots=noai"]
    rows = run(tmp_path / "b", records, Rights(opt_out="record"))
    assert all(row["drop_reason"] is None for row in rows.values())
    rows = run(tmp_path / "c", records, Rights(opt_out_kinds=("noindex",)))
    assert {id for id, row in rows.items() if row["drop_reason"]} == {"noindex"}


COPIES = [
    # Equal texts: the survivor's own licence is the freest of all.
    {"id": "e1", "text": text_of(1), "license": "CC0-1.0"},
    {"id": "e2", "text": text_of(1), "license": "CC-BY-NC-4.0"},
    {"id": "e3", "text": text_of(1)},
    # A near-duplicate and a copy of that one, which takes over its survivor.
    {"id": "n1", "text": text_of(2), "license": "MIT"},
    {"id": "n2", "text": text_of(2, edited=2), "license": "MIT"},
    {"id": "n3", "text": text_of(2, edited=2), "license": "CC-BY-ND-4.0"},
    # One URL, other texts.
    {"id": "u1", "text": text_of(3), "url": "http://m.example/u", "license": "CC-BY-4.0"},
    {"id": "u2", "text": text_of(4), "url": "http://m.example/u",
     "license": "© 2020. All rights reserved."},
    # Alone.
    {"id": "a1", "text": text_of(5), "license": "CC-BY-NC-4.0"},
    {"id": "a2", "text": text_of(6), "license": "CC-BY-4.0"},
    {"id": "a3", "text": text_of(7)},
]  # fmt: skip


def outcome(rows: dict[str, Row]) -> dict[str, Any]:
    names = ("drop_reason", "rights_cluster_license", "rights_cluster_id", "survivor_id", "text")
    return {id: tuple(row[name] for name in names) for id, row in sorted(rows.items())}


def test_of_a_cluster_the_most_restrictive_licence_counts(tmp_path: Path) -> None:
    rows = run(tmp_path / "all", COPIES)
    kept = {id: row for id, row in rows.items() if row["drop_reason"] is None}
    assert len(kept) == 6
    clusters = {
        id[0]: (row["rights_cluster_license"], row["rights_cluster_id"][2:])
        for id, row in kept.items()
        if row["rights_cluster_license"] is not None
    }
    assert clusters["e"] == ("CC-BY-NC-4.0", "e2")
    assert clusters["n"] == ("CC-BY-ND-4.0", "n3")
    assert clusters["u"] == ("LicenseRef-all-rights-reserved", "u2")
    rights = Rights(deny=("non-commercial", "no-derivatives", "proprietary"))
    denied = run(tmp_path / "deny", COPIES, rights)
    assert {id for id, row in denied.items() if row["drop_reason"] is None} == {"a2", "a3"}
    reasons = {id: row["drop_reason"] for id, row in denied.items()}
    # The copies are dropped as before, and their survivors by the rule.
    for id, row in rows.items():
        expected = row["drop_reason"] or "rights.denied"
        assert reasons[id] == (None if id in ("a2", "a3") else expected)
    allowed = run(tmp_path / "allow", COPIES, Rights(allow=("cc-by-*",)))
    reasons = {id: row["drop_reason"] for id, row in allowed.items()}
    assert [reasons[id] for id in ("a1", "a2", "a3")] == [
        "rights.not_allowed", None, "rights.unknown",
    ]  # fmt: skip
    assert not any(id[0] in "enu" for id, reason in reasons.items() if reason is None)
    keeping = run(tmp_path / "keep", COPIES, Rights(allow=("cc-by-*",), unknown="keep"))
    assert keeping["a3"]["drop_reason"] is None


def test_order_shards_and_groups_change_nothing(tmp_path: Path) -> None:
    rights = Rights(deny=("non-commercial", "cc-by-nd-*"))
    first = outcome(run(tmp_path / "0", COPIES, rights, num_shards=1, seed=1))
    for number, (num_shards, groups) in enumerate(((2, 1), (5, 3))):
        found = run(tmp_path / str(number + 1), COPIES, rights, num_shards, groups, seed=number)
        assert outcome(found) == first


def test_a_licence_that_was_dropped_before_is_no_copys(tmp_path: Path) -> None:
    """An opt-out is a mark of one place: another copy stays, with its own licence."""
    records = [
        {"id": "x", "text": text_of(1), "license": "CC-BY-NC-4.0", "robots": "noai"},
        {"id": "y", "text": text_of(1), "license": "MIT"},
    ]
    rows = run(tmp_path / "a", records, Rights(deny=("non-commercial",)))
    assert rows["x"]["drop_reason"] == "rights.opt_out"
    assert (rows["y"]["drop_reason"], rows["y"]["rights_cluster_license"]) == (None, None)


def test_random_clusters_against_the_definition(tmp_path: Path) -> None:
    draw = random.Random(7)
    licences = ["CC0-1.0", "MIT", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC-3.0", "GPL-3.0-only", None]
    records = [
        {"id": f"{family}-{member}", "text": text_of(100 + family),
         "license": draw.choice(licences)}
        for family in range(25) for member in range(draw.randint(1, 6))
    ]  # fmt: skip
    rows = run(tmp_path / "a", records, Rights(deny=("copyleft",)), num_shards=4, groups=2)
    for family in range(25):
        own = {id: row for id, row in rows.items() if id.partition("-")[0] == str(family)}
        ranked = [
            (-licence_of(row["rights_license"]).rank, row["rights_license"], id)
            for id, row in own.items()
            if row["rights_license"] is not None
        ]
        (survivor,) = [row for row in own.values() if row["survivor_id"] is None]
        judged = min(ranked)[1] if ranked else None
        assert (survivor["rights_cluster_license"] or survivor["rights_license"]) == judged
        if survivor["rights_cluster_id"] not in (None, survivor["id"]):
            holder = rows[survivor["rights_cluster_id"].partition(":")[2]]
            assert holder["rights_license"] == judged
            assert (
                holder["id"].partition("-")[2]
                == min(id for rank, name, id in ranked if name == judged).partition("-")[2]
            )
        denied = judged is not None and licence_of(judged).family == "copyleft"
        assert survivor["drop_reason"] == ("rights.denied" if denied else None)


def test_report_and_explanation_tell_why(tmp_path: Path) -> None:
    rights = Rights(deny=("non-commercial",))
    rows = run(tmp_path / "a", COPIES, rights)
    config = Dataprep(rights=rights)
    survivor = next(row for id, row in rows.items() if id[0] == "e" and row["survivor_id"] is None)
    told = "\n".join([*lines(survivor), *judgement(survivor, config)])
    assert "CC-BY-NC-4.0" in told and "fails rights.denied" in told
    if survivor["id"] != "a:e2":
        assert "of its copies  CC-BY-NC-4.0 (non-commercial), of a:e2" in told
    copy = next(row for id, row in rows.items() if id[0] == "e" and row["survivor_id"])
    assert "on the one kept instead" in "\n".join(judgement(copy, config))
    summaries, counts = [], []
    for index in range(3):
        work = Workspace(tmp_path / "a" / "work")
        _, counted, summary = read_written(work, index)
        summaries.append(summary)
        counts.append(counted)
    merged = report.merge(summaries)
    assert merged == report.merge([report.merge(summaries[:1]), report.merge(summaries[1:])])
    found = report_rights.nested(merged)
    by_licence = {entry["license"]: entry for entry in found["licenses"]}
    assert by_licence["CC-BY-NC-4.0"]["documents"] == 2
    assert by_licence["CC-BY-NC-4.0"]["kept_documents"] == 0
    assert by_licence["none stated"]["documents"] == 2
    assert sum(entry["documents"] for entry in found["evidence"]) == len(COPIES)
    assert merge_counts(counts)["licenses"]["CC-BY-4.0"] == {"documents": 2, "kept": 2}
    assert merge_counts(counts)["licenses"]["none stated"]["documents"] == 2
    facts = {"documents_in": len(COPIES)}
    page = report_rights.rights({"rights": found, "facts": facts})
    for text in ("CC-BY-NC-4.0", "non-commercial", "record:license", "All rights reserved"):
        assert text in page


def test_rules_for_a_source_that_is_not_there_are_refused() -> None:
    sources = [Source(name="wiki", kind="jsonl", paths=("a",))]
    with pytest.raises(UserError, match=r"dataprep\.rights\.sources\.wikki") as refused:
        verdicts.check(Rights(sources={"wikki": SourceRights(unknown="drop")}), sources)
    assert "did you mean 'wiki'" in (refused.value.hint or "")
    rights = Rights(deny=("mit",), sources={"wiki": SourceRights(deny=(), unknown="drop")})
    judged = verdicts.verdicts(
        rights, pa.array(["wiki", "wiki", "b", "b"]), pa.array(["MIT", None, "MIT", None])
    )
    assert judged.to_pylist() == [None, "rights.unknown", "rights.denied", None]
    assert read_licence("MIT") is not None


def test_a_survivor_that_its_cluster_drops_is_no_member_twice(tmp_path: Path) -> None:
    cluster = {"cluster_id": ["s:a", "s:a"], "id": ["s:a", "s:b"], "survivor_jaccard": [None, 1.0]}
    path = tmp_path / "dropped" / "part-00000.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table(cluster), path)
    entry = FileEntry("dropped/part-00000.parquet", 2, path.stat().st_size, "")
    manifest = Manifest("documents", 1, {}, (), (entry,), {})
    first, *members = explain._cluster(tmp_path, manifest, {"cluster_id": "s:a"})
    assert first.strip() == "cluster of 2, of which s:a stood for all, and was dropped"
    assert [line.split()[-1] for line in members] == ["s:b"]
