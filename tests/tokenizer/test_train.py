"""`tokenizer train`: the same bytes every time, up to date, refusals in one line."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from launch.errors import LockedError, UserError
from launch.lock import lock
from tokenizer import train
from tokenizer.contract import open_tokenizer


def snapshot(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.relative_to(directory).parts[0] not in ("logs", ".lock")
    }


def test_the_directory_holds_what_the_contract_promises(mill):
    directory, facts = mill.recipe.tokenizer_directory, mill.manifest.facts
    names = {path.name for path in directory.iterdir()} - {"logs", ".lock"}
    model = facts["model_file"]
    assert names == {
        "manifest.json", "README.md", "tokenizer.model", "evaluation.json",
        *(entry.path for entry in mill.manifest.files),
    }  # fmt: skip
    assert (directory / "tokenizer.model").readlink().name == model
    assert facts["special_ids"] == {"unk": 0, "bos": 1, "eos": 2, "pad": 3, "eod": 4}
    assert (facts["vocab_size"], facts["padded_vocab_size"]) == (1500, 2048)
    assert mill.manifest.inputs[0].digest == mill.documents.files_digest
    assert str(mill.recipe.run.root).encode() not in b"".join(snapshot(directory).values())


def test_the_vocabulary_file_names_every_id(mill):
    directory = mill.recipe.tokenizer_directory
    path = next(directory.glob("vocabulary-*.tsv"))
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    assert [int(row[0]) for row in rows] == list(range(1500))
    tokenizer = open_tokenizer(directory)
    assert [json.loads(row[1]) for row in rows] == [tokenizer.piece(i) for i in range(1500)]
    kinds = [row[3] for row in rows]
    assert kinds[:5] == ["unknown", "control", "control", "control", "control"]
    assert kinds.count("byte") == 256
    assert kinds.count("control") == 4


def test_training_again_gives_the_same_bytes_for_any_layout_of_files(mill, laboratory, tmp_path):
    train_texts = list(reversed(mill.texts["train"]))
    parts = {"train": laboratory.dealt(train_texts, 5), "valid": [mill.texts["valid"]]}
    laboratory.write_documents(tmp_path / "documents", parts)
    again = train.run(laboratory.recipe(tmp_path))
    assert again.facts == mill.manifest.facts
    assert again.files == mill.manifest.files


def test_a_second_run_is_up_to_date_without_any_heavy_import(mill, tmp_path):
    root = mill.recipe.run.root
    recipe_path = tmp_path / "recipe.toml"
    recipe_path.write_text(mill.recipe.to_toml(), encoding="utf-8")
    before = snapshot(root / "tokenizer")
    code = (
        "import sys, time; from pathlib import Path; from launch.recipe import load_recipe\n"
        f"recipe = load_recipe(Path({str(recipe_path)!r})); start = time.process_time()\n"
        "from tokenizer.train import run; run(recipe)\n"
        "assert time.process_time() - start < 1\n"
        "heavy = {'sentencepiece', 'pyarrow', 'numpy', 'ray', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr
    assert snapshot(root / "tokenizer") == before


def test_another_recipe_is_refused_and_force_builds_it(mill, laboratory, tmp_path):
    parts = {"train": laboratory.dealt(mill.texts["train"], 1), "valid": [[]]}
    laboratory.write_documents(tmp_path / "documents", parts)
    first = train.run(laboratory.recipe(tmp_path, vocab_size=1400))
    other = laboratory.recipe(tmp_path, vocab_size=1300)
    with pytest.raises(UserError, match=r"tokenizer\.vocab_size: got 1300, expected 1400"):
        train.run(other)
    second = train.run(other, force=True)
    assert second.facts["vocab_size"] == 1300
    # The first one's files stay beside the new ones; only the manifest was replaced.
    assert (tmp_path / "tokenizer" / first.facts["model_file"]).exists()
    # Without validation text the numbers come from train, and say so.
    evaluation = json.loads((tmp_path / "tokenizer" / "evaluation.json").read_text())
    assert set(evaluation["splits"]) == {"train"}


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_a_vocabulary_beyond_the_sample_is_refused_in_one_line(
    mill, laboratory, tmp_path, model_type
):
    laboratory.write_documents(
        tmp_path / "documents", {"train": [mill.texts["train"][:20]], "valid": [[]]}
    )
    with pytest.raises(UserError, match=r"vocab_size: got 200000, expected at most \d+") as high:
        train.run(laboratory.recipe(tmp_path, vocab_size=200_000, model_type=model_type))
    assert "sample_bytes" in high.value.hint
    assert "\n" not in high.value.message
    limit = int(high.value.message.split("at most ")[1].split()[0])
    recipe = laboratory.recipe(tmp_path, vocab_size=limit, model_type=model_type)
    assert train.run(recipe).facts["vocab_size"] == limit


def test_a_vocabulary_below_the_alphabet_is_refused_in_one_line(laboratory, tmp_path):
    alphabet = "".join(chr(0x4E00 + index) for index in range(900))
    text = laboratory.text("all:0", alphabet * 3)
    laboratory.write_documents(tmp_path / "documents", {"train": [[text]], "valid": [[]]})
    with pytest.raises(UserError, match=r"vocab_size: got 600, expected more than \d+"):
        train.run(laboratory.recipe(tmp_path, vocab_size=600, character_coverage=1.0))


def test_no_documents_no_memory_and_another_writer_are_refused(mill, laboratory, tmp_path):
    recipe = laboratory.recipe(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        train.run(recipe)
    laboratory.write_documents(tmp_path / "documents", {"train": [[]], "valid": [[]]})
    with pytest.raises(UserError, match="no kept document"):
        train.run(recipe)
    blank = [[laboratory.text("blank:0", "\n\n")]]
    laboratory.write_documents(tmp_path / "documents", {"train": blank, "valid": [[]]})
    with pytest.raises(UserError, match="only empty lines"):
        train.run(recipe)
    execution = mill.recipe.execution.model_copy(update={"memory_gigabytes": 0.001})
    poor = replace(mill.recipe, execution=execution)
    with pytest.raises(UserError, match="while training"):
        train.run(poor, force=True)
    with lock(recipe.tokenizer_directory), pytest.raises(LockedError):
        train.run(recipe)


def test_a_dry_run_prints_the_plan_and_writes_nothing(mill, laboratory, tmp_path, capsys):
    assert train.run(laboratory.recipe(tmp_path), dry_run=True) is None
    assert "not there yet" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert train.run(mill.recipe, dry_run=True) == mill.manifest
    assert "up to date" in capsys.readouterr().out


def test_a_start_after_a_crash_does_not_train_again(mill, laboratory, tmp_path, monkeypatch):
    parts = {"train": [mill.texts["train"]], "valid": [mill.texts["valid"]]}
    laboratory.write_documents(tmp_path / "documents", parts)
    recipe = laboratory.recipe(tmp_path)

    def crash(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train, "write_manifest", crash)
        with pytest.raises(KeyboardInterrupt):
            train.run(recipe)
    assert list((tmp_path / "tokenizer" / "work").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(train, "_draw", crash)
        manifest = train.run(recipe)
    assert manifest.files == mill.manifest.files
    assert not (tmp_path / "tokenizer" / "work").exists()


def test_further_control_symbols_have_the_ids_after_eod(mill, laboratory, tmp_path):
    parts = {"train": [mill.texts["train"][:20]], "valid": [mill.texts["valid"]]}
    laboratory.write_documents(tmp_path / "documents", parts)
    symbols = ["<user>", "<a,b>", '<"q">']
    manifest = train.run(laboratory.recipe(tmp_path, control_symbols=symbols, vocab_size=700))
    assert [manifest.facts["control_ids"][name] for name in symbols] == [5, 6, 7]
    tokenizer = open_tokenizer(tmp_path / "tokenizer")
    text = "<user> <a,b> <eod> <s>"
    ids = tokenizer.encode(text)
    assert min(ids) > 7, "control symbols never come out of text"
    assert tokenizer.decode([5, *ids, 4]) == text


def test_training_is_heard_by_ctrl_c(mill):
    """The trainer runs in C++ for minutes; Ctrl-C must not wait for it."""
    code = (
        "import random, signal\n"
        # A shell's background jobs are told to ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tokenizer.config import Tokenizer\nfrom tokenizer.lossless import train_model\n"
        "draw = random.Random(1)\n"
        "words = [''.join(draw.choices('abcdefgh', k=9)) for _ in range(400_000)]\n"
        "text = [' '.join(draw.choices(words, k=1000)).encode() for _ in range(1500)]\n"
        "print('ready', flush=True)\n"
        "train_model(iter(text), Tokenizer(model_type='unigram', vocab_size=8000), 15_000_000)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdout.readline() == b"ready\n"
    time.sleep(1.0)
    assert child.poll() is None
    child.send_signal(2)
    start = time.monotonic()
    child.wait(timeout=60)
    child.stdout.close()
    assert child.returncode != 0
    assert time.monotonic() - start < 10
