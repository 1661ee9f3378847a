"""The n-gram model of our own: its words, its estimate, its file, and KenLM as an oracle."""

import itertools
import math
import random
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataprep.models import kenlm_model, ngram, ngram_arpa, ngram_file
from dataprep.models.ngram_estimate import Estimate, estimate
from dataprep.models.ngram_kernels import BEGIN, COSTS_PER_DIGIT, END, NUM_SIGNS
from dataprep.models.ngram_vocabulary import Vocabulary, learn, symbols_of, table_of
from dataprep.models.ngram_words import WORD_CHARACTERS_MAX, words
from launch.errors import UserError

Trained = tuple[Vocabulary, Estimate]
Costs = dict[tuple[int, ...], tuple[int, int]]


def column(*texts: str) -> pa.Array:
    return pa.array(texts, pa.large_string())


def made_texts(number: int, seed: int = 3) -> list[str]:
    """Sentences with an order in them: each word likes some words after it."""
    draw = random.Random(seed)
    known = [f"w{chr(97 + place % 26)}{chr(97 + place // 26)}" for place in range(120)]
    texts = []
    for _ in range(number):
        lines = []
        for _ in range(draw.randrange(1, 5)):
            place, line = draw.randrange(120), []
            for _ in range(draw.randrange(2, 14)):
                line.append(known[place])
                place = (place * 7 + draw.choice((1, 1, 1, 2, 5, 40))) % 120
            lines.append(" ".join(line) + draw.choice((".", ".", "?", " 7x水车!")))
        texts.append("\n".join(lines))
    return texts


@pytest.fixture(scope="module")
def trained() -> Trained:
    return ngram.train(column(*made_texts(300)), 5, 4096, 1_000_000)


@pytest.fixture(scope="module")
def tables(trained: Trained) -> ngram_file.Tables:
    return ngram.tables_of(*trained, {"texts": 300})


def plain_words(text: str) -> str:
    """The definition of `words`, character by character."""
    lines = []
    for line in text.split("\n"):
        found: list[str] = []
        open_word = False
        for character in line:
            category = unicodedata.category(character)
            lower = character.lower()
            folded = "0" if category == "Nd" else lower if len(lower) == 1 else character
            han = "\u3400" <= character <= "\u9fff" or "\u3041" <= character <= "\u30ff"
            if character.isspace() or ord(character) < 32:
                open_word = False
            elif (character.isalnum() or category[0] == "M") and not han:
                if open_word and len(found[-1]) < WORD_CHARACTERS_MAX:
                    found[-1] += folded
                else:
                    found.append(folded)
                open_word = True
            else:
                found.append(folded)
                open_word = False
        if found:
            lines.append(" ".join(found))
    return "\n".join(lines)


LETTERS = "aB0٣éÉİßẞΣ\u0301 \t\n\n\x0b\u3000,.'’-+水车カ😀xyz"


@given(st.lists(st.text(st.sampled_from(LETTERS), max_size=90), max_size=4))
def test_words_are_those_of_their_definition(texts: list[str]) -> None:
    assert words(column(*texts)).to_pylist() == [plain_words(text) for text in texts]


