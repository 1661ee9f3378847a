"""An index across runs: the same as one run over both, however it was built; queries are exact."""

import itertools
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.config_duplicates import NearDuplicates
from dataprep.indexes import build as index_build
from dataprep.indexes.build import extend
from dataprep.indexes.index import open_index, read_index
from dataprep.indexes.query import query
from dataprep.retune import retune
from dataprep.run import run
from launch.errors import UserError
from launch.manifest import Manifest
from launch.recipe import Recipe

WORDS = [f"{a}{b}" for a, b in itertools.product("bcdfgklmnprst", ("ano", "eli", "ite", "omu"))]


def family(seed: int, draw: random.Random) -> list[str]:
    """A text of its own and edits of it, from equal ones to those that are no duplicates."""
    words = random.Random(seed).choices(WORDS, k=200)
    texts = []
    for edits in (0, 0, 1, 2, 40):
        edited = list(words)
        for _ in range(edits):
            edited[draw.randrange(len(edited))] = "edited"
        texts.append(" ".join(edited))
    return texts


def write_corpus(path: Path, families: range, seed: int) -> dict[str, str]:
    draw = random.Random(seed)
    texts = [text for number in families for text in draw.sample(family(number, draw), k=3)]
    draw.shuffle(texts)
    line = "a line that some of these pages share word for word"
    texts[:9] = [f"{text}\n{line}" for text in texts[:9]]
    texts += ["four words, no more", f"a short one of {seed}"]
    named = {f"{path.name}{number}": text for number, text in enumerate(texts)}
    path.mkdir(parents=True)
    for shard in range(2):
        lines = [json.dumps({"id": key, "text": named[key]}) for key in list(named)[shard::2]]
        (path / f"{shard}.jsonl").write_text("\n".join(lines) + "\n")
    return named


def recipe(folder: Path, root: str, names: str, **dataprep: Any) -> Recipe:
    sources = [
        {"name": name, "kind": "jsonl", "paths": [f"{folder}/{name}/*"], "columns": {"id": "id"}}
        for name in names
    ]
    near = {"partitions": 3, **dataprep.pop("near_duplicates", {})}
    tables = {
        "languages": [], "presets": [], "signals": False, "valid_fraction": 0.2,
        "near_duplicates": near, **dataprep,
    }  # fmt: skip
    run_table = {"root": str(folder / root)}
    return Recipe.from_dict({"run": run_table, "sources": sources, "dataprep": tables})


def made(recipe: Recipe) -> Manifest:
    manifest = run(recipe)
    assert manifest is not None
    return manifest


