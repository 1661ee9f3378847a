"""One model, many layouts: the same losses, the same gradients, each other's checkpoints."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launch.recipe import Recipe
from pretrain import flops

LAYOUTS = {
    "one": {},
    "tensor": {"tensor": 2},
    "pipeline": {"pipeline": 2},
    "data": {"data": 2},
    "tensor-pipeline": {"tensor": 2, "pipeline": 2},
}
# What divides or overlaps further; checkpoints of these are for `test_checkpoint.py`.
FURTHER: dict[str, dict[str, Any]] = {
    "sequence": {"tensor": 2, "sequence": True},
    "interleaved": {"pipeline": 2, "virtual_stages": 2},
    "uneven": {"pipeline": 2, "first_stage_layers": 1, "last_stage_layers": 3},
    "overlap": {"data": 2, "overlap_gradients": True, "overlap_parameters": True},
    "recompute-selective": {"recompute": "selective"},
    "recompute-full": {"tensor": 2, "sequence": True, "recompute": "full"},
}
RELATIVE = 1e-5
ITERATIONS = 20
# Where a checkpoint of each layout is continued by default; all pairs are the marked test.
CONTINUED_BY = {
    "one": "tensor-pipeline",
    "tensor-pipeline": "data",
    "data": "pipeline",
    "pipeline": "tensor",
    "tensor": "one",
}
MakeRecipe = Callable[..., Recipe]


class Trained:
    """Each layout trained once from one initial checkpoint, and on for five iterations more."""

    def __init__(self, pool: Any, make: MakeRecipe, directory: Path) -> None:
        self._pool, self._make, self._directory = pool, make, directory
        self._answers: dict[str, dict[str, Any]] = {}
        self.seed = directory / "seed"
        pool(self.recipe("one"), directory / "work", iterations=0, save=str(self.seed))

    def recipe(self, layout: str, **tables: dict[str, Any]) -> Recipe:
        training = {"iterations": 40, "lr_peak": 3e-3, "batch_size": 8, "micro_batch_size": 2}
        return self._make(
            model={"layers": 4}, parallel=(LAYOUTS | FURTHER)[layout],
            training=training | tables.pop("training", {}), **tables,
        )  # fmt: skip

    def saved(self, layout: str) -> Path:
        return self._directory / layout

    def run(self, layout: str, **command: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._pool(
            self.recipe(layout), self._directory / "work", **command
        )
        return answer["ok"]

    def first(self, layout: str) -> dict[str, Any]:
        """The first 20 iterations."""
        if layout not in self._answers:
            self._answers[layout] = self.run(
                layout, iterations=ITERATIONS, load=str(self.seed), save=str(self.saved(layout))
            )
        return self._answers[layout]

    def then(self, layout: str, of: str) -> dict[str, Any]:
        """The next 5 iterations, from the checkpoint that the layout `of` wrote."""
        self.first(of)
        return self.run(layout, iterations=5, load=str(self.saved(of)))


@pytest.fixture(scope="module")
def trained(
    layouts: Any,
    recipes_below: Callable[[Path], MakeRecipe],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    directory = tmp_path_factory.mktemp("layouts")
    return Trained(layouts, recipes_below(directory), directory)


def relative(ours: list[float], theirs: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    "layout",
    [
        *LAYOUTS,
        *(
            name
            if name in ("sequence", "interleaved")
            else pytest.param(name, marks=pytest.mark.slow)
            for name in FURTHER
        ),
    ],
)
def test_losses_and_gradients_agree_with_one_process(trained: Trained, layout: str) -> None:
    one, other = trained.first("one"), trained.first(layout)
    assert one["losses"][-1] < 0.9 * one["losses"][0], "the loss must fall for this to say much"
    assert relative(other["losses"], one["losses"]) <= RELATIVE
    assert relative(other["norms"], one["norms"]) <= RELATIVE
    assert abs(other["loss_valid"] - one["loss_valid"]) <= RELATIVE * one["loss_valid"]
    assert other["valid_tokens"] == one["valid_tokens"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_checkpoint_is_continued_by_another_layout(trained: Trained, layout: str) -> None:
    _continue(trained, layout, CONTINUED_BY[layout])


@pytest.mark.slow
@pytest.mark.parametrize(("written", "read"), itertools.product(LAYOUTS, LAYOUTS))
def test_every_checkpoint_is_continued_by_every_layout(
    trained: Trained, written: str, read: str
) -> None:
    _continue(trained, written, read)


def _continue(trained: Trained, written: str, read: str) -> None:
    same, other = trained.then(written, of=written), trained.then(read, of=written)
    assert other["begun"] == ITERATIONS
    tolerance = 0.0 if read == written else RELATIVE
    assert relative(other["losses"], same["losses"]) <= tolerance
    assert relative(other["norms"], same["norms"]) <= tolerance


@pytest.mark.slow
def test_going_on_is_what_an_uninterrupted_run_does(trained: Trained) -> None:
    whole = trained.run("tensor-pipeline", iterations=25, load=str(trained.seed))
    first = trained.first("tensor-pipeline")
    then = trained.then("tensor-pipeline", of="tensor-pipeline")
    assert whole["losses"] == first["losses"] + then["losses"]
    assert whole["norms"] == first["norms"] + then["norms"]
    assert whole["loss_valid"] == then["loss_valid"]


@pytest.mark.parametrize("layout", ["one", "tensor-pipeline"])
def test_initial_weights_are_those_of_the_seed_checkpoint(trained: Trained, layout: str) -> None:
    without = trained.run(layout, iterations=3)
    assert without["losses"] == trained.first(layout)["losses"][:3]


def test_the_built_model_has_as_many_parameters_as_counted(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    experts = {"count": 4, "ffn_size": 24}
    shapes: list[tuple[dict[str, Any], str]] = [
        ({}, "one"), ({"tied_embeddings": True}, "tensor"), (VARIANT, "sequence"),
        ({"experts": experts}, "one"), (VARIANT | {"experts": experts}, "sequence"),
    ]  # fmt: skip
    for shape, layout in shapes:
        recipe = make_recipe(model=shape, parallel=(LAYOUTS | FURTHER)[layout])
        built = layouts(recipe, tmp_path / "work", iterations=0)["ok"]["parameters"]
        assert built == flops.total_parameters(recipe.pretrain.model, 1024)


def test_tied_embeddings_agree_over_a_pipeline(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    # The matrix then lies on the first stage and on the last, and its gradients are summed: a sum
    # that is missing shows in the second norm. Not further than the third: the gradients of rows
    # that no token meets are about Adam's epsilon, where rounding counts in full, and on one CPU
    # of several the fourth norm differed by 1.5e-5 (2026-11-24).
    answers = [
        layouts(
            make_recipe(model={"tied_embeddings": True}, parallel=LAYOUTS[layout]),
            tmp_path / "work", iterations=3,
        )["ok"]
        for layout in ("one", "tensor-pipeline")
    ]  # fmt: skip
    assert relative(answers[1]["losses"], answers[0]["losses"]) <= RELATIVE
    assert relative(answers[1]["norms"], answers[0]["norms"]) <= RELATIVE


# Everything that is not the default, at once.
VARIANT = {
    "layers": 4, "norm": "layer", "activation": "gelu", "qk_norm": True, "tied_embeddings": True,
    "kv_heads": 4,
}  # fmt: skip


@pytest.mark.parametrize("layout", ["sequence", "interleaved"])
def test_the_variants_agree_over_layouts(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path, layout: str
) -> None:
    # Three iterations, as above.
    answers = [
        layouts(
            make_recipe(model=VARIANT, parallel=parallel, training={"lr_peak": 3e-3}),
            tmp_path / "work", iterations=3,
        )["ok"]
        for parallel in ({}, FURTHER[layout])
    ]  # fmt: skip
    assert relative(answers[1]["losses"], answers[0]["losses"]) <= RELATIVE
    assert relative(answers[1]["norms"], answers[0]["norms"]) <= RELATIVE
    assert answers[0]["parameters"] == answers[1]["parameters"]


@pytest.mark.parametrize(
    ("layout", "fault"), [("sequence", "norms not marked"), ("interleaved", "sends batched")]
)
def test_the_comparison_finds_what_went_wrong_before(
    trained: Trained, layout: str, fault: str
) -> None:
    one = trained.first("one")
    spoiled = trained.run(layout, iterations=2, load=str(trained.seed), fault=fault)
    assert relative(spoiled["norms"], one["norms"][:2]) > 2 * RELATIVE


def test_weights_are_gathered_before_they_are_saved(trained: Trained) -> None:
    # With `overlap_parameters` the last update reaches the other ranks in a next forward pass.
    then = trained.then("one", of="overlap")
    assert relative(then["losses"], trained.then("one", of="data")["losses"]) <= RELATIVE


def test_the_micro_batch_changes_nothing_but_rounding(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    answers = [
        layouts(
            make_recipe(training={"micro_batch_size": size}), tmp_path / "work", iterations=8
        )["ok"]
        for size in (1, 8)
    ]  # fmt: skip
    assert relative(answers[1]["losses"], answers[0]["losses"]) <= RELATIVE
    assert relative(answers[1]["norms"], answers[0]["norms"]) <= RELATIVE


def test_bf16_agrees_between_data_ranks_and_resumes(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    # The float32 copy of the weights lives in the optimizer's shards; losing it would show.
    def run(layout: str, **command: Any) -> dict[str, Any]:
        recipe = make_recipe(training={"precision": "bf16"}, parallel=LAYOUTS[layout])
        answer: dict[str, Any] = layouts(recipe, tmp_path / "work", **command)["ok"]
        return answer

    whole = run("data", iterations=8)
    first = run("data", iterations=4, save=str(tmp_path / "saved"))
    then = run("data", iterations=4, load=str(tmp_path / "saved"))
    assert whole["losses"] == first["losses"] + then["losses"]
    one = run("one", iterations=4, load=str(tmp_path / "saved"))
    assert relative(one["losses"], then["losses"]) <= 1e-3
    assert one["losses"][0] < whole["losses"][0]


def test_a_flipped_bit_is_refused_before_anything_is_loaded(
    trained: Trained, tmp_path: Path
) -> None:
    trained.first("tensor")
    for pattern in ("*.distcp", ".metadata", "common.pt"):
        copy = tmp_path / pattern.strip("*.")
        shutil.copytree(trained.saved("tensor"), copy)
        victim = sorted((copy / f"iteration-{ITERATIONS:08d}").glob(pattern))[0]
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
        recipe = trained.recipe("tensor")
        answer = trained._pool(recipe, tmp_path / "work", iterations=1, load=str(copy))
        assert answer["error"] == "UserError"
        assert victim.name in answer["message"]


def test_a_checkpoint_that_was_not_finished_does_not_exist(
    trained: Trained, tmp_path: Path
) -> None:
    trained.first("one")
    shutil.copytree(trained.saved("one"), tmp_path / "saved")
    whole = tmp_path / "saved" / f"iteration-{ITERATIONS:08d}"
    (whole / "manifest.json").unlink()
    whole.rename(tmp_path / "saved" / f".iteration-{ITERATIONS + 20:08d}.tmp")
    (tmp_path / "saved" / "latest").unlink()
    answer = trained.run("one", iterations=1, load=str(tmp_path / "saved"))
    assert answer["begun"] == 0


def test_a_loss_that_is_not_a_number_stops_every_rank(trained: Trained, tmp_path: Path) -> None:
    for layout in ("one", "tensor-pipeline"):
        answer = trained._pool(trained.recipe(layout), tmp_path / "work", iterations=1, poison=True)
        assert answer["error"] == "NumericalError"


def test_runs_in_one_process_leave_no_threads_behind(
    layouts: Any, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    counts = [
        layouts(make_recipe(), tmp_path / "work", iterations=1)["ok"]["threads"] for _ in range(4)
    ]
    assert counts[-1] <= counts[0]
