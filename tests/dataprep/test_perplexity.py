"""The step `perplexity`: scores, buckets, rules, report, and what of it can be retuned."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from dataprep.__main__ import app
from dataprep.config import Dataprep
from dataprep.config_perplexity import BUCKETS
from dataprep.models import ngram, perplexity, perplexity_training
from dataprep.report import perplexity as report_perplexity
from dataprep.report import summarize
from dataprep.shard import chain
from dataprep.step import apply_chain
from launch.errors import UserError
from launch.manifest import Input, Manifest, read_manifest
from launch.recipe import Recipe
from tests.dataprep.good_text import (
    chinese,
    config_of,
    documents,
    english,
    scored,
    shuffled,
    trained_in,
    write_lines,
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("good") / "good.jsonl.gz", english(300))


@pytest.fixture(scope="module")
def models(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    trained_in(directory, config_of(good))
    return directory


def test_good_text_is_in_front_of_shuffled_text(good: Path, models: Path) -> None:
    whole = english(30, seed=9)
    table = documents([*whole, *map(shuffled, whole)])
    found = scored(config_of(good), models, table)
    scores = np.array(found["perplexity_score"])
    assert scores.dtype == np.float64 and scores[:30].max() < scores[30:].min()
    head, middle = read_manifest(models / "en", perplexity_training.KIND, 1).facts["terciles"]
    expected = ["head" if s <= head else "middle" if s <= middle else "tail" for s in scores]
    assert found["perplexity_bucket"] == expected
    assert expected[30:] == ["tail"] * 30 and expected[:30].count("head") > 3
    assert found["drop_reason"] == [None] * 60


def test_only_living_documents_of_a_known_language_are_scored(good: Path, models: Path) -> None:
    (text,) = english(1, seed=7)
    strict = config_of(good, keep=["head"], perplexity_max={"en": 1.0})
    table = documents(
        [text, text, text, "", "\n \n", "mill"],
        ["en", "fr", "en", "en", "en", "en"],
        [None, None, "gopher.word_count_low", None, None, None],
    )
    found = scored(strict, models, table)
    is_scored = [score is not None for score in found["perplexity_score"]]
    assert is_scored == [True, False, False, False, False, True]
    assert [bucket is not None for bucket in found["perplexity_bucket"]] == is_scored
    assert [reason for reason in found["drop_reason"] if reason] == [
        "perplexity.too_high", "gopher.word_count_low", "perplexity.too_high"
    ]  # fmt: skip
    step = perplexity.make_step(strict, models)
    assert step.of_living and [field.type for field in step.adds] == [pa.float32(), pa.string()]
    assert apply_chain([step], table.slice(0, 0)).num_rows == 0


def test_buckets_that_are_not_kept_are_dropped_with_their_boundary(
    good: Path, models: Path
) -> None:
    whole = english(20, seed=9)
    table = documents([*whole, *map(shuffled, whole)])
    scores = scored(config_of(good), models, table)["perplexity_score"]
    first, second = sorted(scores)[10], sorted(scores)[25]
    bounds = {"boundaries": {"en": [first, second]}}
    expected = ["head" if s <= first else "middle" if s <= second else "tail" for s in scores]
    for keep, told in (
        (["head", "middle"], {"tail": second}),
        (["middle"], {"head": first, "tail": second}),
        (["tail"], {"head": first, "middle": second}),
        (["head"], {"middle": first, "tail": second}),
    ):
        found = scored(config_of(good, keep=keep, **bounds), models, table)
        assert found["perplexity_bucket"] == expected
        reasons = [None if bucket in keep else f"perplexity.{bucket}" for bucket in expected]
        assert found["drop_reason"] == reasons
        for bucket, score, value, bound in zip(
            expected, scores, found["drop_value"], found["drop_threshold"], strict=True
        ):
            assert (value, bound) == ((score, told[bucket]) if bucket in told else (None, None))


def test_bounds_hold_their_own_value(good: Path, models: Path) -> None:
    texts = [english(1)[0].split("\n")[0] * 20, *english(3, seed=9), "zq xv kj qq " * 20]
    scores = scored(config_of(good), models, documents(texts))["perplexity_score"]
    assert scores[0] < min(scores[1:4]) and scores[4] > max(scores[1:4])
    least, most = float(min(scores[1:4])), float(max(scores[1:4]))
    bounded = config_of(good, perplexity_min={"en": least}, perplexity_max={"en": most})
    found = scored(bounded, models, documents(texts))
    assert found["drop_reason"] == ["perplexity.too_low", None, None, None, "perplexity.too_high"]
    assert found["drop_threshold"] == [least, None, None, None, most]


def test_a_decision_is_repeated_from_columns(good: Path, models: Path) -> None:
    whole = english(20, seed=9)
    table = documents([*whole, *map(shuffled, whole)])
    before = apply_chain([perplexity.make_step(config_of(good), models)], table)
    changed = config_of(good, keep=["head"], boundaries={"en": [20.0, 30.0]})
    fresh = apply_chain([perplexity.make_step(changed, models)], table)
    again = perplexity.make_step(changed, None).decide
    assert again is not None
    assert again(before).equals(fresh)
    assert fresh["perplexity_bucket"].to_pylist() != before["perplexity_bucket"].to_pylist()


def test_stored_scores_hold_until_texts_or_settings_change(good: Path) -> None:
    def config(**changes: Any) -> Dataprep:
        return Dataprep(perplexity=config_of(good, **changes))

    inputs = [Input("perplexity:x", "d1"), Input("s:y", "d2")]
    dumped = {"seed": 1, "dataprep": config().model_dump(mode="json")}
    old = Manifest("documents", 1, dumped, tuple(inputs), (), {})

    def holds(changed: Dataprep, seed: int = 1, read: list[Input] = inputs) -> bool:
        return perplexity_training.is_stored(old, changed, seed, read)

    assert holds(config()) and holds(config(keep=["head"], perplexity_min={"en": 2.0}))
    assert not holds(config(order=4)) and not holds(config(), seed=2)
    assert not holds(config(), read=[Input("perplexity:x", "other")])
    assert not holds(Dataprep())


def written(table: pa.Table) -> pa.Table:
    """Scored documents with the columns of what was written."""
    from dataprep.contract import document_fields

    num = table.num_rows
    made: dict[str, Any] = {
        "id": [f"s:{row}" for row in range(num)],
        "content_hash": [row.to_bytes(16, "big") for row in range(num)],
        "source": ["s"] * num,
        "meta": [[]] * num,
        "language_score": [1.0] * num,
        "removed_bytes": [[]] * num,
    }
    columns = {}
    for field in document_fields():
        if field.name in table.schema.names:
            columns[field.name] = table[field.name].combine_chunks().cast(field.type)
        else:
            columns[field.name] = pa.array(made.get(field.name, [None] * num), field.type)
    return pa.table(
        columns | {name: table[name] for name in ("perplexity_score", "perplexity_bucket")}
    )


def test_the_report_adds_up_and_shows_each_bucket(good: Path, models: Path) -> None:
    whole = english(40, seed=9)
    config = config_of(good, keep=["head", "middle"])
    table = documents([*whole, *map(shuffled, whole), "<b>bonjour"], ["en"] * 80 + ["fr"])
    table = written(apply_chain([perplexity.make_step(config, models)], table))
    one = summarize.summarize_table(table)
    halves = [summarize.summarize_table(table.slice(*part)) for part in ((0, 33), (33, 99))]
    assert summarize.merge(halves) == summarize.merge([one])
    section = report_perplexity.section(summarize.merge([one]))
    buckets = section["languages"]["en"]["buckets"]
    counted = table["perplexity_bucket"].to_pylist()
    assert {name: found["documents"] for name, found in buckets.items()} == {
        bucket: counted.count(bucket) for bucket in BUCKETS
    }
    assert buckets["tail"]["kept_documents"] == 0
    assert buckets["head"]["kept_documents"] == counted.count("head")
    scores = np.array(table["perplexity_score"].to_pylist()[:80])
    for share, value in section["languages"]["en"]["quantiles"]:
        low, high = np.quantile(scores, [share - 0.03, share + 0.03])
        assert 0.9 * low <= value <= 1.1 * high
    facts = {"perplexity": perplexity_training.facts(config, models)}
    report = {"facts": facts, "perplexity": section, "histograms": one["histograms"]}
    page = report_perplexity.perplexity(report)
    for shown in ("<code>en</code>", "n-gram model", "<svg", *BUCKETS, "The "):
        assert shown in page, shown
    assert "bonjour" not in page
    row = table.slice(0, 1).to_pylist()[0]
    (line,) = report_perplexity.explained(row, facts["perplexity"])
    assert f"{row['perplexity_score']:,.4g}, {row['perplexity_bucket']} (head up to" in line
    assert report_perplexity.explained({**row, "language": "fr"}, facts["perplexity"]) == [
        "  perplexity     no model of fr"
    ]
    assert report_perplexity.perplexity({"facts": {}}) == "<p>The recipe has no model for it.</p>"


def test_the_verb_trains_and_says_how_surprising_good_text_is(good: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    table = f'[[dataprep.perplexity.training]]\nlanguage = "en"\npaths = ["{good}"]\n'
    recipe.write_text(f'[run]\nroot = "{tmp_path / "root"}"\n{table}')
    done = CliRunner().invoke(app, ["train-perplexity", str(recipe)], catch_exceptions=False)
    assert (
        done.exit_code == 0 and "en: " in done.stdout and "a third has a perplexity" in done.stdout
    )
    assert perplexity_training.model_file(
        perplexity_training.models_directory(tmp_path / "root" / "documents"), "en"
    ).is_file()
    with pytest.raises(UserError, match=r"no table \[dataprep.perplexity\]"):
        perplexity_training.train_command(Recipe.from_dict({"run": {"root": str(tmp_path)}}))


def test_it_stands_after_what_edits_and_before_what_compares(good: Path) -> None:
    names = [step.name for step in chain(Dataprep(perplexity=config_of(good)), {})]
    assert names.index("pii") < names.index("perplexity") < names.index("signature")


def test_chinese_has_buckets_too(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "zh.jsonl", chinese(300))
    config = config_of(path, table={"language": "zh"})
    trained_in(tmp_path / "models", config)
    whole = chinese(20, seed=5)
    mixed = ["".join(random.Random(1).sample(text, len(text))) for text in whole]
    table = documents([*whole, *mixed], ["zh"] * 40)
    scores = scored(config, tmp_path / "models", table)["perplexity_score"]
    assert max(scores[:20]) < min(scores[20:])


def test_real_chinese_and_english_in_front_of_their_shuffles(
    shared_data: Path, tmp_path: Path
) -> None:
    """Learnt from three quarters, told apart on the rest: no text is in both."""
    for language, name, split in (("en", "en_gov_news", str.split), ("zh", "zh_docs", list)):
        path = sorted((shared_data / name).glob("*.jsonl.gz"))[0]
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for _, line in zip(range(250), lines, strict=False)]
        texts = [text[:8000] for text in dict.fromkeys(texts) if len(text) > 500]
        learnt, asked = texts[: len(texts) * 3 // 4], texts[len(texts) * 3 // 4 :]
        tables = ngram.tables_of(
            *ngram.train(pa.array(learnt, pa.large_string()), 4, 32_768, 10**6), {}
        )
        draw, joint = random.Random(1), "" if language == "zh" else " "
        mixed = [joint.join(draw.sample(parts, len(parts))) for parts in map(split, asked)]
        whole, spoiled = (
            ngram.perplexities(pa.array(given, pa.large_string()), tables)
            for given in (asked, mixed)
        )
        above = (spoiled[:, None] > whole[None, :]).mean()
        assert above > 0.95, (language, above)


@pytest.mark.slow
def test_retune_gives_what_a_fresh_run_gives(
    good: Path, tmp_path: Path, ray_session: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataprep.report.explain import explain
    from dataprep.retune import retune
    from dataprep.retune_preview import print_preview
    from dataprep.run import run

    whole = english(60, seed=9)
    write_lines(tmp_path / "in.jsonl", [*whole, *map(shuffled, whole[:40]), *chinese(8)])

    def recipe(root: str, **changes: Any) -> Recipe:
        table = config_of(good, **changes).model_dump(mode="json")
        source = {"name": "s", "kind": "jsonl", "paths": [str(tmp_path / "in.jsonl")]}
        dataprep = {"presets": [], "perplexity": table, "languages": []}
        return Recipe.from_dict(
            {"run": {"root": str(tmp_path / root)}, "sources": [source], "dataprep": dataprep}
        )

    def both(**changes: Any) -> tuple[Manifest, Manifest]:
        fresh = run(recipe("fresh", **changes), force=True)
        assert fresh is not None
        return retune(recipe("old", **changes)), fresh

    first = run(recipe("old", keep=["head"]))
    assert first is not None and first.facts["dropped"]["perplexity.tail"] > 40
    mill: Callable[..., str] = explain
    told = mill(tmp_path / "old" / "documents", "s:in.jsonl#60")
    assert "tail (head up to" in told and "dropped by perplexity.tail" in told
    for changes in (
        {"keep": ["head", "middle"]},
        {"boundaries": {"en": [30.0, 60.0]}, "keep": ["head"], "perplexity_min": {"en": 5.0}},
        {"order": 3},
    ):
        print_preview(recipe("old", **changes))
        assert "kept" in capsys.readouterr().out
        again, fresh = both(**changes)
        assert again.files_digest == fresh.files_digest, changes