@given(st.text(max_size=60))
def test_words_hold_no_other_blank_and_stay_themselves(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    (found,) = words(column(text)).to_pylist()
    assert [word for line in found.split("\n") for word in line.split(" ")] == found.split() or (
        found == ""
    )
    assert words(column(found)).to_pylist() == [found]


def test_a_slice_of_a_column_is_read_where_it_lies() -> None:
    texts = column("first one", "Second, one", "third")
    assert words(texts.slice(1, 1)).to_pylist() == ["second , one"]
    assert words(texts.slice(0, 0)).to_pylist() == []


def test_rare_words_are_spelled_and_unknown_letters_are_unknown() -> None:
    vocabulary = learn(words(column("the mill the mill", "a zebra")), 300)
    assert set(vocabulary.symbols[NUM_SIGNS:]) == {"the", "mill", *("+" + c for c in "zebra")}
    spelled = symbols_of(words(column("The bear", "the öö +b")), vocabulary)
    names = [vocabulary.symbols[symbol] for symbol in spelled]
    assert names == [
        *("<s>", "the", "+b", "+e", "+a", "+r", "</s>"),
        *("<s>", "the", "<unk>", "<unk>", "+b", "</s>"),
    ]


def plain_estimate(sentences: list[list[int]], num_symbols: int, order: int) -> Costs:
    """Interpolated modified Kneser-Ney from its formulas (Chen and Goodman 1998; Heafield 2013)."""
    raw: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
    for line, length in itertools.product(sentences, range(1, order + 1)):
        raw[length].update(tuple(line[at : at + length]) for at in range(len(line) - length + 1))
    share: dict[tuple[int, ...], float] = {}
    weight: dict[tuple[int, ...], float] = {}
    for length in range(1, order + 1):
        before: defaultdict[tuple[int, ...], int] = defaultdict(int)
        for run in raw[length + 1] if length < order else ():
            before[run[1:]] += 1
        counts = {
            run: number if length == order or (run[0] == BEGIN and length > 1) else before[run]
            for run, number in raw[length].items()
        }
        times = Counter(counts.values())
        t1, t2, t3, t4 = (times[number] for number in range(1, 5))
        taken = [0.0, 0.5, 1.0, 1.5]
        if t1 and t2 and t3:
            y = t1 / (t1 + 2 * t2)
            made = [1 - 2 * y * t2 / t1, 2 - 3 * y * t3 / t2, 3 - 4 * y * t4 / t3]
            if all(0 < value <= most for most, value in enumerate(made, 1)):
                taken = [0.0, *made]
        total: defaultdict[tuple[int, ...], float] = defaultdict(float)
        given_up: defaultdict[tuple[int, ...], float] = defaultdict(float)
        for run, number in counts.items():
            total[run[:-1]] += number
            given_up[run[:-1]] += taken[min(number, 3)]
        weight |= {context: given_up[context] / total[context] for context in total}
        every = [(symbol,) for symbol in range(num_symbols)] if length == 1 else list(counts)
        for run in every:
            number = counts.get(run, 0)
            below = 1 / (num_symbols - 1) if length == 1 else share[run[1:]]
            own = (number - taken[min(number, 3)]) / total[run[:-1]]
            share[run] = own + weight[run[:-1]] * below
    share[(BEGIN,)] = 1.0
    return {
        run: (
            max(1, round(-math.log10(value) * COSTS_PER_DIGIT)),
            0 if len(run) == order else round(-math.log10(weight.get(run, 1.0)) * COSTS_PER_DIGIT),
        )
        for run, value in share.items()
    }


def costs_of(found: Estimate) -> Costs:
    return {
        tuple(run): (cost, backoff)
        for runs in found.runs
        for run, cost, backoff in zip(
            runs.symbols.tolist(), runs.costs.tolist(), runs.backoffs.tolist(), strict=True
        )
    }


@given(
    st.lists(st.lists(st.integers(NUM_SIGNS, 7), max_size=12), min_size=1, max_size=25),
    st.integers(2, 5),
)
# Here Chen and Goodman's discount of a count of two is zero.
@example([[4, 3, 3, 3, 3, 3, 4, 3, 3]], 3)
@settings(max_examples=40)
def test_the_estimate_is_modified_kneser_ney(lines: list[list[int]], order: int) -> None:
    sentences = [[BEGIN, *line, END] for line in lines]
    stream = np.array([symbol for line in sentences for symbol in line], np.int32)
    found = costs_of(estimate(stream, 8, order, 10**6))
    expected = plain_estimate(sentences, 8, order)
    assert found.keys() == expected.keys()
    for run, pair in expected.items():
        assert found[run] == pytest.approx(pair, abs=1), run


def probability(symbol: int, context: tuple[int, ...], known: Costs) -> int:
    """The cost of a symbol after a context, by the definition of backing off."""
    if (*context, symbol) in known:
        return known[(*context, symbol)][0]
    backoff = known.get(context, (0, 0))[1]
    return backoff + probability(symbol, context[1:], known)


@pytest.mark.parametrize("ngrams_max", [10**6, 1500])
def test_scores_are_sums_over_backing_off(ngrams_max: int) -> None:
    texts = column(*made_texts(120))
    vocabulary, found = ngram.train(texts, 4, 4096, ngrams_max)
    known, names = costs_of(found), {*vocabulary.symbols}
    asked = column(*made_texts(20, seed=9), "waa wwwwaaa zz\n\nnever seen", "wwww", "ö", "")
    got, units = ngram.costs(words(asked), ngram.tables_of(vocabulary, found, {}))
    for text, cost, number in zip(words(asked).to_pylist(), got, units, strict=True):
        stream = symbols_of(column(text), vocabulary).tolist() if text else []
        total, context = 0, ()
        expected = text.count("\n") + bool(text)
        for word in text.split():
            is_spelled = word not in names and any("+" + letter in names for letter in word)
            expected += math.ceil(len(word) / 3) if is_spelled else 1
        for symbol in stream:
            if symbol != BEGIN:
                total += probability(symbol, context, known)
            context = (BEGIN,) if symbol == BEGIN else (*context, symbol)[-3:]
        assert (cost, number) == (total, expected), text


@pytest.mark.parametrize("ngrams_max", [10**6, 1500])
def test_after_every_context_the_probabilities_sum_to_one(ngrams_max: int) -> None:
    vocabulary, found = ngram.train(column(*made_texts(120)), 4, 4096, ngrams_max)
    known = costs_of(found)
    contexts = random.Random(1).sample(sorted(run for run in known if len(run) < 4), 40)
    for context in contexts:
        if context[-1] == END:
            continue
        others = [symbol for symbol in range(len(vocabulary.symbols)) if symbol != BEGIN]
        costs = np.array([probability(symbol, context, known) for symbol in others])
        assert (10.0 ** (-costs / COSTS_PER_DIGIT)).sum() == pytest.approx(1, abs=2e-3), context


def test_a_model_stays_within_its_bound_and_keeps_every_part_of_what_it_keeps() -> None:
    _, found = ngram.train(column(*made_texts(200)), 5, 4096, 1200)
    assert sum(len(runs.costs) for runs in found.runs[1:]) <= 1200
    assert list(found.thresholds) == sorted(found.thresholds) and found.thresholds[-1] > 0
    known = costs_of(found)
    assert all(run[1:] in known and run[:-1] in known for run in known if len(run) > 1)
    assert any(len(run) == 3 for run in known)
    assert len(learn(words(column(*made_texts(200))), 40).symbols) == 40


def test_nonsense_surprises_more_the_more_it_is(tables: ngram_file.Tables) -> None:
    whole = made_texts(40, seed=8)
    draw = random.Random(4)
    half, shuffled, garbage = [], [], []
    for text in whole:
        spoken = text.split(" ")
        swapped = list(spoken)
        for _ in range(len(spoken) // 4):
            one, other = (draw.randrange(len(spoken)) for _ in range(2))
            swapped[one], swapped[other] = swapped[other], swapped[one]
        half.append(" ".join(swapped))
        shuffled.append(" ".join(draw.sample(spoken, len(spoken))))
        garbage.append(" ".join("".join(draw.choices("qzxwab7", k=6)) for _ in spoken))
    found = [
        float(np.median(ngram.perplexities(column(*texts), tables)))
        for texts in (whole, half, shuffled, garbage)
    ]
    assert found == sorted(found) and found[1] > 1.2 * found[0] and found[3] > 2 * found[2]
    long, short = ngram.perplexities(column("\n".join(whole), *whole[:1]), tables)
    assert 0.4 < long / short < 2.5


def test_no_text_is_too_empty_or_too_long(tables: ngram_file.Tables) -> None:
    run = "a" * 1_000_000
    texts = column("", "\n \n", "wa", run, "水" * 300_000, "\n" * 100_000 + ".", "+")
    found = ngram.perplexities(texts, tables)
    assert np.isnan(found[:2]).all()
    assert ((found[2:] >= 1) & (found[2:] <= ngram.PERPLEXITY_MAX)).all()
    assert ngram.perplexities(column(), tables).shape == (0,)


def test_the_same_texts_give_the_same_bytes(
    trained: Trained, tables: ngram_file.Tables, tmp_path: Path
) -> None:
    again = ngram.tables_of(*ngram.train(column(*made_texts(300)), 5, 4096, 10**6), {"texts": 300})
    for path, model in ((tmp_path / "a", tables), (tmp_path / "b", again)):
        ngram_file.save(path, model)
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes()
    loaded = ngram_file.load(tmp_path / "a")
    assert loaded.facts == {"texts": 300} and loaded.order == 5
    texts = column(*made_texts(20, seed=5))
    assert (ngram.perplexities(texts, loaded) == ngram.perplexities(texts, tables)).all()


def test_a_file_that_is_not_whole_is_refused(tables: ngram_file.Tables, tmp_path: Path) -> None:
    ngram_file.save(tmp_path / "model", tables)
    content = (tmp_path / "model").read_bytes()
    draw = random.Random(2)
    broken = [content[:size] for size in (0, 5, 31, 40, len(content) // 2, len(content) - 1)]
    broken += [content + b"\0", b"PK\3\4" + content]
    for place in (0, 7, 8, 12, 16, 33, len(content) - 1, *draw.sample(range(len(content)), 20)):
        broken.append(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    for wrong in broken:
        (tmp_path / "broken").write_bytes(wrong)
        with pytest.raises(UserError, match=r"expected .*n-gram model") as error:
            ngram_file.load(tmp_path / "broken")
        assert "\n" not in str(error.value) and len(str(error.value)) < 300
    with pytest.raises(UserError, match="no readable file"):
        ngram_file.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": 6}, "order is impossible"),
        ({"unigrams": np.zeros(2, np.uint32)}, "signs have no costs"),
        ({"ngrams": np.full(64, 1 << 40, np.uint64)}, "no empty slot"),
        ({"vocabulary": np.full(64, 1 << 40, np.uint64)}, "no empty slot"),
        ({"vocabulary": np.array([0, 1 << 40 | 4_000_000], np.uint64)}, "beyond all symbols"),
    ],
)
def test_a_file_that_was_made_up_leads_nowhere(
    tables: ngram_file.Tables, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    values = {name: getattr(tables, name) for name in tables.__dataclass_fields__}
    ngram_file.save(tmp_path / "model", ngram_file.Tables(**{**values, **change}))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message):
        ngram_file.load(tmp_path / "model")


def test_kenlm_reads_our_arpa_and_says_the_same(trained: Trained, tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="the extra kenlm is not installed")
    ngram_arpa.write(tmp_path / "model.arpa", *trained)
    score = kenlm_model.load(tmp_path / "model.arpa", None, "here")
    asked = column(
        *made_texts(60, seed=11), "", "wa", "never seen + ö 水 ÖÖ zebra\n\nwa wb", "a" * 99
    )
    ours = ngram.perplexities(asked, ngram.tables_of(*trained, {}))
    np.testing.assert_allclose(score(asked), ours, rtol=1e-5)


def test_table_of_words_finds_each(trained: Trained) -> None:
    names = list(trained[0].symbols[NUM_SIGNS:])
    assert len(set(names)) == len(names)
    assert (table_of(names) == trained[0].table).all()
    spoken = [name for name in names if not name.startswith("+") or name == "+"]
    found = symbols_of(column(" ".join(spoken)), trained[0])[1:-1]
    assert [trained[0].symbols[symbol] for symbol in found] == spoken
