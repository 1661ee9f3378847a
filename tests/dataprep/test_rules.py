"""Rules: every one fires where it should, by the document's language, in order."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dataprep import shard
from dataprep.config import Columns, Dataprep, Source
from dataprep.language import language
from dataprep.reading import read
from dataprep.reading.records import READ_SCHEMA, Batch, Record
from dataprep.signals import chinese_signals, content, lines, rules, signals
from dataprep.signals.presets import NAMES, Rule, load_preset
from dataprep.signals.stop_words import STOP_WORDS
from dataprep.step import apply_chain, check_chain
from dataprep.text import normalize
from launch.config import parse_model
from launch.errors import UserError

GOOD = (
    "The river runs past the old mill, and the people of the village have walked along it for "
    "as long as anyone can remember. In the spring it floods the meadows; in summer children "
    "swim below the weir, where the water is slow and brown. My grandfather used to say that "
    "whoever drinks from it will be back, with or without wanting to be."
)
GOOD_CHINESE = (
    "这条河从老磨坊旁边流过，村里的人一直沿着它散步。春天河水会淹没草地，夏天孩子们在堰下游泳，"
    "那里的水流缓慢而浑浊。我的祖父常说，喝过河水的人总有一天会回来，不管他愿不愿意。"
)


def judged(texts: list[str], config: Dataprep | None = None) -> pa.Table:
    config = config or Dataprep()
    batch = Batch("test")
    for index, text in enumerate(texts):
        batch.add(Record(f"test:{index}", text, None, None, ()))
    ((documents, _),) = batch.take()
    steps = [
        normalize.make_step(),
        language.make_step(config),
        content.make_step(),
        signals.make_step(config),
        chinese_signals.make_step(),
        lines.make_step(config),
        rules.make_step(config),
    ]
    check_chain(steps, READ_SCHEMA.names)
    return apply_chain(steps, documents)


def in_lines(text: str, ending: str = "", beginning: str = "") -> str:
    return "\n".join(f"{beginning}{line}{ending}" for line in text.split(". "))


CASES = {
    "gopher.word_count_low": "The people of the village have walked along it with the others.",
    "gopher.mean_word_length_low": " ".join(["a I to of", "it b c d e the f"] * 6),
    "gopher.mean_word_length_high": " ".join(
        f"incomprehensibilities{chr(97 + i)} of counterrevolutionary the{chr(97 + i)}"
        for i in range(26)
    )
    + " and that",
    "gopher.symbol_ratio_high": GOOD.replace("the ", "#the # "),
    "gopher.ellipsis_ratio_high": GOOD.replace("e ", "e... "),
    "gopher.bullet_lines_high": in_lines(GOOD.replace(", ", ". "), beginning="- "),
    "gopher.ellipsis_lines_high": in_lines(GOOD, ending=" ..."),
    "gopher.alphabetic_words_low": GOOD.replace(" ", " 1,000 ", 30),
    "gopher.stop_words_low": GOOD.replace("the ", "la ")
    .replace("to ", "ti ")
    .replace("of ", "uv ")
    .replace("and ", "und ")
    .replace("have", "hive")
    .replace("that", "thit")
    .replace("with ", "wuth ")
    .replace("be", "bi"),
    "gopher.duplicate_lines_high": "\n".join([GOOD, "Read on.", "Read on.", "Read on."]),
    "gopher.duplicate_paragraphs_high": "\n\n".join(
        [in_lines(GOOD.replace(", ", ". ").replace("; ", ". ")), "More", "More", "More"]
    ),
    "gopher.duplicate_line_characters_high": "\n".join(
        [*GOOD.replace(", ", ". ").replace("; ", ". ").split(". "), *[GOOD[:90]] * 3]
    ),
    "gopher.duplicate_paragraph_characters_high": "\n\n".join(
        [*GOOD.replace(", ", ". ").replace("; ", ". ").split(". "), *[GOOD[:90]] * 3]
    ),
    "gopher.top_2gram_characters_high": GOOD.replace(", ", " northern lighthouse keeper, ")
    .replace(". ", " northern lighthouse is a. ")
    .replace("it ", "northern lighthouse "),
    "gopher.duplicate_5gram_characters_high": GOOD + " and besides that " + GOOD[:120],
    "chinese.word_count_low": "这条河从老磨坊旁边流过，村里的人一直沿着它散步。",
    "chinese.stop_words_low": "".join(c for c in GOOD_CHINESE if c not in STOP_WORDS["zh"]),
    "chinese.symbol_ratio_high": GOOD_CHINESE.replace("，", "##，##"),
    "chinese.mean_word_length_high": GOOD_CHINESE
    + " ".join(f"https://example.org/{'x' * 90}/{i}" for i in range(12)),
    "chinese.repeated_han_13grams_high": GOOD_CHINESE + "而且，" + GOOD_CHINESE[:60],
}


@pytest.mark.parametrize("reason", CASES)
def test_each_rule_fires(reason: str) -> None:
    table = judged([CASES[reason]])
    assert table["drop_reason"].to_pylist() == [reason]
    (value,), (threshold,) = table["drop_value"].to_pylist(), table["drop_threshold"].to_pylist()
    assert value < threshold if reason.endswith("_low") else value > threshold
    (rule,) = (r for r in load_preset(reason.split(".")[0]) if r.reason == reason)
    assert table[rule.signal].to_pylist() == [value]


def test_good_text_passes() -> None:
    assert judged([GOOD, GOOD_CHINESE])["drop_reason"].to_pylist() == [None, None]


def test_every_rule_reads_a_column_of_the_chain() -> None:
    config = Dataprep(presets=NAMES)
    assert shard.step_names(config)  # the chain's own check


def test_the_bound_itself_passes() -> None:
    values = np.array([1, 2, 3])
    for minimum, failing in ((True, [True, False, False]), (False, [False, False, True])):
        rule = Rule("x.y", "signals_y", minimum, 2.0, "", "")
        judgement = rules.Judgement(rule, 2.0, {})
        thresholds = judgement.thresholds(np.array(["en"] * 3, object))
        assert judgement.failing(values, thresholds).tolist() == failing


def test_thresholds_come_from_the_recipe() -> None:
    short = GOOD[: GOOD.index(". In the spring")] + "."
    config = parse_model(
        Dataprep,
        {"thresholds": {"gopher": {"word_count_low": 20}}, "languages": ["en", "de"]},
        "dataprep",
    )
    assert judged([short], config)["drop_reason"].to_pylist() == [None]
    off = parse_model(Dataprep, {"presets": []}, "dataprep")
    table = judged([CASES["gopher.symbol_ratio_high"]], off)
    assert table["drop_reason"].to_pylist() == [None]
    assert table["signals_symbol_ratio"].to_pylist()[0] > 0.1


def test_a_language_has_values_of_its_own(tmp_path: Path) -> None:
    rules_file = tmp_path / "en.toml"
    rules_file.write_text(
        'stop_words = ["mill", "weir"]\n[thresholds.gopher]\nword_count_low = 20\n',
        encoding="utf-8",
    )
    config = parse_model(Dataprep, {"language_rules": {"en": str(rules_file)}}, "dataprep")
    assert config.language_rules["en"].stop_words == ("mill", "weir")
    short = GOOD[: GOOD.index(". In the spring")]
    found = judged([short + " It stands below the weir.", short, GOOD_CHINESE], config)
    assert found["drop_reason"].to_pylist() == [None, "gopher.stop_words_low", None]
    assert judged([short])["drop_threshold"].to_pylist() == [50.0]
    again = parse_model(Dataprep, json.loads(config.model_dump_json()), "dataprep")
    assert again == config


def test_a_language_without_a_list_is_not_judged_by_stop_words() -> None:
    table = pa.table({"text": pa.array(["x y"] * 2, pa.large_string()), "language": ["la", "en"]})
    table = apply_chain([signals.make_step(Dataprep())], table)
    for name in ("drop_reason", "drop_value", "drop_threshold"):
        kind = pa.string() if name == "drop_reason" else pa.float64()
        table = table.append_column(name, pa.nulls(2, kind))
    limits = {"word_count_low": 0, "mean_word_length_low": 0}
    config = parse_model(
        Dataprep, {"presets": ["gopher"], "thresholds": {"gopher": limits}}, "dataprep"
    )
    reasons = apply_chain([rules.make_step(config)], table)["drop_reason"].to_pylist()
    assert reasons == ["gopher.top_2gram_characters_high", "gopher.stop_words_low"]


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"thresholds": {"gopher": {"word_count_lo": 5}}}, "did you mean 'word_count_low'"),
        ({"thresholds": {"gofer": {}}}, ""),
        ({"thresholds": {"c4": {"sentences_low": 3}}}, ""),
        ({"thresholds": {"gopher": {"word_count_low": "five"}}}, ""),
        ({"language_rules": {"de": {"thresholds": {"gopher": {"words": 5}}}}}, ""),
        ({"language_rules": {"de": "no/such/file.toml"}}, ""),
        ({"language_rules": {"de": {"stopwords": ["der"]}}}, "did you mean 'stop_words'"),
        ({"presets": ["gofer"]}, ""),
    ],
)
def test_unknown_and_impossible_thresholds_are_refused(data: dict, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_model(Dataprep, data, "dataprep")
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def share_kept(path: Path, languages: tuple[str, ...] = ("en", "zh")) -> float:
    source = Source(name="s", kind="jsonl", paths=(str(path),), columns=Columns(id="id"))
    config = Dataprep(languages=languages)
    reasons: list[str | None] = []
    for part in read.shards([source], Path.cwd()):
        for documents, _ in read.read_shard(part, source, config):
            steps = [
                normalize.make_step(),
                language.make_step(config),
                content.make_step(),
                signals.make_step(config),
                chinese_signals.make_step(),
                lines.make_step(config),
                rules.make_step(config),
            ]
            reasons += apply_chain(steps, documents)["drop_reason"].to_pylist()
    return reasons.count(None) / len(reasons)


@pytest.mark.parametrize(
    ("name", "least"), [("zh_docs", 0.78), ("zh_trad_docs", 0.78), ("en_c4", 0.75)]
)
def test_real_documents_survive(shared_data: Path, name: str, least: float) -> None:
    (path,) = (shared_data / name).glob("*.jsonl.gz")
    assert share_kept(path) >= least


def test_spam_like_text_does_not(shared_data: Path) -> None:
    """Short messages are no documents: the rules leave next to none of them."""
    (path,) = (shared_data / "q_sms_spam").glob("*.jsonl.gz")
    assert share_kept(path) < 0.05
