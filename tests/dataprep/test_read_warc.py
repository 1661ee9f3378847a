"""Archives: what is a document, what is passed over, what is refused, and that nothing is lost."""

import contextlib
import gzip
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataprep.config import Columns, Dataprep, Source
from dataprep.reading import read
from dataprep.reading.http_body import BadEncodingError, TooLongError, decoded
from dataprep.reading.read_warc import read_records
from dataprep.reading.records import File, PassedOver, Record, Refusal
from launch.config import parse_model
from launch.errors import UserError

SENTENCE = "The mill turns, and the water that turned it flows on, so that it turns again. "
HTML = f"<html><title>Mill</title><body><p>{SENTENCE * 3}</p></body></html>".encode()
TEXT = (SENTENCE * 3).strip()
LIMITS = Dataprep(page_bytes_max=65_536)


def record(
    body: bytes = HTML,
    *,
    kind: str = "response",
    http: str = "Content-Type: text/html; charset=utf-8",
    status: str = "200 OK",
    content_type: str = "application/http; msgtype=response",
    length: int | None = None,
) -> bytes:
    """One record of an archive; responses have an HTTP header."""
    if content_type.startswith("application/http"):
        body = f"HTTP/1.1 {status}\r\n{http}\r\n\r\n".encode() + body
    header = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: https://mill.example/a\r\n"
        "WARC-Date: 2026-11-23T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:7>\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return header.encode() + body + b"\r\n\r\n"


def read_all(
    folder: Path, content: bytes, name: str = "a.warc", limits: Dataprep = LIMITS, **fields: Any
) -> list[Record | Refusal | PassedOver]:
    """Everything that reading an archive of this content gives."""
    path = folder / name
    path.write_bytes(content)
    source = Source(name="s", kind="warc", paths=("*",), **fields)
    return list(read_records(File(name, str(path), len(content)), "s:", source, limits))


def test_a_response_becomes_a_document(tmp_path: Path) -> None:
    names = ("warc_date", "warc_record_id", "content_type", "title")
    items = read_all(
        tmp_path,
        record(kind="request", content_type="application/http; msgtype=request") + record(),
        columns=Columns(meta=names),
        license="CC0-1.0",
    )
    assert items == [
        PassedOver("request"),
        Record(
            "s:a.warc#1",
            TEXT,
            "https://mill.example/a",
            "CC0-1.0",
            (
                ("warc_date", "2026-11-23T00:00:00Z"),
                ("warc_record_id", "<urn:uuid:7>"),
                ("content_type", "text/html"),
                ("title", "Mill"),
            ),
            "recipe",
        ),
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (record(kind="warcinfo", content_type="application/warc-fields"), "warcinfo"),
        (record(kind="metadata", content_type="application/json"), "metadata"),
        (record(kind="revisit"), "revisit"),
        (record(status="404 Not Found"), "status"),
        (record(status="301 Moved"), "status"),
        (record(http="Content-Type: image/png"), "content_type"),
        (record(http="X-Powered-By: water", body=b"\x89PNG"), "content_type"),
        (record(b"1.2.3.4", content_type="text/dns"), "not_http"),
        (record(kind="resource", content_type="image/png"), "content_type"),
    ],
)
def test_what_is_no_document_is_passed_over(tmp_path: Path, content: bytes, kind: str) -> None:
    assert read_all(tmp_path, content) == [PassedOver(kind)]


