"""Other thresholds on stored documents: the same files as a fresh run, whatever changed."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

from dataprep.contract import cuts_files, iterate_tables, open_documents
from dataprep.report.explain import explain
from dataprep.retune import check, retune
from dataprep.retune_preview import preview, print_preview
from dataprep.run import run
from launch.errors import UserError
from launch.manifest import Manifest
from launch.recipe import Recipe

Tables = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards: English with copies, Chinese, mail addresses, lists, and unreadable lines."""
    folder = tmp_path_factory.mktemp("documents")
    lines: list[dict[str, str]] = []
    for name, text in sorted(topics.items()):
        lines.append({"text": text[:3000], "mail": f"{name}@python.org"})
        if len(lines) % 3 == 0:
            lines.append({"text": text[:3000].replace("\n", "\r\n"), "mail": ""})
        if len(lines) % 4 == 0:
            lines.append({"text": text[:3000] + " And so it goes.", "mail": ""})
        if len(lines) % 7 == 0:
            lines.append({"text": f"write to {name}@python.org, or not at all, {name}", "mail": ""})
    lines.append({"text": "jane@site.de\n+1 415 555 2671", "mail": ""})
    lines.append({"text": "\u200b\n", "mail": ""})
    for number in range(12):
        chinese = f"水车转动，推动它的水继续流淌；于是水车第{number}次转动。" * 9
        german = f"Das Wasser treibt die Mühle zum {number}. Mal an. " * 9
        lines += [{"text": chinese, "mail": ""}, {"text": german, "mail": ""}]
    for shard in range(3):
        content = [json.dumps(line).encode() for line in lines[shard::3]]
        if shard == 1:
            content.insert(5, b"{broken")
        (folder / f"{shard}.jsonl").write_bytes(b"\n".join(content) + b"\n")
    labels = [{"text": text[:200], "good": int(len(text) > 2000)} for text in topics.values()]
    (folder / "labels").mkdir()
    (folder / "labels" / "l.jsonl").write_text("\n".join(json.dumps(label) for label in labels))
    return folder


def recipe(root: Path, folder: Path, **dataprep: Any) -> Recipe:
    source = {
        "name": "s", "kind": "jsonl", "paths": [f"{folder}/*.jsonl"], "columns": {"meta": ["mail"]}
    }  # fmt: skip
    near = {"partitions": 3, **dataprep.pop("near_duplicates", {})}
    if "presets" not in dataprep:
        # Python's reference has so many signs among its words that this rule would drop most of it.
        changed = dataprep.get("thresholds", {}).get("gopher", {})
        dataprep["thresholds"] = {"gopher": {"alphabetic_words_low": 0.6, **changed}}
    tables = {"valid_fraction": 0.1, "near_duplicates": near, **dataprep}
    if "presets" not in dataprep:
        # These documents are full of signs, which are words for Gopher's rule.
        own = dataprep.get("thresholds", {}).get("gopher", {})
        tables["thresholds"] = {"gopher": {"alphabetic_words_low": 0.6, **own}}
    return Recipe.from_dict(
        {"run": {"root": str(root), "seed": 3}, "sources": [source], "dataprep": tables}
    )


def quality(folder: Path, threshold: float) -> Tables:
    label = {"paths": [f"{folder}/labels/*.jsonl"], "label_column": "good", "positive": [1]}
    return {"labels": [label], "threshold": threshold, "buckets": 1000, "dimension": 4}


def gopher(**thresholds: float) -> Tables:
    return {"thresholds": {"gopher": thresholds}}


# From the strict to the loose and back, languages, duplicates, splits.
CHANGES: dict[str, Tables] = {
    "loose": gopher(word_count_low=5, alphabetic_words_low=0.5, duplicate_lines_high=0.9),
    "strict": gopher(word_count_low=200, stop_words_low=5),
    "no rules, all languages": {"presets": [], "languages": []},
    "German": {"languages": ["de"], "presets": []},
    "personal data": {"pii": {"modes": {"email": "drop"}, "findings_max": 0}},
    "jaccard": {"near_duplicates": {"jaccard": 0.95}},
    "bands": {"near_duplicates": {"bands": 20, "rows": 5}},
    "survivors": {
        "survivors": {"order": ["length", "source"], "length": "shortest"},
        "exact": {"urls": True, "texts": False},
    },
    "simhash": {"near_duplicates": {"method": "simhash"}},
    "shingles": {"near_duplicates": {"units": "words", "words": 3}},
    "no near-duplicates": {"near_duplicates": {"enabled": False}, "valid_fraction": 0.3},
}


