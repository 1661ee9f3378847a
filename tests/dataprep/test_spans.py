"""Spans: paragraphs, lines and sentences that stand earlier, against a dictionary of all pieces."""

import itertools
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import example, given
from hypothesis import strategies as st

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Dataprep
from dataprep.config_duplicates import NearDuplicates, Spans, Substrings, Survivors
from dataprep.dedup import spans
from dataprep.dedup.pieces import cut_pieces
from dataprep.dedup.span_kernels import LINES, PARAGRAPHS, SENTENCES, find_units
from dataprep.tasks import in_turn
from dataprep.text.word_characters import word_characters
from dataprep.workspace import Layout, Workspace

# As Python says them, without the kernels' state: what stands between two ends.
BETWEEN = {
    "paragraph": re.compile(r"[^\S\n]*\n(?:\s*\n)+\s*"),
    "line": re.compile(r"\n"),
    "sentences": re.compile(r"\n|(?<=[.!?。])(?=\s)|(?<=[.!?]\))(?=\s)|(?<=。)(?=[^\s.!?。)])"),
}
UNITS = {"paragraph": PARAGRAPHS, "line": LINES, "sentences": SENTENCES}
RunPieces = Callable[..., tuple[dict[str, dict[str, Any]], list[dict[str, Any]], Workspace]]
TEXT = st.text(st.sampled_from("ab \n.。)"), max_size=40)


def pieces_of(text: str, unit: str, sentences: int) -> list[tuple[int, int]]:
    """Start and end of each piece, in characters."""
    borders = [0]
    for match in BETWEEN[unit].finditer(text):
        borders += [match.start(), match.end()]
    borders.append(len(text))
    found = []
    for start, end in itertools.pairwise(borders):
        piece = text[start:end]
        if piece.strip():
            start += len(piece) - len(piece.lstrip())
            found.append((start, start + len(piece.strip())))
    if unit != "sentences":
        return found
    runs = (found[i : i + sentences] for i in range(len(found) - sentences + 1))
    return [(run[0][0], run[-1][1]) for run in runs]


@given(st.lists(TEXT, max_size=4))
@example(["a. b.c 。)。a.. b\n\n \n a", "", "a\n\n\nb\n", "3.14 (a.) b。b"])
def test_units_are_found_as_python_finds_them(texts: list[str]) -> None:
    data, offsets = text_buffers(pa.array(texts, pa.large_string()))
    for name, unit in UNITS.items():
        found = find_units(data, offsets, word_characters(), unit)
        expected = []
        for row, text in enumerate(texts):
            if name == "sentences" and re.search(r"[.。)]{2}|\)", text):
                continue  # signs in a row are examples below: they are no regular expression
            for start, end in pieces_of(text, name, 1):
                begin = int(offsets[row])
                expected.append(
                    (row, begin + len(text[:start].encode()), begin + len(text[:end].encode()))
                )
        rows = {row for row, _, _ in expected} if name == "sentences" else set(range(len(texts)))
        assert [tuple(p) for p in found.T.tolist() if p[0] in rows] == expected


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He said so. Then he left.", ["He said so.", "Then he left."]),
        ("Really?! Yes... no.", ["Really?!", "Yes...", "no."]),
        ("It is 3.14 at example.com. (See there.) Well.",
         ["It is 3.14 at example.com.", "(See there.)", "Well."]),
        ("他说：“走吧。”于是走了！真的？是。", ["他说：“走吧。”", "于是走了！", "真的？", "是。"]),
        ("No end\nnext line. And more", ["No end", "next line.", "And more"]),
        ("  \n\n ", []),
    ],
)  # fmt: skip
def test_sentences_end_where_readers_see_it(text: str, sentences: list[str]) -> None:
    data, offsets = text_buffers(pa.array([text], pa.large_string()))
    found = find_units(data, offsets, word_characters(), SENTENCES)
    encoded = text.encode()
    assert [encoded[s:e].decode() for _, s, e in found.T.tolist()] == sentences


