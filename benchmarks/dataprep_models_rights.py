"""Figures of provenance and rights: licences and opt-outs on made and real pages, their cost.

No target is set for what is found; the step's cost has one, 0.1 ms a page. Made pages are drawn
from templates by a seed: each has one statement of a known licence, or something that looks like
one and is not (a picture's licence, a program's notice, a link in an essay).
"""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.parse.html import HTMLTree

from benchmarks.documents import REPOSITORY
from dataprep.pages.extract import Extracted, decode, extract
from dataprep.pages.page_scan import scan
from dataprep.rights.header_marks import marks_in
from dataprep.rights.licences import read_licence
from dataprep.rights.opt_out import kind_of
from dataprep.rights.page_marks import page_rights

DATA = REPOSITORY.parent / "shared" / "data"
_WEB = ("web_html_scrapinghub", "web_html_trafilatura")
_PAGES_OF_KIND = 40
_SEED = 20261126
_MILLISECONDS_MAX = 0.1

Figure = tuple[Any, Any, bool | None]

_CC = ("by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd")
_WORDS = {
    "by": "Attribution", "sa": "ShareAlike", "nc": "NonCommercial", "nd": "NoDerivatives",
}  # fmt: skip
_TEMPLATES = {
    "rel-license link": ('<link rel="license" href="{url}">', ""),
    "rel-license anchor": ("", '<p>Use it under <a rel="license" href="{url}">this</a>.</p>'),
    "rdfa": ("", '<span about=""><a rel="cc:license" href="{url}">terms</a></span>'),
    "microdata": ("", '<div itemscope itemtype="https://schema.org/Article">'
                  '<link itemprop="license" href="{url}"></div>'),
    "json-ld": ('<script type="application/ld+json">{{"@context":"https://schema.org",'
                '"@type":"Article","image":{{"@type":"ImageObject","license":"{other}"}},'
                '"license":"{url}"}}</script>', ""),
    "dcterms meta": ('<meta name="dcterms.license" content="{url}">', ""),
    "rights meta": ('<meta name="DC.rights" content="{name}">', ""),
    "footer link": ("", '<div id="footer">(c) A. Writer <a href="{url}">some rights</a></div>'),
    "sentence": ("", "<p>This work is licensed under a {name} License.</p>"),
}  # fmt: skip
_DECOYS = {
    "picture": '<figure><img src="a.jpg"><a rel="license" href="{url}">{name}</a></figure>',
    "credit": '<p>Photo: A. Writer, licence <a href="{url}">{name}</a></p>',
    "program": "<p>Powered by Mill CMS, free software licensed under GNU/GPL.</p>",
    "essay": '<p>Many writers choose <a href="{url}">one of six</a> and are happy.</p>',
    "nothing": "<p>Mills are licensed by the county, and some owners hold rights.</p>",
}


def made_pages() -> Iterator[tuple[str, str | None, bytes]]:
    """Kind of markup, the SPDX identifier that the page states (None: none), and the page."""
    draw = random.Random(_SEED)

    def page(head: str, body: str) -> bytes:
        letters, version = draw.choice(_CC), draw.choice(("3.0", "4.0"))
        values = {
            "url": f"https://creativecommons.org/licenses/{letters}/{version}/",
            "other": "https://creativecommons.org/licenses/by-nc-nd/2.0/",
            "name": "Creative Commons "
            + "-".join(_WORDS[part] for part in letters.split("-"))
            + f" {version} International",
        }
        stated.append(f"CC-{letters.upper()}-{version}")
        prose = " ".join(draw.choices(("mill", "wheel", "water", "turns", "grain", "the"), k=150))
        return (
            f"<html><head><title>A page</title>{head.format(**values)}</head><body><article>"
            f"<p>{prose}.</p>{body.format(**values)}</article></body></html>"
        ).encode()

    stated: list[str] = []
    for kind, (head, body) in _TEMPLATES.items():
        for _ in range(_PAGES_OF_KIND):
            html = page(head, body)
            yield kind, stated[-1], html
    for kind, body in _DECOYS.items():
        for _ in range(_PAGES_OF_KIND):
            yield f"decoy: {kind}", None, page("", body)


def on_made_pages() -> Figure:
    """By kind of markup: pages, licences found, and found right; over all, precision and recall."""
    counts: dict[str, Counter[str]] = {}
    for kind, expected, html in made_pages():
        found = extract(html, None, "fast")
        assert isinstance(found, Extracted)
        licence = None if found.license is None else read_licence(found.license)
        own = counts.setdefault(kind, Counter())
        own["pages"] += 1
        own["found"] += licence is not None
        own["right"] += licence is not None and licence.expression == expected
    total = sum(counts.values(), Counter())
    stating = sum(own["pages"] for kind, own in counts.items() if not kind.startswith("decoy"))
    answer = {kind: dict(own) for kind, own in counts.items()}
    answer["all"] = {
        "precision": round(total["right"] / max(1, total["found"]), 4),
        "recall": round(total["right"] / stating, 4),
    }  # type: ignore[assignment]
    return answer, None, None


