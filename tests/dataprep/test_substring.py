"""Substrings: windows that stand earlier, against a dictionary of all windows."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Dataprep
from dataprep.config_duplicates import Exact, NearDuplicates, Spans, Substrings
from dataprep.dedup import substring
from dataprep.dedup.substring import num_partitions
from dataprep.dedup.substring_kernels import find_fingerprints, find_repeated
from dataprep.workspace import Workspace

RunPieces = Callable[..., tuple[dict[str, dict[str, Any]], list[dict[str, Any]], Workspace]]


@pytest.fixture(autouse=True)
def _small_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as a recipe says, however small the corpus is."""
    monkeypatch.setattr(substring, "_PARTITION_BYTES_MIN", 1)


def configured(partitions: int, length: int, **others: Any) -> Dataprep:
    """A recipe that cuts runs of `length` bytes, shorter than a recipe may ask for."""
    substrings = Substrings.model_construct(
        enabled=True, bytes_min=length, cut=others.pop("cut", "character"), words_left_min=0
    )
    near = NearDuplicates(enabled=False, partitions=partitions)
    config = Dataprep(languages=(), presets=(), near_duplicates=near, **others)
    return config.model_copy(update={"substrings": substrings})


def in_survivor_order(texts: dict[str, str]) -> list[str]:
    return sorted(texts, key=lambda name: (xxhash.xxh3_128_digest(texts[name].encode()), name))


def repeated_bytes(texts: dict[str, str], length: int) -> dict[str, list[str | None]]:
    """For each byte of each text the documents where the windows over it stand first."""
    first: dict[bytes, str] = {}
    marked: dict[str, list[Any]] = {}
    for name in in_survivor_order(texts):
        encoded = texts[name].encode()
        marked[name] = [set() for _ in encoded]
        for start in range(len(encoded) - length + 1):
            window = encoded[start : start + length]
            if window in first:
                for place in range(start, start + length):
                    marked[name][place].add(first[window])
            else:
                first[window] = name
    return marked


def found_bytes(work: Workspace, texts: dict[str, str], num_shards: int) -> dict[str, list[Any]]:
    """The same, from the files of the workspace."""
    marked: dict[str, list[Any]] = {
        name: [set() for _ in text.encode()] for name, text in texts.items()
    }
    names = [pq.read_table(work.staged(s), columns=["id"])["id"].to_pylist()
             for s in range(num_shards)]  # fmt: skip
    for path in sorted((work.directory / "substrings" / "repeats").iterdir()):
        for row in pq.read_table(path).to_pylist():
            name = names[row["row"] >> 32][row["row"] & 0xFFFFFFFF].removeprefix("s:")
            for place in range(row["start"], row["end"]):
                marked[name][place].add(row["survivor_id"].removeprefix("s:"))
    return marked


def corpus(seed: int) -> dict[str, str]:
    """Texts that share runs at any offset, repeat themselves, or have hardly two bytes."""
    draw = random.Random(seed)
    alphabet = draw.choice(["ab", "abcdefgh", "aé水 ", "abc "])
    shared = ["".join(draw.choices(alphabet, k=draw.randint(8, 60))) for _ in range(6)]
    texts = {}
    for number in range(25):
        parts = [
            draw.choice([draw.choice(shared), "".join(draw.choices(alphabet, k=12))])
            for _ in range(draw.randint(0, 6))
        ]
        if draw.random() < 0.2:
            parts.append(draw.choice("ab") * draw.randint(1, 80))
        if draw.random() < 0.2:
            parts.append("abc" * draw.randint(1, 30))
        texts["".join(parts).strip()] = f"{number}"
    texts.pop("", None)
    # Equal texts are one: the others would be exact duplicates, which are no survivors.
    return {name: text for text, name in texts.items()}


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 20))]
)
@pytest.mark.parametrize("length", [7, 16])
def test_repeats_are_those_of_a_direct_scan(
    tmp_path: Path, seed: int, length: int, run_pieces: RunPieces
) -> None:
    texts = corpus(seed)
    num_shards, partitions = 1 + seed % 3, (1, 4, 13)[seed % 3]
    _, _, work = run_pieces(tmp_path / "a", texts, configured(partitions, length), num_shards, seed)
    staged = [pq.read_table(work.staged(shard)) for shard in range(num_shards)]
    assert sum(table.num_rows for table in staged) == len(texts)
    expected = repeated_bytes(texts, length)
    assert any(any(of_text) for of_text in expected.values())
    assert found_bytes(work, texts, num_shards) == expected