NAMES = [
    "loose",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("strict", "German", "jaccard")),
    pytest.param("personal data", marks=pytest.mark.slow),
    "no rules, all languages",
    pytest.param("no near-duplicates", marks=pytest.mark.slow),
    "bands",
    "survivors",
    pytest.param("simhash", marks=pytest.mark.slow),
    pytest.param("shingles", marks=pytest.mark.slow),
    "defaults",
]


@pytest.fixture(scope="module")
def fresh(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: object
) -> Callable[[str], Manifest]:
    """A fresh run of a change, made once."""

    @functools.cache
    def build(name: str) -> Manifest:
        change = CHANGES.get(name, {})
        manifest = run(recipe(tmp_path_factory.mktemp("fresh"), folder, **change))
        assert manifest is not None
        return manifest

    return build


@pytest.fixture(scope="module")
def tuned(folder: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: object) -> Path:
    """The root of documents that every test may tune to whatever it wants."""
    root = tmp_path_factory.mktemp("tuned")
    run(recipe(root, folder))
    return root


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_fresh_run(
    name: str, folder: Path, tuned: Path, fresh: Callable[[str], Manifest]
) -> None:
    """One after the other, so that each change starts from what the one before left."""
    wanted = recipe(tuned, folder, **CHANGES.get(name, {}))
    before = open_documents(tuned / "documents").files_digest
    manifest = retune(wanted)
    assert name == "defaults" or manifest.files_digest != before
    assert [entry.path for entry in manifest.files] == [e.path for e in fresh(name).files]
    assert manifest.files_digest == fresh(name).files_digest
    assert manifest.config_digest == fresh(name).config_digest
    assert manifest.facts == fresh(name).facts
    assert not (tuned / "documents" / "work").exists()
    again = run(wanted)
    assert again is not None and again.files_digest == manifest.files_digest


@pytest.mark.parametrize("name", NAMES)
def test_a_preview_counts_what_the_run_finds(
    name: str, folder: Path, tuned: Path, fresh: Callable[[str], Manifest]
) -> None:
    wanted = recipe(tuned, folder, **CHANGES.get(name, {}))
    found = preview(wanted, check(wanted, write=False)[0])
    expected = dict(fresh(name).facts["dropped"])
    copies = expected.pop("exact.duplicate", 0) + expected.pop("near_duplicates.jaccard", 0)
    expected["kept"] = fresh(name).facts["kept"] + copies
    assert {reason: documents for reason, (documents, _) in found.groups.items()} == expected
    facts = fresh(name).facts
    num_bytes = sum(num_bytes for _, num_bytes in found.groups.values())
    assert num_bytes == facts["bytes_kept"] + facts["bytes_dropped"]
    assert found.unscored == 0


