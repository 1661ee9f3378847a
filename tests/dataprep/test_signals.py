"""Signals: the compiled kernels against a plain reading of their definitions, and known values."""

import gzip
import itertools
import json
import math
import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Dataprep
from dataprep.signals import signals
from dataprep.signals.stop_words import STOP_WORDS
from dataprep.text.word_characters import SENTENCE_END, SYMBOL, TERMINAL, word_characters
from dataprep.text.word_kernels import split_words


def column(texts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def measured(texts: list[str], language: str = "en") -> list[dict[str, float]]:
    arrays = signals.measure(column(texts), [language] * len(texts))
    return [
        {name: values[row].item() for name, values in arrays.items()} for row in range(len(texts))
    ]


# The reference: what the docstrings of the kernels say, on Python strings, one document at a time.
# It takes the kernel's words; test_words.py is about those.


def words_of(text: str) -> list[tuple[int, str]]:
    """The kernel's words, each with the byte at which it begins."""
    encoded = text.encode()
    data = np.frombuffer(encoded, np.uint8)
    starts, ends = (np.empty(2 * len(data) + 1, np.int32) for _ in range(2))
    number = split_words(data, 0, len(data), word_characters(), starts, ends)
    return [(int(starts[i]), encoded[starts[i] : ends[i]].decode()) for i in range(number)]


def is_a(character: str, flag: int) -> bool:
    return bool(word_characters()[ord(character)] & flag)


def ends_sentence(word: str) -> bool:
    return len(word) == 1 and is_a(word, SENTENCE_END)


def is_punctuation(word: str) -> bool:
    return all(unicodedata.category(c).startswith("P") for c in word)


def sentences_of(words: list[str]) -> list[list[str]]:
    sentences: list[list[str]] = []
    ended = True
    for word in words:
        quiet = is_punctuation(word) or ends_sentence(word)
        if not sentences or (ended and not quiet):
            sentences.append([])
            ended = False
        sentences[-1].append(word)
        ended = ended or ends_sentence(word)
    return sentences


def c4_verdict(line: str, open_ended: bool) -> str:
    text = line.strip()
    runs = text.split()
    cited = text
    while match := re.search(r"\[\d*\]$|\[edit\]$|\[citation needed\]$", cited, re.I | re.A):
        cited = cited[: match.start()]
    if any(len(run) > 1000 for run in runs) or len(runs) < 3:
        return "drop"
    if not open_ended and (not cited.endswith((".", "?", "!", '"', "'")) or cited.endswith("...")):
        return "drop"
    small = "".join(c.lower() if c.isascii() else c for c in text)
    if "lorem ipsum" in small:
        return "lorem_ipsum"
    if "javascript" in small:
        return "drop"
    if "{" in text:
        return "brace"
    phrases = ("terms of use", "privacy policy", "cookie policy")
    cookies = ("uses cookies", "use of cookies", "use cookies")
    return "drop" if any(p in small for p in (*phrases, *cookies)) else "keep"


def duplicates(items: list[str]) -> list[str]:
    seen: set[str] = set()
    repeated = []
    for item in items:
        if item in seen:
            repeated.append(item)
        seen.add(item)
    return repeated


def top_ngram(words: list[str], n: int) -> int:
    grams = [" ".join(words[place : place + n]) for place in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, number = Counter(grams).most_common(1)[0]
    return len(gram) * number


def duplicate_ngrams(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    characters = place = 0
    while place + n <= len(words):
        gram = tuple(words[place : place + n])
        if gram in seen:
            characters += len("".join(gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    return characters


def judged(sentence: list[tuple[int, str]], text: str) -> tuple[bool, bool, bool]:
    """Whether a sentence is of odd length, technical, or a list of names."""
    encoded = text.encode()
    first, (last, word) = sentence[0][0], sentence[-1]
    between = encoded[first : last + len(word.encode())].decode()
    gaps = sum(
        start > before + len(earlier.encode())
        for (before, earlier), (start, _) in itertools.pairwise(sentence)
    )
    length = sum(len(word) for _, word in sentence) + gaps
    technical = sum(c in "0123456789{}+/()>" for c in between)
    capitals = sum(unicodedata.category(word[0]) == "Lu" for _, word in sentence)
    listed = len(sentence) >= 12 and 2 * capitals > len(sentence)
    return length < 20 or length > 500, 5 * technical > length, listed


def reference(text: str, language: str = "en") -> dict[str, float]:
    placed = words_of(text)
    words = [word for _, word in placed]
    named = [word for word in words if not all(is_a(c, SYMBOL) for c in word)]
    lines = text.split("\n")[:-1] if text.endswith("\n") or not text else text.split("\n")
    filled = [line for line in lines if line.strip()]
    runs = re.split("\n+", text) if text else []
    body = list(lines)
    while body and not body[0].strip():
        body.pop(0)
    while body and not body[-1].strip():
        body.pop()
    paragraphs = re.split("\n{2,}", "\n".join(body)) if body else []
    by_line: list[list[str]] = [[] for _ in lines]
    for start, word in placed:
        by_line[text.encode()[:start].count(b"\n")].append(word)
    c4: dict[str, float] = {}
    for prefix, open_ended in (("c4", False), ("c4_open", True)):
        verdicts = [c4_verdict(line, open_ended) for line in lines]
        stay = [i for i, verdict in enumerate(verdicts) if verdict == "keep"]
        c4[f"{prefix}_sentences"] = sum(len(sentences_of(by_line[i])) for i in stay)
        c4[f"{prefix}_lorem_ipsum"] = verdicts.count("lorem_ipsum")
        c4[f"{prefix}_braces"] = verdicts.count("brace")
        c4[f"{prefix}_lines"] = len(stay) / len(filled) if filled else 0.0
    place = 0
    judgements = []
    for line_words in by_line:
        for sentence in sentences_of(line_words):
            judgements.append(judged(placed[place : place + len(sentence)], text))
            place += len(sentence)
    counted = Counter(words)
    stops = STOP_WORDS.get(language, ())

    def share(part: float, whole: float) -> float:
        return part / whole if whole else 0.0

    def of_words(number: int) -> float:
        return share(number, len(words))

    def of_text(number: int) -> float:
        return share(number, len(text))

    def characters(test: object) -> float:
        return of_text(sum(map(test, text)))  # type: ignore[call-overload]

    return {
        "character_count": len(text),
        "word_count": len(named),
        "token_count": len(words),
        "line_count": len(filled),
        "paragraph_count": len(paragraphs),
        "sentence_count": len(judgements),
        "stop_words": len(set(words) & set(stops)),
        "braces": text.count("{"),
        **{name: value for name, value in c4.items() if not name.endswith("_lines")},
        "mean_word_length": share(sum(map(len, named)), len(named)),
        "symbol_ratio": of_words(text.count("#")),
        "ellipsis_ratio": of_words(text.count("...") + text.count("…")),
        "bullet_lines": share(
            sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)
        ),
        "ellipsis_lines": share(
            sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)
        ),
        "alphabetic_words": of_words(sum(any(c.isalpha() for c in word) for word in words)),
        "capital_words": of_words(
            sum(
                any(c.isalpha() for c in word)
                and any(unicodedata.category(c) == "Lu" for c in word)
                and not any(unicodedata.category(c) == "Ll" for c in word)
                for word in words
            )
        ),
        "stop_word_share": of_words(sum(counted[word] for word in set(stops))),
        "different_words": of_words(len(counted)),
        "newline_ratio": of_words(text.count("\n")),
        "terminal_lines": share(sum(is_a(line[-1], TERMINAL) for line in filled), len(filled)),
        "short_lines": share(sum(len(line) <= 30 for line in filled), len(filled)),
        "c4_lines": c4["c4_lines"],
        "c4_open_lines": c4["c4_open_lines"],
        "letter_characters": characters(str.isalpha),
        "digit_characters": characters(lambda c: unicodedata.category(c) == "Nd"),
        "capital_characters": characters(lambda c: unicodedata.category(c) == "Lu"),
        "punctuation_characters": characters(lambda c: unicodedata.category(c)[0] == "P"),
        "han_characters": characters(is_ideograph),
        "questionable_sentences": share(sum(any(j) for j in judgements), len(judgements)),
        "list_sentences": share(sum(j[2] for j in judgements), len(judgements)),
        "technical_sentences": share(sum(j[1] for j in judgements), len(judgements)),
        "duplicate_paragraphs": share(len(duplicates(paragraphs)), len(paragraphs)),
        "duplicate_paragraph_characters": of_text(sum(map(len, duplicates(paragraphs)))),
        "duplicate_line_characters": of_text(sum(map(len, duplicates(runs)))),
        **{f"top_{n}gram_characters": of_text(top_ngram(words, n)) for n in (2, 3, 4)},
        **{
            f"duplicate_{n}gram_characters": of_text(duplicate_ngrams(words, n))
            for n in range(5, 11)
        },
        "duplicate_lines": share(len(duplicates(runs)), len(runs)),
        "duplicate_filled_characters": share(
            sum(map(len, duplicates(filled))), len(text) - text.count("\n")
        ),
        "word_entropy": -sum(n / len(words) * math.log(n / len(words)) for n in counted.values()),
    }


def is_ideograph(character: str) -> bool:
    name = unicodedata.name(character, "")
    written = name.startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "CJK RADICAL"))
    return character.isalpha() and (written or character in "々〆〇")


def agree(found: dict[str, float], expected: dict[str, float]) -> bool:
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    return True


ODD = (
    "",
    " \n\n ",
    "\n",
    "a",
    "the The THE, (of) be-have with... and… that's",
    "...\n. . .\n...  \nend….\nend…\nend ...",
    "# ## #",
    "- one\n• two\n* three\n  – four\n·五",
    "你好，世界。约翰·史密斯 said “好的”。",
    "ひらがなカタカナ漢字ｶﾀｶﾅ混じり文。",
    "한국어 문장은 띄어 쓴다. 한국어 문장은 띄어 쓴다.",
    "a b a b a b a b a b a b a b a b a b",
    "x y z x y z\nx y z x y z\n\nx y z x y z\nx y z x y z",
    "𠀀𠀁𪛖 astral 😀😀 plane \U0001f469‍\U0001f469",
    "tab\tseparated\u00a0no-break\u3000ideographic\u2028line separator",
    "line one\nline two\n\nline one\nline two\n\n\n\nline one",
    "१२३ ४५६ ½ ² Ⅷ _ __init__ 3.14 1,000",
    "e\u0301 combining z\u0335",
    "的" * 50,
    "..." * 7 + "....",
    "Lorem ipsum dolor sit.\nNo JavaScript in here.\nWe have a { brace.\nUse cookies please.",
    'It is known.[12][edit] So it is [citation needed]\nAnd so on it goes...\nAs I said "yes"',
    "Ann Bob Cat Dan Eve Flo Gus Hal Ida Joe Kim Lou Max. 1/2 3/4 5/6 {7} (8) 9+9 (0) {0}",
)

TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("ab .…\n\n#-•的在了，。 Thebeof  かカ한"),
        st.characters(exclude_categories=("Cs",)),
    ),
    max_size=120,
)


