"""URLs, texts and near-duplicates one after the other, against a definition in plain Python."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import xxhash

from dataprep.config import Columns, Dataprep, Source
from dataprep.config_duplicates import Exact, NearDuplicates, Survivors
from dataprep.dedup.decided import decided as decided_tables
from dataprep.dedup.deduplicate import deduplicate
from dataprep.dedup.survivors import with_source_order
from dataprep.reading.read import shards
from dataprep.shard import process_shard
from dataprep.tasks import in_turn
from dataprep.workspace import Layout, Workspace

Document = dict[str, Any]


def corpus(seed: int) -> list[Document]:
    """Families whose members differ in one word of 200, if at all: all of them 0.9 alike."""
    draw = random.Random(seed)
    made = []
    for number in range(70):
        family = draw.randrange(14)
        words = random.Random(1000 + family).choices([f"word{i}" for i in range(900)], k=200)
        words[50] = f"variant{draw.randrange(3)}"
        address = draw.choice(["", f"http://www.Example.com/{draw.randrange(25)}/"])
        if address and draw.random() < 0.5:
            address = address.replace("http://www.", "https://").rstrip("/")
        extra = " tail" * draw.randrange(2)
        text = " ".join(words) + extra + draw.choice(["\n", "\r\n"])
        made.append(
            {"id": f"{number:02d}", "text": text, "url": address, "source": draw.choice("ab"),
             "day": draw.choice(["2023-05", "2024", "no"]), "family": family}
        )  # fmt: skip
    return made


def key_of(document: Document, order: tuple[str, ...]) -> tuple[Any, ...]:
    keys: dict[str, Any] = {
        "source": "ba".index(document["source"]),
        "length": -len(document["text"].replace("\r\n", "\n")),
        "date": {"2024": 0, "2023-05": 1, "no": 2}[document["day"]],
        "id": document["id"],
    }
    content = xxhash.xxh3_128_digest(document["text"].encode())
    identifier = f"{document['source']}:{document['id']}"
    return (*(identifier if k == "id" else keys[k] for k in order), content, identifier)


def by_definition(
    documents: list[Document], order: tuple[str, ...], exact: Exact
) -> dict[str, tuple[str | None, str, int]]:
    """By id: reason (None: kept), the survivor's id, size of the cluster."""
    first = sorted(documents, key=lambda document: key_of(document, order))
    gone: dict[str, tuple[str, str]] = {}
    stages = []
    if exact.urls:
        stages.append(("exact.url", lambda d: d["url"].lower().split("//")[-1].strip("/")))
    if exact.texts:
        stages.append(("exact.duplicate", lambda d: d["text"].strip()))
    stages.append(("near_duplicates.jaccard", lambda d: str(d["family"])))
    for reason, value_of in stages:
        survivors: dict[str, str] = {}
        for document in first:
            value, name = value_of(document).removeprefix("www."), document["id"]
            if name in gone or not value:
                continue
            if value in survivors:
                gone[name] = (reason, survivors[value])
            else:
                survivors[value] = name
    final = {}
    for name, (reason, survivor) in gone.items():
        while survivor in gone:
            # A text that is near another takes its copies along; one URL says nothing of texts.
            reason = reason if reason == "exact.url" else gone[survivor][0]
            survivor = gone[survivor][1]
        final[name] = (reason, survivor)
    sizes = Counter(survivor for _, survivor in final.values())
    found: dict[str, tuple[str | None, str, int]] = {
        name: (reason, survivor, sizes[survivor] + 1) for name, (reason, survivor) in final.items()
    }
    return found | {name: (None, name, size + 1) for name, size in sizes.items()}


def decided(
    folder: Path, documents: list[Document], config: Dataprep, num_shards: int, groups: int
) -> list[Document]:
    """Rows of the written columns, from shards to which the documents are dealt at random."""
    random.Random(num_shards).shuffle(documents)
    sources = []
    for name in "ab":
        (folder / name).mkdir(parents=True)
        own = [document for document in documents if document["source"] == name]
        for shard in range(num_shards):
            lines = [json.dumps({**d, "url": d["url"] or None}) for d in own[shard::num_shards]]
            (folder / name / f"{shard}.jsonl").write_text("\n".join(lines) + "\n")
        columns = Columns(id="id", url="url", meta=("day",))
        sources.append(Source(name=name, kind="jsonl", paths=(f"{name}/*.jsonl",), columns=columns))
    config = with_source_order(config, sources)
    work = Workspace(folder / "work")
    parts = shards(sources, folder)
    for index, part in enumerate(parts):
        process_shard(work, index, part, sources[part.source_index], config, {})
    layout = Layout(
        len(parts), config.near_duplicates.partitions, num_groups_max=groups, group_shards_min=1
    )
    deduplicate(work, config, layout, in_turn)
    return [
        row
        for index in range(len(parts))
        for table, _ in decided_tables(work, index)
        for row in table.to_pylist()
    ]


@pytest.mark.parametrize(
    ("order", "exact"),
    [
        ((), Exact(urls=True)),
        (("length",), Exact(urls=True)),
        (("source", "date"), Exact(urls=True, texts=False)),
        (("date", "id"), Exact()),
        (("id",), Exact(texts=False)),
    ],
)
def test_who_stays_and_why_is_as_defined(
    tmp_path: Path, order: tuple[str, ...], exact: Exact
) -> None:
    survivors = Survivors(
        order=order, sources=("b",), date_field="day", rehydration=((2, 1.5), (4, 2.0))
    )
    documents = corpus(len(order) + exact.texts)
    expected = by_definition(documents, order, exact)
    reasons = {reason for reason, _, _ in expected.values()}
    assert len(reasons) == 2 + exact.urls + exact.texts  # of each kind there are some
    for num_shards, partitions, groups in ((1, 1, 256), (3, 4, 2)):
        config = Dataprep(
            languages=(), presets=(), exact=exact, survivors=survivors,
            near_duplicates=NearDuplicates(partitions=partitions),
        )  # fmt: skip
        rows = decided(tmp_path / str(num_shards), documents, config, num_shards, groups)
        assert len(rows) == len(documents)
        names = {row["id"]: row["id"].partition(":")[2] for row in rows}
        found = {
            names[row["id"]]: (row["drop_reason"], names[row["cluster_id"]], row["cluster_size"])
            for row in rows
            if row["cluster_id"] is not None
        }
        assert found == expected
        for row in rows:
            size = row["cluster_size"]
            if row["drop_reason"] is not None:
                assert row["cluster_weight"] is None
                assert row["survivor_id"] == row["cluster_id"]
                assert row["drop_value"] >= row["drop_threshold"]
                assert (row["survivor_jaccard"] is None) == (row["drop_reason"] == "exact.url")
            else:
                assert row["survivor_id"] is None
                expected_weight = 1.0 if size is None else 1.5 if size < 4 else 2.0
                assert row["cluster_weight"] == expected_weight
