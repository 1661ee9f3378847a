"""`tokenizer encode`: counts, resumption after any death, and what makes two builds identical."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.contract import kept_files
from launch.errors import UserError
from tokenizer import encode, shard
from tokenizer.contract import open_tokenizer, open_tokens, token_prefixes
from tokenizer.indexed import Reader
from tokenizer.shard import Part, encode_part


@pytest.fixture(scope="module")
def tokens(mill, ray_session):
    return encode.run(mill.recipe)


@pytest.fixture
def copied(mill, tmp_path):
    """The mill without tokens, in a root of its own."""
    for name in ("documents", "tokenizer"):
        shutil.copytree(mill.recipe.run.root / name, tmp_path / name, symlinks=True)
    return replace(mill.recipe, run=mill.recipe.run.model_copy(update={"root": tmp_path}))


def parts_of(recipe, work="work/test", batch_bytes=1 << 16):
    from dataprep.contract import open_documents

    documents = open_documents(recipe.documents)
    return [
        Part(
            recipe.documents, file, recipe.tokenizer_directory, recipe.tokens,
            f"{split}/shard-{index:05}", recipe.tokens / work, batch_bytes,
        )
        for split in encode.SPLITS
        for index, file in enumerate(kept_files(documents, split))
    ]  # fmt: skip


def test_the_facts_add_up(mill, tokens):
    facts = tokens.facts
    tokenizer = open_tokenizer(mill.recipe.tokenizer_directory)
    assert facts["tokenizer_digest"] == tokenizer.digest == mill.manifest.files_digest
    assert (facts["dtype"], facts["eod_id"]) == ("uint16", 4)
    assert facts["parts_without_documents"] == {"train": 1, "valid": 0}
    for split, texts in mill.texts.items():
        lengths = [len(tokenizer.encode(text.text)) + 1 for text in texts]
        expected = {
            "documents": len(texts),
            "tokens": sum(lengths),
            "text_bytes": sum(len(text.text.encode()) for text in texts),
        }
        assert facts["splits"][split] == expected
        sources = facts["by_source"][split]
        assert set(sources) == {text.source for text in texts}
        for name in expected:
            assert sum(counts[name] for counts in sources.values()) == expected[name]
        readers = [Reader(mill.recipe.tokens / p) for p in token_prefixes(tokens, split)]
        assert sum(reader.num_tokens for reader in readers) == expected["tokens"]
    assert not (mill.recipe.tokens / "work").exists()


def test_a_second_run_is_up_to_date_and_imports_nothing_heavy(mill, tokens, tmp_path):
    recipe_path = tmp_path / "recipe.toml"
    recipe_path.write_text(mill.recipe.to_toml(), encoding="utf-8")
    code = (
        "import sys, time; from pathlib import Path; from launch.recipe import load_recipe\n"
        f"recipe = load_recipe(Path({str(recipe_path)!r})); start = time.process_time()\n"
        "from tokenizer.encode import run; run(recipe)\n"
        "assert time.process_time() - start < 1\n"
        "heavy = {'sentencepiece', 'pyarrow', 'numpy', 'ray', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr


@pytest.mark.parametrize("batch_bytes", [1 << 10, 5000, 1 << 24])
def test_batches_do_not_change_the_bytes(mill, tokens, copied, batch_bytes):
    expected = {entry.path: entry.digest for entry in tokens.files}
    found = {}
    for part in parts_of(copied, batch_bytes=batch_bytes):
        found |= {file["path"]: file["digest"] for file in encode_part(part)["files"]}
    assert found == expected


def test_a_finished_shard_is_not_encoded_again(copied, monkeypatch):
    part = parts_of(copied)[0]
    receipt = encode_part(part)
    monkeypatch.setattr(shard, "open_tokenizer", None)
    assert encode_part(part) == receipt
    (copied.tokens / receipt["files"][0]["path"]).unlink()
    with pytest.raises(TypeError):
        encode_part(part)


def test_a_document_that_does_not_come_back_is_named(copied, monkeypatch):
    part = parts_of(copied)[0]
    first = pq.read_table(copied.documents / part.file)["id"][0].as_py()
    from tokenizer.contract import Tokenizer

    decode = Tokenizer.decode_batch
    monkeypatch.setattr(
        Tokenizer, "decode_batch", lambda self, ids: [text + b"!" for text in decode(self, ids)]
    )
    with pytest.raises(RuntimeError, match=f"document {first} does not survive"):
        encode_part(part)
    assert not part.receipt.exists()


def test_long_documents_are_encoded_in_parts(mill, laboratory, tmp_path):
    tokenizer = open_tokenizer(mill.recipe.tokenizer_directory)
    text = "磨坊把谷物碾成面粉，" * 60_000 + "end of a long line\n" * 30_000
    assert len(text.encode()) > 2 << 20
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    together, after = tokenizer.encode_batch([text.encode(), b"after"])
    assert np.array_equal(together, ids)
    assert tokenizer.decode(after) == "after"
    assert tokenizer.encode("").tolist() == []
    assert tokenizer.decode([]) == ""
    with pytest.raises(ValueError, match="not in 0"):
        tokenizer.decode([tokenizer.vocab_size])


def test_changed_files_and_foreign_tokenizers_are_refused(mill, tokens, copied, laboratory):
    model = copied.tokenizer_directory / mill.manifest.facts["model_file"]
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    with pytest.raises(UserError, match="content xxh3_128"):
        open_tokenizer(copied.tokenizer_directory)
    shutil.copytree(mill.recipe.tokens, copied.tokens)
    path = copied.tokens / f"{token_prefixes(tokens, 'train')[0]}.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert open_tokens(copied.tokens, verify=False) == tokens
    with pytest.raises(UserError, match=r"\.bin: got content"):
        open_tokens(copied.tokens)
    laboratory.write_documents(copied.documents, {"train": [mill.texts["valid"]], "valid": [[]]})
    with pytest.raises(UserError, match="trained on other documents"):
        encode.run(copied)


def test_a_dry_run_prints_the_plan_and_writes_nothing(mill, tokens, copied, capsys, tmp_path):
    assert encode.run(copied, dry_run=True) is None
    assert "4 files of documents" in capsys.readouterr().out
    assert not copied.tokens.exists()
    assert encode.run(mill.recipe, dry_run=True) == tokens
    assert "up to date" in capsys.readouterr().out
    shutil.rmtree(copied.tokenizer_directory)
    assert encode.run(copied, dry_run=True) is None
    assert f"once {copied.tokenizer_directory} is there" in capsys.readouterr().out


def test_killed_at_any_moment_and_started_again_gives_the_same(mill, tokens, copied, repository):
    """SIGKILL to the driver while shards are being committed; then the same command again."""
    recipe_path = copied.run.root / "recipe.toml"
    recipe_path.write_text(copied.to_toml(), encoding="utf-8")
    killed = (
        "import os, signal, sys; from pathlib import Path\n"
        "from launch.recipe import load_recipe; import tokenizer.shard as shard\n"
        "import launch.ray_cluster as cluster; from tokenizer.encode import run\n"
        # In this process instead of Ray's, so that it dies with exactly one shard finished and
        # another one half written.
        "write = shard.Writer.add; done = []\n"
        "def add(self, ids):\n"
        "    write(self, ids); done.append(1)\n"
        "    if len(done) == 60: os.kill(os.getpid(), signal.SIGKILL)\n"
        "shard.Writer.add = add\n"
        "cluster.run_tasks = lambda f, tuples, **_: [f(*a) for a in tuples]\n"
        f"run(load_recipe(Path({str(recipe_path)!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", killed], cwd=repository, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert list((copied.tokens / "work").rglob("*.bin")), "a shard was half written"
    again = encode.run(copied)
    assert again.files == tokens.files
    assert again.facts == tokens.facts
    assert not (copied.tokens / "work").exists()
    named = {entry.path for entry in again.files}
    lying = {
        path.relative_to(copied.tokens).as_posix()
        for split in encode.SPLITS
        for path in (copied.tokens / split).iterdir()
    }
    assert lying == named


def test_the_commands_do_what_they_say(mill, copied, repository):
    """`python -m tokenizer`: exit codes, one line per error, JSON on stdout."""
    recipe_path = copied.run.root / "recipe.toml"
    recipe_path.write_text(copied.to_toml(), encoding="utf-8")

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "tokenizer", *arguments],
            cwd=repository, capture_output=True, text=True,
        )  # fmt: skip

    done = command("evaluate", str(recipe_path))
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    expected = json.loads((copied.tokenizer_directory / "evaluation.json").read_text())
    assert measured == expected
    done = command("train", str(recipe_path), "tokenizer.model_type=wordpiece")
    assert done.returncode == 2
    assert done.stderr.startswith('error: tokenizer.model_type: got "wordpiece", expected')
    assert "Traceback" not in done.stderr
    done = command("train", str(recipe_path), "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "up to date" in done.stdout