def expected_repeats(texts: dict[str, str], config: Spans) -> set[tuple[str, int, int, str]]:
    """Id, start and end in characters, and the document where the piece stands first."""
    found = set()
    for unit in config.units:
        seen: dict[str, str] = {}
        for name in sorted(texts, key=lambda n: (xxhash.xxh3_128_digest(texts[n].encode()), n)):
            text = texts[name]
            for start, end in pieces_of(text, unit, config.sentences):
                key = " ".join(text[start:end].split())
                if len(key) < config.characters_min:
                    continue
                if key in seen:
                    found.add((name, start, end, seen[key]))
                else:
                    seen[key] = name
    return found


def corpus(seed: int) -> dict[str, str]:
    """Texts of paragraphs of lines of sentences, many of which several share."""
    draw = random.Random(seed)
    words = ["mill", "water", "turns", "水车", "grinds", "é"]

    def sentence() -> str:
        return " ".join(draw.choices(words, k=draw.randint(1, 5))) + draw.choice([".", "!", ""])

    known = [sentence() for _ in range(12)]
    paragraphs = []
    for _ in range(12):
        chosen = [draw.choice([draw.choice(known), sentence()]) for _ in range(6)]
        paragraphs.append("".join(s + draw.choice([" ", "  ", "\n"]) for s in chosen).strip())
    texts = {}
    for number in range(30):
        parts = [draw.choice([draw.choice(paragraphs), sentence()]) for _ in range(4)]
        between = draw.choice(["\n\n", "\n \n", "\n\n\n"])
        texts[f"{number}"] = between.join([f"unique {number} of {seed} stays", *parts])
    return texts


def configured(partitions: int, *units: str, **spans_config: int) -> Dataprep:
    return Dataprep(
        languages=(),
        presets=(),
        near_duplicates=NearDuplicates(enabled=False, partitions=partitions),
        spans=Spans.model_validate({"units": units, **spans_config}),
    )


@pytest.mark.parametrize("units", [("paragraph",), ("line",), ("sentences",), tuple(UNITS)])
def test_what_is_cut_is_what_a_dictionary_finds(
    tmp_path: Path, units: Sequence[str], run_pieces: RunPieces
) -> None:
    texts = corpus(1)
    config = configured(3, *units, characters_min=8, sentences=2, words_left_min=0)
    documents, pieces, work = run_pieces(tmp_path / "a", texts, config, 2, 0)
    expected = expected_repeats(texts, config.spans)
    assert len(expected) > 20
    found = set()
    names = [
        pq.read_table(work.staged(shard), columns=["id"])["id"].to_pylist() for shard in range(2)
    ]
    for partition in range(3):
        for row in pq.read_table(work.repeats("spans", partition)).to_pylist():
            name = names[row["row"] >> 32][row["row"] & 0xFFFFFFFF].removeprefix("s:")
            encoded = texts[name].encode()
            start, end = (len(encoded[: row[key]].decode()) for key in ("start", "end"))
            found.add((name, start, end, row["survivor_id"].removeprefix("s:")))
    assert found == expected
    # Whatever is not in a piece that goes, and is not blank, is written.
    for name, text in texts.items():
        gone = {i for n, s, e, _ in expected if n == name for i in range(s, e)}
        left = "".join(c for i, c in enumerate(text) if i not in gone and not c.isspace())
        written = documents[name]
        assert "".join(written["text"].split()) == left
        removed = len(text.encode()) - len(written["text"].encode())
        assert dict(written["removed_bytes"]).get("spans", 0) == removed
        of_name = [piece for piece in pieces if piece["id"] == f"s:{name}"]
        assert sum(len(piece["text"].encode()) for piece in of_name) == removed
        assert {piece["survivor_id"] for piece in of_name} <= {
            f"s:{survivor}" for n, _, _, survivor in expected if n == name
        }


