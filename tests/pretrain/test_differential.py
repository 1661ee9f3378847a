"""A trace says the same of every legal layout, and names the place of every planted fault."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.pretrain_differential import MODELS, VOCABULARY, legal_layouts, tables
from launch.errors import UserError
from launch.recipe import Recipe
from launch.torchrun import free_port
from pretrain.config import Pretrain
from pretrain.qualification.compare import compare_layouts
from pretrain.qualification.differential import FP32, compare, errors, largest_errors
from pretrain.qualification.formula import micro_batch
from pretrain.qualification.tensor_trace import Place, Trace, assemble, load, make_piece, save
from pretrain.qualification.trace_jobs import Job
from tests.pretrain.planted_faults import FAULTS

PLACE = Place(0, "forward", 2, "qkv")
# Of 288 legal layouts, those that the slow test tries; the benchmark tries all.
_EVERY = 48
# By default a handful; all of them are the slow tests and the benchmark.
SOME_FAULTS = (
    "old activation sent", "norm not reduced over the sequence", "clipped by the local norm",
)  # fmt: skip
# Of two models only: each needs a reference.
SOME_LAYOUTS: dict[str, tuple[str, dict[str, Any], int]] = {
    "experts over data": ("experts", {"data": 2, "expert": 2, "overlap_gradients": True}, 2),
    "experts over tensor":
        ("experts", {"tensor": 2, "sequence": True, "recompute": "full"}, 4),
}  # fmt: skip


def pieces_of(values: np.ndarray, cuts: int, *, whole: bool) -> list[Any]:
    """`values` [samples, positions, channels] as samples and channels are divided."""
    pieces = []
    for samples in np.array_split(np.arange(values.shape[0]), cuts):
        for channels in np.array_split(np.arange(values.shape[2]), cuts):
            indices = (samples, np.arange(values.shape[1]), channels)
            part = values[np.ix_(*indices)]
            pieces.append(make_piece(PLACE, values.shape, "", indices, part, whole=whole))
    return pieces


VALUES = np.random.default_rng(1).standard_normal((4, 6, 8)).astype(np.float32)


@pytest.mark.parametrize("whole", [True, False])
def test_pieces_of_any_cut_make_the_same_trace(whole: bool) -> None:
    one, several = (assemble(pieces_of(VALUES, cuts, whole=whole)) for cuts in (1, 3))
    assert several[PLACE].complete
    assert compare(one, several, FP32) is None
    if whole:
        assert np.array_equal(several[PLACE].whole[0], VALUES)  # type: ignore[index]


@pytest.mark.parametrize("whole", [True, False])
def test_a_piece_that_is_missing_or_given_twice_is_found(whole: bool) -> None:
    reference = assemble(pieces_of(VALUES, 1, whole=whole))
    pieces = pieces_of(VALUES, 2, whole=whole)
    for wrong in (pieces[1:], [*pieces, pieces[0]]):
        finding = compare(reference, assemble(wrong), FP32)
        assert finding is not None
        assert finding.how == "incomplete"


def test_what_is_not_a_number_differs_from_everything() -> None:
    reference = assemble(pieces_of(VALUES, 1, whole=True))
    changed = VALUES.copy()
    changed[2, 3, 4] = np.nan
    finding = compare(reference, assemble(pieces_of(changed, 2, whole=True)), FP32)
    assert finding is not None
    assert finding.relative_error == np.inf
    assert finding.to_dict()["relative_error"] is None


def test_summaries_estimate_the_error_of_the_tensors() -> None:
    random = np.random.default_rng(3)
    ratios = []
    for size in (1e-4, 1e-2, 1.0):
        values = random.standard_normal((16, 16, 32)).astype(np.float32)
        other = values + size * random.standard_normal(values.shape).astype(np.float32)
        true, estimated = (
            errors(assemble(pieces_of(values, 1, whole=whole)),
                   assemble(pieces_of(other, 1, whole=whole)))[PLACE]
            for whole in (True, False)
        )  # fmt: skip
        ratios.append(estimated / true)
    assert 0.3 < min(ratios) <= max(ratios) < 3


def test_copies_are_compared_one_by_one_and_the_place_of_the_difference_is_told() -> None:
    everywhere = tuple(np.arange(size) for size in VALUES.shape)
    changed = VALUES.copy()
    changed[1, 2, 3] += 10
    reference = assemble([make_piece(PLACE, VALUES.shape, "", everywhere, VALUES, whole=True)])
    other = assemble(
        make_piece(PLACE, VALUES.shape, f"tensor {rank}", everywhere, values, whole=True)
        for rank, values in enumerate((VALUES, changed))
    )
    finding = compare(reference, other, FP32)
    assert finding is not None
    assert (finding.replica, finding.at) == ("tensor 1", (1, 2, 3))
    assert "layer 2 qkv" in str(finding)


def test_the_first_place_is_the_first_that_was_computed() -> None:
    order = [
        Place(0, "initial", 3, "qkv", "weight"), Place(0, "forward", 0, "embedding"),
        Place(0, "forward", 1, "mlp_output"), Place(0, "forward", 2, "qkv"),
        Place(0, "backward", 3, "output"), Place(0, "recompute", 2, "qkv"),
        Place(0, "backward", 2, "mlp_norm"), Place(0, "backward", 2, "qkv"),
        Place(0, "reduction", 2, "qkv", "weight"), Place(0, "reduction", 3, "gradient_norm"),
        Place(0, "update", 0, "embedding", "weight"), Place(1, "forward", 0, "embedding"),
    ]  # fmt: skip
    assert sorted(reversed(order), key=lambda place: place.order) == order
    assert [Place.parse(place.key) for place in order] == order


@pytest.mark.parametrize("name", ["trace.npz", "trace.json"])
def test_a_trace_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    trace = assemble(pieces_of(VALUES, 2, whole=name.endswith("npz")))
    save(trace, tmp_path / name)
    assert largest_errors(trace, load(tmp_path / name))["forward"][0] < 1e-9


def test_batches_of_the_formula_have_borders_where_documents_begin() -> None:
    batch = micro_batch((3, 4), 64, 512, documents=True)
    assert batch.borders is not None
    starts = (batch.positions.reshape(-1) == 0).nonzero().reshape(-1)
    assert batch.borders.tolist() == [*starts.tolist(), 128]
    # No loss for the first token of a document; and sequences differ in what counts.
    crosses = batch.positions[:, 1:] == 0
    assert not batch.mask[:, :-1][crosses].any()
    assert batch.mask[0].sum() != batch.mask[1].sum()
    alone = micro_batch((4,), 64, 512, documents=True)
    assert batch.tokens[1:].equal(alone.tokens)


class Traces:
    """Traces of small models under any layout, recorded by the pool; references once."""

    def __init__(self, pool: Any, directory: Path) -> None:
        self._pool, self._directory = pool, directory
        self._references: dict[str, Trace] = {}

    def of(self, name: str, pretrain: Pretrain) -> Trace:
        job = Job(name, pretrain, VOCABULARY)
        recipe = Recipe.from_dict({"pretrain": pretrain.model_dump(mode="json")})
        answer = self._pool(recipe, self._directory, iterations=0, trace=job.to_dict())
        assert answer == {"ok": {"threads": 0}} or "ok" in answer, answer
        return load(job.file(self._directory))

    def reference(self, model: dict[str, Any]) -> Trace:
        key = json.dumps(model)
        if key not in self._references:
            name = f"reference-{len(self._references)}"
            self._references[key] = self.of(name, tables(model, {}))
        return self._references[key]

    def check(self, name: str, model: str, pretrain: Pretrain) -> None:
        finding = compare(self.reference(MODELS[model]), self.of(name, pretrain), FP32)
        assert finding is None, finding

    def check_fault(self, name: str) -> None:
        fault = FAULTS[name]
        trace = self.of(name, tables(fault.model, fault.parallel))
        finding = compare(self.reference(fault.model), trace, FP32)
        assert finding is not None
        assert fault.is_at(finding.place), finding


@pytest.fixture(scope="module")
def traces(layouts: Any, tmp_path_factory: pytest.TempPathFactory) -> Traces:
    return Traces(layouts, tmp_path_factory.mktemp("traces"))


@pytest.mark.parametrize("name", SOME_LAYOUTS)
def test_a_legal_layout_differs_nowhere(traces: Traces, name: str) -> None:
    model, parallel, micro_batch_size = SOME_LAYOUTS[name]
    traces.check(name, model, tables(MODELS[model], parallel, micro_batch_size))


@pytest.mark.slow
def test_legal_layouts_of_up_to_four_processes_differ_nowhere(traces: Traces) -> None:
    for number, (model, pretrain) in enumerate(legal_layouts()[::_EVERY]):
        traces.check(f"layout-{number}", model, pretrain)


@pytest.mark.parametrize("name", SOME_FAULTS)
def test_a_planted_fault_is_found_where_it_is(traces: Traces, name: str) -> None:
    traces.check_fault(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(FAULTS) - set(SOME_FAULTS)))
def test_every_planted_fault_is_found_where_it_is(traces: Traces, name: str) -> None:
    traces.check_fault(name)


def test_a_layout_that_cannot_be_is_refused_before_anything_starts(
    make_recipe: Callable[..., Recipe],
) -> None:
    for layout, word in (("tensor=3", "divisor"), ("tensor", "KEY=VALUE"), ("rows=2", "unknown")):
        with pytest.raises(UserError, match=word):
            compare_layouts(make_recipe(), layout, "one", 1)


@pytest.mark.slow
def test_the_command_prints_its_verdict(
    make_recipe: Callable[..., Recipe], tmp_path: Path, repository: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(make_recipe().to_toml(), encoding="utf-8")
    command = [sys.executable, "-m", "pretrain", "compare", str(recipe), "--layout", "pipeline=2"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    verdict = json.loads(done.stdout)
    assert verdict["same"]
    assert verdict["places"] > 100
    assert "tolerance" in done.stderr


_TRACED = """
import gc, os, sys
from benchmarks.pretrain_differential import MODELS, VOCABULARY, tables
from pretrain import parallel
from pretrain.qualification.record import record
from pretrain.qualification.trace_jobs import Job
record(Job("experts", tables(MODELS["experts"], {}), VOCABULARY))
parallel.stop()
gc.collect()
gc.collect()
print(sum(type(found).__name__ == "TransformerLayer" for found in gc.get_objects()))
"""


@pytest.mark.slow
def test_a_traced_model_goes_when_its_trace_is_made() -> None:
    alone = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    child = subprocess.run(
        [sys.executable, "-c", _TRACED], env=os.environ | alone | ranks, capture_output=True,
        text=True,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    assert child.stdout.split()[-1] == "0"
