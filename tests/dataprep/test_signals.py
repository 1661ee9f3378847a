"""Signals: the compiled kernels against a plain reading of their definitions, and known values."""

import gzip
import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep import signals
from dataprep.arrow_buffers import text_buffers
from dataprep.characters import TERMINAL_CHARACTERS
from dataprep.text_kernels import BULLETS


def column(texts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def measured(texts: list[str], unspaced: bool = False) -> list[dict[str, float]]:
    arrays = signals.measure(column(texts), np.full(len(texts), unspaced))
    return [
        {name: values[row].item() for name, values in arrays.items()} for row in range(len(texts))
    ]


# The reference: what the docstrings of the kernels say, on Python strings, one document at a time.


def stands_alone(character: str) -> bool:
    name = unicodedata.name(character, "")
    ideograph = name.startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "CJK RADICAL"))
    kana = "HIRAGANA" in name or "KATAKANA" in name
    return character.isalpha() and (ideograph or kana or character in "々〆〇")


def tokens_of(text: str) -> list[str]:
    tokens = []
    for run in text.split():
        token = ""
        for character in run:
            if stands_alone(character):
                tokens += [token, character]
                token = ""
            else:
                token += character
        tokens.append(token)
    return [token for token in tokens if token]


def core(token: str) -> str:
    places = [place for place, character in enumerate(token) if character.isalnum()]
    return re.sub("[A-Z]", lambda m: m[0].lower(), token[places[0] : places[-1] + 1])


def lines_of(text: str) -> list[list[str]]:
    """Paragraphs of trimmed lines."""
    paragraphs: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip():
            paragraphs[-1].append(line.strip())
        elif paragraphs[-1]:
            paragraphs.append([])
    return [paragraph for paragraph in paragraphs if paragraph]


def duplicates(items: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    seen: set[tuple[str, ...]] = set()
    repeated = []
    for item in items:
        if item in seen:
            repeated.append(item)
        seen.add(item)
    return repeated


def top_ngram(tokens: list[str], n: int) -> int:
    grams = [tuple(tokens[place : place + n]) for place in range(len(tokens) - n + 1)]
    counted: dict[tuple[str, ...], int] = {}
    for gram in grams:
        counted[gram] = counted.get(gram, 0) + 1
    best = max(((count, len("".join(gram))) for gram, count in counted.items()), default=(0, 0))
    return best[0] * best[1] if best[0] > 1 else 0


def duplicate_ngrams(tokens: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    characters = place = 0
    while place + n <= len(tokens):
        gram = tuple(tokens[place : place + n])
        if gram in seen:
            characters += len("".join(gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    return characters


def reference(text: str, unspaced: bool = False) -> dict[str, float]:
    tokens = tokens_of(text)
    words = [token for token in tokens if any(c.isalnum() for c in token)]
    paragraphs = lines_of(text)
    lines = [(line,) for paragraph in paragraphs for line in paragraph]
    stops = signals.STOP_WORDS_CHINESE if unspaced else signals.STOP_WORDS_GOPHER
    repeated_lines = duplicates(lines)
    repeated_paragraphs = duplicates([tuple(paragraph) for paragraph in paragraphs])

    def share(part: float, whole: float) -> float:
        return part / whole if whole else 0.0

    def of_lines(flags: list[bool]) -> float:
        return share(sum(flags), len(lines))

    def of_text(characters: int) -> float:
        return share(characters, len(text))

    return {
        "character_count": len(text),
        "word_count": len(words),
        "line_count": len(lines),
        "paragraph_count": len(paragraphs),
        "stop_words": len({core(word) for word in words} & set(stops)),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "symbol_ratio": share(text.count("#"), len(words)),
        "ellipsis_ratio": share(text.count("...") + text.count("…"), len(words)),
        "bullet_lines": of_lines([line.startswith(tuple(BULLETS)) for (line,) in lines]),
        "ellipsis_lines": of_lines([line.endswith(("...", "…")) for (line,) in lines]),
        "terminal_lines": of_lines([line[-1] in TERMINAL_CHARACTERS for (line,) in lines]),
        "newline_ratio": share(text.count("\n"), len(words)),
        "alphabetic_words": share(
            sum(any(c.isalpha() for c in token) for token in tokens), len(tokens)
        ),
        "punctuation_characters": of_text(
            sum(unicodedata.category(c).startswith("P") for c in text)
        ),
        "han_characters": of_text(sum(stands_alone(c) and not is_kana(c) for c in text)),
        "duplicate_lines": of_lines([True] * len(repeated_lines)),
        "duplicate_paragraphs": share(len(repeated_paragraphs), len(paragraphs)),
        "duplicate_line_characters": of_text(sum(len(line) for (line,) in repeated_lines)),
        "duplicate_paragraph_characters": of_text(
            sum(len(line) for paragraph in repeated_paragraphs for line in paragraph)
        ),
        **{f"top_{n}gram_characters": of_text(top_ngram(tokens, n)) for n in (2, 3, 4)},
        **{
            f"duplicate_{n}gram_characters": of_text(duplicate_ngrams(tokens, n))
            for n in range(5, 11)
        },
    }


def is_kana(character: str) -> bool:
    name = unicodedata.name(character, "")
    return "HIRAGANA" in name or "KATAKANA" in name


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
)

TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("ab .…\n\n#-•的在了，。 Thebeof  かカ한"),
        st.characters(exclude_categories=("Cs",)),
    ),
    max_size=120,
)


@pytest.mark.parametrize("unspaced", [False, True])
def test_odd_texts_agree_with_the_reference(unspaced: bool) -> None:
    for text, found in zip(ODD, measured(list(ODD), unspaced), strict=True):
        assert found == reference(text, unspaced), repr(text)


@settings(max_examples=250, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text_agrees_with_the_reference(texts: list[str]) -> None:
    assert measured(texts) == [reference(text) for text in texts]
    assert measured(texts, True) == [reference(text, True) for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["the", "a b", "猫", "。", "\n", "\n\n", "x"]), max_size=60))