def rows(recipe: Recipe, part: str) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(recipe.documents.glob(f"{part}/**/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            found[row["id"]] = row
    return found


def similarity(left: str, right: str) -> float:
    first, second = (
        {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}
        for words in (left.replace(",", "").split(), right.replace(",", "").split())
    )
    return len(first & second) / len(first | second)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, ray_session: object) -> Path:
    """Corpora a and b that share families, each with duplicates; a and b run, and an index of a."""
    folder = tmp_path_factory.mktemp("index")
    write_corpus(folder / "a", range(12), seed=1)
    write_corpus(folder / "b", range(6, 18), seed=2)
    made(recipe(folder, "run_a", "a"))
    extend(recipe(folder, "run_a", "a"), folder / "old")
    made(recipe(folder, "against", "b", indexes=[str(folder / "old")]))
    return folder


def test_a_run_against_an_index_is_a_run_over_both(folder: Path) -> None:
    together = recipe(folder, "both", "ab", survivors={"order": ["source"]})
    made(together)
    alone = rows(recipe(folder, "run_a", "a"), "kept")
    against = recipe(folder, "against", "b")
    kept, dropped = rows(against, "kept"), rows(against, "dropped")
    assert {*alone, *kept} == {*rows(together, "kept")}
    reasons = {row["drop_reason"] for row in dropped.values()}
    assert reasons == {"exact.duplicate", "near_duplicates.jaccard"}
    survivors = {f"index:old/{key}": row for key, row in alone.items()} | kept
    of_index = set()
    for row in dropped.values():
        survivor = survivors[row["survivor_id"]]
        if row["survivor_id"].startswith("index:"):
            of_index.add((row["drop_reason"], row["id"]))
        assert row["cluster_id"] == row["survivor_id"]
        if row["drop_reason"] == "exact.duplicate":
            assert row["text"] == survivor["text"]
        else:
            value = similarity(row["text"], survivor["text"])
            assert row["drop_value"] == pytest.approx(value)
            assert value >= 0.8
    assert {reason for reason, _ in of_index} == reasons
    assert 5 < len(of_index) < len(dropped)
    for left, right in itertools.product(kept.values(), survivors.values()):
        assert left is right or similarity(left["text"], right["text"]) < 0.9


def test_retune_adds_an_index_and_takes_it_away(folder: Path) -> None:
    """Also where the index holds several segments and the texts of documents that were cut."""
    cut = {"spans": {"units": ["line"]}}
    assert made(recipe(folder, "run_cut", "b", **cut)).facts["pieces"]["spans"]["pieces"]
    extend(recipe(folder, "run_cut", "b", **cut), folder / "more")
    extend(recipe(folder, "run_a", "a"), folder / "more")
    indexed: dict[str, Any] = {"indexes": [str(folder / "old"), str(folder / "more")]}
    plain = made(recipe(folder, "retuned", "b"))
    stored = {
        text
        for path in (folder / "more").glob("segments/*/texts/*.parquet")
        for text in pq.read_table(path)["text"].to_pylist()
    }
    assert stored >= {row["text"] for row in rows(recipe(folder, "retuned", "b"), "kept").values()}
    with_indexes = retune(recipe(folder, "retuned", "b", **indexed))
    fresh = made(recipe(folder, "fresh", "b", **indexed))
    assert with_indexes.files_digest == fresh.files_digest != plain.files_digest
    assert with_indexes.inputs == fresh.inputs
    # All of b is indexed.
    assert fresh.facts["kept"] == 0
    assert retune(recipe(folder, "retuned", "b")).files_digest == plain.files_digest


def test_a_query_finds_what_comparing_all_finds(folder: Path) -> None:
    indexed = rows(recipe(folder, "run_a", "a"), "kept")
    texts = write_corpus(folder / "asked", range(3, 15), seed=3)
    answers = list(query(folder / "old", [f"{folder}/asked/*.jsonl"]))
    assert [row["id"] for row in answers] == [*list(texts)[0::2], *list(texts)[1::2]]
    seen = set()
    for row in answers:
        text = texts[row["id"]]
        values = {key: similarity(text, other["text"]) for key, other in indexed.items()}
        seen.add(row["match"])
        if row["match"] is None:
            assert max(values.values()) < 0.9
        else:
            assert row["jaccard"] == pytest.approx(max(values.values()))
            assert values[row["survivor_id"]] == pytest.approx(row["jaccard"])
            same = indexed[row["survivor_id"]]["text"] == text
            assert row["match"] == ("exact" if same else "near")
            assert row["jaccard"] >= 0.8
            assert row["source"] == "a"
    assert seen == {"exact", "near", None}
    closer = query(folder / "old", [f"{folder}/asked/*.jsonl"], jaccard=0.97)
    by_id = {row["id"]: row for row in answers}
    for row in closer:
        if by_id[row["id"]].get("jaccard", 0.0) >= 0.97:
            assert row == by_id[row["id"]]
        else:
            assert row["match"] is None


def test_the_order_of_extending_leaves_no_trace(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = recipe(folder, "run_a", "a"), recipe(folder, "against", "b")
    old = read_index(folder / "old")
    extend(first, tmp_path / "x")
    both = extend(second, tmp_path / "x")
    assert len(both.facts["segments"]) == 2
    assert both.facts["documents"] == len(rows(first, "kept")) + len(rows(second, "kept"))
    assert {*old.files} < {*both.files}

    extend(second, tmp_path / "y")

    # Killed before the manifest, with one task undone: the same command ends with the same files.
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(index_build, "write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            extend(first, tmp_path / "y")
    next((tmp_path / "y").glob("work/*/shards/*.json")).unlink()
    assert extend(first, tmp_path / "y") == both
    assert not (tmp_path / "y" / "work").exists()
    before = (tmp_path / "y" / "manifest.json").stat().st_mtime_ns
    assert extend(first, tmp_path / "y") == both  # up to date
    assert (tmp_path / "y" / "manifest.json").stat().st_mtime_ns == before


def test_records_of_an_index_are_sorted_and_complete(folder: Path) -> None:
    (segment,) = open_index(folder / "old", read_index(folder / "old")).segments
    kept = rows(recipe(folder, "run_a", "a"), "kept")
    texts = pq.read_table(segment.texts[0]).num_rows + pq.read_table(segment.texts[1]).num_rows
    assert texts == len(kept)
    bands = pq.read_table(segment.bands[0])
    values = bands["band_value"].to_numpy()
    assert (values[1:] >= values[:-1]).all()
    assert len(values) == NearDuplicates().bands * len(kept)
    keys = np.unique(values)[::7]
    found = [keys[places] for places, _ in segment.find_bands(keys)]
    assert np.array_equal(np.concatenate(found), values[np.isin(values, keys)])


def test_what_cannot_be_compared_is_refused(folder: Path, tmp_path: Path) -> None:
    other = recipe(folder, "other", "a", near_duplicates={"bands": 8}, limit=5)
    made(other)
    with pytest.raises(UserError, match=f"bands: got 8, expected {NearDuplicates().bands}"):
        extend(other, folder / "old")
    against = recipe(
        folder, "refused", "b", near_duplicates={"words": 7}, indexes=[str(folder / "old")]
    )
    with pytest.raises(UserError, match="words: got 7, expected 5"):
        run(against)
    assert not (folder / "refused" / "documents" / "work").exists()
    with pytest.raises(UserError, match="no such file"):
        run(recipe(folder, "refused", "b", indexes=[str(tmp_path / "nothing")]))
    with pytest.raises(UserError, match="two directories called 'old'"):
        run(recipe(folder, "refused", "b", indexes=[str(folder / "old")] * 2))
    with pytest.raises(UserError, match="no such file"):
        extend(recipe(folder, "never_run", "b"), tmp_path / "x")
    nothing = recipe(folder, "exact_only", "a", near_duplicates={"enabled": False}, limit=5)
    made(nothing)
    with pytest.raises(UserError, match="enabled: got false"):
        extend(nothing, tmp_path / "x")


def test_a_damaged_file_of_an_index_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "old"
    shutil.copytree(folder / "old", copy)
    queried = tmp_path / "queried.jsonl"
    kept = rows(recipe(folder, "run_a", "a"), "kept")
    queried.write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in kept.values()))
    for kind in ("texts", "bands", "hashes"):
        for path in sorted(copy.glob(f"segments/*/{kind}/*.parquet")):
            content = path.read_bytes()
            path.write_bytes(content[:40] + bytes([content[40] ^ 4]) + content[41:])
            with pytest.raises(UserError, match=f"{path.name}: got damaged bytes"):
                list(query(copy, [str(queried)]))
            path.write_bytes(content)
    assert len(list(query(copy, [str(queried)]))) == len(kept)
