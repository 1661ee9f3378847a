"""Figures of decontamination: items injected by script found, unrelated paragraphs flagged, speed.

Items are sentences of other sets than the documents', drawn by a seed, of 4 to 60 words (Chinese: 6
to 60 characters), a third of them below 13. One item goes into one document: at the border of a
paragraph, at that of a sentence, or inside a sentence, in turn. What counts as found is a hit on
that item with the default `score_min`. Paragraphs are all those of their sets.
"""

import gzip
import random
import re
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import orjson

from benchmarks.documents import DATA, texts

# Real text that stands in none of the documents: articles, news, dictionary entries, headlines.
_ENGLISH_ITEMS = ("en_wiki", "en_gov_news", "en_misc", "q_onestop_levels", "q_clear_readability")
_CHINESE_ITEMS = ("zh_classics", "zh_trad_docs")
_UNRELATED = ("en_c4", "en_manpages", "en_books", "neardup_licenses", "zh_docs", "zh_poetry")
_SENTENCE = re.compile(r"[^.!?\n]{8,400}[.!?](?=\s|$)")
_CHINESE_SENTENCE = re.compile(r"[^。！？\n]{4,200}[。！？]")
_UNIT = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")
_SEED = 24
_ITEMS = 4000

Injected = tuple[list[str], list[str], list[int]]


@cache
def _texts(name: str) -> tuple[str, ...]:
    if name != "neardup_licenses":
        return texts(name)
    with gzip.open(DATA / name / "docs.jsonl.gz", "rb") as lines:
        return tuple(orjson.loads(line)["text"] for line in lines)


