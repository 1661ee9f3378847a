"""The step `perplexity`: models from good text, scores, buckets, rules, and what is refused."""

import gzip
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from typer.testing import CliRunner

from dataprep import report_perplexity, summarize
from dataprep.__main__ import app
from dataprep.config import Dataprep, Normalize
from dataprep.config_perplexity import BUCKETS, Perplexity, PerplexityTraining
from dataprep.models import ngram, ngram_texts, perplexity, perplexity_training
from dataprep.shard import chain
from dataprep.step import apply_chain
from launch.config import parse_model
from launch.errors import UserError
from launch.manifest import Input, Manifest, read_manifest
from launch.recipe import Recipe

NOUNS = [
    "river",
    "mill",
    "valley",
    "stone",
    "water",
    "wheel",
    "farmer",
    "bridge",
    "garden",
    "winter",
    "morning",
    "village",
]
VERBS = ["turns", "carries", "crosses", "reaches", "follows", "keeps", "finds", "leaves"]
SHORT = [
    "the",
    "old",
    "quiet",
    "a",
    "small",
    "in",
    "by",
    "from",
    "every",
    "long",
    "under",
    "and",
    "near",
]


def english(number: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    texts = []
    for place in range(number):
        sentences = [
            f"The {draw.choice(SHORT)} {draw.choice(NOUNS)} {draw.choice(VERBS)} "
            f"{draw.choice(SHORT)} {draw.choice(NOUNS)} {draw.choice(SHORT)} {draw.choice(NOUNS)}."
            for _ in range(draw.randrange(6, 16))
        ]
        texts.append(" ".join(sentences) + f"\nNo {place}.")
    return texts


def chinese(number: int, seed: int = 2) -> list[str]:
    draw = random.Random(seed)
    parts = ["水车转动", "河流继续", "推动它的水", "老人走过桥", "冬天来了", "村庄很安静"]
    return ["，".join(draw.choices(parts, k=30)) + f"。{place}" for place in range(number)]


def write_lines(path: Path, texts: list[Any], column: str = "text") -> Path:
    content = "".join(json.dumps({column: text}) + "\n" for text in texts).encode()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    elif path.suffix == ".zst":
        path.write_bytes(zstandard.compress(content))
    else:
        path.write_bytes(content)
    return path


def config_of(*paths: Path, **changes: Any) -> Perplexity:
    table = {"language": "en", "paths": [str(path) for path in paths]}
    table |= changes.pop("table", {})
    return parse_model(Perplexity, {"training": [table], **changes}, "dataprep.perplexity")


def trained_in(directory: Path, config: Perplexity, seed: int = 1) -> Manifest:
    return perplexity_training.train(config.training[0], config, Normalize(), directory, seed)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("good") / "good.jsonl.gz", english(300))


@pytest.fixture(scope="module")
def models(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    trained_in(directory, config_of(good))
    return directory


def documents(
    texts: list[str], languages: list[str] | None = None, reasons: list[str | None] | None = None
) -> pa.Table:
    num = len(texts)
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "language": pa.array(languages or ["en"] * num, pa.string()),
            "drop_reason": pa.array(reasons or [None] * num, pa.string()),
            "drop_value": pa.nulls(num, pa.float64()),
            "drop_threshold": pa.nulls(num, pa.float64()),
        }
    )


def scored(config: Perplexity, models: Path, table: pa.Table) -> dict[str, list[Any]]:
    return apply_chain([perplexity.make_step(config, models)], table).to_pydict()


def shuffled(text: str, seed: int = 4) -> str:
    parts = text.split()
    return " ".join(random.Random(seed).sample(parts, len(parts)))


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


def test_a_model_depends_on_texts_and_seed_alone(good: Path, models: Path, tmp_path: Path) -> None:
    texts = english(300)
    first = write_lines(tmp_path / "b.jsonl.zst", [*texts[200:], texts[0], "", " \n"])
    second = write_lines(tmp_path / "a.jsonl", list(reversed(texts[:200])))
    again = trained_in(tmp_path / "again", config_of(first, second))
    there = read_manifest(models / "en", perplexity_training.KIND, 1)
    assert again.facts["digest"] == there.facts["digest"]
    assert again.facts["digest"].removeprefix("xxh3_128:")[:12] in again.files[0].path
    other = trained_in(tmp_path / "other", config_of(good), seed=2)
    assert other.facts["digest"] != there.facts["digest"]
    facts = there.facts
    assert facts["texts"] + facts["held_out_texts"] == 300 and facts["held_out_texts"] == 30
    assert len(facts["ngrams"]) == 5 and facts["bytes"] == there.files[0].bytes


