"""What is derived from a run's counts, losses by source, and the profile of some iterations."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from launch.torchrun import free_port
from pretrain import flops, measure
from pretrain.config import Metrics as Config
from pretrain.config import Model
from pretrain.device_memory import memory_bytes
from pretrain.parallel import World
from pretrain.profiler import Profiler
from pretrain.source_losses import SourceLosses

CPU = torch.device("cpu")
WORLD = World(0, 1, 0, 1, 0, 1, 0, 1, CPU)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A real gloo group of this process alone."""
    store = tmp_path_factory.mktemp("store") / "file"
    torch.distributed.init_process_group("gloo", f"file://{store}", rank=0, world_size=1)
    yield WORLD
    torch.distributed.destroy_process_group()


def test_utilisation_of_a_published_run() -> None:
    """GPT-3 175B on 1,024 A100s: 140 TFLOP/s each of 312 (Narayanan et al. 2021, section 5.1).

    Their FLOP count has a recomputed forward pass in it, 4/3 of the model's own.
    """
    shape = Model(layers=96, hidden_size=12288, heads=96, kv_heads=96, ffn_size=32768,
                  sequence_length=2048)  # fmt: skip
    tokens = 1536 * 2048
    model = flops.training_flops(shape, 51200, tokens)
    seconds = model * 4 / 3 / (1024 * 140e12)
    found = measure.mfu(model, seconds, 1024, 312.0)
    assert found == pytest.approx(140 / 312 * 3 / 4)
    # Table 2 of that paper: 175B and 300B tokens take 34 days on these GPUs.
    assert seconds * 300e9 / tokens / 86400 == pytest.approx(34, rel=0.05)


def test_what_is_not_known_is_null() -> None:
    assert measure.mfu(1e12, 1.0, 1, None) is None
    assert measure.mfu(1e12, 0.0, 1, 989.0) is None
    assert measure.tokens_per_second(100, 0.0) is None
    assert measure.eta_seconds(100, None) is None


def test_the_peak_is_the_recipes_or_that_of_the_gpu_and_of_no_cpu() -> None:
    assert measure.peak_of_device(Config(), "cuda", 989.4) == 989.4
    assert measure.peak_of_device(Config(peak_teraflops=300.0), "cuda", 989.4) == 300.0
    assert measure.peak_of_device(Config(), "cpu", 989.4) is None


def test_the_time_left_has_the_pauses_of_the_time_so_far() -> None:
    assert measure.eta_seconds(1000, 10.0) == pytest.approx(100.0)
    assert measure.eta_seconds(1000, 10.0, pause_share=0.5) == pytest.approx(200.0)


def test_bits_per_byte_of_a_uniform_model_over_bytes_is_eight() -> None:
    assert measure.bits_per_byte(math.log(256), 10, 10) == pytest.approx(8.0)
    assert measure.bits_per_byte(math.log(256) * 4, 10, 40) == pytest.approx(8.0)


def test_memory_of_this_process_grows_with_what_it_holds() -> None:
    before = memory_bytes(CPU)
    held = torch.ones(64_000_000, dtype=torch.uint8)
    assert 50e6 < memory_bytes(CPU) - before < 200e6
    del held


batches = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 50), st.integers(0, 64)), min_size=1,
             max_size=5),
    max_size=6,
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(batches)
def test_losses_by_source_are_those_of_a_plain_sum(
    alone: World, rows: list[list[tuple[int, float, int]]]
) -> None:
    losses = SourceLosses(["a", "b", "c", "d"], CPU)
    plain = {number: (0.0, 0) for number in range(4)}
    for batch in rows:
        sums = torch.tensor([loss * count for _, loss, count in batch])
        losses.add({
            "sums": sums,
            "counts": torch.tensor([float(count) for *_, count in batch]),
            "sources": torch.tensor([source for source, *_ in batch]),
        })  # fmt: skip
        for (source, _, count), total in zip(batch, sums.tolist(), strict=True):
            plain[source] = (plain[source][0] + total, plain[source][1] + count)
    found = losses.read(alone)
    assert [(name, tokens) for name, _, tokens in found] == [
        ("abcd"[n], count) for n, (_, count) in plain.items() if count
    ]
    for (_, loss, _), (total, count) in zip(
        found, (p for p in plain.values() if p[1]), strict=True
    ):
        assert loss == pytest.approx(total / count)
    assert losses.read(alone) == [], "reading begins a new interval"


