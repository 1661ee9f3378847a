"""The contract of documents/: a written directory opens again, another kind is refused."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep import contract
from launch.errors import UserError
from launch.manifest import FileEntry, Manifest, commit_file, write_manifest


def written(directory: Path) -> Manifest:
    entries: list[FileEntry] = []
    for stem, texts in (
        ("kept/train/part-00001", ["c"]),
        ("kept/train/part-00000", ["a", "b"]),
        ("kept/valid/part-00000", ["d"]),
        ("dropped/part-00000", ["e"]),
        ("quarantine/part-00000", []),
    ):
        temporary = directory / "temporary"
        table = pa.table({"text": pa.array(texts, pa.large_string()), "row": range(len(texts))})
        pq.write_table(table, temporary, row_group_size=1)
        entries.append(commit_file(temporary, directory, stem, ".parquet", len(texts)))
    manifest = Manifest(contract.KIND, contract.VERSION, {}, (), tuple(entries), {})
    write_manifest(directory, manifest)
    return manifest


def test_a_directory_opens_and_its_rows_come_in_order(tmp_path: Path) -> None:
    written(tmp_path)
    manifest = contract.open_documents(tmp_path)
    train = contract.kept_files(manifest, "train")
    assert [name.rpartition("-")[0] for name in train] == [
        "kept/train/part-00000",
        "kept/train/part-00001",
    ]
    tables = list(contract.iterate_tables(tmp_path, train, ["text"]))
    assert [table["text"].to_pylist() for table in tables] == [["a"], ["b"], ["c"]]
    assert tables[0].schema.names == ["text"]
    assert len(contract.kept_files(manifest, "valid")) == 1
    assert len(contract.dropped_files(manifest)) == len(contract.quarantine_files(manifest)) == 1


def test_another_kind_version_or_a_lost_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        contract.open_documents(tmp_path)
    manifest = written(tmp_path)
    for kind, version in (("tokens", contract.VERSION), (contract.KIND, contract.VERSION + 1)):
        write_manifest(tmp_path, Manifest(kind, version, {}, (), manifest.files, {}))
        with pytest.raises(UserError, match="kind and version"):
            contract.open_documents(tmp_path)
    write_manifest(tmp_path, manifest)
    (tmp_path / manifest.files[0].path).unlink()
    with pytest.raises(UserError, match="no such file"):
        contract.open_documents(tmp_path)


def test_columns_are_the_design() -> None:
    names = [field.name for field in contract.document_fields()]
    assert names[:7] == ["id", "content_hash", "text", "source", "url", "license", "meta"]
    assert set(names) >= {"drop_reason", "drop_value", "drop_threshold", "removed_bytes"}
    assert "text" not in contract.quarantine_schema().names