@pytest.mark.parametrize(
    "content",
    [
        record(http="Content-Type: Application/XHTML+xml"),
        record(http="X-Powered-By: water"),
        record(TEXT.encode(), http="Content-Type: text/plain"),
        record(TEXT.encode(), kind="conversion", content_type="text/plain"),
        record(kind="resource", content_type="text/html"),
        record(gzip.compress(HTML), http="Content-Type: text/html\r\nContent-Encoding: gzip"),
        record(zlib.compress(HTML), http="Content-Type: text/html\r\nContent-Encoding: deflate"),
        record(brotli.compress(HTML), http="Content-Type: text/html\r\nContent-Encoding: br"),
        record(HTML, http="Content-Type: text/html\r\nContent-Encoding: br"),
        record(HTML, http="Content-Type: text/html\r\nContent-Encoding: gzip"),
        record(HTML, http="Content-Type: text/html\r\nTransfer-Encoding: chunked"),
        record(
            b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (9, HTML[:9], len(HTML) - 9, HTML[9:]),
            http="Content-Type: text/html\r\nTransfer-Encoding: chunked",
        ),
    ],
)
def test_pages_in_every_dress(tmp_path: Path, content: bytes) -> None:
    (found,) = read_all(tmp_path, content)
    assert isinstance(found, Record) and found.text == TEXT


def test_the_charset_of_the_header_counts(tmp_path: Path) -> None:
    body = f"<p>{'Straße und Mühle drehen sich weiter. ' * 3}</p>".encode("latin-1")
    (found,) = read_all(tmp_path, record(body, http="Content-Type: text/html; charset=latin1"))
    assert isinstance(found, Record) and "Straße und Mühle" in found.text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (record(b"<script>1</script>"), "no_text"),
        (record(b"\n", http="Content-Type: text/plain"), "text_empty"),
        (record(b"<p>" + b"x " * 40_000), "page_too_long"),
        (
            record(
                gzip.compress(b"<p>" + b"0" * 50_000_000),
                http="Content-Type: text/html\r\nContent-Encoding: gzip",
            ),
            "page_too_long",
        ),
        (
            record(
                gzip.compress(HTML)[:20] + b"\xff" * 60,
                http="Content-Type: text/html\r\nContent-Encoding: gzip",
            ),
            "bad_content_encoding",
        ),
        (record(b"\xff\xfe\xfa", kind="conversion", content_type="text/plain"), "bad_utf8"),
        (record(b"<p>" + b"long " * 1000), "text_too_long"),
        (record(b"<div>" * 60_000 + b"x", http="Content-Type: text/html"), "page_too_long"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    limits = Dataprep(page_bytes_max=65_536, document_bytes_max=4096)
    refused, found = read_all(tmp_path, content + record(), limits=limits)
    assert isinstance(refused, Refusal) and isinstance(found, Record)
    assert (refused.reason, refused.path, refused.row, refused.offset) == (reason, "a.warc", 0, 0)
    assert refused.length and refused.digest and refused.digest.startswith("xxh3_128:")


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst"])
def test_a_truncated_archive_gives_all_that_is_whole(tmp_path: Path, name: str) -> None:
    members = [record(), record(), record()]
    if name.endswith(".gz"):
        members = [gzip.compress(member, mtime=0) for member in members]
    elif name.endswith(".zst"):
        members = [zstandard.compress(member) for member in members]
    whole = b"".join(members)
    assert len(read_all(tmp_path, whole, name)) == 3
    for cut in (len(members[2]) - 20, len(members[2]) // 2, 20):
        items = read_all(tmp_path, whole[: len(whole) - len(members[2]) + cut], name)
        texts = [item.text for item in items if isinstance(item, Record)]
        assert texts == [TEXT, TEXT]
        (refused,) = items[2:]
        assert isinstance(refused, Refusal) and refused.reason in ("truncated", "corrupt")


def test_a_damaged_archive_gives_what_comes_before(tmp_path: Path) -> None:
    members = [gzip.compress(record(), mtime=0) for _ in range(3)]
    content = bytearray(b"".join(members))
    content[len(members[0]) + 30] ^= 0xFF
    items = read_all(tmp_path, bytes(content), "a.warc.gz")
    assert isinstance(items[0], Record)
    assert isinstance(items[-1], Refusal) and items[-1].reason in ("corrupt", "truncated")
    items = read_all(tmp_path, record() + b"no archive\r\n\r\n" + record())
    assert [type(item) for item in items] == [Record, Refusal]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"filedesc://a.arc 0.0.0.0 20081126 text/plain 7\n1 0 mill\n", "arc_file"),
        (
            gzip.compress(b"filedesc://a.arc 0.0.0.0 20081126 text/plain 7\n1 0 m\n", mtime=0),
            "arc_file",
        ),
        (b"nothing of the kind\n" * 9, "corrupt"),
    ],
)
def test_files_that_are_no_archive(tmp_path: Path, content: bytes, reason: str) -> None:
    (refused,) = read_all(tmp_path, content)
    assert isinstance(refused, Refusal) and refused.reason == reason
    assert read_all(tmp_path, b"") == []