def test_repetitive_text_agrees_with_the_reference(pieces: list[str]) -> None:
    text = " ".join(pieces)
    assert measured([text]) == [reference(text)]


@pytest.mark.parametrize(
    ("name", "every"), [("en_c4", 20), ("zh_docs", 90), ("en_docs", 100), ("multilang_docs", 90)]
)
def test_real_text_agrees_with_the_reference(shared_data: Path, name: str, every: int) -> None:
    (path,) = (shared_data / name).glob("*.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        texts = [json.loads(line)["text"][:4000] for line in stream][::every]
    assert len(texts) > 40
    for unspaced in (False, True):
        for text, found in zip(texts, measured(texts, unspaced), strict=True):
            assert found == reference(text, unspaced)


def test_known_values() -> None:
    (found,) = measured(["The cat sat.\n\nThe cat sat.\n\n# Of cats and dogs..."])
    assert found["word_count"] == 10
    assert found["line_count"] == 3
    assert found["paragraph_count"] == 3
    assert found["stop_words"] == 3
    assert found["duplicate_lines"] == pytest.approx(1 / 3)
    assert found["duplicate_line_characters"] == pytest.approx(12 / 49)
    assert found["top_2gram_characters"] == pytest.approx(14 / 49)  # "cat sat.", the longest of two
    assert found["ellipsis_lines"] == pytest.approx(1 / 3)
    assert found["symbol_ratio"] == pytest.approx(0.1)
    assert found["terminal_lines"] == 1.0


def test_chinese_is_counted_by_characters() -> None:
    (found,) = measured(["我们的猫在Python里。"], unspaced=True)
    assert found["word_count"] == 7  # six Han characters and Python
    assert found["stop_words"] == 2
    assert found["han_characters"] == pytest.approx(6 / 13)


def test_batches_and_slices_do_not_matter() -> None:
    texts = [text for text in ODD for _ in range(3)]
    whole = signals.measure(column(texts), np.zeros(len(texts), dtype=bool))
    sliced = column(["before", *texts, "after"]).slice(1, len(texts))
    again = signals.measure(sliced, np.zeros(len(texts), dtype=bool))
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
    step = signals.make_step()
    after = step.apply(table)
    assert after.schema.names == [*table.schema.names, *(field.name for field in step.adds)]
    assert after["signals_stop_words"].to_pylist() == [1, 1]
    assert after.schema.field("signals_word_count").type == pa.int64()
