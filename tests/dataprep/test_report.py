"""The report: its sums, its independence of parts, and a page that hostile text cannot break."""

import itertools
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config import Dataprep
from dataprep.contract import document_fields
from dataprep.report import histogram
from dataprep.report.page import render
from dataprep.report.report import build, merge, summarize, write_report
from dataprep.report.summarize import PAIR, SAMPLE_CHARACTERS, summarize_table
from dataprep.write import write_shard

HOSTILE = "<script src=http://evil/x.js></script><img src=x onerror=alert(1)>\"'&\u202e\x07</pre>"


def documents(num: int, text: str = "word ") -> pa.Table:
    """Written documents: every third dropped for its word count, every seventh a duplicate."""
    rows = []
    for i in range(num):
        reason, value, threshold, survivor = None, None, None, None
        if i % 3 == 0:
            reason, value, threshold = "gopher.word_count_low", float(i), 50.0
        elif i % 7 == 0:
            reason, value, threshold, survivor = "near_duplicates.jaccard", 0.9, 0.8, "s:1"
        rows.append(
            {
                "id": f"s:{i}",
                "content_hash": xxhash.xxh3_128_digest(bytes([i % 256, i // 256])),
                "text": f"{text}{i} <EMAIL>",
                "source": "a" if i % 2 else "b",
                "meta": [],
                "language": "en",
                "language_score": 0.9,
                "signals_word_count": i,
                "signals_share": i / num if i % 5 else None,
                "pii_email": i % 2,
                "survivor_id": survivor,
                "survivor_jaccard": value if survivor else None,
                "drop_reason": reason,
                "drop_value": value,
                "drop_threshold": threshold,
                "removed_bytes": [("pii", -2)] if i % 2 else [],
            }
        )
    fields = [
        *document_fields(),
        pa.field("signals_word_count", pa.int32()),
        pa.field("signals_share", pa.float32()),
        pa.field("pii_email", pa.int32()),
    ]
    return pa.Table.from_pylist(rows, pa.schema(fields))


def facts_of(table: pa.Table) -> dict[str, Any]:
    kept = table["drop_reason"].null_count
    return {
        "documents_in": table.num_rows,
        "quarantined": 1,
        "kept": kept,
        "bytes_in": 1000,
        "bytes_kept": 500,
        "bytes_removed": {"pii": -2},
        "duplicates": {"exact": 0, "near": 4},
        "clusters": {"url": 1, "text": 2, "near": 4, "clusters": 3, "largest_cluster": 12},
        "band_values": {"num_groups": 9, "num_hot_groups": 1, "num_cut": 5, "largest_group": 12},
        "pieces": {"spans": {"pieces": 3, "bytes": 2048}},
        "classifiers": {
            "toxicity": {
                "training": {"positive": 3, "negative": 4},
                "held_out": {"positive": 1, "negative": 0},
                "evaluation": {"auc": None, "threshold": 0.5, "precision": 1.0, "recall": 0.5},
            }
        },
    }


CONFIG = Dataprep().model_dump(mode="json")


def test_clusters_are_counted_by_size_at_their_survivors() -> None:
    table = documents(6)
    sizes = pa.array([2, 2, None, 4, 12, 120], pa.int64())
    place = table.schema.get_field_index("cluster_size")
    table = table.set_column(place, table.schema.field(place), sizes)
    report = build([summarize_table(table), summarize_table(table)], facts_of(table), CONFIG)
    # Rows 0 and 3 are dropped.
    assert report["clusters"] == {
        "10": {"clusters": 2, "documents": 24},
        "100": {"clusters": 2, "documents": 240},
        "2": {"clusters": 2, "documents": 4},
    }
    page = render(report)
    for shown in ("10 to 99", "100 to 999", "compared in parts"):
        assert shown in page, shown


def test_numbers_are_those_of_the_table() -> None:
    table = documents(210)
    report = build([summarize_table(table)], facts_of(table), CONFIG)
    reasons = table["drop_reason"].to_pylist()
    low = reasons.count("gopher.word_count_low")
    near = reasons.count("near_duplicates.jaccard")
    assert [(entry["reason"], entry["documents"]) for entry in report["reasons"]] == [
        ("gopher.word_count_low", low),
        ("near_duplicates.jaccard", near),
    ]
    assert [(e["step"], e["documents_in"], e["documents_dropped"]) for e in report["funnel"]] == [
        ("gopher", 210, low),
        ("near_duplicates", 210 - low, near),
    ]
    assert {name: tally["documents"] for name, tally in report["sources"].items()} == {
        "a": 105,
        "b": 105,
    }
    kept = sum(tally["kept_documents"] for tally in report["sources"].values())
    assert kept == reasons.count(None)
    kept_bytes = sum(
        len(text.encode())
        for text, reason in zip(table["text"].to_pylist(), reasons, strict=True)
        if reason is None
    )
    assert report["languages"]["en"]["kept_bytes"] == kept_bytes
    assert report["pii"]["email"] == {"documents": 105, "findings": 105}
    shares = report["histograms"]["signals_share"]
    assert sum(map(sum, shares.values())) == 210 - table["signals_share"].null_count
    assert sum(map(sum, report["histograms"]["survivor_jaccard"].values())) == near
    rules = {
        (rule["reason"], rule["value"])
        for rule in report["signal_thresholds"]["signals_word_count"]
    }
    assert {("gopher.word_count_low", 50.0), ("chinese.word_count_low", 50.0)} <= rules
    assert report["signal_thresholds"]["survivor_jaccard"] == [
        {"reason": "near_duplicates.jaccard", "value": 0.8}
    ]


def test_samples_are_the_smallest_hashes_and_are_cut() -> None:
    table = documents(210, "long " * 300)
    report = build([summarize_table(table)], facts_of(table), CONFIG)
    assert list(report["samples"]) == ["kept", "gopher.word_count_low", "near_duplicates.jaccard"]
    rows = [row for row in table.to_pylist() if row["drop_reason"] is None]
    smallest = sorted(rows, key=lambda row: row["content_hash"])[:6]
    assert [sample["id"] for sample in report["samples"]["kept"]] == [row["id"] for row in smallest]
    for sample in itertools.chain(*report["samples"].values()):
        assert len(sample["text"]) == SAMPLE_CHARACTERS < sample["characters"]


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 90), max_size=4), st.randoms(use_true_random=False))
def test_parts_and_their_order_do_not_matter(cuts: list[int], draw: Any) -> None:
    table = documents(90)
    bounds = [0, *sorted(cuts), 90]
    parts = [
        summarize_table(table.slice(start, stop - start))
        for start, stop in itertools.pairwise(bounds)
        if stop > start
    ]
    draw.shuffle(parts)
    assert merge(parts) == merge([summarize_table(table)])
    # Through JSON, as tasks hand them over.
    assert merge(json.loads(json.dumps(parts))) == merge([summarize_table(table)])


