"""Our `.bin/.idx` against Megatron-core's own reader and writer, byte for byte."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launch.errors import UserError
from launch.manifest import digest_file
from tokenizer import encode
from tokenizer.contract import document_maps, open_tokenizer, open_tokens, token_prefixes
from tokenizer.indexed import Reader, Writer, token_dtype

DOCUMENTS = [[5], [1, 2, 3], [65_499, 0], [7] * 1000]


@pytest.fixture(scope="module")
def megatron():
    # About 10 s, once for all tests; what it warns of while it is imported is its own business.
    return pytest.importorskip("megatron.core.datasets.indexed_dataset")


def write(prefix, documents, dtype):
    writer = Writer(prefix.with_suffix(".bin"), prefix.with_suffix(".idx"), np.dtype(dtype))
    with writer:
        for document in documents:
            writer.add(np.array(document, dtype))
    assert writer.bin_digest == digest_file(prefix.with_suffix(".bin"))
    return prefix


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_the_bytes_are_megatrons_own(tmp_path, megatron, dtype):
    import torch

    ours = write(tmp_path / "ours", DOCUMENTS, dtype)
    builder = megatron.IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=dtype)
    for document in DOCUMENTS:
        builder.add_item(torch.tensor(document))
        builder.end_document()
    builder.finalize(str(tmp_path / "theirs.idx"))
    for suffix in (".bin", ".idx"):
        theirs = (tmp_path / f"theirs{suffix}").read_bytes()
        assert ours.with_suffix(suffix).read_bytes() == theirs
    reader = Reader(tmp_path / "theirs")
    assert [document.tolist() for document in reader] == DOCUMENTS
    assert reader.bounds.tolist() == [0, 1, 2, 3, 4]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.lists(st.integers(0, 65_535), min_size=1, max_size=30), min_size=1, max_size=12),
    st.sampled_from([np.uint16, np.int32]),
)
def test_megatron_reads_what_we_write(tmp_path, megatron, documents, dtype):
    prefix = write(tmp_path / "x.y", documents, dtype).with_suffix("")
    prefix = tmp_path / "x"
    dataset = megatron.IndexedDataset(str(prefix))
    assert [dataset[index].tolist() for index in range(len(dataset))] == documents
    assert dataset.document_indices.tolist() == list(range(len(documents) + 1))
    reader = Reader(prefix)
    assert [document.tolist() for document in reader] == documents
    assert reader.last_tokens.tolist() == [document[-1] for document in documents]
    assert reader.num_tokens == sum(map(len, documents))


@pytest.mark.parametrize("ids", [1, 8192, 65_499, 65_500, 65_536, 130_048])
def test_the_dtype_is_the_one_megatron_would_take(megatron, ids):
    assert token_dtype(ids).type is megatron.DType.optimal_dtype(ids)


def test_every_document_decodes_to_its_kept_text_through_megatron(mill, megatron, ray_session):
    """Issue 2, item 5: every document, not a sample; through the foreign reader."""
    manifest = encode.run(mill.recipe)
    directory = mill.recipe.tokens
    assert open_tokens(directory) == manifest
    tokenizer = open_tokenizer(mill.recipe.tokenizer_directory)
    import pyarrow.parquet as pq

    for split, texts in mill.texts.items():
        expected = {text.id: text.text for text in texts}
        decoded = {}
        prefixes = token_prefixes(manifest, split)
        for prefix, mapping in zip(prefixes, document_maps(manifest, split), strict=True):
            dataset = megatron.IndexedDataset(str(directory / prefix))
            rows = pq.read_table(directory / mapping).to_pylist()
            assert len(rows) == len(dataset)
            for row, tokens in zip(rows, dataset, strict=True):
                assert tokens[-1] == tokenizer.eod_id
                assert tokenizer.eod_id not in tokens[:-1]
                assert row["tokens"] == len(tokens)
                decoded[row["id"]] = tokenizer.decode(tokens)
                assert row["text_bytes"] == len(decoded[row["id"]].encode())
        assert decoded == expected
    assert len(token_prefixes(manifest, "train")) == 2, "the empty file gives no shard"


def test_broken_files_are_refused(tmp_path):
    prefix = write(tmp_path / "good", DOCUMENTS, np.uint16)
    index = prefix.with_suffix(".idx").read_bytes()
    with pytest.raises(UserError, match="no such file"):
        Reader(tmp_path / "absent")
    for name, content, message in (
        ("magic", b"X" + index[1:], "header"),
        ("version", index[:9] + b"\2" + index[10:], "version 2"),
        ("dtype", index[:17] + b"\7" + index[18:], "dtype 7"),
        ("short", index[:20], "20 bytes"),
        ("cut", index[:-1], "by its header"),
    ):
        (tmp_path / f"{name}.idx").write_bytes(content)
        (tmp_path / f"{name}.bin").write_bytes(prefix.with_suffix(".bin").read_bytes())
        with pytest.raises(UserError, match=message):
            Reader(tmp_path / name)
    with prefix.with_suffix(".bin").open("ab") as stream:
        stream.write(b"\0\0")
    with pytest.raises(UserError, match="by its index"):
        Reader(prefix)


def test_the_writer_refuses_what_megatron_could_not_read(tmp_path):
    with Writer(tmp_path / "a.bin", tmp_path / "a.idx", np.dtype(np.uint16)) as writer:
        with pytest.raises(AssertionError):
            writer.add(np.empty(0, np.uint16))
        with pytest.raises(AssertionError):
            writer.add(np.array([1], np.int64))
    with pytest.raises(AssertionError):
        Writer(tmp_path / "b.bin", tmp_path / "b.idx", np.dtype(np.int64))