def test_rules_train_nothing_and_settings_do(good: Path, tmp_path: Path) -> None:
    first = trained_in(tmp_path, config_of(good))
    path = tmp_path / "en" / first.files[0].path
    written = path.stat().st_mtime_ns
    ruled = config_of(
        good, keep=["head"], perplexity_max={"en": 9.0}, boundaries={"en": [2.0, 3.0]}
    )
    assert trained_in(tmp_path, ruled) == first and path.stat().st_mtime_ns == written
    changed = trained_in(tmp_path, config_of(good, order=3, arpa=True))
    assert [entry.path.rpartition(".")[2] for entry in changed.files] == ["ngram", "arpa"]
    assert len(changed.facts["ngrams"]) == 3


def test_of_more_text_a_sample_is_taken_whatever_the_order(tmp_path: Path) -> None:
    texts = english(2000)
    picked = []
    for place, order in enumerate((texts, texts[::-1])):
        path = write_lines(tmp_path / f"{place}.jsonl", order)
        table = PerplexityTraining(language="en", paths=(str(path),))
        picked.append(ngram_texts.read_texts(table, "here", 1, 200_000, Normalize()))
    assert picked[0].training.equals(picked[1].training)
    assert picked[0].held_out.equals(picked[1].held_out)
    taken = [*picked[0].training.to_pylist(), *picked[0].held_out.to_pylist()]
    assert 200_000 <= sum(map(len, taken)) < 202_000 and len(set(taken)) == len(taken)
    assert picked[0].num_given == 2000


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (english(300)[:29], r"29 different texts with [\d,]+ words, expected at least 30 texts"),
        ([f"the mill {place}" for place in range(500)], "500 different texts with 1,350 words"),
        ([], "0 different texts"),
        (english(3) * 100, "3 different texts"),
    ],
)
def test_too_little_text_is_refused_with_numbers(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    path = write_lines(tmp_path / "few.jsonl", lines)
    with pytest.raises(UserError, match=message):
        trained_in(tmp_path / "model", config_of(path))
    assert not (tmp_path / "model").exists()


def gzip_cut(path: Path) -> None:
    content = io.BytesIO(gzip.compress(json.dumps({"text": "a b"}).encode() * 10000))
    path.write_bytes(content.getvalue()[:-30])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{oh\n', r"a.jsonl:2: got a line that is not JSON"),
        ("a.jsonl", b'{"words": "a"}\n', r"a.jsonl:1: got no field 'text'.*text_column"),
        ("a.jsonl", b'{"text": 5}\n', "expected a text"),
        ("a.jsonl", b"[1]\n", "no field 'text'"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03abc", "a file that cannot be read"),
        ("a.jsonl.gz", b"plain", "a file that cannot be read"),
        ("a.jsonl.zst", b"plain", "a file that cannot be read"),
    ],
)
def test_unusable_files_are_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        trained_in(tmp_path / "model", config_of(tmp_path / name))
    with pytest.raises(UserError, match="which finds no file"):
        trained_in(tmp_path / "model", config_of(tmp_path / "none*.jsonl"))


def test_a_damaged_model_is_refused_in_one_line(good: Path, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    path = perplexity_training.model_file(tmp_path / "models", "en")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="a byte is another one") as error:
        perplexity.make_step(config_of(good), tmp_path / "models")
    assert "train-perplexity" in error.value.hint and "\n" not in str(error.value)
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"expected the .* bytes of its manifest"):
        perplexity.make_step(config_of(good), tmp_path / "models")


TRAINING = {"language": "en", "paths": ["x"]}
KENLM = {"language": "zh", "model": "zh.arpa"}
WRONG = [
    ({"training": [{**TRAINING, "language": "englisch"}]}, r"training.0.language: got 'englisch'"),
    ({"training": [{**TRAINING, "language": "../en"}]}, r"training.0.language"),
    ({"training": [TRAINING, TRAINING]}, "two tables for 'en'"),
    ({"training": [TRAINING], "models": [{**KENLM, "language": "en"}]}, "two tables for 'en'"),
    ({}, "no language"),
    ({"training": [TRAINING], "keep": ["front"]}, "dataprep.perplexity.keep.0"),
    ({"training": [TRAINING], "boundaries": {"zh": [1.0, 2.0]}}, "'zh', for which there is no"),
    ({"training": [TRAINING], "perplexity_max": {"de": 5.0}}, "'de', for which there is no"),
    ({"training": [TRAINING], "boundaries": {"en": [9.0, 2.0]}}, "two ascending numbers"),
    ({"training": [TRAINING], "order": 6}, "dataprep.perplexity.order"),
    ({"models": [{**KENLM, "model": "zh.ftz"}]}, "expected a KenLM file, .arpa or .bin"),
    ({"models": [KENLM], "keep": ["head"]}, "because `keep` leaves out a bucket"),
    ({"training": [TRAINING], "sort": 1}, "an unknown key"),
]