@given(st.lists(st.floats(-1e9, 1e9), max_size=50))
def test_bins_hold_what_their_edges_say(values: list[float]) -> None:
    for value, position in zip(values, histogram.bins(np.array(values)).tolist(), strict=True):
        if value > 0:
            assert value <= histogram.upper_edge(position) * (1 + 1e-9)
            assert value >= histogram.upper_edge(position - 1) * (1 - 1e-9)
        else:
            assert position == (0 if value == 0 else -1)


def test_edges_fall_into_their_own_bins() -> None:
    positions = np.arange(1, 300)
    edges = np.array([histogram.upper_edge(int(position)) for position in positions])
    assert histogram.bins(edges).tolist() == positions.tolist()
    assert [histogram.scale(edge) for edge in edges] == pytest.approx(positions.tolist())


def test_only_finite_numbers_are_counted() -> None:
    values = np.array([1.0, np.nan, np.inf, -np.inf, 0.0])
    found = histogram.histogram(values, np.array([True, True, True, True, False]))
    assert found == {0: (0, 1), 50: (1, 0)}


def test_report_of_written_parts(tmp_path: Path) -> None:
    table = documents(120)
    read = pc.binary_length(table["text"])
    staged = table.drop_columns(["removed_bytes"]).append_column(
        "read_bytes", read.cast(pa.int64())
    )
    written = write_shard([staged], tmp_path, tmp_path / "work", 0, seed=1, valid_fraction=0.2)
    summaries = [summarize(tmp_path, entry.path) for entry in written.files[:3]]
    assert len(summaries) == 3
    entries = write_report(tmp_path, summaries, facts_of(table), CONFIG)
    assert [(tmp_path / name).readlink().name for name in ("report.json", "report.html")] == [
        entry.path for entry in entries
    ]
    assert all(entry.bytes == (tmp_path / entry.path).stat().st_size for entry in entries)
    again = write_report(tmp_path / "again", summaries[::-1], facts_of(table), CONFIG)
    assert [entry.digest for entry in again] == [entry.digest for entry in entries]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["funnel"][0]["documents_in"] == 120


def test_empty_corpus_has_a_report(tmp_path: Path) -> None:
    facts = {**facts_of(documents(0)), "quarantined": 0}
    assert len(write_report(tmp_path, [], facts, CONFIG)) == 2


