"""From a batch to its documents and back; and an index that is built without torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launch.errors import UserError
from launch.recipe import Recipe
from pretrain.data.index import build
from pretrain.data.tracing import iteration_of, trace_document, trace_iterations
from pretrain.schedule import first_sample
from tokenizer.contract import open_tokens

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def run(make_recipe: MakeRecipe) -> Recipe:
    """A run that is not begun: what it will read is known."""
    stages = [{"start_iteration": 30, "sequence_length": 48, "weights": {"notes": 1, "code": 1}}]
    ramp = {"iterations": 60, "batch_size_start": 2, "batch_ramp_iterations": 20}
    recipe = make_recipe(training=ramp, data={"stages": stages})
    recipe.run_directory.mkdir(parents=True)
    (recipe.run_directory / "recipe.toml").write_text(recipe.to_toml())
    return recipe


def test_the_trace_of_all_iterations_is_the_order(run: Recipe) -> None:
    lines = list(trace_iterations(run.run_directory, 0, 60))
    order = build(run, open_tokens(run.tokens, verify=False))
    end = first_sample(run.pretrain.training, 60)
    samples = sorted({line["sample"] for line in lines})
    assert samples == list(range(end)), "it skips nothing"
    told = iter(lines)
    for segment, low, high in order.segments(0, end):
        for place in range(low, high):
            for span in range(segment.starts[place], segment.starts[place + 1]):
                line = next(told)
                assert line["sample"] == segment.first + place
                assert line["source"] == order.sources[segment.sources[place]]
                assert line["document"].split(":")[0] == line["source"]
                assert line["start"] == segment.spans.begins[span]
                assert line["length"] == segment.spans.lengths[span]
    assert next(told, None) is None
    for line in lines:
        training = run.pretrain.training
        iteration = line["iteration"]
        assert first_sample(training, iteration) <= line["sample"]
        assert line["sample"] < first_sample(training, iteration + 1)
    some = list(trace_iterations(run.run_directory, 28, 32))
    assert some == [line for line in lines if 28 <= line["iteration"] < 32]


def test_a_document_is_found_wherever_it_is_read(run: Recipe) -> None:
    lines = list(trace_iterations(run.run_directory, 0, 60))
    by_document: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_document.setdefault(line["document"], []).append(line)
    assert any(len(found) > 3 for found in by_document.values())
    for document in list(by_document)[::20]:
        assert list(trace_document(run.run_directory, document)) == by_document[document]
    with pytest.raises(UserError, match="--document: got notes:valid-0-5"):
        list(trace_document(run.run_directory, "notes:valid-0-5"))


def test_iterations_outside_of_the_run_are_refused(run: Recipe, tmp_path: Path) -> None:
    for first, end in ((0, 61), (5, 5), (-1, 3)):
        with pytest.raises(UserError, match="--iterations"):
            list(trace_iterations(run.run_directory, first, end))
    with pytest.raises(UserError, match=r"no recipe\.toml"):
        list(trace_iterations(tmp_path, 0, 1))


def test_the_iteration_of_a_sample_is_the_one_that_reads_it(run: Recipe) -> None:
    training = run.pretrain.training
    for iteration in range(60):
        for sample in (
            first_sample(training, iteration),
            first_sample(training, iteration + 1) - 1,
        ):
            assert iteration_of(training, sample) == iteration


def test_the_commands_need_no_torch(run: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(run.to_toml())
    code = (
        "import sys\nfrom pretrain.__main__ import app\n"
        "for words in (['index', sys.argv[1]], ['trace', sys.argv[2], '--iterations', '59:60']):\n"
        "    app(words, standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(path), str(run.run_directory)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "million tokens/s" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == list(trace_iterations(run.run_directory, 59, 60))


def test_kernels_call_no_compiled_code_of_another_file(repository: Path) -> None:
    """numba would not see a change there."""
    files = [p for p in (repository / "pretrain").rglob("*.py") if "@kernel" in p.read_text()]
    assert len(files) > 3
    for path in files:
        for line in path.read_text().splitlines():
            if line.startswith("from pretrain"):
                assert line.startswith("from pretrain.data.kernel import"), f"{path.name}: {line}"