@pytest.mark.parametrize("language", ["en", "zh", "xx"])
def test_odd_texts_agree_with_the_reference(language: str) -> None:
    for text, found in zip(ODD, measured(list(ODD), language), strict=True):
        assert agree(found, reference(text, language)), repr(text)


@settings(max_examples=250, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text_agrees_with_the_reference(texts: list[str]) -> None:
    for text, found in zip(texts, measured(texts), strict=True):
        assert agree(found, reference(text)), repr(text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["the", "a b", "猫", "。", "\n", "\n\n", "x"]), max_size=60))
def test_repetitive_text_agrees_with_the_reference(pieces: list[str]) -> None:
    text = " ".join(pieces)
    (found,) = measured([text])
    assert agree(found, reference(text)), repr(text)


@pytest.mark.parametrize(
    ("name", "every"), [("en_c4", 20), ("zh_docs", 90), ("en_docs", 100), ("multilang_docs", 90)]
)
def test_real_text_agrees_with_the_reference(shared_data: Path, name: str, every: int) -> None:
    (path,) = (shared_data / name).glob("*.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        texts = [json.loads(line)["text"][:4000] for line in stream][::every]
    assert len(texts) > 40
    for text, found in zip(texts, measured(texts), strict=True):
        assert agree(found, reference(text)), repr(text)


def test_known_values() -> None:
    (found,) = measured(["The cat sat.\n\nThe cat sat.\n\n# Of cats and dogs..."])
    assert found["word_count"] == 10
    assert found["token_count"] == 14
    assert found["line_count"] == 3
    assert found["paragraph_count"] == 3
    assert found["stop_words"] == 1  # "and": a capital makes another word, as in datatrove
    assert found["duplicate_lines"] == pytest.approx(1 / 3)
    assert found["duplicate_line_characters"] == pytest.approx(12 / 49)
    assert found["top_2gram_characters"] == pytest.approx(14 / 49)  # twice "The cat", spaces too
    assert found["ellipsis_lines"] == pytest.approx(1 / 5)  # of five, two of them empty
    assert found["symbol_ratio"] == pytest.approx(1 / 14)
    assert found["terminal_lines"] == 1.0


def test_chinese_is_counted_by_characters() -> None:
    (found,) = measured(["我们的猫在Python里。"], "zh")
    assert found["word_count"] == 7  # six Han characters and Python
    assert found["stop_words"] == 2
    assert found["han_characters"] == pytest.approx(6 / 13)


def test_batches_and_slices_do_not_matter() -> None:
    texts = [text for text in ODD for _ in range(3)]
    whole = signals.measure(column(texts), ["en"] * len(texts))
    sliced = column(["before", *texts, "after"]).slice(1, len(texts))
    again = signals.measure(sliced, ["en"] * len(texts))
    one_by_one = measured(texts)
    for name, values in whole.items():
        assert (values == again[name]).all()
        assert values.tolist() == [row[name] for row in one_by_one]


def test_buffers_of_a_slice_and_of_nothing() -> None:
    data, offsets = text_buffers(column(["ab", "c", "def"]).slice(1))
    assert [bytes(data[offsets[i] : offsets[i + 1]]) for i in range(2)] == [b"c", b"def"]
    data, offsets = text_buffers(column([]))
    assert offsets.tolist() == [0]


def test_step_adds_what_it_says() -> None:
    table = pa.table(
        {"text": column(["的 the", "的 the"]), "language": pa.array(["zh", "en"], pa.string())}
    )
    step = signals.make_step(Dataprep())
    after = step.apply(table)
    assert after.schema.names == [*table.schema.names, *(field.name for field in step.adds)]
    assert after["signals_stop_words"].to_pylist() == [1, 1]
    assert after.schema.field("signals_word_count").type == pa.int64()
