"""Ladder, runs table, fit and plan as stages, from fabricated results of the ladder's runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from launch.errors import LockedError, UserError
from launch.lock import lock
from launch.manifest import Manifest, read_manifest, write_manifest
from launch.recipe import Recipe, load_recipe
from pretrain import check
from pretrain.contract import RunResult
from pretrain.flops import nonembedding_parameters, total_parameters
from scaling import collect, fit, ladder, plan
from scaling.config import Ladder
from scaling.laws import ChinchillaLaw

VOCABULARY = 8192
TRAIN_TOKENS = 4_000_000
TRUTH = ChinchillaLaw(E=2.0, A=60.0, B=300.0, alpha=0.3, beta=0.4)


def recipe_at(root: Path, **tables: Mapping[str, Any]) -> Recipe:
    data: dict[str, Any] = {
        "run": {"name": "main", "root": str(root)},
        "scaling": {"fit": {"bootstrap_samples": 20, "polished_starts": 4}},
    }
    for name, table in tables.items():
        data[name] = {**data.get(name, {}), **table}
    return Recipe.from_dict(data)


def write_tokens(recipe: Recipe, train_tokens: int = TRAIN_TOKENS) -> None:
    facts = {
        "vocab_size": VOCABULARY,
        "padded_vocab_size": VOCABULARY,
        "by_source": {"train": {"a source": {"tokens": train_tokens}}},
        "tokenizer_digest": "xxh3_128:t",
        "splits": {
            "train": {"tokens": train_tokens, "documents": 10, "text_bytes": 4 * train_tokens},
            "valid": {"tokens": 50_000, "documents": 1, "text_bytes": 200_000},
        },
    }
    recipe.tokens.mkdir(parents=True, exist_ok=True)
    write_manifest(recipe.tokens, Manifest("tokens", 1, {}, (), (), facts))


def write_results(recipe: Recipe, **changes: Any) -> None:
    """A result for every run of the ladder, on the planted law; `changes` go into the last one."""
    rungs = ladder.rungs(recipe)
    for rung in rungs:
        model, training = rung.recipe.pretrain.model, rung.recipe.pretrain.training
        total = total_parameters(model, VOCABULARY)
        result = RunResult(
            name=rung.name, status="done", exit_code=0, parameters_total=total,
            parameters_nonembedding=nonembedding_parameters(model),
            padded_vocab_size=VOCABULARY, layers=model.layers, hidden_size=model.hidden_size,
            heads=model.heads, kv_heads=model.kv_heads, ffn_size=model.ffn_size,
            sequence_length=model.sequence_length, batch_size=training.batch_size,
            iterations=training.iterations, tokens=rung.tokens,
            epochs=rung.tokens / TRAIN_TOKENS, flops=6.0 * total * rung.tokens,
            flops_convention="megatron", lr_peak=training.lr_peak, schedule=training.schedule,
            seed=1, tokenizer_digest="t", tokens_digest="k", config_digest=rung.name,
            layout={"tensor": 1, "pipeline": 1, "data": 1}, loss_first=9.0, loss_last=5.0,
            loss_valid=float(TRUTH.loss(float(total), float(rung.tokens))),
            bits_per_byte_valid=2.0, valid_tokens=16_384, seconds=1.0,
        )  # fmt: skip
        if rung is rungs[-1]:
            result = result.model_copy(update=changes)
        directory = recipe.run.root / "runs" / rung.name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "result.json").write_text(json.dumps(result.model_dump(mode="json")))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    made = recipe_at(tmp_path / "root")
    write_tokens(made)
    ladder.run(made)
    write_results(made)
    return made


def test_the_ladder_is_every_size_with_every_token_count(recipe: Recipe) -> None:
    directory = recipe.scaling_directory / "ladder"
    made = read_manifest(directory, ladder.KIND, ladder.VERSION)
    paths = sorted(directory.glob("*.toml"))
    assert len(paths) == 12 == len(made.files) == len(made.facts["runs"])
    settings = recipe.scaling.ladder
    for path in paths:
        one = load_recipe(path)
        assert one.run.name == path.stem
        assert one.run.root == recipe.run.root
        assert one.pretrain.parallel.world_size == 1
        training = one.pretrain.training
        assert training.schedule == settings.schedule
        assert training.batch_size == settings.batch_size
        assert training.lr_min == pytest.approx(0.1 * training.lr_peak, rel=0.01)
        assert training.warmup_iterations == round(0.1 * training.iterations)
        # What the ladder does not name comes from the recipe.
        assert training.weight_decay == recipe.pretrain.training.weight_decay
        check.check_recipe(one)


def test_iterations_are_the_tokens_in_whole_batches(recipe: Recipe) -> None:
    settings = recipe.scaling.ladder
    for rung in ladder.rungs(recipe):
        step = settings.batch_size * settings.sequence_length
        assert rung.tokens == rung.iterations * step
        wanted = int(rung.name.rsplit("-", 1)[1])
        assert abs(rung.tokens - wanted) <= step / 2


def test_wider_models_learn_at_a_lower_rate() -> None:
    settings = Ladder()
    assert ladder.peak_learning_rate(settings, settings.hidden_reference) == settings.lr_reference
    assert ladder.peak_learning_rate(settings, 4 * settings.hidden_reference) == pytest.approx(
        settings.lr_reference / 2.0
    )


def test_a_ladder_that_would_repeat_tokens_is_refused(tmp_path: Path) -> None:
    recipe = recipe_at(tmp_path)
    write_tokens(recipe, train_tokens=200_000)
    with pytest.raises(UserError, match=r"256,000 tokens for ladder-w32-256000, expected at most"):
        ladder.run(recipe)
    assert not (recipe.scaling_directory / "ladder").exists()


def test_all_stages_in_order_and_again(recipe: Recipe) -> None:
    first = [stage.run(recipe) for stage in (collect, fit, plan)]
    names = [path.name for path in sorted(recipe.scaling_directory.rglob("*")) if path.is_file()]
    for name in ("runs.csv", "fit.json", "plan.toml", "plan.png"):
        assert name in names
    changed = {p: p.stat().st_mtime_ns for p in recipe.scaling_directory.rglob("*.json")}
    again = [stage.run(recipe) for stage in (ladder, collect, fit, plan)]
    assert again[1:] == first
    assert changed == {p: p.stat().st_mtime_ns for p in recipe.scaling_directory.rglob("*.json")}
    forced = [stage.run(recipe, force=True) for stage in (collect, fit, plan)]
    assert [m.files_digest for m in forced if m] == [m.files_digest for m in first if m]


def test_the_fit_finds_the_planted_law(recipe: Recipe) -> None:
    collect.run(recipe)
    facts = fit.run(recipe).facts  # type: ignore[union-attr]
    law = facts["laws"]["chinchilla"]
    assert law["coefficients"]["a"]["value"] == pytest.approx(TRUTH.a, abs=1e-3)
    assert law["held_out"][0]["name"] == "ladder-w96-256000"
    assert abs(law["held_out"][0]["error_share"]) < 1e-4
    assert "samples" not in law


def test_the_plan_is_a_recipe_on_the_fitted_optimum(recipe: Recipe) -> None:
    collect.run(recipe)
    fit.run(recipe)
    planned = plan.run(recipe).facts["planned"]  # type: ignore[union-attr]
    path = recipe.scaling_directory / "plan" / "plan.toml"
    made = load_recipe(path)
    assert made.run.name == "planned"
    assert made.pretrain.training.iterations == planned["iterations"]
    assert planned["flops"] <= planned["budget_flops"]
    best = TRUTH.optimum(planned["budget_flops"])
    assert planned["optimum_parameters"]["value"] == pytest.approx(best.N, rel=0.02)
    assert planned["parameters_total"] == total_parameters(made.pretrain.model, VOCABULARY)
    at_plan = TRUTH.loss(float(planned["parameters_total"]), float(planned["tokens"]))
    assert planned["loss"]["value"] == pytest.approx(at_plan, rel=1e-3)
    assert check.make_plan(made, ).wanted_tokens == planned["tokens"]  # fmt: skip
    heading = path.read_text().split("[", 1)[0]
    assert "beyond the fitted runs" in heading
    assert "Intervals hold 95 %" in heading


def test_the_planned_recipe_finds_its_own_ladder_and_plan_current(recipe: Recipe) -> None:
    for stage in (collect, fit, plan):
        stage.run(recipe)
    made = load_recipe(recipe.scaling_directory / "plan" / "plan.toml")
    before = {p: p.stat().st_mtime_ns for p in recipe.scaling_directory.rglob("manifest.json")}
    for stage in (ladder, collect, fit, plan):
        assert stage.run(made) is not None
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_a_plan_without_enough_tokens_takes_what_there_is(tmp_path: Path, recipe: Recipe) -> None:
    collect.run(recipe)
    fit.run(recipe)
    rich = recipe_at(recipe.run.root, scaling={**small_fit(), "plan": {"budget_flops": 1e15}})
    planned = plan.run(rich).facts["planned"]  # type: ignore[union-attr]
    assert planned["data_limited"]
    assert planned["epochs"] <= 1.0
    assert planned["optimum_tokens"]["value"] > TRAIN_TOKENS
    more = {"budget_flops": 1e15, "epochs_max": 4.0}
    repeated = recipe_at(recipe.run.root, scaling={**small_fit(), "plan": more})
    planned = plan.run(repeated, force=True).facts["planned"]  # type: ignore[union-attr]
    assert 1.0 < planned["epochs"] <= 4.0
    made = load_recipe(recipe.scaling_directory / "plan" / "plan.toml")
    assert made.pretrain.training.epochs_max == 4.0


def small_fit() -> dict[str, Any]:
    return {"fit": {"bootstrap_samples": 20, "polished_starts": 4}}


def test_a_budget_below_one_iteration_is_refused(recipe: Recipe) -> None:
    collect.run(recipe)
    fit.run(recipe)
    poor = recipe_at(recipe.run.root, scaling={**small_fit(), "plan": {"budget_flops": 1e6}})
    with pytest.raises(UserError, match=r"scaling.plan.budget_flops: got 1e\+06 FLOP"):
        plan.run(poor)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "failed"}, r"ladder-w96-256000 \(failed\)"),
        ({"epochs": 1.5}, "repeated epochs: ladder-w96-256000"),
        ({"tokenizer_digest": "x"}, "tokenizer_digest"),
        ({"valid_tokens": 1}, "valid_tokens"),
        ({"loss_valid": None}, "loss_valid: got ladder-w96-256000"),
    ],
)
def test_collect_names_the_run_that_does_not_belong(
    recipe: Recipe, changes: dict[str, Any], message: str
) -> None:
    write_results(recipe, **changes)
    with pytest.raises(UserError, match=message):
        collect.run(recipe)
    assert not (recipe.scaling_directory / "runs" / "manifest.json").exists()


def test_collect_names_a_run_that_is_not_there(recipe: Recipe) -> None:
    (recipe.run.root / "runs" / "ladder-w48-102400" / "result.json").unlink()
    with pytest.raises(UserError, match=r"ladder-w48-102400: got no result for 1 of 12 runs"):
        collect.run(recipe)


def test_a_run_that_only_took_longer_changes_nothing(recipe: Recipe) -> None:
    first = collect.run(recipe)
    write_results(recipe, seconds=99.0, tokens_per_second=3.0)
    assert collect.run(recipe) == first


def test_a_changed_ladder_is_refused_by_its_key_and_forced_without_leftovers(
    recipe: Recipe,
) -> None:
    changed = recipe_at(recipe.run.root, scaling={"ladder": {"tokens": [1000, 2000, 4000]}})
    with pytest.raises(UserError, match=r"ladder: ladder\.tokens: got \[1000, 2000, 4000\]"):
        ladder.run(changed)
    ladder.run(changed, force=True)
    names = {path.stem for path in (recipe.scaling_directory / "ladder").glob("*.toml")}
    assert len(names) == 12
    assert "ladder-w32-4000" in names
    # What decides only how it is run, or what the fit does, is no change.
    ladder.run(recipe_at(recipe.run.root, scaling={"ladder": {"tokens": [1000, 2000, 4000]},
                                                  "fit": {"seed": 5}},
                         execution={"workers": 1}))  # fmt: skip


def test_a_dry_run_prints_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = recipe_at(tmp_path / "root")
    write_tokens(made)
    ladder.run(made, dry_run=True)
    printed = capsys.readouterr().out
    assert "ladder: 12 runs" in printed
    assert "parameters" in printed
    assert not made.scaling_directory.exists()


def test_a_second_writer_is_refused(recipe: Recipe) -> None:
    collect.run(recipe)
    with lock(recipe.scaling_directory / "fit"), pytest.raises(LockedError):
        fit.run(recipe)