class Page(HTMLParser):
    """Tags, attributes and text of a page, by the standard library's parser."""

    VOID = frozenset({"meta", "br", "line", "rect"})

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.values: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(markup)
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def hostile_page(directory: Path) -> str:
    table = documents(40, HOSTILE)
    columns = {"source": pa.array([HOSTILE] * 40), "language": pa.array([HOSTILE] * 40)}
    columns["id"] = pa.array([f"{HOSTILE}{i}" for i in range(40)])
    columns["drop_reason"] = pa.array([None if i % 2 else f"x.{HOSTILE}" for i in range(40)])
    for name, values in columns.items():
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, values)
    write_report(directory, [summarize_table(table)], facts_of(table), CONFIG)
    return (directory / "report.html").read_text()


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    page = Page(hostile_page(tmp_path))
    harmless = Page(_plain_page(tmp_path))
    assert page.tags <= harmless.tags
    assert page.attributes <= harmless.attributes
    assert not page.tags & {"script", "img", "link", "iframe", "object", "base", "form"}
    assert not any(name.startswith("on") for name in page.attributes)
    assert any("<script src=http://evil/x.js>" in words for words in page.words)
    text = "".join(page.words)
    assert "\u202e" not in text and "\\x202e" in text
    assert "\x07" not in text


def _plain_page(directory: Path) -> str:
    table = documents(210)
    write_report(directory / "plain", [summarize_table(table)], facts_of(table), CONFIG)
    return (directory / "plain" / "report.html").read_text()


def test_page_asks_for_nothing(tmp_path: Path) -> None:
    markup = _plain_page(tmp_path)
    page = Page(markup)
    assert not page.attributes & {"src", "srcset", "action", "data", "poster"}
    assert not any("://" in value for value in page.values)
    assert "url(" not in markup and "@import" not in markup
    assert "default-src 'none'" in " ".join(page.values)
    # The marked placeholder, and only as what it is.
    assert "<mark>&lt;EMAIL&gt;</mark>" in markup


@pytest.mark.slow
def test_a_browser_sees_no_script_and_every_section(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium on this machine")
    hostile_page(tmp_path)
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={tmp_path / 'profile'}",
        (tmp_path / "report.html").resolve().as_uri(),
    ]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    assert "<script" not in seen and "<img" not in seen
    assert all(f'id="{name}"' in seen for name in ("funnel", "rules", "signals", "samples"))


def test_a_page_of_ten_million_documents_stays_small() -> None:
    part = summarize_table(documents(400))
    tally = next(iter(part["groups"].values()))
    large = {key: value * 99_991 for key, value in tally.items()}
    names = [
        f"{table}.rule_with_a_rather_long_name_{i}_high" for i in range(10) for table in "abcdef"
    ]
    part["groups"] = {"kept": large, **{name: {**large, "kept_documents": 0} for name in names}}
    part["samples"] = {name: part["samples"]["kept"][:3] for name in ("kept", *names)}
    part["sources"] = {f"source-{i:03}": large for i in range(300)}
    part["languages"] = {f"l{i:02}": large for i in range(90)}
    part["source_languages"] = {
        f"source-{i:03}{PAIR}l{j:02}": large for i in range(300) for j in range(20)
    }
    part["language_groups"] = {f"l{j:02}{PAIR}{name}": large for name in names for j in range(90)}
    part["histograms"] = {f"signals_{i}": part["histograms"]["text_bytes"] for i in range(100)}
    report = build([part], facts_of(documents(400)), CONFIG)
    page = render(report)
    assert len(page.encode()) < 2_000_000
    assert "270 more in report.json" in page and "60 more in report.json" in page
    assert len(report["sources"]) == 300 and len(report["language_reasons"]) == 90


def test_before_and_after_of_a_source() -> None:
    table = documents(200)
    report = build([summarize_table(table)], facts_of(table), CONFIG)
    expected: dict[str, list[int]] = {"a": [0, 0], "b": [0, 0]}
    for row in table.to_pylist():
        read = len(row["text"].encode()) + sum(number for _, number in row["removed_bytes"])
        expected[row["source"]][0] += read
        expected[row["source"]][1] += len(row["text"].encode()) * (row["drop_reason"] is None)
    found = {name: [t["read_bytes"], t["kept_bytes"]] for name, t in report["sources"].items()}
    assert found == expected
    assert report["edits"] == {"pii": {"documents": 100, "bytes": -200}}
    assert report["source_languages"]["a"]["en"]["documents"] == 100
    reasons = table["drop_reason"].to_pylist()
    by_rule = {name: tally["documents"] for name, tally in report["language_reasons"]["en"].items()}
    assert by_rule.pop("kept") == reasons.count(None)
    assert by_rule == {name: reasons.count(name) for name in {*reasons} - {None}}
