"""Object stores that fail on purpose: what is read is what was written, and one manifest wins."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep.config import Dataprep, Source
from launch import store
from launch.config import parse_model
from launch.errors import LockedError, UserError
from launch.manifest import FileEntry, Manifest, check_current, has_manifest, read_manifest
from launch.publish import committed_tag, publish

KIND = "documents"


@pytest.fixture(scope="module")
def flaky() -> Iterator[int]:
    """A store that refuses one request of twenty and breaks off one of ten; its calm port."""
    script = Path(__file__).with_name("flaky_store.py")
    command = [sys.executable, str(script), "0.05", "0.1", "7"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port, calm_port = process.stdout.readline().split()
    known = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in known.items():
            patch.setenv(name, value)
        patch.setattr(store, "_FIRST_WAIT_SECONDS", 0.01)
        yield int(calm_port)
    process.kill()
    process.wait()


def bucket(calm_port: int, name: str) -> "boto3.client":
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{calm_port}")
    client.create_bucket(Bucket=name)
    return client


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("s3://user:secret@bucket/key", "a user or a port"),
        ("s3://secret@bucket/key", "a user or a port"),
        ("s3://bucket:9000/key", "a user or a port"),
        ("https://host/key?signature=secret", "got 'https://'"),
        ("s3://", "got 's3://'"),
        ("s3://bucket/../x", "without '..'"),
        ("s3://bucket/a//x", "without '..'"),
    ],
)
def test_locations_that_are_refused(location: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        store.parse(location)
    assert "secret" not in str(caught.value) + caught.value.hint
    with pytest.raises(UserError, match=words):
        parse_model(Source, {"kind": "jsonl", "paths": [location]}, "sources.0")
    with pytest.raises(UserError, match=words):
        parse_model(Dataprep, {"output": location}, "dataprep")


def test_locations_that_are_taken() -> None:
    assert store.parse("gs://bucket/a/b/") == ("gs", "bucket", "a/b")
    assert store.join("s3://bucket/a/", "b/c") == "s3://bucket/a/b/c"
    assert store.join(Path("a"), "b/c") == Path("a/b/c")
    assert not store.is_remote(Path("s3:/x"))
    with pytest.raises(UserError, match="a place of their own"):
        parse_model(Dataprep, {"output": "s3://bucket"}, "dataprep")
    with pytest.raises(UserError, match="several stores"):
        data = {"kind": "jsonl", "paths": ["s3://bucket/x", "x"]}
        parse_model(Source, data, "sources.0")


def test_google_locations_go_to_googles_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more was tried: there is no server of Google's here."""
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert type(store._filesystem("gs")).__name__ == "GcsFileSystem"


NAMES = st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join)
GLOBS = st.lists(
    st.one_of(st.just("**"), st.text("ab.*?", min_size=1, max_size=3)), min_size=1, max_size=3
)


@given(NAMES, GLOBS.map("/".join))
def test_globs_mean_what_they_mean_on_disk(name: str, glob: str) -> None:
    parts = name.split("/")
    if {".", ".."} & {*parts, *glob.split("/")} or glob.endswith("**"):
        return
    if any("**" in part and part != "**" for part in glob.split("/")):
        return
    import re
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        on_disk = [found for found in Path(folder).glob(glob) if found.is_file()]
    assert bool(re.fullmatch(store._translate(glob), name)) == bool(on_disk)


def test_what_is_read_is_what_is_there(flaky: int, tmp_path: Path) -> None:
    client = bucket(flaky, "corpus")
    content = os.urandom(1 << 20)
    names = ["in/a/1.bin", "in/a/2.bin", "in/b/1.bin", "in/a/.draft.bin", "in/3.bin", "other.bin"]
    for name in names:
        client.put_object(Bucket="corpus", Key=name, Body=content + name.encode())
    found = store.find("s3://corpus/in/**/[!3].bin")
    assert [one.location for one in found] == [f"s3://corpus/{name}" for name in names[:3]]
    assert {one.num_bytes for one in found} == {len(content) + 10}
    assert len({one.identity for one in found}) == 3
    assert store.sizes("s3://corpus/in/a") == dict.fromkeys(
        ["1.bin", "2.bin", ".draft.bin"], len(content) + 10
    ) | {".draft.bin": len(content) + 15}
    for one in found:
        with store.open_input(one.location) as stream:
            assert stream.read() == content + one.location.removeprefix("s3://corpus/").encode()
            stream.seek(1000)
            assert stream.read(10) == content[1000:1010]
    table = pa.table({"n": range(50_000)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=10_000)
    client.upload_file(str(tmp_path / "x.parquet"), "corpus", "x.parquet")
    with store.open_random("s3://corpus/x.parquet") as stream:
        assert pq.read_table(stream) == table


def test_a_missing_object_is_the_users_to_mend(flaky: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(flaky, "empty")
    with pytest.raises(UserError, match="no such object"):
        store.open_input("s3://empty/nothing")
    with pytest.raises(UserError, match="no such file"):
        read_manifest("s3://empty/documents", KIND, 1)
    assert store.find("s3://empty/*.jsonl") == []
    assert committed_tag("s3://empty/documents") is None
    monkeypatch.setattr(store, "_ATTEMPTS", 2)
    with pytest.raises(UserError, match="s3://absent/x"):
        store.find("s3://absent/x/*.jsonl")


def written(directory: Path, content: str) -> Manifest:
    (directory / "kept").mkdir(parents=True)
    (directory / "kept" / f"part-{content}").write_text(content * 1000)
    entry = FileEntry(f"kept/part-{content}", 1, 1000 * len(content), f"digest of {content}")
    return Manifest(KIND, 1, {"content": "any"}, (), (entry,))


def test_one_manifest_wins_and_names_itself_to_the_others(flaky: int, tmp_path: Path) -> None:
    bucket(flaky, "shared")
    place = "s3://shared/corpus/documents"
    one, other = written(tmp_path / "one", "1"), written(tmp_path / "two", "2")
    before = committed_tag(place)
    publish(tmp_path / "one", one, place, before)
    assert read_manifest(place, KIND, 1) == one
    assert check_current(place, KIND, 1, {"content": "any"}, ()) == one
    publish(tmp_path / "one", one, place, before)
    with pytest.raises(LockedError, match=f"committed {one.files_digest}") as caught:
        publish(tmp_path / "two", other, place, before)
    assert caught.value.exit_code == 6
    assert read_manifest(place, KIND, 1) == one
    # With --force exactly the manifest that was read is replaced.
    seen = committed_tag(place)
    publish(tmp_path / "two", other, place, seen)
    assert read_manifest(place, KIND, 1) == other
    with pytest.raises(LockedError, match=f"committed {other.files_digest}"):
        publish(tmp_path / "one", one, place, seen)


def test_uploads_without_a_manifest_are_nothing(flaky: int, tmp_path: Path) -> None:
    client = bucket(flaky, "half")
    one = written(tmp_path / "one", "1")
    client.put_object(Bucket="half", Key="documents/kept/part-1", Body=b"cut off")
    assert not has_manifest("s3://half/documents")
    publish(tmp_path / "one", one, "s3://half/documents", None)
    assert read_manifest("s3://half/documents", KIND, 1) == one
    client.delete_object(Bucket="half", Key="documents/kept/part-1")
    with pytest.raises(UserError, match="part-1: got no such file"):
        read_manifest("s3://half/documents", KIND, 1)