@pytest.mark.parametrize("cut", ["character", "line"])
def test_cuts_do_not_depend_on_shards_partitions_or_order(
    tmp_path: Path, cut: str, run_pieces: RunPieces
) -> None:
    draw = random.Random(5)
    lines = [" ".join(draw.choices(["mill", "水车", "turns", "é"], k=8)) for _ in range(30)]
    texts = {f"{n}": "\n".join([f"own {n}", *draw.choices(lines, k=9)]) for n in range(40)}
    spans = Spans(units=("sentences",), sentences=2)
    runs = [
        run_pieces(
            tmp_path / f"{shards}", texts, configured(parts, 40, cut=cut, spans=spans), shards, seed
        )[:2]
        for seed, (shards, parts) in enumerate([(1, 1), (3, 4), (2, 11)])
    ]
    assert runs[1] == runs[0]
    assert runs[2] == runs[0]
    documents, pieces = runs[0]
    assert {piece["step"] for piece in pieces} == {"spans", "substrings"}
    for name, document in documents.items():
        written = "".join(document["text"].split())
        of_name = [piece for piece in pieces if piece["id"] == f"s:{name}"]
        removed = sum(len(piece["text"].encode()) for piece in of_name)
        assert removed == sum(dict(document["removed_bytes"]).values())
        assert sorted("".join("".join([written, *(p["text"] for p in of_name)]).split())) == (
            sorted("".join(texts[name].split()))
        )
        if cut == "line":
            assert set(document["text"].split("\n")) <= set(texts[name].split("\n"))


def test_degenerate_texts_take_no_longer_and_no_more_room(
    tmp_path: Path, run_pieces: RunPieces
) -> None:
    """One byte a million times, a short period, equal texts, one line: a stretch each, not one for
    each window."""
    texts = {
        "byte": "a" * 1_000_000,
        "period": "abcdefg" * 100_000,
        "line": "".join(random.Random(1).choices("abcdefghij ", k=1_000_000)),
        **{f"equal{n}": "the same text, over and over, whatever its name is" for n in range(500)},
    }
    config = configured(3, 32, exact=Exact(texts=False))
    documents, _, work = run_pieces(tmp_path / "a", texts, config, 1, 0)
    assert documents["byte"]["text"] == "a"
    assert documents["period"]["text"] == "abcdefg"
    assert documents["line"]["text"] == texts["line"]
    equal = [row for name, row in documents.items() if name.startswith("equal")]
    assert sum(row["drop_reason"] is None for row in equal) == 1
    stretches = pq.read_table(work.pieces("substrings", 0))
    of_windows = stretches.group_by("row").aggregate([("windows", "count")])["windows_count"]
    assert sorted(of_windows.to_pylist())[-2] < 10
    # A run of each text for each of three partitions at most, and those of the long texts.
    runs = work.runs("substrings", 0).parent.iterdir()
    assert sum(pq.read_table(path).num_rows for path in runs) < 3 * 510


@given(
    st.lists(st.text(st.sampled_from("abé"), max_size=60), max_size=4),
    st.integers(2, 12),
    st.integers(1, 12),
)
@example(["a" * 50, "ab" * 20], 6, 3)
def test_every_window_has_the_fingerprint_of_its_bytes(
    texts: list[str], length: int, grain: int
) -> None:
    grain = min(grain, length)
    data, offsets = text_buffers(pa.array(texts, pa.large_string()))
    found, hashes, several = find_fingerprints(data, offsets, length, grain)
    by_bytes: dict[bytes, int] = {}
    windows = []
    for (row, start, count), value in zip(found.T.tolist(), hashes.tolist(), strict=True):
        encoded = texts[row].encode()
        for window in range(start, start + count):
            windows.append((row, window))
            assert by_bytes.setdefault(encoded[window : window + length], value) == value
    assert windows == [
        (row, window)
        for row, text in enumerate(texts)
        for window in range(len(text.encode()) - length + 1)
    ]
    # A stretch that one run of bytes gave is no longer than the windows around that run.
    assert (found[2][~several] <= length - grain + 1).all()


@settings(max_examples=40)
@given(
    st.binary(min_size=40, max_size=200).map(lambda b: bytes(x % 3 for x in b)),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20), st.integers(0, 1)), max_size=8),
    st.integers(2, 9),
)
def test_windows_are_found_in_the_order_of_their_stretches(
    data: bytes, cases: list[tuple[int, int, int]], length: int
) -> None:
    cases.sort(key=lambda case: case[2])
    counts = [min(count, len(data) - begin - length + 1) for begin, count, _ in cases]
    slices = [
        data[case[0] : case[0] + count + length - 1]
        for case, count in zip(cases, counts, strict=True)
    ]
    begins = np.cumsum([0, *map(len, slices)])[:-1]
    arrays = [np.array(a, np.int64) for a in ([case[2] for case in cases], begins, counts)]
    found = find_repeated(np.frombuffer(b"".join(slices), np.uint8), *arrays, length)
    seen: dict[tuple[int, bytes], int] = {}
    expected = []
    for i, ((begin, _, group), count) in enumerate(zip(cases, counts, strict=True)):
        for window in range(count):
            key = group, data[begin + window : begin + window + length]
            if key in seen:
                expected.append((i, window, seen[key]))
            else:
                seen[key] = i
    assert [
        (stretch, window, owner)
        for stretch, first, number, owner in found.T.tolist()
        for window in range(first, first + number)
    ] == expected


def test_a_corpus_has_as_many_partitions_as_memory_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert num_partitions(16, 10**9) == 16
    assert num_partitions(1, 10**12) == 3726
    monkeypatch.undo()
    assert num_partitions(16, 20_000_000) == 2
    assert num_partitions(16, 0) == 1
