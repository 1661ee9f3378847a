"""Whole runs from and to an object store that fails on purpose (`tests/launch/flaky_store.py`)."""

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import boto3
import obstore
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.config import Dataprep, Source
from dataprep.contract import iterate_tables, kept_files, open_documents
from dataprep.reading import read
from dataprep.run import run
from launch import store
from launch.manifest import FILE_NAME, has_manifest
from launch.recipe import load_recipe

pytestmark = pytest.mark.slow

RECIPE = """
[run]
root = "{root}"
[execution]
workers = 2
[[sources]]
name = "topics"
kind = "jsonl"
paths = ["{folder}/*.jsonl.gz"]
[dataprep]
valid_fraction = 0.1
[dataprep.near_duplicates]
partitions = 3
"""
# A writer that is killed when all its files are uploaded and the manifest is not.
KILLED = """
import os, signal, sys
from pathlib import Path
from dataprep.run import run
from launch import publish
from launch.recipe import load_recipe
publish.manifest_text = lambda manifest: os.kill(os.getpid(), signal.SIGKILL)
run(load_recipe(Path(sys.argv[1]), sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    texts = [text[:6000] for _, text in sorted(topics.items())]
    for shard in range(3):
        lines = b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts[shard::3])
        (folder / f"{shard}.jsonl.gz").write_bytes(gzip.compress(lines))
    return folder


@pytest.fixture(scope="module")
def environment(folder: Path) -> Iterator[dict[str, str]]:
    """What a process must know to reach the store, whose bucket `corpus` holds the folder."""
    script = Path(__file__).parent.parent / "launch" / "flaky_store.py"
    command = [sys.executable, str(script), "0.1", "0.1", "3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port, calm_port = process.stdout.readline().split()
    known = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "a-secret-that-is-nowhere",
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in known.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{calm_port}")
        client.create_bucket(Bucket="corpus")
        for path in folder.iterdir():
            client.upload_file(str(path), "corpus", f"in/{path.name}")
        yield {**os.environ, **known}
    process.kill()
    process.wait()


def write_recipe(root: Path, folder: str | Path) -> Path:
    root.mkdir(exist_ok=True)
    path = root / "recipe.toml"
    path.write_text(RECIPE.format(root=root, folder=folder))
    return path


def start(recipe: Path, environment: dict[str, str], *overrides: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "dataprep", "run", str(recipe), *overrides]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finished(process: "subprocess.Popen[str]") -> str:
    _, messages = process.communicate()
    assert process.returncode == 0, messages
    return messages


def test_from_and_to_a_store_is_as_on_disk(
    folder: Path, tmp_path: Path, environment: dict[str, str], ray_session: object
) -> None:
    local = run(load_recipe(write_recipe(tmp_path / "local", folder)))
    recipe = write_recipe(tmp_path / "remote", "s3://corpus/in")
    output = "s3://corpus/equal/documents"
    setting = f"dataprep.output='{output}'"
    finished(start(recipe, environment, setting))
    documents = open_documents(output)
    assert local is not None
    assert documents.files == local.files
    assert all(entry.digest.startswith("etag:") for entry in documents.inputs)
    there = store.sizes(output)
    assert set(there) == {FILE_NAME, *(entry.path for entry in documents.files)}
    rows = [
        [table.to_pylist() for table in iterate_tables(place, kept_files(documents, "train"))]
        for place in (output, tmp_path / "local" / "documents")
    ]
    assert rows[0] == rows[1]
    # A machine that has nothing but the recipe finds it done; no secret is in what was written.
    elsewhere = write_recipe(tmp_path / "elsewhere", "s3://corpus/in")
    assert "up to date: s3://" in finished(start(elsewhere, environment, setting))
    for path in (tmp_path / "remote").rglob("*"):
        if path.is_file():
            assert b"a-secret-that-is-nowhere" not in path.read_bytes()
    # The next stage reads from there too.
    tokenizer = subprocess.run(
        [sys.executable, "-m", "tokenizer", "train", str(elsewhere), setting,
         "tokenizer.vocab_size=600"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert tokenizer.returncode == 0, tokenizer.stderr
    assert not (tmp_path / "elsewhere" / "documents" / "kept").exists()


def test_two_writers_make_one_manifest(tmp_path: Path, environment: dict[str, str]) -> None:
    for number, seeds, codes in ((1, (1, 1), [0, 0]), (2, (1, 2), [0, 6])):
        output = f"s3://corpus/race-{number}/documents"
        writers = []
        for writer, seed in enumerate(seeds):
            root = tmp_path / f"race-{number}-{writer}"
            recipe = write_recipe(root, "s3://corpus/in")
            settings = (f"dataprep.output='{output}'", f"run.seed={seed}")
            writers.append(start(recipe, environment, *settings))
        messages = [writer.communicate()[1] for writer in writers]
        found = sorted(writer.returncode for writer in writers)
        # Where one is through before the other begins, the other refuses the recipe: code 2.
        assert found == codes or (number == 2 and found == [0, 2]), messages
        documents = open_documents(output)
        if found == [0, 6]:
            lost = messages[[writer.returncode for writer in writers].index(6)]
            assert documents.files_digest in lost


def test_retuned_documents_replace_those_published(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    recipe = write_recipe(tmp_path / "root", "s3://corpus/in")
    output = "s3://corpus/retuned/documents"
    settings = (f"dataprep.output='{output}'", "dataprep.presets=[]")
    finished(start(recipe, environment, *settings))
    before = open_documents(output)
    command = [sys.executable, "-m", "dataprep", "retune", str(recipe), settings[0]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = open_documents(output)
    assert after.files_digest != before.files_digest
    assert after.facts["kept"] < before.facts["kept"]


def test_every_format_is_read_from_a_store(tmp_path: Path, environment: dict[str, str]) -> None:
    table = pa.table({"text": [f"text {n} " * 50 for n in range(3000)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=500)
    with pa.ipc.new_file(tmp_path / "x.arrow", table.schema) as out:
        out.write_table(table, max_chunksize=500)
    (tmp_path / "x.csv").write_text(
        "text,n\n" + "".join(f"{t},1\n" for t in table["text"].to_pylist())
    )
    (tmp_path / "x.txt").write_text("only this")
    for path in list(tmp_path.iterdir()):
        kind = {"txt": "text"}.get(path.suffix[1:], path.suffix[1:])
        place = store.parse(f"s3://corpus/formats/{path.name}")
        obstore.put(store.client(place), place.key, path)
        texts = []
        for paths, root in ((f"s3://corpus/formats/{path.name}", Path()), (path.name, tmp_path)):
            source = Source(name="s", kind=kind, paths=(paths,))
            shards = read.number_rows(read.shards([source], root), [source])
            found = [read.read_shard(shard, source, Dataprep()) for shard in shards]
            texts.append(
                [row for tables in found for good, _ in tables for row in good.to_pylist()]
            )
        assert texts[0] == texts[1]
        assert len(texts[0]) == (1 if kind == "text" else 3000)


def test_a_writer_killed_before_its_manifest_leaves_nothing(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    recipe = write_recipe(tmp_path / "root", "s3://corpus/in")
    output = "s3://corpus/killed/documents"
    setting = f"dataprep.output='{output}'"
    command = [sys.executable, "-c", KILLED, str(recipe), setting]
    assert subprocess.run(command, env=environment).returncode == -9
    assert not has_manifest(output)
    uploaded = store.sizes(output)
    assert len(uploaded) > 3
    finished(start(recipe, environment, setting))
    assert {entry.path: entry.bytes for entry in open_documents(output).files} == uploaded