def test_the_preview_is_printed_beside_what_stands(
    folder: Path, tuned: Path, ray_session: object, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tuned.rglob("*"))
    print_preview(recipe(tuned, folder, **CHANGES["strict"]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("before deduplication")
    found = {line.split()[0]: line.split()[1:3] for line in lines[2:]}
    assert int(found["kept"][0]) > int(found["kept"][1])
    assert int(found["gopher.word_count_low"][0]) < int(found["gopher.word_count_low"][1])
    assert sorted(tuned.rglob("*")) == before


def test_only_revived_rows_are_scored(
    folder: Path, tmp_path: Path, ray_session: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = gopher(word_count_low=200)
    loose = gopher(word_count_low=20)
    run(recipe(tmp_path / "a", folder, quality=quality(folder, 0.6), **strict))
    wanted = recipe(tmp_path / "a", folder, quality=quality(folder, 0.95), **loose)
    found = preview(wanted, check(wanted, write=False)[0])
    assert found.unscored > 0
    manifest = retune(wanted)
    expected = run(recipe(tmp_path / "b", folder, quality=quality(folder, 0.95), **loose))
    assert expected is not None
    assert manifest.facts["dropped"]["quality.low_score"] > 0
    assert manifest.files_digest == expected.files_digest
    assert manifest.facts == expected.facts


CUTS: Tables = {
    "spans": {"units": ["line", "sentences"], "words_left_min": 300},
    "substrings": {"enabled": True, "bytes_min": 60},
}


def test_what_was_cut_is_put_back(
    folder: Path, tmp_path: Path, fresh: Callable[[str], Manifest]
) -> None:
    before = run(recipe(tmp_path / "a", folder, **CUTS))
    assert before is not None
    assert {*before.facts["pieces"]} == {"spans", "substrings"}
    assert before.facts["dropped"]["spans.short"] > 0
    documents = tmp_path / "a" / "documents"
    piece = next(iterate_tables(documents, cuts_files(before))).to_pylist()[0]
    told = explain(documents, piece["id"])
    assert f"{piece['step']}, byte {piece['start']:,}, in {piece['survivor_id']} first" in told
    manifest = retune(recipe(tmp_path / "a", folder))
    assert manifest.files_digest == fresh("defaults").files_digest
    assert manifest.facts == fresh("defaults").facts


@pytest.mark.slow
def test_other_pieces_are_cut(folder: Path, tmp_path: Path, ray_session: object) -> None:
    run(recipe(tmp_path / "a", folder, **CUTS))
    substrings, spans = ({name: CUTS[name]} for name in ("substrings", "spans"))
    for number, change in enumerate((substrings, {**spans, **gopher(word_count_low=5)}, CUTS)):
        expected = run(recipe(tmp_path / f"fresh-{number}", folder, **change))
        assert expected is not None
        manifest = retune(recipe(tmp_path / "a", folder, **change))
        assert manifest.files_digest == expected.files_digest
        assert manifest.facts == expected.facts


@pytest.mark.slow
def test_edits_of_lines_stay_and_their_rules_are_tuned(
    folder: Path, tmp_path: Path, ray_session: object
) -> None:
    def with_lines(root: str, presets: list[str], share: float) -> Recipe:
        thresholds = {"refinedweb": {"removed_words_high": share}}
        return recipe(tmp_path / root, folder, presets=presets, thresholds=thresholds)

    run(with_lines("a", ["refinedweb", "gopher"], 0.01))
    wanted = with_lines("a", ["refinedweb"], 0.9)
    expected = run(with_lines("b", ["refinedweb"], 0.9))
    assert expected is not None
    assert expected.facts["bytes_removed"]["lines"] > 0
    manifest = retune(wanted)
    assert manifest.files_digest == expected.files_digest
    with pytest.raises(UserError, match=r"dataprep\.presets: .* step lines edits"):
        retune(recipe(tmp_path / "a", folder, presets=["gopher"]))


def test_what_was_read_or_edited_is_not_retuned(
    folder: Path, tuned: Path, tmp_path: Path, ray_session: object
) -> None:
    with pytest.raises(UserError, match=r"dataprep\.pii\.mode"):
        retune(recipe(tuned, folder, pii={"mode": "off"}))
    with pytest.raises(UserError, match=r"dataprep\.document_bytes_max"):
        retune(recipe(tuned, folder, document_bytes_max=5000))
    with pytest.raises(UserError, match="no such file"):
        retune(recipe(tmp_path, folder))


def test_lists_keep_their_words_and_change_their_bounds(
    folder: Path, tmp_path: Path, ray_session: object
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("statement\nexpression\n")

    def listed(root: str, **bounds: float) -> Recipe:
        table = {"name": "words", "paths": [str(words)], **bounds}
        return recipe(tmp_path / root, folder, presets=[], keywords=[table])

    run(listed("a"))
    manifest = retune(listed("a", matches_max=0))
    expected = run(listed("b", matches_max=0))
    assert expected is not None and expected.facts["dropped"]["keywords.words"] > 0
    assert manifest.files_digest == expected.files_digest
    assert retune(listed("a")).facts["dropped"].get("keywords.words") is None
    with pytest.raises(UserError, match=r"dataprep\.keywords\.0\.languages"):
        table = {"name": "words", "paths": [str(words)], "languages": ["en"]}
        retune(recipe(tmp_path / "a", folder, presets=[], keywords=[table]))


def test_changed_sources_are_refused(tmp_path: Path, ray_session: object) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "The mill turns and the water flows on. " * 9}) + "\n")
    run(recipe(tmp_path / "root", tmp_path))
    path.write_text(path.read_text() * 2)
    with pytest.raises(UserError, match=r"input s:a\.jsonl"):
        retune(recipe(tmp_path / "root", tmp_path, languages=["de"]))


def test_shards_without_documents(tmp_path: Path, ray_session: object) -> None:
    text = json.dumps({"text": "The mill turns and the water flows on. " * 9})
    for name, content in (("a", ""), ("b", text + "\n"), ("c", "")):
        (tmp_path / f"{name}.jsonl").write_text(content)
    run(recipe(tmp_path / "root", tmp_path))
    manifest = retune(recipe(tmp_path / "root", tmp_path, presets=[]))
    expected = run(recipe(tmp_path / "other", tmp_path, presets=[]))
    assert expected is not None and manifest.files_digest == expected.files_digest