def test_what_an_archive_may_hold_is_bounded(tmp_path: Path) -> None:
    limits = Dataprep(page_bytes_max=65_536, decompressed_bytes_max=1024)
    *first, last = read_all(tmp_path, record() * 9, limits=limits)
    assert all(isinstance(item, Record) for item in first)
    assert isinstance(last, Refusal) and last.reason == "decompressed_too_long"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_no_change_of_bytes_breaks_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(record() + record(kind="metadata") + record())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    for item in read_all(tmp_path, bytes(content)):
        assert isinstance(item, Record | Refusal | PassedOver)


@given(st.binary(max_size=2000), st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br"]))
def test_bodies_are_decoded_or_refused(body: bytes, encoding: str) -> None:
    with contextlib.suppress(BadEncodingError, TooLongError):
        assert len(decoded(body, "chunked", encoding, 4096)) <= 4096


def test_read_shard_counts_what_it_passes_over(tmp_path: Path) -> None:
    content = record(kind="revisit") + record() + record(status="500") + record(b"<p></p>")
    (tmp_path / "a.warc").write_bytes(content)
    source = Source(name="s", kind="warc", paths=("*.warc",))
    (shard,) = read.shards([source], tmp_path)
    passed: Counter[str] = Counter()
    ((documents, quarantine),) = read.read_shard(shard, source, LIMITS, passed_over=passed)
    assert documents["id"].to_pylist() == ["s:a.warc#1"]
    assert quarantine["reason"].to_pylist() == ["no_text"]
    assert quarantine["row"].to_pylist() == [3]
    assert passed == {"revisit": 1, "status": 1}


def test_meta_must_be_something_that_an_archive_has() -> None:
    fields = {"kind": "warc", "paths": ["x"], "columns": {"meta": ["author"]}}
    with pytest.raises(UserError, match="one of warc_date"):
        parse_model(Source, fields, "sources.0")


def test_real_archives_are_read_or_refused(shared_data: Path) -> None:
    source = Source(name="s", kind="warc", paths=("*",))
    counts: Counter[str] = Counter()
    for path in sorted((shared_data / "warc_real").glob("*/*")):
        if path.suffix == ".json":
            continue
        for item in read_records(File(path.name, str(path), 1), "s:", source, Dataprep()):
            kind = item.reason if isinstance(item, Refusal) else type(item).__name__
            counts[kind] += 1
            if isinstance(item, Record):
                item.text.encode()
    assert counts["Record"] > 200
    assert counts["arc_file"] == 7
    assert counts["truncated"] == 1
    assert set(counts) <= {
        *("Record", "PassedOver", "arc_file", "truncated", "corrupt"),
        *("no_text", "text_empty", "bad_http"),
    }


def test_what_is_passed_over_is_in_the_counts(tmp_path: Path) -> None:
    from dataprep.shard import process_shard
    from dataprep.stage import read_counts
    from dataprep.workspace import Workspace

    (tmp_path / "a.warc").write_bytes(record(kind="revisit") + record() + record(status="500"))
    source = Source(name="s", kind="warc", paths=("*.warc",))
    (shard,) = read.shards([source], tmp_path)
    work = Workspace(tmp_path / "work")
    process_shard(work, 0, shard, source, LIMITS, {})
    counts = read_counts(work, [0])
    assert (counts["records_read"], counts["documents_in"], counts["passed_over"]) == (1, 1, 2)
