"""Remembered digests are those of the content, and a changed file is read again."""

import os
from pathlib import Path

import pytest

from dataprep import digest_cache
from dataprep.digest_cache import DigestCache
from launch.manifest import digest_file


def test_unchanged_files_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"one")
    with digest_cache.digest_cache(tmp_path, write=True) as cache:
        first = cache.digest(path)
    assert first == digest_file(path)

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(digest_cache, "digest_file", refuse)
    with digest_cache.digest_cache(tmp_path, write=False) as cache:
        assert cache.digest(path) == first


def test_a_change_that_keeps_size_and_mtime_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"one")
    before = path.stat()
    cache = DigestCache({})
    first = cache.digest(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.digest(path) == digest_file(path) != first


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"one")
    with digest_cache.digest_cache(tmp_path, write=False) as cache:
        cache.digest(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]