@pytest.mark.parametrize(("table", "message"), WRONG)
def test_a_table_that_cannot_be_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe.from_dict({"dataprep": {"perplexity": table}})


def test_it_needs_to_know_the_language() -> None:
    tables = {"perplexity": {"training": [TRAINING]}, "signals": False, "languages": []}
    with pytest.raises(UserError, match=r"dataprep.perplexity: .*dataprep.signals = false"):
        Recipe.from_dict({"dataprep": {**tables, "presets": []}})
    own = {"training": [{**TRAINING, "language": "eng_Latn"}]}
    Recipe.from_dict({"dataprep": {"perplexity": own, "language_model": "model.bin"}})


def test_a_kenlm_model_of_another_kind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"models": [{**KENLM, "model": str(tmp_path / "zh.arpa")}]}
    config = parse_model(Perplexity, table, "dataprep.perplexity")
    kenlm = perplexity_training.kenlm_model
    with monkeypatch.context() as patched:
        patched.setitem(__import__("sys").modules, "kenlm", None)
        with pytest.raises(UserError, match="no package `kenlm`") as error:
            perplexity_training.used_files(config)
        assert "pip install 'gristmill[kenlm]'" in error.value.hint
    with pytest.raises(UserError, match="No such file"):
        kenlm.check_file(tmp_path / "zh.arpa", "here")
    (tmp_path / "zh.arpa").write_bytes(b"PK\3\4 not a model")
    with pytest.raises(UserError, match=r"begins with b'PK.*expected a KenLM model"):
        kenlm.check_file(tmp_path / "zh.arpa", "here")


def test_kenlm_models_score_as_ours_do(good: Path, models: Path, tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="the extra kenlm is not installed")
    manifest = trained_in(tmp_path, config_of(good, arpa=True))
    path = tmp_path / "en" / manifest.files[1].path
    table = {"language": "en", "model": str(path)}
    bounds = {"boundaries": {"en": manifest.facts["terciles"]}}
    given = parse_model(Perplexity, {"models": [table], **bounds}, "dataprep.perplexity")
    assert perplexity_training.used_files(given) == [path]
    whole = english(20, seed=9)
    asked = documents([*whole, *map(shuffled, whole), "", "ö qq"])
    ours, theirs = (scored(config, models, asked) for config in (config_of(good), given))
    np.testing.assert_allclose(
        np.array(theirs["perplexity_score"], float), np.array(ours["perplexity_score"], float),
        rtol=1e-5,
    )  # fmt: skip
    assert theirs["perplexity_bucket"] == ours["perplexity_bucket"]
    (tmp_path / "cut.arpa").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="expected a KenLM model") as error:
        perplexity_training.kenlm_model.load(tmp_path / "cut.arpa", None, "here")
    assert "\n" not in str(error.value)


def test_pieces_are_those_of_a_sentencepiece_model(good: Path, tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="the extra kenlm is not installed")
    import sentencepiece

    manifest = trained_in(tmp_path, config_of(good, arpa=True))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(english(50)), model_prefix=str(tmp_path / "sp"), vocab_size=70,
        minloglevel=2,
    )  # fmt: skip
    path = tmp_path / "en" / manifest.files[1].path
    kenlm = perplexity_training.kenlm_model
    score = kenlm.load(path, tmp_path / "sp.model", "here")
    found = score(pa.array(["The mill turns.", "", "Das Öl"], pa.large_string()))
    assert found[0] > 1 and np.isnan(found[1]) and found[2] > 1
    assert kenlm.ccnet_normalized(" Das Öl, 4٣ ") == "das ol, 00"
    with pytest.raises(UserError, match="expected a SentencePiece model"):
        kenlm.load(path, path, "here")


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
    from dataprep.explain import explain
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