def test_a_loss_that_is_not_finite_stays_in_its_source(alone: World) -> None:
    losses = SourceLosses(["a", "b"], CPU)
    losses.add({"sums": torch.tensor([float("nan"), 4.0]), "counts": torch.tensor([1.0, 2.0]),
                "sources": torch.tensor([0, 1])})  # fmt: skip
    (_, bad, _), good = losses.read(alone)
    assert math.isnan(bad)
    assert good == ("b", 2.0, 2)


def test_many_micro_batches_are_summed_and_a_rewind_forgets_them(alone: World) -> None:
    losses = SourceLosses(["a", "b"], CPU)
    for number in range(200):
        losses.add({"sums": torch.tensor([1.0]), "counts": torch.tensor([2.0]),
                    "sources": torch.tensor([number % 2])})  # fmt: skip
    assert losses.read(alone) == [("a", 0.5, 200), ("b", 0.5, 200)]
    for _ in range(100):
        losses.add({"sums": torch.tensor([1.0]), "counts": torch.tensor([2.0]),
                    "sources": torch.tensor([0])})  # fmt: skip
    losses.forget()
    assert losses.read(alone) == []


def test_counts_stay_exact_beyond_float32(alone: World) -> None:
    losses = SourceLosses(["a"], CPU)
    one = {"sums": torch.tensor([1.0]), "counts": torch.tensor([float(2**24)]),
           "sources": torch.tensor([0])}  # fmt: skip
    losses.add(one)
    losses.add({**one, "counts": torch.tensor([1.0])})
    assert losses.read(alone)[0][2] == 2**24 + 1


_RANK = """
import json, sys, torch
from pretrain.parallel import World
from pretrain.source_losses import SourceLosses
rank = int(sys.argv[1])
place = "tcp://127.0.0.1:" + sys.argv[2]
torch.distributed.init_process_group("gloo", place, rank=rank, world_size=4)
# tensor 2 x pipeline 1 x data 2: tensor ranks hold the same losses.
world = World(rank, 4, rank % 2, 2, 0, 1, rank // 2, 2, torch.device("cpu"))
losses = SourceLosses(["a", "b"], world.device)
losses.add({"sums": torch.tensor([3.0 + rank // 2, 1.0]), "counts": torch.tensor([2.0, 1.0]),
            "sources": torch.tensor([1, rank // 2])})
print(json.dumps(losses.read(world)))
"""


@pytest.mark.slow
def test_every_rank_reads_the_same_and_tensor_ranks_count_once(repository: Path) -> None:
    port = str(free_port())
    ranks = [
        subprocess.Popen([sys.executable, "-c", _RANK, str(rank), port], cwd=repository,
                         env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE)
        for rank in range(4)
    ]  # fmt: skip
    try:
        answers = [json.loads(rank.communicate(timeout=240)[0]) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert answers == [[["a", 1.0, 1], ["b", (3 + 4 + 1) / 5, 5]]] * 4


@pytest.mark.parametrize(("first", "begin", "expected"), [(2, 0, 3), (0, 0, 3), (2, 4, 1)])
def test_a_profile_has_the_iterations_that_were_asked_for(
    tmp_path: Path, first: int, begin: int, expected: int
) -> None:
    """Also of a run that was resumed inside the window."""
    config = Config(profile_first_iteration=first, profile_iterations=3)
    profiler = Profiler(config, tmp_path, WORLD)
    for iteration in range(begin, 8):
        profiler.before(iteration)
        with torch.profiler.record_function(f"iteration {iteration}"):
            torch.ones(4, 4) @ torch.ones(4, 4)
    profiler.close()
    content = json.loads((tmp_path / "logs" / "profile-0.json").read_text())
    names = [event["name"] for event in content["traceEvents"] if "name" in event]
    recorded = {name for name in names if name.startswith("iteration ")}
    assert recorded == {f"iteration {i}" for i in range(max(first, begin), first + 3)}
    assert len(recorded) == expected
    assert "aten::mm" in names
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["profile-0.json"]


def test_a_run_that_ends_in_the_window_leaves_what_was_recorded(tmp_path: Path) -> None:
    profiler = Profiler(Config(profile_first_iteration=1, profile_iterations=9), tmp_path, WORLD)
    for iteration in range(3):
        profiler.before(iteration)
    profiler.close()
    assert (tmp_path / "logs" / "profile-0.json").exists()


def test_without_a_profile_nothing_is_written(tmp_path: Path) -> None:
    profiler = Profiler(Config(), tmp_path, WORLD)
    for iteration in range(3):
        profiler.before(iteration)
    profiler.close()
    assert list(tmp_path.iterdir()) == []
