"""Selection by share and by draw: laws of the thresholds, and the same choice whoever works."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from dataprep.config_models import Classifier, Label
from dataprep.models import classifier_training, quality
from dataprep.models.calibration import calibrate, with_thresholds
from dataprep.models.selection import (
    pareto_thresholds,
    threshold_of_budget,
    threshold_of_top,
    uniform,
)
from dataprep.reading.read import read_shard, shards
from dataprep.report.explain import explain
from dataprep.retune import retune
from dataprep.retune_preview import preview, print_preview
from dataprep.run import run
from dataprep.shard import chain
from dataprep.step import apply_chain
from dataprep.tasks import in_turn
from dataprep.workspace import Workspace
from launch.recipe import Recipe

GOOD = "the river carries clear water from old mountain to quiet valley".split()  # noqa: SIM905
BAD = "click buy cheap now winner prize free offer casino bonus".split()  # noqa: SIM905
scores_of = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50).map(
    lambda values: np.array(values, np.float32)
)


def hashes(number: int) -> pa.Array:
    draw = np.random.default_rng(1)
    return pa.array([draw.bytes(16) for _ in range(number)], pa.binary(16))


@given(scores_of, st.floats(0.01, 1.0))
def test_a_top_share_is_kept_and_no_more_than_ties(scores: np.ndarray, share: float) -> None:
    kept = scores >= np.float32(threshold_of_top(scores, share))
    wanted = max(1, math.ceil(share * len(scores) * (1 - 1e-12)))
    assert kept.sum() >= wanted
    ties = (scores == np.sort(scores)[len(scores) - wanted]).sum()
    assert kept.sum() <= wanted - 1 + ties


@given(scores_of, st.floats(0.001, 0.999))
def test_a_budget_is_never_exceeded(scores: np.ndarray, budget: float) -> None:
    dropped = (scores >= np.float32(threshold_of_budget(scores, budget))).sum()
    assert dropped <= budget * len(scores)
    if len(set(scores.tolist())) == len(scores):
        assert dropped == int(budget * len(scores))


@given(scores_of, st.floats(0.01, 0.99), st.integers(1, 5))
def test_a_weight_is_so_many_documents(scores: np.ndarray, share: float, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(1, 4, len(scores))
    repeated = np.repeat(scores, weights)
    for choose in (threshold_of_top, threshold_of_budget):
        assert choose(scores, share, weights.astype(np.float64)) == choose(repeated, share)


def test_draws_are_uniform_and_pareto() -> None:
    content = hashes(5000)
    assert kstest(uniform(content, 1), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(uniform(content, 1), uniform(content, 2))[0, 1]) < 0.05
    for alpha in (3.0, 9.0):
        drawn = 1.0 - pareto_thresholds(content, alpha, 1)
        # numpy's `pareto` is Lomax's distribution.
        assert kstest(drawn, "lomax", args=(alpha,)).pvalue > 1e-3
    part = content.slice(17, 100)
    assert uniform(part, 1).tolist() == uniform(content, 1)[17:117].tolist()


def test_the_draw_keeps_good_and_some_of_the_rest() -> None:
    label = Label(paths=("unused",), positive=(1,))
    config = Classifier(labels=(label,), select="pareto")
    step = quality.make_step(None, config)
    assert step.decide is not None
    number = 6000
    scores = np.repeat(np.array([0.99, 0.5, 0.05], np.float32), number // 3)
    table = pa.table(
        {
            "content_hash": hashes(number),
            "quality_score": scores,
            "drop_reason": pa.nulls(number, pa.string()),
            "drop_value": pa.nulls(number, pa.float64()),
            "drop_threshold": pa.nulls(number, pa.float64()),
        }
    )
    result = step.decide(table)
    kept = np.array([reason is None for reason in result["drop_reason"].to_pylist()])
    shares = kept.reshape(3, -1).mean(axis=1)
    # P(Lomax > x) = (1 + x)^-9.
    assert shares == pytest.approx([(1 + 1 - s) ** -9 for s in (0.99, 0.5, 0.05)], abs=0.03)
    values, bounds = result["drop_value"].to_numpy(), result["drop_threshold"].to_numpy()
    assert (values[~kept] < bounds[~kept]).all()
    assert set(result["drop_reason"].drop_null().to_pylist()) == {"quality.not_drawn"}
    assert step.decide(table).equals(result)


def corpus(folder: Path) -> Path:
    draw = random.Random(2)
    folder.mkdir()
    for shard in range(4):
        lines = []
        for number in range(100):
            words = draw.choices(GOOD, k=30) + draw.choices(BAD, k=number % 31)
            draw.shuffle(words)
            lines.append({"text": " ".join(words), "id": f"{shard}-{number}"})
        content = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{shard}.jsonl").write_text(content)
    labels = [
        {"text": " ".join(draw.choices(words, k=12)) + f" {number}", "label": int(words is GOOD)}
        for number in range(300)
        for words in (GOOD, BAD)
    ]
    (folder / "labels").write_text("".join(json.dumps(row) + "\n" for row in labels))
    return folder


def recipe(root: Path, folder: Path, workers: int = 1, **tables: Any) -> Recipe:
    label = {"paths": [str(folder / "labels")]}
    small = {"buckets": 2000, "dimension": 8, "epochs": 10, "members": ["words"]}
    chosen = {
        name: {"labels": [{**label, "positive": [int(name == "quality")]}], **small, **table}
        for name, table in tables.items()
    }
    return Recipe.from_dict(
        {
            "run": {"root": str(root), "seed": 1},
            "execution": {"workers": workers},
            "sources": [
                {"name": "s", "kind": "jsonl", "paths": [f"{folder}/*.jsonl"],
                 "columns": {"id": "id"}},
            ],
            "dataprep": {"languages": [], "presets": [], "near_duplicates": {"enabled": False},
                         **chosen},
        }
    )  # fmt: skip


def test_a_share_becomes_the_threshold_of_a_fixed_sample(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "corpus")
    top = {"select": "top_share", "top_share": 0.25, "calibration_documents": 60}
    worst = {"drop_budget": 0.1, "calibration_documents": 60}
    wanted = recipe(tmp_path / "a", folder, quality=top, toxicity=worst)
    trained = classifier_training.train_command(wanted)
    models = {name: model.path for name, model in trained.items()}
    parts = shards(wanted.sources, Path.cwd())

    def backwards(function: Callable[..., None], tasks: list[tuple[Any, ...]], label: str) -> None:
        in_turn(function, tasks[::-1], label)

    found = []
    for name, order in (("one", in_turn), ("two", backwards)):
        work = Workspace(tmp_path / name)
        own = calibrate(wanted, work, parts, models, trained, order)  # type: ignore[arg-type]
        found.append({key: model.facts["calibration"] for key, model in own.items()})
    assert found[0] == found[1]
    good, bad = found[0]["quality"], found[0]["toxicity"]
    assert (good["select"], good["share"], good["documents"]) == ("top_share", 0.25, 60)
    # Of 240 records that are read a quarter is left for toxicity's sample.
    assert 30 < bad["documents"] <= 60
    config = with_thresholds(wanted.dataprep, own)  # type: ignore[arg-type]
    assert config.quality is not None and config.quality.threshold == good["threshold"]
    scored = []
    for part in parts:
        for table, _ in read_shard(part, wanted.sources[0], wanted.dataprep):
            steps = chain(config, models)  # type: ignore[arg-type]
            scored.append(apply_chain(steps, table).select(["quality_score", "drop_reason"]))
    reasons = pa.concat_tables(scored)["drop_reason"].to_pylist()
    assert 400 * 0.6 < reasons.count("quality.low_score") < 400 * 0.9
    assert 0 < reasons.count("toxicity.high_score") < 30


@pytest.mark.slow
def test_a_share_by_retuning_is_that_of_a_fresh_run(
    tmp_path: Path, ray_session: object, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = corpus(tmp_path / "corpus")
    top = {"select": "top_share", "top_share": 0.25, "calibration_documents": 60}
    worst = {"drop_budget": 0.1, "calibration_documents": 60}
    first = run(recipe(tmp_path / "a", folder, 2, quality=top, toxicity=worst))
    assert first is not None
    other = {**top, "top_share": 0.5}
    tuned = retune(recipe(tmp_path / "a", folder, 2, quality=other, toxicity=worst))
    fresh = run(recipe(tmp_path / "b", folder, 1, quality=other, toxicity=worst))
    assert fresh is not None
    assert (tuned.files_digest, tuned.facts) == (fresh.files_digest, fresh.facts)
    assert fresh.facts["kept"] > first.facts["kept"]
    told = explain(tmp_path / "b" / "documents", "s:0-3")
    bound = fresh.facts["classifiers"]["quality"]["calibration"]["threshold"]
    assert f"quality top_share 0.5: threshold {bound:,.4g} from 60 documents" in told
    assert "quality: AUC" in told and "; measured before the refit, on a model of" in told
    assert "quality.low_score" in told and f"at least {bound:,.4g}" in told
    report = json.loads((tmp_path / "b" / "documents" / "report.json").read_text())
    assert {"reason": "quality.low_score", "value": bound} in (
        report["signal_thresholds"]["quality_score"]
    )
    assert set(report["borderline"]["quality_score"]) == {"kept", "dropped"}
    assert "came to" in (tmp_path / "b" / "documents" / "report.html").read_text()
    print_preview(recipe(tmp_path / "b", folder, 1, quality=other, toxicity=worst))
    assert "quality.low_score" in capsys.readouterr().out
    # A share that nobody has asked for yet: what a preview says of it is what retune does.
    wanted = recipe(tmp_path / "b", folder, 1, quality={**top, "top_share": 0.3}, toxicity=worst)
    expected = preview(wanted, fresh)
    found = retune(wanted).facts
    assert expected.unscored == 0
    groups = {reason: documents for reason, (documents, _) in expected.groups.items()}
    assert groups == {"kept": found["kept"], **found["dropped"]}