@pytest.mark.parametrize("seed", [1, 2])
def test_cuts_do_not_depend_on_shards_partitions_or_order(
    tmp_path: Path, seed: int, run_pieces: RunPieces
) -> None:
    texts = corpus(seed)
    first = run_pieces(tmp_path / "a", texts, configured(1, *UNITS), 1, 0)[:2]
    assert run_pieces(tmp_path / "b", texts, configured(4, *UNITS), 3, 1)[:2] == first
    assert run_pieces(tmp_path / "c", texts, configured(7, *UNITS), 2, 2)[:2] == first
    assert first[1]


def test_near_duplicates_go_whole_and_take_no_part(tmp_path: Path, run_pieces: RunPieces) -> None:
    """A page that differs in a line is dropped, not left as a torso; its lines count for none."""
    words = [f"word{i}" for i in range(400)]
    lines = [" ".join(words[i : i + 8]) for i in range(0, 400, 8)]
    shared = "a line that a third document shares with one of them only"
    texts = {
        "one": "\n".join(lines),
        "two": "\n".join([*lines[:-1], shared]),
        "three": "\n".join(["something else entirely stands here, and then", shared, "an end"]),
    }
    config = configured(2, "line").model_copy(update={"near_duplicates": NearDuplicates()})
    documents, pieces, _ = run_pieces(tmp_path / "a", texts, config, 1, 0)
    reasons = {name: row["drop_reason"] for name, row in documents.items()}
    assert sorted(map(str, reasons.values())) == ["None", "None", "near_duplicates.jaccard"]
    if reasons["two"] is None:
        assert [piece["text"].strip() for piece in pieces] == [shared]
    else:
        assert pieces == []


def test_a_piece_too_short_is_never_cut() -> None:
    texts = pa.array(["short\nfive characters more", "short\nfive characters more"])
    config = Spans(units=("line",), characters_min=6)
    found = spans.find_spans(texts.cast(pa.large_string()), config)
    assert found["start"].to_pylist() == [6, 6]
    assert found["high"][0] == found["high"][1]


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, run_pieces: RunPieces) -> None:
    """Whatever file of the steps is missing is made again, and nothing else is."""
    config = configured(3, "line").model_copy(
        update={"substrings": Substrings(enabled=True, bytes_min=32)}
    )
    _, _, work = run_pieces(tmp_path / "a", corpus(1), config, 2, 0)
    files = sorted([*work.directory.glob("spans/*/*"), *work.directory.glob("substrings/*/*")])
    made = {path: path.read_bytes() for path in files}
    assert len(files) == 2 * 2 + 3 + 3 * 2 + 2 * 1
    draw = random.Random(1)
    for _ in range(2):
        gone = draw.sample(files, 5)
        for path in gone:
            path.unlink()
        times = {path: path.stat().st_mtime_ns for path in files if path not in gone}
        cut_pieces(config, work, Layout(2, 3), in_turn)
        assert {path: path.read_bytes() for path in files} == made
        assert {path: path.stat().st_mtime_ns for path in times} == times


def test_the_piece_stays_where_the_recipe_wants_it(tmp_path: Path, run_pieces: RunPieces) -> None:
    shared = "the line that all of them have"
    texts = {f"{n}": "\n".join([*(f"line {n} {i}" for i in range(n)), shared]) for n in range(2, 7)}
    for kind, stays in (("longest", "6"), ("shortest", "2")):
        survivors = Survivors.model_validate({"order": ("length",), "length": kind})
        config = configured(2, "line").model_copy(update={"survivors": survivors})
        documents, pieces, _ = run_pieces(tmp_path / kind, texts, config, 2, 0)
        assert {piece["survivor_id"] for piece in pieces} == {f"s:{stays}"}
        assert len(pieces) == 4
        assert [name for name, row in documents.items() if shared in row["text"]] == [stays]
