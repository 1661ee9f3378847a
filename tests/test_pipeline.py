"""The whole mill on a small corpus: what a user sees, what lies there after, what a repeat does."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch.cli import entry
from launch.manifest import read_manifest

# Small in every part; the layout is the demo's, four processes (the marked tests run it).
SMALL = """
[run]
name = "main"
root = "{root}"
seed = 1
[[sources]]
name = "python-docs"
kind = "installed-docs"
packages = ["networkx"]
[dataprep]
valid_fraction = 0.05
[tokenizer]
vocab_size = 1024
[pretrain.parallel]
tensor = 2
pipeline = 2
[pretrain.model]
layers = 2
hidden_size = 32
heads = 2
kv_heads = 2
ffn_size = 64
sequence_length = 64
[pretrain.training]
iterations = 12
batch_size = 8
micro_batch_size = 4
warmup_iterations = 2
valid_batches = 2
[pretrain.checkpoint]
interval_iterations = 6
[scaling]
enabled = true
[scaling.ladder]
tokens = [2048, 4096, 8192]
sequence_length = 64
[scaling.fit]
bootstrap_samples = 20
[scaling.plan]
budget_flops = 1e11
sequence_length = 64
"""


def gristmill(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "launch.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def write_recipe(directory: Path) -> Path:
    """`SMALL` on two processes: every one imports torch and Megatron-core for seconds."""
    path = directory / "small.toml"
    path.write_text(SMALL.replace("pipeline = 2\n", "").format(root=directory / "root"))
    return path


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished root, and what the command printed."""
    directory = tmp_path_factory.mktemp("mill")
    done = gristmill("run", str(write_recipe(directory)))
    assert done.returncode == 0, done.stderr[-3000:]
    return directory, done.stdout


def test_the_summary_says_what_a_person_asks(mill: tuple[Path, str]) -> None:
    _, printed = mill
    for word in ("documents", "kept", "dropped", "duplicate", "bytes per token", "tokens"):
        assert word in printed
    for word in ("loss", "validation", "bits per byte", "Chinchilla", "KM", "plan", "seconds"):
        assert word in printed


def test_every_stage_hands_on_by_manifest(mill: tuple[Path, str]) -> None:
    root = mill[0] / "root"
    documents = read_manifest(root / "documents", "documents", 1)
    tokenizer = read_manifest(root / "tokenizer", "tokenizer", 1)
    tokens = read_manifest(root / "tokens", "tokens", 1)
    assert documents.files_digest in {entry.digest for entry in tokenizer.inputs}
    assert {documents.files_digest, tokenizer.files_digest} <= {
        entry.digest for entry in tokens.inputs
    }
    result = json.loads((root / "runs/main/result.json").read_text())
    assert result["tokens_digest"] == tokens.files_digest
    facts = documents.facts
    assert facts["records_read"] == facts["documents_in"] + facts["quarantined"]
    assert facts["documents_in"] == facts["kept"] + sum(facts["dropped"].values())
    assert facts["bytes_in"] == (
        facts["bytes_kept"] + facts["bytes_dropped"] + sum(facts["bytes_removed"].values())
    )
    splits = tokens.facts["splits"]
    assert sum(split["documents"] for split in splits.values()) == facts["kept"]


def test_the_plan_is_a_recipe_that_can_be_run(mill: tuple[Path, str]) -> None:
    from launch.recipe import load_recipe
    from pretrain.check import check_recipe

    plan = load_recipe(mill[0] / "root/scaling/plan/plan.toml")
    check_recipe(plan)
    assert plan.run.root == mill[0] / "root"
    done = gristmill("pretrain", "run", str(mill[0] / "root/scaling/plan/plan.toml"), "--dry-run")
    assert done.returncode == 0, done.stderr


def test_the_ladder_counts_parameters_as_the_trainer_does(mill: tuple[Path, str]) -> None:
    from scaling.contract import read_rows
    from scaling.flops import ModelShape

    rows = read_rows(mill[0] / "root/scaling/runs/runs.csv")
    assert len(rows) == 12
    facts = read_manifest(mill[0] / "root/tokens", "tokens", 1).facts
    for row in rows:
        sizes = {
            name: int(row[name])
            for name in ("layers", "hidden_size", "heads", "kv_heads", "ffn_size")
        }
        shape = ModelShape(**sizes, padded_vocab_size=facts["padded_vocab_size"])
        assert shape.parameters_total == float(row["parameters_total"])
        assert shape.parameters_nonembedding == float(row["parameters_nonembedding"])


def test_a_second_run_finds_everything_up_to_date(mill: tuple[Path, str]) -> None:
    start = time.monotonic()
    done = gristmill("run", str(mill[0] / "small.toml"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert time.monotonic() - start < 20
    for stage in ("dataprep", "tokenizer", "pretrain", "scaling"):
        assert any(stage in line and "up to date" in line for line in done.stderr.splitlines())
    assert done.stdout == mill[1]


def test_another_recipe_over_a_finished_root_is_refused_by_its_first_key(
    mill: tuple[Path, str],
) -> None:
    done = gristmill("run", str(mill[0] / "small.toml"), "dataprep.valid_fraction=0.1")
    assert done.returncode == 2
    assert "valid_fraction: got 0.1, expected 0.05" in done.stderr
    assert "--force" in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("pretrain.parallel.tenser=2", "did you mean 'tensor'?"),
        ("pretrain.parallel.tensor=two", "pretrain.parallel.tensor"),
        ("pretrain.parallel.tensor=3", "tensor"),
        ("pretrain.parallel.pipeline=4", "layers"),
        ("sources.0.packages=['no-such-distribution']", "no-such-distribution"),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_starts(
    tmp_path: Path, change: str, message: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    # The command itself, but in this process: each of its own would import for seconds.
    monkeypatch.setattr(sys, "argv", ["gristmill", "run", str(write_recipe(tmp_path)), change])
    with pytest.raises(SystemExit) as stop:
        entry()
    said = capsys.readouterr().err
    assert stop.value.code == 2, said
    assert message in said
    assert said.startswith("error: ")
    assert not (tmp_path / "root").exists()
