"""Figures of extraction: `python -m benchmarks.dataprep_extraction`.

Article text is measured as ScrapingHub's article-extraction-benchmark does: runs of four words
(`\\w+`) as multisets, precision and recall of each page, their averages, and F1 of the averages.
Plain resiliparse and plain trafilatura give its published figures by this code.
"""

import gzip
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.pages_with_passages import (
    Made,
    Template,
    pages_with_code,
    pages_with_equations,
)

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY.parent / "shared" / "data"
REPEATS = 5

_WORD = re.compile(r"\w+")
Extractor = Literal["fast", "precise"]


class Page(NamedTuple):
    """A page of a labelled set: its bytes, its charset and its label."""

    url: str
    html: bytes
    charset: str | None
    label: dict[str, Any]


@cache
def pages(name: str) -> tuple[Page, ...]:
    """The labelled pages of a set, in the order of its archive."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with gzip.open(DATA / name / "pages.jsonl.gz", "rt", encoding="utf-8") as lines:
        labels = {label["url"]: label for label in map(json.loads, lines)}
    found = []
    with (DATA / name / "pages_wrapped.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            url = record.headers.get("WARC-Target-URI") or ""
            if url in labels:
                html = record.reader.read()
                found.append(Page(url, html, record.http_charset, labels[url]))
    return tuple(found)


def text_of(page: Page, extractor: Extractor) -> str:
    """What we extract of a page, empty if nothing."""
    return extracted(page.html, page.charset, extractor)


def extracted(html: bytes, charset: str | None, extractor: Extractor) -> str:
    """What we extract of a page's bytes, empty if nothing."""
    from dataprep.pages.extract import extract

    found = extract(html, charset, extractor)
    return "" if isinstance(found, str) else found.text


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """Runs of four words of a text, or all its words if they are fewer."""
    words = _WORD.findall(text)
    if not words:
        return Counter()
    return Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)))


def averages(texts: Iterable[str], golds: Iterable[str]) -> tuple[float, float, float]:
    """Precision and recall averaged over pages, and their F1."""
    precisions, recalls = [], []
    for text, gold in zip(texts, golds, strict=True):
        ours, theirs = shingles(text), shingles(gold)
        shared = (ours & theirs).total()
        precisions.append(shared / ours.total() if ours else float(not theirs))
        recalls.append(shared / theirs.total() if theirs else 1.0)
    precision, recall = statistics.fmean(precisions), statistics.fmean(recalls)
    return precision, recall, 2 * precision * recall / (precision + recall)


def article_figures(extract: Callable[[Page], str]) -> dict[str, float]:
    """F1 over all pages, and over those of even and odd xxh3_64 of their address."""
    import xxhash

    found = pages("web_html_scrapinghub")
    texts = [extract(page) for page in found]
    figures = {}
    for name, rest in (("all", None), ("even", 0), ("odd", 1)):
        chosen = [
            index
            for index, page in enumerate(found)
            if rest is None or xxhash.xxh3_64_intdigest(page.url.encode()) % 2 == rest
        ]
        golds = [found[index].label["gold_text"] for index in chosen]
        values = averages([texts[index] for index in chosen], golds)
        figures[name] = round(values[2], 4)
    return figures


def article(extractor: Extractor, target: float) -> tuple[dict[str, float], float, bool]:
    """F1 of article text, and whether all pages together reach the target."""
    figures = article_figures(lambda page: text_of(page, extractor))
    return figures, target, figures["all"] >= target


def milliseconds() -> tuple[dict[str, float], None, None]:
    """Time a page of the fast extractor and of plain resiliparse, CPU of one thread, median."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    def plain(page: Page) -> None:
        tree = HTMLTree.parse_from_bytes(page.html, page.charset or "utf-8")
        extract_plain_text(tree, main_content=True)

    found = pages("web_html_scrapinghub")
    ways: dict[str, Callable[[Page], object]] = {
        "resiliparse": plain,
        "fast": lambda page: text_of(page, "fast"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(found[0])
    for _ in range(REPEATS):
        for name, way in ways.items():
            start = time.thread_time()
            for page in found:
                way(page)
            seconds[name].append((time.thread_time() - start) / len(found))
    return {name: round(statistics.median(s) * 1e3, 3) for name, s in seconds.items()}, None, None


def survive(made: Iterable[Made]) -> tuple[dict[str, float], float, bool]:
    """Share of the passages that come out once, as they are but for spaces at line ends."""
    target = 0.98
    lost: Counter[str] = Counter()
    shares = {}
    everything = list(made)
    for extractor in ("fast", "precise"):
        kept = 0
        for page in everything:
            text = extracted(page.html, "utf-8", extractor)  # type: ignore[arg-type]
            once = _squeezed(text).count(_squeezed(page.expected)) == 1
            kept += once
            lost[f"{extractor} {page.markup}"] += not once
        shares[extractor] = round(kept / len(everything), 4)
    shares |= {f"lost: {name}": count for name, count in lost.items() if count}
    return shares, target, min(shares["fast"], shares["precise"]) >= target


def _squeezed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _templates() -> list[Template]:
    found = pages("web_html_scrapinghub")
    return [Template(page.html, page.label["gold_text"]) for page in found]


FIGURES: dict[str, Callable[[], tuple[Any, float | None, bool | None]]] = {
    "extraction_fast_f1": lambda: article("fast", 0.93),
    "extraction_precise_f1": lambda: article("precise", 0.96),
    "extraction_fast_milliseconds": milliseconds,
    "equations_survive_share": lambda: survive(pages_with_equations(_templates())),
    "code_blocks_survive_share": lambda: survive(pages_with_code(_templates())),
}


def main() -> None:
    """Print every figure as a JSON object a line."""
    for name, compute in FIGURES.items():
        value, target, holds = compute()
        print(json.dumps({"figure": name, "value": value, "target": target, "holds": holds}))


if __name__ == "__main__":
    main()