def _responses(pattern: str) -> Iterator[tuple[bytes, Any]]:
    """Pages of all archives that match, with their headers."""
    for path in sorted(DATA.glob(pattern)):
        with path.open("rb") as stream:
            try:
                for record in ArchiveIterator(
                    stream, record_types=WarcRecordType.response | WarcRecordType.resource
                ):
                    headers = record.http_headers
                    stated = (headers.get_bytes(b"Content-Type") or b"") if headers else b"html"
                    if b"html" in stated:
                        yield record.reader.read(1 << 23), headers
            except OSError:
                continue  # malformed on purpose


def on_real_pages(pattern: str) -> Figure:
    """Pages, by licence and by evidence, and by kind of opt-out; nobody has labelled them."""
    numbers: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    evidence: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for html, headers in _responses(pattern):
        found = extract(html, None, "fast")
        if not isinstance(found, Extracted):
            continue
        numbers["pages"] += 1
        if found.license is not None:
            licence = read_licence(found.license)
            licences[licence.expression if licence else "not known"] += 1
            evidence[(found.evidence or "").partition(";")[0]] += 1
        marks = {*found.marks, *(marks_in(headers) if headers is not None else ())}
        kinds.update({str(kind_of(mark)) for mark in marks})
    answer = {
        **numbers,
        "licences": dict(licences.most_common()),
        "evidence": dict(evidence.most_common()),
        "opt_outs": dict(kinds.most_common()),
    }
    return answer, None, None


def cost() -> Figure:
    """Milliseconds a page of the two web sets, one core: what the search in the parsed page takes,
    of five passes the median, and the scan that it shares with extraction, apart."""
    pages = [html for name in _WEB for html, _ in _responses(f"{name}/pages_wrapped.warc.gz")]
    trees = [HTMLTree.parse(decode(html, None)) for html in pages]
    seen = [scan(html) for html in pages]
    searching, scanning = [], []
    for _ in range(5):
        start = time.process_time()
        for html in pages:
            scan(html)
        scanning.append(time.process_time() - start)
        start = time.process_time()
        for tree, html, found in zip(trees, pages, seen, strict=True):
            page_rights(tree, html, found)
        searching.append(time.process_time() - start)
    scale = 1e3 / len(pages)
    milliseconds = statistics.median(searching) * scale
    answer = {
        "pages": len(pages),
        "kilobytes_of_a_page": round(sum(map(len, pages)) / len(pages) / 1e3, 1),
        "milliseconds": round(milliseconds, 4),
        "scan_milliseconds": round(statistics.median(scanning) * scale, 4),
    }
    return answer, _MILLISECONDS_MAX, milliseconds <= _MILLISECONDS_MAX


def hostile() -> Figure:
    """Milliseconds of the search alone on pages made to be slow, 1 MB or so each."""
    cc = "https://creativecommons.org/licenses/by/4.0/"
    pages = {
        "10,000 licence links": f'<a rel="license" href="{cc}">x</a>' * 10_000,
        "an attribute of 1 MB": f'<a rel="license" href="{cc}{"a" * 1_000_000}">x</a>',
        "broken JSON-LD": '<script type="application/ld+json">' + '{"license":' * 90_000,
        "words": "<p>All rights reserved, this work is licensed under the " * 20_000,
    }
    answer = {}
    for name, body in pages.items():
        html = f"<html><body>{body}</body></html>".encode()
        tree, seen = HTMLTree.parse(html.decode()), scan(html)
        start = time.process_time()
        page_rights(tree, html, seen)
        answer[name] = round((time.process_time() - start) * 1e3, 1)
    return answer, 250, max(answer.values()) <= 250


def figures() -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Names and computations of all figures."""
    yield "rights_licences_on_made_pages", on_made_pages
    for name in _WEB:
        yield f"rights_on_{name}", lambda name=name: on_real_pages(f"{name}/pages_wrapped.warc.gz")
    yield "rights_on_warc_real", lambda: on_real_pages("warc_real/*/*.warc*")
    yield "rights_milliseconds_a_page", cost
    yield "rights_hostile_milliseconds", hostile


if __name__ == "__main__":
    for figure, compute in figures():
        print(figure, *compute(), flush=True)
