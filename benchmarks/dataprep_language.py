"""Figures of language, normalization, lists, kinds of content, and Chinese good and bad.

python -m benchmarks.dataprep_language [FIGURE ...]     one JSON object a line
"""

import functools
import gzip
import json
import random
import sys
import sysconfig
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import garble_chinese
from dataprep import shard
from dataprep.config import Dataprep, Normalize
from dataprep.language import language
from dataprep.reading.records import Batch, Record
from dataprep.signals import chinese_signals, content
from dataprep.step import alive, apply_chain
from dataprep.text import normalize, repair, word_lists

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LARGE_LANGUAGES = ("en", "zh", "es", "fr", "de", "ru", "ja", "pt", "it", "ar", "ko")
# Names in the set that stand for what the classifier calls otherwise.
_CALLED = {"nb": "no"}
_REPEATS = 5

Figure = tuple[Any, float | None, bool | None]


def _texts(name: str) -> list[str]:
    with gzip.open(SHARED_DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line)["text"] for line in stream]


def _column(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


@functools.cache
def _sentences() -> dict[str, list[str]]:
    """By language, the sentences of the set, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    path = SHARED_DATA / "langid_sentences" / "lingua_sentences.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            if row["kind"] == "sentences":
                found[row["lang"]].append(row["text"])
    return dict(found)


def _documents(sentences: list[str]) -> list[str]:
    """Sentences joined to documents of 200 characters or a little more."""
    documents: list[str] = []
    gathered = ""
    for sentence in sentences:
        gathered = f"{gathered} {sentence}".strip()
        if len(gathered) >= 200:
            documents.append(gathered)
            gathered = ""
    return documents


def _right(texts: list[str], name: str) -> float:
    found, _ = language.identify(_column(texts))
    called = _CALLED.get(name, name)
    return sum(one == called for one in found.to_pylist()) / len(texts)


def language_documents_share() -> Figure:
    """Documents of 200 characters, 11 large languages, mean over languages."""
    value = np.mean([_right(_documents(_sentences()[name]), name) for name in LARGE_LANGUAGES])
    return round(float(value), 4), 0.99, bool(value >= 0.99)


def language_sentences_share() -> Figure:
    """Single sentences, 11 large languages, mean over languages."""
    value = np.mean([_right(_sentences()[name], name) for name in LARGE_LANGUAGES])
    return round(float(value), 4), 0.98, bool(value >= 0.98)


def language_all_sentences_share() -> Figure:
    """Single sentences, all languages of the set, mean over languages; some have no label here."""
    value = np.mean([_right(texts, name) for name, texts in _sentences().items()])
    return round(float(value), 4), None, None


def language_paragraphs_megabytes_per_second() -> Figure:
    """What the share of paragraphs in a document's own language costs beside its language."""
    column = _column(_texts("en_docs/docs")[:800])
    languages, _ = language.identify(column)
    return _rate(column, lambda: language.own_share(column, languages)), None, None


def normalize_repair() -> Figure:
    """Share of good rows that the pattern of damage sends to ftfy, and the rates, MB/s."""
    column = _column(_texts("en_docs/docs")[:1500])
    config = Normalize(repair=True)
    damaged = _column([text[:3000].encode().decode("cp1252", "ignore") for text in _fr()[:100]])
    return (
        {
            "rows_looked_at": round(float(np.mean(repair.damaged(column).to_pylist())), 4),
            "megabytes_per_second": _rate(column, lambda: normalize.normalize(column, config)),
            "damaged_megabytes_per_second": _rate(damaged, lambda: repair.repair(damaged)),
        },
        None,
        None,
    )


def _fr() -> list[str]:
    texts = []
    for path in sorted((SHARED_DATA / "multilang_docs").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            rows = map(json.loads, stream)
            texts += [row["text"] for row in rows if row.get("lang") == "fr"]
    return texts


def normalize_simplified() -> Figure:
    """Rows that OpenCC sees, of traditional and of simplified sets, and its rate, MB/s."""
    column = _column(_texts("zh_trad_docs/zh_trad"))
    config = Normalize(chinese="simplified")
    simplified = repair.traditional(_column(_texts("zh_docs/zh_docs")))
    return (
        {
            "rows_looked_at_traditional": round(
                float(np.mean(repair.traditional(column).to_pylist())), 4
            ),
            "rows_looked_at_simplified": round(float(np.mean(simplified.to_pylist())), 4),
            "megabytes_per_second": _rate(column, lambda: normalize.normalize(column, config)),
        },
        None,
        None,
    )


def keywords_megabytes_per_second() -> Figure:
    """One list of 400 words."""
    column = _column(_texts("en_docs/docs")[:800])
    found = word_lists.load((str(SHARED_DATA / "blocklists" / "ldnoobw" / "en"),), "benchmark")
    return _rate(column, lambda: word_lists.count(column, found)), None, None


def content_megabytes_per_second() -> Figure:
    """Kind of content, by lines."""
    column = _column(_texts("en_docs/docs")[:1500])
    return _rate(column, lambda: content.measure(column)), 100, None


def content_kinds_share() -> Figure:
    """Documents whose kind is right by their lines alone, of good prose and of sources."""
    standard = Path(sysconfig.get_path("stdlib"))
    sources = [path.read_text("utf-8", "replace") for path in sorted(standard.glob("*.py"))]
    sets = {
        "en_docs": ("prose", _texts("en_docs/docs")),
        "en_manpages": ("prose", _texts("en_manpages/manpages")),
        "zh_docs": ("prose", _texts("zh_docs/zh_docs")),
        "python": ("code", [text for text in sources if len(text) > 200]),
        "latex": ("mathematics", latex_articles()),
    }
    shares = {}
    for name, (kind, texts) in sets.items():
        found, _ = content.measure(_column(texts))
        shares[name] = round(found.to_pylist().count(kind) / len(texts), 4)
    return shares, None, None


def latex_articles(number: int = 100) -> list[str]:
    """Articles of English words with a formula every so many, and equations between paragraphs."""
    words = " ".join(_texts("en_docs/docs")[:20]).split()
    articles = []
    for index in range(number):
        draw = random.Random(index)
        paragraphs = ["\\section{On the matter}"]
        for _ in range(12):
            start = draw.randrange(len(words) - 60)
            paragraph = words[start : start + 60]
            for place in range(0, 60, draw.choice((8, 15, 25))):
                name = draw.choice("xyzabkn")
                paragraph[place] = draw.choice(
                    (
                        f"$\\alpha_{name}$",
                        f"${name}^2 + {name}_i = 0$",
                        f"\\(\\frac{{{name}}}{{2}}\\)",
                    )
                )
            paragraphs.append(" ".join(paragraph))
        paragraphs.insert(4, "\\[ \\sum_{i=1}^{n} x_i \\leq \\int_0^1 f(x)\\,dx \\]")
        articles.append("\n\n".join(paragraphs))
    return articles


def chinese_good_survive() -> Figure:
    """Good Chinese documents that the default recipe's rules keep, by source and both halves."""
    shares = {}
    for name in garble_chinese.GOOD_SOURCES:
        texts = garble_chinese.good_texts([name])
        for half in (0, 1):
            own = [text for text in texts if garble_chinese.half_of(text) == half]
            shares[f"{name.split('/')[1]} {half}"] = round(1 - float(_dropped(own).mean()), 4)
    least = min(shares.values())
    return {**shares, "least": least}, 0.95, least >= 0.95


def chinese_bad_dropped() -> Figure:
    """Bad documents made of them that are dropped, by family and half: means over generators."""
    made = garble_chinese.bad_documents(garble_chinese.good_texts())
    dropped = _dropped([one.text for one in made])
    by_generator = defaultdict(list)
    for one, gone in zip(made, dropped, strict=True):
        half = garble_chinese.half_of(one.origin)
        by_generator[one.family, half, one.generator].append(gone)
    families = defaultdict(list)
    for (family, half, _), gone in by_generator.items():
        families[f"{family} {half}"].append(np.mean(gone))
    shares = {name: round(float(np.mean(values)), 4) for name, values in families.items()}
    least = min(value for name, value in shares.items() if not name.startswith("beyond"))
    return {**shares, "least": least}, 0.95, least >= 0.95


def _dropped(texts: list[str]) -> np.ndarray:
    """Which texts the rules of the default recipe drop; bool [rows]."""
    steps = [step for step in shard.chain(Dataprep(), {}) if step.name not in ("pii", "signature")]
    gone = []
    for start in range(0, len(texts), 500):
        batch = Batch("benchmark")
        for index, text in enumerate(texts[start : start + 500]):
            batch.add(Record(f"benchmark:{start + index}", text, None, None, ()))
        ((table, _),) = batch.take()
        gone.append(~alive(apply_chain(steps, table)))
    return np.concatenate(gone)


def chinese_megabytes_per_second() -> Figure:
    """The signals of Chinese."""
    column = _column(_texts("zh_docs/zh_docs"))
    return _rate(column, lambda: chinese_signals.measure(column)), None, None


def _rate(column: pa.Array, function: Callable[[], Any]) -> float:
    """MB of text a second, median of five after a warm-up."""
    function()
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return round(column.nbytes / 1e6 / float(np.median(seconds)), 1)


FIGURES: dict[str, Callable[[], Figure]] = {
    function.__name__: function
    for function in (
        language_documents_share,
        language_sentences_share,
        language_all_sentences_share,
        language_paragraphs_megabytes_per_second,
        normalize_repair,
        normalize_simplified,
        keywords_megabytes_per_second,
        content_megabytes_per_second,
        content_kinds_share,
        chinese_good_survive,
        chinese_bad_dropped,
        chinese_megabytes_per_second,
    )
}


def main(names: list[str]) -> None:
    for name in names or FIGURES:
        value, target, holds = FIGURES[name]()
        print(json.dumps({"figure": name, "value": value, "target": target, "holds": holds}))


if __name__ == "__main__":
    main(sys.argv[1:])
