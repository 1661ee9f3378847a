"""The rehearsal takes the real way once for each version of the kernels."""

from pathlib import Path

import pytest

from dataprep import rehearsal
from dataprep.kernel_cache import cache_directory


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "cache_directory", lambda: tmp_path)
    rehearsal.rehearse_once()
    assert (tmp_path / rehearsal.MARK_NAME).exists()

    def refuse(folder: Path) -> None:
        raise AssertionError("rehearsed again")

    monkeypatch.setattr(rehearsal, "rehearse", refuse)
    rehearsal.rehearse_once()


def test_it_compiles_what_the_tasks_use(tmp_path: Path) -> None:
    rehearsal.rehearse(tmp_path)
    compiled = {path.name.split(".")[0] for path in cache_directory().rglob("*.nbi")}
    assert {"minhash", "shingles", "near_duplicates", "lsh", "text_kernels"} <= compiled
    assert list((tmp_path / "documents").rglob("*.parquet"))
