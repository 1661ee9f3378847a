"""Runs that look for evaluation items, retuned from one mode to the other, and their review."""

import functools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.contract import dropped_files, kept_files, open_documents
from dataprep.decontamination import decontamination
from dataprep.decontamination.review import review
from dataprep.report.explain import explain
from dataprep.retune import retune
from dataprep.retune_preview import preview
from dataprep.run import run
from launch.errors import UserError
from launch.manifest import Manifest
from launch.recipe import Recipe

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)> & \u202e\x07"
QUESTIONS = {
    "proverb": "All that glitters is not gold, as the old saying goes",
    "leaked": "Which mill wheel turns faster, the one above the weir or the one below it?",
    "hostile": f"Escape these {HOSTILE} seven signs before they reach the browser window",
    "short": "Paris",
    "absent": "How many grains does the lower millstone grind in a single winter night?",
}
FILLER = "The mill turns and the water that turned it flows on, so the mill turns again."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of documents, some with items in them, and the evaluation set."""
    folder = tmp_path_factory.mktemp("documents")
    texts = [
        f"Document {n} on mills number {n}. {FILLER} Its number is {n * 7919}." for n in range(30)
    ]
    for n in range(9):
        texts[n] += f" {QUESTIONS['proverb']}: {n}."
    texts[9] += f"\n\nQ: {QUESTIONS['leaked'].upper()}\nA: {FILLER}"
    texts[10] += f" {QUESTIONS['leaked']} {QUESTIONS['proverb']}."
    texts[11] = f"{HOSTILE} {QUESTIONS['hostile']} {HOSTILE}"
    for shard in range(2):
        lines = [
            json.dumps({"id": f"<b>{n}", "text": text})
            for n, text in enumerate(texts)
            if n % 2 == shard
        ]
        (folder / f"{shard}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    items = [json.dumps({"id": name, "question": text}) for name, text in QUESTIONS.items()]
    (folder / "quiz").mkdir()
    (folder / "quiz" / "quiz.jsonl").write_text("\n".join(items) + "\n", encoding="utf-8")
    return folder


def recipe(root: Path, folder: Path, **keys: Any) -> Recipe:
    quiz = {"name": "quiz", "paths": [f"{folder}/quiz/*.jsonl"], "id": "id"}
    source = {
        "name": "s", "kind": "jsonl", "paths": [f"{folder}/*.jsonl"], "columns": {"id": "id"}
    }  # fmt: skip
    tables = {
        "presets": [],
        "languages": [],
        "near_duplicates": {"partitions": 2, "jaccard": 0.95},
        "decontamination": {"sets": [quiz], **keys},
    }
    return Recipe.from_dict({"run": {"root": str(root)}, "sources": [source], "dataprep": tables})


CHANGES: dict[str, dict[str, Any]] = {
    "mark": {"mode": "mark"},
    "drop": {"mode": "drop", "allow": ["quiz:proverb"]},
    "off": {"mode": "off"},
}


@pytest.fixture(scope="module")
def fresh(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: object
) -> Callable[[str], tuple[Path, Manifest]]:
    """A fresh run of a change, made once: its root and manifest."""

    @functools.cache
    def build(name: str) -> tuple[Path, Manifest]:
        root = tmp_path_factory.mktemp(name)
        manifest = run(recipe(root, folder, **CHANGES[name]))
        assert manifest is not None
        return root, manifest

    return build


def rows(root: Path) -> dict[str, dict[str, Any]]:
    """All documents by the number in their id, without the texts."""
    manifest = open_documents(root / "documents")
    names = [*kept_files(manifest, "train"), *kept_files(manifest, "valid")]
    found = {}
    for name in (*names, *dropped_files(manifest)):
        for row in pq.read_table(root / "documents" / name).drop_columns(["text"]).to_pylist():
            found[row["id"].removeprefix("s:<b>")] = row
    return found


def test_marked_documents_are_kept_and_dropped_ones_name_their_item(
    fresh: Callable[[str], tuple[Path, Manifest]],
) -> None:
    root, manifest = fresh("mark")
    marked = rows(root)
    assert len(marked) == 30 and all(row["drop_reason"] is None for row in marked.values())
    assert manifest.facts["decontamination"] == {
        "quiz": {"items": 5, "too_short": 1, "too_short_ids": ["short"]}
    }
    items = {
        n: row["decontamination_item"] for n, row in marked.items() if row["decontamination_hits"]
    }
    expected = {str(n): "proverb" for n in range(9)} | {"9": "leaked", "11": "hostile"}
    assert {**items, "10": None} == {**expected, "10": None} and items["10"] is not None
    assert marked["10"]["decontamination_hits"] == 2
    dropped = {n for n, row in rows(fresh("drop")[0]).items() if row["drop_reason"] is not None}
    assert dropped == {"9", "10", "11"}
    facts = fresh("drop")[1].facts["dropped"]
    assert facts == {"decontamination.match": 3}


def test_the_report_counts_by_set(fresh: Callable[[str], tuple[Path, Manifest]]) -> None:
    for name, dropped in (("mark", 0), ("drop", 3)):
        report = json.loads((fresh(name)[0] / "documents" / "report.json").read_text())
        assert report["contamination"] == {"quiz": {"documents": 12, "dropped": dropped}}
    page = (fresh("drop")[0] / "documents" / "report.html").read_text(encoding="utf-8")
    assert "Evaluation sets" in page


def test_retuned_documents_are_those_of_a_fresh_run(
    fresh: Callable[[str], tuple[Path, Manifest]], folder: Path, tmp_path: Path
) -> None:
    """From nothing looked for to marked, to dropped, and back."""
    root = tmp_path / "tuned"
    shutil.copytree(fresh("off")[0], root)
    for name in ("mark", "drop", "off"):
        wanted = recipe(root, folder, **CHANGES[name])
        if name == "drop":
            before = open_documents(root / "documents")
            assert preview(wanted, before).groups["decontamination.match"][0] == 3
        manifest = retune(wanted)
        assert manifest.files_digest == fresh(name)[1].files_digest
        assert manifest.facts == fresh(name)[1].facts


@pytest.mark.slow
def test_a_changed_set_is_searched_for_again(
    fresh: Callable[[str], tuple[Path, Manifest]], folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "documents"
    shutil.copytree(folder, own)
    root = tmp_path / "tuned"
    run(recipe(root, own, **CHANGES["mark"]))
    lines = (own / "quiz" / "quiz.jsonl").read_text(encoding="utf-8").splitlines()
    (own / "quiz" / "quiz.jsonl").write_text("\n".join(lines[1:]), encoding="utf-8")
    with pytest.raises(UserError, match="change"):
        review(recipe(root, own, **CHANGES["mark"]))
    retune(recipe(root, own, **CHANGES["mark"]))
    hit = {n for n, row in rows(root).items() if row["decontamination_hits"]}
    assert hit == {"9", "10", "11"}
    assert rows(root)["9"] == rows(fresh("mark")[0])["9"]


def test_a_review_shows_items_beside_passages_and_runs_nothing(
    fresh: Callable[[str], tuple[Path, Manifest]], folder: Path, tmp_path: Path
) -> None:
    root, _ = fresh("mark")
    table = review(recipe(root, folder, **CHANGES["mark"]), tmp_path)
    assert table.split("\n")[1].split() == ["quiz", "5", "1", "3", "12", "0"]
    lines = [json.loads(line) for line in (tmp_path / "review.jsonl").read_text().splitlines()]
    assert len(lines) == 13
    assert {line["item"] for line in lines} == {"quiz:proverb", "quiz:leaked", "quiz:hostile"}
    assert all(line["score"] == 1.0 for line in lines)
    page = (tmp_path / "review.html").read_text(encoding="utf-8")
    assert "<script" not in page and "<img" not in page and "<b>" not in page
    assert "&lt;script&gt;alert(1)" in page and "\\x202e" in page
    # The item that most documents hold comes first, and its words are marked in the passage.
    assert page.index("quiz:proverb") < page.index("quiz:leaked") < page.index("quiz:short")
    assert "10 documents" in page and f"<mark>{QUESTIONS['proverb']}</mark>" in page
    assert "&quot;quiz:proverb&quot;," in page
    leaked = QUESTIONS["leaked"].upper().removesuffix("?")
    assert f"<mark>{leaked}</mark>" in page


def test_a_review_of_dropped_documents_and_of_none(
    fresh: Callable[[str], tuple[Path, Manifest]], folder: Path
) -> None:
    root, _ = fresh("drop")
    table = review(recipe(root, folder, **CHANGES["drop"]))
    assert table.split("\n")[1].split() == ["quiz", "5", "1", "3", "3", "3"]
    assert (root / "review" / "review.html").is_file()
    assert "allowed" in (root / "review" / "review.html").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="mode"):
        review(recipe(fresh("off")[0], folder, **CHANGES["off"]))


def test_explain_says_where_the_item_stands(fresh: Callable[[str], tuple[Path, Manifest]]) -> None:
    told = explain(fresh("drop")[0] / "documents", "s:<b>9")
    assert decontamination.REASON in told
    assert "quiz:leaked question, score 1, bytes" in told


def test_what_was_cut_out_since_is_said_to_be(
    fresh: Callable[[str], tuple[Path, Manifest]], folder: Path, tmp_path: Path
) -> None:
    """The texts of two documents lose a piece before, and one the item itself."""
    root = tmp_path / "root"
    shutil.copytree(fresh("mark")[0], root)
    manifest = open_documents(root / "documents")
    for name in kept_files(manifest, "train"):
        path = root / "documents" / name
        rows = pq.read_table(path)
        texts = [
            text.replace(FILLER, "").replace(QUESTIONS["leaked"].upper(), "")
            for text in rows["text"].to_pylist()
        ]
        place = rows.schema.get_field_index("text")
        pq.write_table(
            rows.set_column(place, rows.schema.field(place), pa.array(texts, pa.large_string())),
            path,
        )
        size = path.stat().st_size
        document = json.loads((root / "documents" / "manifest.json").read_text())
        for entry in document["files"]:
            if entry["path"] == name:
                entry["bytes"] = size
        (root / "documents" / "manifest.json").write_text(json.dumps(document))
    review(recipe(root, folder, **CHANGES["mark"]), tmp_path / "review")
    lines = (tmp_path / "review" / "review.jsonl").read_text().splitlines()
    passages = {(line["id"], line["item"]): line["passage"] for line in map(json.loads, lines)}
    assert "cut out" in passages["s:<b>9", "quiz:leaked"]
    assert QUESTIONS["proverb"] in passages["s:<b>3", "quiz:proverb"]
    page = (tmp_path / "review" / "review.html").read_text(encoding="utf-8")
    assert f"<mark>{QUESTIONS['proverb']}</mark>" in page


@pytest.mark.slow
def test_a_browser_shows_the_page_without_a_script(
    fresh: Callable[[str], tuple[Path, Manifest]], folder: Path, tmp_path: Path
) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium on this machine")
    review(recipe(fresh("mark")[0], folder, **CHANGES["mark"]), tmp_path)
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={tmp_path / 'profile'}",
        (tmp_path / "review.html").resolve().as_uri(),
    ]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    assert "<script" not in seen and "<img" not in seen
    assert all(f'id="{name}"' in seen for name in ("sets", "sources", "items", "short"))