@cache
def _items(chinese: bool) -> tuple[str, ...]:
    """Sentences, a third of them of fewer than 13 units, each once."""
    pattern = _CHINESE_SENTENCE if chinese else _SENTENCE
    least = 6 if chinese else 4
    found: dict[str, int] = {}
    for name in _CHINESE_ITEMS if chinese else _ENGLISH_ITEMS:
        for text in _texts(name):
            for sentence in pattern.findall(text):
                size = len(_UNIT.findall(sentence))
                if least <= size <= 60:
                    found[sentence.strip()] = size
    if not chinese:
        found |= {
            text: size
            for text in _texts("q_clickbait")
            if least <= (size := len(_UNIT.findall(text))) <= 60
        }
    draw = random.Random(_SEED)
    short = sorted(text for text, size in found.items() if size < 13)
    long = sorted(text for text, size in found.items() if size >= 13)
    return (*draw.sample(short, _ITEMS // 3), *draw.sample(long, _ITEMS - _ITEMS // 3))


def _place(text: str, item: str, turn: int, draw: random.Random) -> str:
    """`text` with `item` at a paragraph's border, at a sentence's, or between two words."""
    border = (r"\n\s*\n", r"(?<=[.!?。！？])\s*", r"(?<=[\w,，])(?=[ \u3400-\u9fff])")[turn % 3]
    places = [match.end() for match in re.finditer(border, text)] or [len(text)]
    at = draw.choice(places)
    space = "\n\n" if turn % 3 == 0 else " "
    return f"{text[:at]}{space}{item}{space}{text[at:]}"


def _changed(item: str, draw: random.Random) -> str:
    """Other capitals, punctuation and white space; the words stay."""
    item = draw.choice((str.upper, str.lower, str.title))(item)
    item = item.replace(" ", draw.choice((" ", "\n", "  ", "\u00a0")))
    item = re.sub(r"[,;:]", draw.choice(("", " -", ",")), item)
    return draw.choice(("“{}”", "**{}**", "Q: {}", "({})")).format(item.rstrip(".!?。！？"))


def _edited(item: str, draw: random.Random) -> str:
    """One word in the item is another."""
    words = item.split(" ")
    words[draw.randrange(len(words))] = "otherwise"
    return " ".join(words)


def _found(
    chinese: bool, change: Callable[[str, random.Random], str] | None = None, **settings: int
) -> dict[str, float]:
    """The share of injected items found, by their length in units."""
    import numpy as np
    import pyarrow as pa

    from dataprep.config_decontamination import Decontamination
    from dataprep.decontamination.decontamination import find_passages
    from dataprep.text.normalize import normalize

    draw = random.Random(_SEED)
    documents = [text for text in _texts("zh_docs" if chinese else "en_docs") if len(text) < 50_000]
    items = _items(chinese)
    written = [
        _place(
            documents[number % len(documents)],
            item if change is None else change(item, draw),
            number,
            draw,
        )
        for number, item in enumerate(items)
    ]
    index = _index(items, **settings)
    column = normalize(pa.array(written, pa.large_string()))
    passages, scores = find_passages(column, index, Decontamination().near_words)
    passages = passages[scores >= np.float32(Decontamination().score_min)]
    # Two items may be the same words: then the first of them is the one that is named.
    names = {_units(item.texts[0][1]): item.id for item in reversed(index.items)}
    hits = {
        (int(row), index.items[index.parts.items[part]].id)
        for row, part in passages[:, :2].tolist()
    }
    found = np.array([(row, names[_units(item)]) in hits for row, item in enumerate(items)])
    sizes = np.array([len(_units(item)) for item in items])
    groups = {
        "all": sizes > 0,
        "under 13": sizes < 13,
        "5 to 12": (sizes > 4) & (sizes < 13),
        "13 and more": sizes >= 13,
    }
    shares = {name: found[chosen].mean() for name, chosen in groups.items() if chosen.any()}
    return {name: round(float(share), 5) for name, share in shares.items()}


def _units(text: str) -> tuple[str, ...]:
    return tuple(_UNIT.findall(text.lower()))


def _index(items: Sequence[str], **settings: int) -> Any:
    from dataprep.config_decontamination import Decontamination
    from dataprep.decontamination.index import build_index
    from dataprep.decontamination.items import Item

    own = Decontamination(**settings)
    made = [
        Item("injected", str(number), (("text", text),), "text")
        for number, text in enumerate(items)
    ]
    return build_index(made, own.ngram_words, own.ngram_characters)


def verbatim_found() -> tuple[dict[str, float], float, bool]:
    """English items injected as they are into en_docs."""
    shares = _found(False)
    return shares, 0.99, shares["all"] >= 0.99


def verbatim_found_chinese() -> tuple[dict[str, float], float, bool]:
    """Chinese items injected as they are into zh_docs."""
    shares = _found(True)
    return shares, 0.99, shares["all"] >= 0.99


def changed_found() -> tuple[dict[str, float], None, None]:
    """English items with other capitals, punctuation and white space."""
    return _found(False, _changed), None, None


def edited_found() -> tuple[dict[str, dict[str, float]], None, None]:
    """English items with one word changed, by the shortest run that counts."""
    return {f"{n} words": _found(False, _edited, ngram_words=n) for n in (13, 8, 5)}, None, None


@cache
def _flagged() -> dict[str, tuple[int, int]]:
    """By set: paragraphs flagged with any of the items of both languages, and all paragraphs."""
    import numpy as np
    import pyarrow as pa

    from dataprep.config_decontamination import Decontamination
    from dataprep.decontamination.decontamination import find_passages

    index = _index((*_items(False), *_items(True)))
    counted = {}
    for name in _UNRELATED:
        paragraphs = [part for text in _texts(name) for part in _paragraphs(text)]
        column = pa.array(paragraphs, pa.large_string())
        passages, scores = find_passages(column, index, Decontamination().near_words)
        rows = passages[scores >= np.float32(Decontamination().score_min), 0]
        counted[name] = (len(set(rows.tolist())), len(paragraphs))
    return counted


def _paragraphs(text: str) -> list[str]:
    """Pieces between blank lines, or the lines of a text that has none."""
    found = re.split(r"\n\s*\n", text)
    return [part for part in (found if len(found) > 1 else text.split("\n")) if part.strip()]


def unrelated_flagged() -> tuple[dict[str, float], float, bool]:
    """The share of paragraphs of six unrelated sets that are flagged, by set and of all."""
    counted = _flagged()
    shares = {name: flagged / total for name, (flagged, total) in counted.items()}
    flagged, total = (sum(column) for column in zip(*counted.values(), strict=True))
    shares["all"] = flagged / total
    return {name: round(share, 7) for name, share in shares.items()}, 1e-4, shares["all"] <= 1e-4


def search_rate() -> tuple[dict[str, float], float, bool]:
    """MB a second on one core, CPU time, medians of five: the search, and `write_units` beside it.

    What holds is the search's own rate; it reads the text once, and writes no units down unless an
    anchor was found.
    """
    import numpy as np
    import pyarrow as pa

    from dataprep.config_decontamination import Decontamination
    from dataprep.decontamination.decontamination import find_passages
    from dataprep.dedup.shingles import shingle_sets

    near = Decontamination().near_words
    rates = {}
    for name, chinese in (("en_docs", False), ("en_c4", False), ("zh_docs", True)):
        column = pa.array(_texts(name), pa.large_string())
        megabytes = sum(len(text.encode()) for text in _texts(name)) / 1e6
        index = _index(_items(chinese))
        for label, work in (
            (name, lambda c=column, i=index: find_passages(c, i, near)),
            (f"{name}_shingle_sets", lambda c=column: shingle_sets(c)),
        ):
            work()
            seconds = []
            for _ in range(5):
                start = time.process_time()
                work()
                seconds.append(time.process_time() - start)
            rates[label] = round(megabytes / float(np.median(seconds)), 1)
    return rates, 100.0, min(rates[name] for name in ("en_docs", "en_c4", "zh_docs")) >= 100.0


FIGURES: dict[str, Callable[[], Any]] = {
    "decontamination_verbatim_found": verbatim_found,
    "decontamination_verbatim_found_chinese": verbatim_found_chinese,
    "decontamination_changed_found": changed_found,
    "decontamination_edited_found": edited_found,
    "decontamination_unrelated_flagged": unrelated_flagged,
    "decontamination_search_rate": search_rate,
}
